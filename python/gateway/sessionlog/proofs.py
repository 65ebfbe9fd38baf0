"""What proves a session: its bytes, its leaves, their way to a checkpoint; and one statement."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.model import LedgerLeaf, SessionFiles
from gateway.sessionlog import canonical, epochs, merkle
from gateway.sessionlog.note import Checkpoint, LogKey
from gateway.sessionlog.tiles import Tiles


@dataclass(frozen=True, slots=True)
class Found:
    """One session's bytes, and where the leaves are that name it."""

    sid: str
    records: bytes
    leaves: dict[str, int]
    cp_size: int
    closed: bool

    @property
    def wanted(self) -> tuple[int, int, int]:
        """Boot, open, and the leaf that says where the chain stood last."""
        last = next(
            self.leaves[type_] for type_ in ("close", "recovery", "commit") if type_ in self.leaves
        )
        return self.leaves["boot"], self.leaves["open"], last

    @property
    def needed(self) -> int:
        """The smallest ledger that has all of them."""
        return max(self.wanted) + 1


def prove(
    found: Found, checkpoint: Checkpoint, key: LogKey, tiles: Tiles, since: int | None
) -> SessionFiles:
    """The session under this checkpoint. The caller keeps the tiles from growing meanwhile."""
    node, size = tiles.node, checkpoint.size

    def proven(indices: Iterable[int]) -> tuple[LedgerLeaf, ...]:
        return tuple(
            LedgerLeaf(index, tiles.leaf(index), merkle.inclusion_proof(node, index, size))
            for index in sorted(indices)
        )

    return SessionFiles(
        found.sid,
        key.origin,
        key.vkey,
        found.records,
        proven(found.wanted),
        merkle.consistency_proof(node, found.cp_size, size),
        checkpoint.note,
        found.closed,
        None if since is None else (since, merkle.consistency_proof(node, since, size)),
        proven(epochs.in_force(tiles, size)),
    )


def receipt(stated: dict[str, Any], key: LogKey) -> dict[str, Any]:
    """What a client keeps of a statement, signed: with it he can show that a record is gone."""
    named = {**stated, "key": key.vkey}
    signature = key.sign_receipt(canonical.encode(named))
    return {**named, "signature": base64.b64encode(signature).decode()}


def tlog_proof(index: int, leaf: bytes, way: tuple[bytes, ...], note: bytes) -> bytes:
    """A leaf's proof in the format of C2SP tlog-proof; the leaf's data is its extra data, which the
    proof itself authenticates: it hashes to the leaf."""
    lines = [
        "c2sp.org/tlog-proof@v1",
        f"extra {base64.b64encode(leaf).decode()}",
        f"index {index}",
        *(base64.b64encode(part).decode() for part in way),
    ]
    return "\n".join([*lines, "", ""]).encode() + note
