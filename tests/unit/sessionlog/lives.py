"""Lives of a log that tests break: sessions, a kill, and a look at what is left."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from power import Op, Recorder

from gateway.errors import LogUnavailable
from gateway.sessionlog import SessionLog
from gateway.sessionlog import log as session_log

ORIGIN = "log.example.org/lives"

Acknowledged = dict[str, dict[int, str]]


def acknowledged(ops: list[Op]) -> Acknowledged:
    """By session and number the hash of each record that somebody was told is durable."""
    found: Acknowledged = {}
    for op in ops:
        if op.what == "mark":
            sid, index, digest = op.name.split(" ")
            found.setdefault(sid, {})[int(index)] = digest
    return found


async def work(
    recorder: Recorder, sessions: int = 2, failing: int | None = None, first: int = 0
) -> None:
    """Sessions one after the other, of which the last stays open.

    Until the sync of number `failing` fails, if it is given.
    """
    log = SessionLog.open(recorder.root, origin=ORIGIN, version="0")
    recorder.fail_sync = failing
    try:
        for number in range(first, first + sessions):
            sid = str(uuid.UUID(int=number))
            ref = await log.open_session(sid, {})
            recorder.mark(f"{sid} {ref.index} {ref.hash}")
            for n in range(3):
                ref = await log.append(sid, "export", {"n": n, "pad": "x" * 300 * n})
                recorder.mark(f"{sid} {ref.index} {ref.hash}")
            if number + 1 < first + sessions:
                ref = await log.close_session(sid, {"reason": "done", "statements": 0})
                recorder.mark(f"{sid} {ref.index} {ref.hash}")
    except LogUnavailable:
        assert recorder.fail_sync is None, "the log failed by itself"
    finally:
        # Killed: nothing is written any more.
        log._commits.fail(OSError("killed"))
        log._commits.stop()
        session_log.os.close(log._lock_fd)


async def check(root: Path, promised: Acknowledged) -> None:
    """The log in `root` starts and has what was promised."""
    with pytest.MonkeyPatch.context() as patch:
        # This log is looked at and thrown away: no need to wait for the real disk.
        for call in ("fsync", "fdatasync"):
            patch.setattr(session_log.os, call, lambda fd: None)
        await look(root, promised)


async def look(root: Path, promised: Acknowledged) -> None:
    log = SessionLog.open(root, origin=ORIGIN, version="0")
    try:
        for sid, records in promised.items():
            stored = (await log.session_bytes(sid)).records.splitlines()
            assert len(stored) > max(records)
            for index, digest in records.items():
                if index + 1 < len(stored):
                    assert f'"prev":"{digest}"'.encode() in stored[index + 1]
    finally:
        await log.aclose()
