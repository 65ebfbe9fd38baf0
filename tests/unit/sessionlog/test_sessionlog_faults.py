"""Each call that changes the disk, broken once: nothing is acknowledged after it, ever."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError, LogUnavailable
from gateway.sessionlog import SessionLog, disk

ORIGIN = "log.example.org/faults"


def new() -> str:
    return str(uuid.uuid4())


class Once:
    """Fails one call, then works again: a log that retries would not notice."""

    def __init__(self, real: Any, code: int) -> None:
        self.real, self.code, self.calls = real, code, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise OSError(self.code, os.strerror(self.code))
        return self.real(*arguments, **named)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
async def test_a_failed_write_or_sync_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    sid = new()
    await log.open_session(sid, {"n": 0})
    kept = await log.append(sid, "export", {"n": 1})
    fault = Once(getattr(os, call), code)
    monkeypatch.setattr(disk.os, call, fault)
    waiting = [log.append(sid, "export", {"n": n}) for n in range(2, 6)]
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, LogUnavailable)
    assert fault.calls >= 1
    assert not log.healthy
    calls = fault.calls
    for attempt in (
        lambda: log.append(sid, "export", {}),
        lambda: log.open_session(new(), {}),
        lambda: log.close_session(sid, {}),
        lambda: log.event("login.failed", {}),
        lambda: log.session_bytes(sid),
    ):
        with pytest.raises(LogUnavailable):
            await attempt()
    assert fault.calls == calls, "nothing is written after a failure"
    await log.aclose()
    monkeypatch.undo()
    again = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    try:
        records = (await again.session_bytes(sid)).records.splitlines()
        assert len(records) >= kept.index + 1
    finally:
        await again.aclose()


async def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    real = os.pwrite
    monkeypatch.setattr(disk.os, "pwrite", lambda fd, data, at: real(fd, data[:7], at))
    sid = new()
    await log.open_session(sid, {"n": 0})
    await log.append(sid, "export", {"text": "x" * 1000})
    monkeypatch.undo()
    await log.aclose()
    again = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    assert b"x" * 1000 in (await again.session_bytes(sid)).records
    await again.aclose()


async def test_a_write_without_progress_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    monkeypatch.setattr(disk.os, "pwrite", lambda fd, data, at: 0)
    with pytest.raises(LogUnavailable, match="no progress"):
        await log.open_session(new(), {})
    assert not log.healthy
    await log.aclose()


async def test_an_ended_sessions_file_that_cannot_be_written_ends_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its close is durable; but a disk that fails once is not asked again."""
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    sid = new()
    await log.open_session(sid, {})
    fault = Once(Path.rename, errno.ENOSPC)
    monkeypatch.setattr("gateway.sessionlog.session.disk.replace", lambda *a, **k: fault(*a, **k))
    with pytest.raises(LogUnavailable):
        await log.close_session(sid, {"reason": "done", "statements": 0})
    assert not log.healthy
    monkeypatch.undo()
    await log.aclose()
    again = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    assert (await again.session_bytes(sid)).closed
    await again.aclose()


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync"])
async def test_a_start_on_a_full_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(disk.os, call, Once(getattr(os, call), errno.ENOSPC))
    with pytest.raises(ConfigurationError, match="No space left"):
        SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    monkeypatch.undo()
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    assert log.healthy
    await log.aclose()
    assert not log.healthy
    with pytest.raises(LogUnavailable):
        await log.open_session(new(), {})
