"""Killed at any moment: what was acknowledged is there, and the log starts again."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, wal

ORIGIN = "log.example.org/crash"

# Appends in a loop in eight sessions and says each record's hash when it is acknowledged.
WRITER = """
import asyncio, sys, uuid
from pathlib import Path
from gateway.sessionlog import SessionLog

async def main():
    log = SessionLog.open(Path(sys.argv[1]), origin=sys.argv[2], version="0")
    async def one():
        while True:
            sid = str(uuid.uuid4())
            ref = await log.open_session(sid, {"n": 0})
            print(sid, ref.index, ref.hash, flush=True)
            for n in range(1, 40):
                ref = await log.append(sid, "export", {"n": n, "pad": "x" * (n * 7 % 900)})
                print(sid, ref.index, ref.hash, flush=True)
            ref = await log.close_session(sid, {"reason": "done", "statements": 0})
            print(sid, ref.index, ref.hash, flush=True)
    await asyncio.gather(*[one() for _ in range(8)])

asyncio.run(main())
"""


def acknowledged(output: bytes) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for line in output.decode().splitlines():
        parts = line.split(" ")
        # The last line may be cut by the kill.
        if len(parts) == 3 and len(parts[2]) == 64:
            found.setdefault(parts[0], {})[int(parts[1])] = parts[2]
    return found


def run_and_kill(directory: Path, after: float) -> dict[str, dict[int, str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), ORIGIN], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(after)
    finally:
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0]
    assert first, "the writer did not start"
    return acknowledged(first + rest)


async def test_nothing_acknowledged_is_lost_by_sigkill(tmp_path: Path) -> None:
    """Ten kills on one directory, each after another time; every start recovers all before it."""
    choice = random.Random(5)
    promised: dict[str, dict[int, str]] = {}
    for _ in range(10):
        promised |= await asyncio.to_thread(
            run_and_kill, tmp_path / "log", choice.uniform(0.01, 0.25)
        )
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    try:
        assert sum(map(len, promised.values())) > 100
        numbers = set()
        for sid, records in promised.items():
            files = await log.session_bytes(sid)
            stored = files.records.splitlines()
            assert len(stored) > max(records)
            numbers.add(files.leaves[1].index)
            for index, digest in records.items():
                if index + 1 < len(stored):
                    assert f'"prev":"{digest}"'.encode() in stored[index + 1]
        assert len(numbers) == len(promised)
    finally:
        await log.aclose()


async def test_a_torn_tail_goes_to_quarantine(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    await asyncio.to_thread(run_and_kill, directory, 0.05)
    segment = max(directory.glob("wal/*/*.wal"))
    good, reader = 0, wal.SegmentReader(segment)
    for frame in reader.frames():
        good = frame.batch
    frames = segment.read_bytes()[: reader.end]
    # Half of one more frame, as a crash in a write leaves it.
    half = wal.encode(good + 1, b"r " + b"x" * 9000)[:5000]
    segment.write_bytes(frames + half + bytes(4096))
    log = SessionLog.open(directory, origin=ORIGIN, version="0")
    try:
        (torn,) = (directory / "quarantine").iterdir()
        own = (await log.session_bytes(log._gateway.sid)).records.decode()
        assert f'"name":"{torn.name}"' in own
        assert torn.read_bytes() == half
        assert torn.stat().st_mode & 0o077 == 0
        # Each session that was open has a recovery leaf, the crashed boot's own included.
        open_then = own.count('"sid":"') - own.count("\n")
        begun, ended = (
            len(re.findall(rb'"type":"%b","v":1}$' % kind, frames, re.M))
            for kind in (b"open", b"close")
        )
        # A leaf says its type as a record does, so each session counts twice in both.
        assert 2 * open_then == begun - ended
        assert open_then >= 1
    finally:
        await log.aclose()


async def test_a_bad_frame_before_the_tail_stops_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    await asyncio.to_thread(run_and_kill, directory, 0.1)
    segment = max(directory.glob("wal/*/*.wal"))
    data = bytearray(segment.read_bytes())
    middle = len(data.rstrip(b"\0")) // 2
    data[middle] ^= 1
    segment.write_bytes(data)
    with pytest.raises(ConfigurationError, match="no crash does that"):
        SessionLog.open(directory, origin=ORIGIN, version="0")
    assert segment.read_bytes() == bytes(data)


async def test_a_frame_played_again_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    await asyncio.to_thread(run_and_kill, directory, 0.05)
    segment = max(directory.glob("wal/*/*.wal"))
    reader = wal.SegmentReader(segment)
    frames = list(reader.frames())
    data = segment.read_bytes()
    start = frames[-1].start
    segment.write_bytes(data[: reader.end] + data[start : reader.end] + bytes(4096))
    with pytest.raises(ConfigurationError, match="expected batch"):
        SessionLog.open(directory, origin=ORIGIN, version="0")


@pytest.mark.parametrize("defect", ["wal-gone", "wal-older", "tiles-gone", "key-gone", "key-open"])
async def test_a_directory_that_does_not_add_up_is_refused(tmp_path: Path, defect: str) -> None:
    directory = tmp_path / "log"
    for part in ("a", "b"):
        log = SessionLog.open(directory, origin=ORIGIN, version="0")
        sid = f"00000000-0000-4000-8000-00000000000{part}"
        await log.open_session(sid, {})
        await log.close_session(sid, {"reason": "done", "statements": 0})
        if part == "a":
            old = {path: path.read_bytes() for path in directory.rglob("*.wal")}
        await log.aclose()
    if defect == "wal-gone":
        for path in directory.rglob("*.wal"):
            path.unlink()
    elif defect == "wal-older":
        for path in directory.rglob("*.wal"):
            path.unlink()
        for path, data in old.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    elif defect == "tiles-gone":
        next(directory.glob("ledger/tile/0/000")).unlink()
    elif defect == "key-gone":
        (directory / "key").unlink()
    else:
        os.chmod(directory / "key", 0o640)
    before = {path: path.read_bytes() for path in directory.glob("ledger/**/000")}
    with pytest.raises(ConfigurationError):
        SessionLog.open(directory, origin=ORIGIN, version="0")
    after = {path: path.read_bytes() for path in directory.glob("ledger/**/000")}
    assert after == before, "a refused start changes nothing"


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    try:
        with pytest.raises(ConfigurationError, match="another process"):
            SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", WRITER, str(tmp_path / "log"), ORIGIN],
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert b"another process is writing it" in done.stderr
        assert log.healthy
    finally:
        await log.aclose()


async def test_another_origin_is_refused(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    await log.aclose()
    with pytest.raises(ConfigurationError, match="belongs to origin"):
        SessionLog.open(tmp_path / "log", origin="log.example.org/other", version="0")
    for wrong in ("", "has space", "a+b", "x" * 300, "line\nbreak"):
        with pytest.raises(ConfigurationError, match="log origin"):
            SessionLog.open(tmp_path / "log", origin=wrong, version="0")


async def test_a_start_that_dies_half_way_can_be_repeated(tmp_path: Path) -> None:
    """A crash while earlier boots are folded: the next start does it again, once."""
    directory = tmp_path / "log"
    promised = await asyncio.to_thread(run_and_kill, directory, 0.1)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for place in ("store.cut", "tiles.sync", "wal.drop"):
        with pytest.MonkeyPatch.context() as patch:
            if place == "store.cut":
                patch.setattr("gateway.sessionlog.session.SessionStore.cut", fail)
            elif place == "tiles.sync":
                patch.setattr("gateway.sessionlog.tiles.Tiles.sync", fail)
            else:
                patch.setattr("gateway.sessionlog.wal.drop", fail)
            with pytest.raises(ConfigurationError):
                SessionLog.open(directory, origin=ORIGIN, version="0")
    log = SessionLog.open(directory, origin=ORIGIN, version="0")
    try:
        for sid in promised:
            files = await log.session_bytes(sid)
            assert len(files.records.splitlines()) > max(promised[sid])
            assert len(files.leaves) == 3
        assert len(list(directory.glob("wal/*"))) == 1
    finally:
        await log.aclose()
