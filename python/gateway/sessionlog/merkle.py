"""RFC 6962 Merkle trees over SHA-256: hashes, roots, proofs and their verification.

Knows no file: whoever wants a proof passes a function that gives the hash of a complete subtree.
Verification follows RFC 9162, 2.1.3.2 and 2.1.4.2, and raises ProofError; it never returns False.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

# (level, n) -> hash of the complete subtree over the leaves n·2^level … (n+1)·2^level - 1
Node = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofError(ValueError):
    """A proof does not lead from what it is for to the root."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The complete subtrees at the right edge: enough to append and to give the root."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"{size} leaves have {size.bit_count()} peaks, got {len(peaks)}")
        self.size = size
        self._peaks = list(peaks)  # largest first

    @classmethod
    def read(cls, node: Node, size: int) -> Frontier:
        """The frontier of a stored tree."""
        peaks, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks.append(node(level, start >> level))
                start += 1 << level
        return cls(size, peaks)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one leaf."""
        position = self.size
        while position & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            position >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(node: Node, low: int, high: int) -> bytes:
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, low >> level)
    k = _split(count)
    return node_hash(_range_root(node, low, low + k), _range_root(node, low + k, high))


def inclusion_proof(node: Node, index: int, size: int) -> tuple[bytes, ...]:
    """RFC 6962, 2.1.1: the audit path of leaf `index` in the tree of `size` leaves, leaf first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(node, middle, high))
            high = middle
        else:
            path.append(_range_root(node, low, middle))
            low = middle
    return tuple(reversed(path))


def consistency_proof(node: Node, old: int, new: int) -> tuple[bytes, ...]:
    """RFC 6962, 2.1.2: that the first `old` leaves of the tree of `new` are still the same."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        return ()
    path: list[bytes] = []
    low, high, complete = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(node, middle, high))
            high = middle
        else:
            path.append(_range_root(node, low, middle))
            low, complete = middle, False
    if not complete:
        path.append(_range_root(node, low, high))
    return tuple(reversed(path))


def cover_proof(node: Node, indices: Sequence[int], size: int) -> Iterator[bytes]:
    """The roots of the largest subtrees that hold none of these leaves, from left to right.

    `indices` ascend without repetition. Whoever has the leaves and these has the root: a range
    without one of the leaves is the next hash, a leaf is itself, any other range is the node over
    its two parts (RFC 6962, 2.1). Many leaves share what their single proofs would repeat.
    """
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ValueError("the leaves are not in order")
    if indices and not 0 <= indices[0] <= indices[-1] < size:
        raise ValueError(f"not all leaves are in a tree of {size}")
    pending = [(0, size, 0, len(indices))]  # low, high, and which of the leaves lie between
    while pending:
        low, high, first, last = pending.pop()
        if first == last:
            yield _range_root(node, low, high)
        elif high - low > 1:
            middle = low + _split(high - low)
            between = bisect_left(indices, middle, first, last)
            pending += [(middle, high, between, last), (low, middle, first, between)]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """RFC 9162, 2.1.3.2: `leaf` (a leaf hash) is number `index` below `root`."""
    if not 0 <= index < size or len(root) != len(EMPTY_ROOT):
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    fn, sn, reached = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise ProofError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            reached = node_hash(sibling, reached)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            reached = node_hash(reached, sibling)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ProofError("the inclusion proof is too short")
    if reached != root:
        raise ProofError(f"the inclusion proof leads to {reached.hex()}, expected {root.hex()}")


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """RFC 9162, 2.1.4.2: the tree of `new` leaves begins with the tree of `old`."""
    if not 0 <= old <= new or len(new_root) != len(EMPTY_ROOT):
        raise ProofError(f"a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        if proof:
            raise ProofError("this consistency proof must be empty")
        if old == 0 and old_root != EMPTY_ROOT:
            raise ProofError("the root of no leaves is not the empty hash")
        if old == new and old_root != new_root:
            raise ProofError("two roots for one size")
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ProofError("the consistency proof is empty")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise ProofError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, sibling)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ProofError("the consistency proof is too short")
    if first != old_root or second != new_root:
        raise ProofError("the consistency proof does not lead to both roots")
