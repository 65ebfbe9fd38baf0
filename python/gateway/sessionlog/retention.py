"""How long records are kept, and what remains of them.

Six years (45 CFR 164.316(b)(2)(i), 164.528).

Pruning removes a session's records and nothing else: the ledger keeps its leaves, with the hashes
of what was there, and gets one more that says when it went. Refuses nothing by age itself; whoever
prunes says the time before which a session must have ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sessionlog import canonical
from gateway.sessionlog.session import SessionStore
from gateway.sessionlog.tiles import LedgerError, Tiles

YEARS = 6
#: Sessions that go in one step.
AT_ONCE = 2000
#: What the leaf that ended a session says, and the one that removes it again.
_TOLD = ("bytes", "head", "n", "session_no", "sha256", "sid")


@dataclass(frozen=True, slots=True)
class Ended:
    """The leaf that ended a session, as far as it is told again when the records go."""

    sid: str
    ts: str
    size: int
    leaf: Mapping[str, Any]

    def pruned(self, boot: bytes, ts: str) -> bytes:
        """The leaf that says what was removed."""
        named = {name: self.leaf[name] for name in _TOLD}
        return canonical.encode(named | {"boot": boot.hex(), "ts": ts, "type": "pruned", "v": 1})


def steps(ended: list[Ended]) -> Iterator[list[Ended]]:
    """As many at once as go together."""
    for first in range(0, len(ended), AT_ONCE):
        yield ended[first : first + AT_ONCE]


def ended_before(store: SessionStore, tiles: Tiles, before: str) -> list[Ended]:
    """The sessions with records whose last leaf is older than `before` (RFC 3339, UTC).

    Raises LedgerError when a leaf speaks of another session than its file says, and for what is
    neither.
    """
    try:
        return _ended_before(store, tiles, before)
    except LedgerError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as reason:
        raise LedgerError(f"{store.directory}: {type(reason).__name__}: {reason}") from reason


def _ended_before(store: SessionStore, tiles: Tiles, before: str) -> list[Ended]:
    found = []
    for sid, index in store.kept():
        leaf = json.loads(tiles.leaf(index))
        if leaf.get("sid") != sid or leaf.get("type") not in ("close", "recovery"):
            raise LedgerError(f"leaf {index} does not end session {sid}")
        if leaf["ts"] < before:
            found.append(Ended(sid, leaf["ts"], leaf["bytes"], leaf))
    return sorted(found, key=lambda one: (one.ts, one.sid))
