"""Leaves of the ledger that speak of no session: that a gateway began, and that it is there."""

from __future__ import annotations

from gateway.sessionlog import canonical
from gateway.sessionlog.note import LogKey


def boot(number: bytes, ts: str, key: LogKey, version: str) -> bytes:
    """A start of this origin's gateway; `number` names it in all later leaves."""
    fields = {"boot": number.hex(), "key": key.vkey, "origin": key.origin, "version": version}
    return canonical.encode(fields | {"ts": ts, "type": "boot", "v": 1})


def heartbeat(number: bytes, ts: str, sessions: int) -> bytes:
    """That the gateway of this boot wrote its log now; `sessions` is the highest number so far."""
    fields = {"boot": number.hex(), "session_no": sessions}
    return canonical.encode(fields | {"ts": ts, "type": "heartbeat", "v": 1})
