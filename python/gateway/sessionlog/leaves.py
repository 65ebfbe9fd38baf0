"""What the log says of itself: at each start, each minute, at the head of each segment.

The spelling is docs/session-log.md's. Leaves about sessions are made where their chains are.
"""

from __future__ import annotations

from gateway.sessionlog import canonical
from gateway.sessionlog.merkle import Frontier
from gateway.sessionlog.note import LogKey


def boot(boot: bytes, key: LogKey, version: str, ts: str) -> bytes:
    """The leaf of a start."""
    fields = {
        "boot": boot.hex(),
        "key": key.vkey,
        "origin": key.origin,
        "ts": ts,
        "type": "boot",
        "v": 1,
        "version": version,
    }
    return canonical.encode(fields)


def heartbeat(boot: bytes, session_no: int, ts: str) -> bytes:
    """The leaf of a minute: how many sessions there have been."""
    fields = {"boot": boot.hex(), "session_no": session_no, "ts": ts, "type": "heartbeat", "v": 1}
    return canonical.encode(fields)


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
