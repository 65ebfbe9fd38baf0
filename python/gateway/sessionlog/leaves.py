"""What the log says of itself: leaves that speak of no session, and the head of each segment.

The spelling is docs/session-log.md's. Leaves about sessions are made where their chains are.
"""

from __future__ import annotations

from gateway.sessionlog import canonical
from gateway.sessionlog.merkle import Frontier
from gateway.sessionlog.note import LogKey


def boot(number: bytes, ts: str, key: LogKey, version: str, epoch: int) -> bytes:
    """A start of this origin's gateway; `number` names it in all later leaves, and its epochs are
    counted from `epoch` on."""
    fields = {"boot": number.hex(), "key": key.vkey, "origin": key.origin, "version": version}
    return canonical.encode(fields | {"epoch": epoch, "ts": ts, "type": "boot", "v": 1})


def heartbeat(number: bytes, ts: str, sessions: int) -> bytes:
    """That the gateway of this boot wrote its log now; `sessions` is the highest number so far."""
    fields = {"boot": number.hex(), "session_no": sessions}
    return canonical.encode(fields | {"ts": ts, "type": "heartbeat", "v": 1})


def head(
    boot: bytes, key: LogKey, tree: Frontier, session_no: int, previous: str, end: int
) -> bytes:
    """The first line of a segment: where the ledger and the numbers stand at its beginning."""
    fields = {
        "boot": boot.hex(),
        "leaves": tree.size,
        "origin": key.origin,
        "previous": {"end": end, "name": previous} if previous else None,
        "root": tree.root().hex(),
        "session_no": session_no,
        "v": 1,
    }
    return b"h " + canonical.encode(fields) + b"\n"
