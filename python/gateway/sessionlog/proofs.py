"""What proves one session: its bytes, the leaves that name it, and their way to a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import LedgerLeaf, SessionFiles
from gateway.sessionlog import merkle
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


def prove(found: Found, checkpoint: Checkpoint, key: LogKey, tiles: Tiles) -> SessionFiles:
    """The session under this checkpoint. The caller keeps the tiles from growing meanwhile."""
    node, size = tiles.node, checkpoint.size
    proven = tuple(
        LedgerLeaf(index, tiles.leaf(index), merkle.inclusion_proof(node, index, size))
        for index in sorted(found.wanted)
    )
    return SessionFiles(
        found.sid,
        key.origin,
        key.vkey,
        found.records,
        proven,
        merkle.consistency_proof(node, found.cp_size, size),
        checkpoint.note,
        found.closed,
    )
