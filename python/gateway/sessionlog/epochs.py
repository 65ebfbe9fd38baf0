"""Epoch keys: who signs a checkpoint beside the long-term key, and the ledger says from where on.

At each boot and each day (UTC) a new Ed25519 key is made, in memory alone. The long-term key
certifies it in a leaf of the ledger, and only what stands behind that leaf is signed with it. The
last leaf under each checkpoint names the epoch that signs. Numbers have no gaps, over all boots.

Refuses to write a private key anywhere, to sign at a size below the certificate, and a ledger
whose certificates are not this log's. What this answers, and what not, is in docs/session-log.md.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.sessionlog import canonical
from gateway.sessionlog.merkle import leaf_hash
from gateway.sessionlog.note import (
    EPOCH,
    Checkpoint,
    LogKey,
    Note,
    NoteError,
    Signature,
    VerifierKey,
    decode64,
)
from gateway.sessionlog.session import now
from gateway.sessionlog.tiles import LedgerError, Tiles

CERTIFICATE_PREFIX = b"maskgate epoch certificate v1\n"
CHECKPOINT_PREFIX = b"maskgate epoch checkpoint v1\n"


def _lp(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw


def certified(origin: str, vkey: str, ts: str, number: int, start: int, first: int) -> bytes:
    """What the long-term key signs to certify an epoch's key."""
    named = _lp(origin) + _lp(vkey) + _lp(ts)
    return CERTIFICATE_PREFIX + named + struct.pack(">QQQQ", number, number - 1, start, first)


def signed(number: int, text: bytes) -> bytes:
    """What an epoch's key signs of a checkpoint's own lines."""
    return CHECKPOINT_PREFIX + struct.pack(">Q", number) + text


@dataclass(frozen=True, slots=True)
class Certificate:
    """One epoch leaf that the long-term key has signed, and where it stands."""

    index: int
    number: int
    first: int  # the size from which on this ledger has epochs
    key: VerifierKey
    ts: str

    @property
    def start(self) -> int:
        """The smallest size that this epoch signs."""
        return self.index + 1

    @classmethod
    def parse(cls, index: int, data: bytes, log: VerifierKey) -> Certificate:
        """Raises LedgerError unless `data` is a certificate by this log for this place."""
        try:
            leaf: dict[str, Any] = json.loads(data)
            number, start, first = leaf["number"], leaf["from"], leaf["first"]
            if (leaf["type"], start, leaf["previous"]) != ("epoch", index + 1, number - 1):
                raise NoteError("it is for another place, or its number is not the next")
            key = VerifierKey.parse(leaf["key"], EPOCH)
            if key.name != log.name:
                raise NoteError("its key has another name than the log")
            message = certified(log.name, leaf["key"], leaf["ts"], number, start, first)
            log.verify(message, decode64(leaf["signature"]))
            return cls(index, number, first, key, leaf["ts"])
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as reason:
            raise LedgerError(f"leaf {index} is no certificate of an epoch: {reason}") from None

    def check(self, note: Note) -> None:
        """Raises NoteError unless this epoch's key signed the checkpoint, behind its leaf."""
        found = [one for one in note.signatures if one.by(self.key)]
        if not found or note.size < self.start:
            raise NoteError(f"epoch {self.number} has not signed the checkpoint of {note.size}")
        self.key.verify(signed(self.number, note.text), found[0].body)


def in_force(tiles: Tiles, size: int) -> tuple[int, ...]:
    """The leaves that say which epoch signs a checkpoint of this size: certificate, and the last.

    None where the ledger had no epochs yet. Raises LedgerError.
    """
    leaf = _checked(tiles, size - 1, tiles.leaf(size - 1))
    return (leaf["certificate"], size - 1) if leaf["type"] == "checkpoint" else ()


def newest(tiles: Tiles, size: int, log: VerifierKey) -> Certificate | None:
    """The last epoch of a ledger of this size; None where it has none. Raises LedgerError."""
    for index, data in tiles.backwards(size):
        leaf = _checked(tiles, index, data)
        if leaf.get("type") == "epoch":
            return Certificate.parse(index, data, log)
        if leaf.get("type") == "checkpoint":
            at = leaf.get("certificate")
            if not isinstance(at, int) or not 0 <= at < index:
                raise LedgerError(f"leaf {index} names no certificate")
            data = tiles.leaf(at)
            _checked(tiles, at, data)
            return Certificate.parse(at, data, log)
        if leaf.get("type") == "boot" and "epoch" not in leaf:
            return None  # by a version that had no epochs
    return None


def _checked(tiles: Tiles, index: int, data: bytes) -> dict[str, Any]:
    """The leaf, which is the one of its hash: a start has checked the hashes alone."""
    if leaf_hash(data) != tiles.node(0, index):
        raise LedgerError(f"leaf {index} is not the one of its hash")
    try:
        leaf: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise LedgerError(f"leaf {index} is no leaf") from None
    return leaf


class Epoch:
    """A key that is in memory alone, and the certificate that the ledger gets."""

    def __init__(self, log: LogKey, number: int, index: int, first: int, boot: bytes) -> None:
        self._private, ts = Ed25519PrivateKey.generate(), now()
        key = VerifierKey(log.origin, EPOCH, self._private.public_key().public_bytes_raw())
        self.certificate = Certificate(index, number, first, key, ts)
        message = certified(log.origin, key.vkey, ts, number, index + 1, first)
        fields = {"boot": boot.hex(), "first": first, "from": index + 1, "key": key.vkey, "ts": ts}
        fields |= {"number": number, "previous": number - 1, "type": "epoch", "v": 1}
        fields["signature"] = base64.b64encode(log.certify(message)).decode()
        self.leaf = canonical.encode(fields)

    def sign(self, text: bytes) -> Signature:
        """This epoch's signature line under a checkpoint's own lines."""
        key, number = self.certificate.key, self.certificate.number
        return Signature(key.name, key.id, self._private.sign(signed(number, text)))


class Epochs:
    """The epochs of one boot: each begins with the first checkpoint of its day."""

    def __init__(self, log: LogKey, boot: bytes, before: Certificate | None) -> None:
        self._log, self._boot = log, boot
        self._current: Epoch | None = None
        #: The number of the epoch that begins next.
        self.next = 1 if before is None else before.number + 1
        #: The size from which on this ledger has epochs; 0 while it has none.
        self.first = 0 if before is None else before.first

    def _due(self) -> Epoch | None:
        """The epoch of today; None when it has yet to begin."""
        current = self._current
        return current if current and current.certificate.ts[:10] == now()[:10] else None

    def leaves(self, size: int) -> list[bytes]:
        """What stands last under a checkpoint of a ledger that has `size` leaves now: a new
        certificate where one is due, and which epoch signs."""
        epoch, made = self._due(), []
        if epoch is None:
            self.first = self.first or size + 1
            epoch = self._current = Epoch(self._log, self.next, size, self.first, self._boot)
            self.next += 1
            made.append(epoch.leaf)
        stated = {"certificate": epoch.certificate.index, "epoch": epoch.certificate.number}
        fields = {"boot": self._boot.hex(), "ts": now(), "type": "checkpoint", "v": 1}
        return [*made, canonical.encode(fields | stated)]

    def sign(self, size: int, root: bytes) -> Checkpoint:
        """The checkpoint behind the leaves that `leaves` gave."""
        return self._log.sign_checkpoint(size, root, self._current)
