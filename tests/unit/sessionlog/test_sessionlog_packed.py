"""Segments that were packed: read as if they were plain, and never in the place of a lost one."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import shutil
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standing import until

from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, disk, packed, segments, survey, wal
from gateway.sessionlog.tail import Tail

ORIGIN = "log.example.org/packed"
RECORDS = 40


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "SEGMENT_LIMIT", 6000)
    monkeypatch.setattr(wal, "GROWTH", 1 << 12)
    monkeypatch.setattr(segments, "FRAME", 1500)


def names(directory: Path, place: str = "wal/*") -> list[str]:
    return sorted(path.suffix for path in directory.glob(f"{place}/[0-9]*.*"))


@asynccontextmanager
async def written(directory: Path) -> AsyncIterator[tuple[SessionLog, str]]:
    """A log with an open session over several segments, killed at the end."""
    log = SessionLog.open(directory, origin=ORIGIN, version="0")
    try:
        sid = str(uuid.uuid4())
        await log.open_session(sid, {})
        for n in range(RECORDS):
            await log.append(sid, "export", {"n": n, "pad": "x" * 700})
        yield log, sid
    finally:
        log._commits.stop()
        log._journal.close()
        os.close(log._lock_fd)


async def packed_log(directory: Path) -> str:
    async with written(directory) as (_, sid):
        await until(lambda: names(directory).count(".wal") == 1)
    return sid


async def numbers(log: SessionLog, sid: str) -> list[int]:
    found = (await log.session_bytes(sid)).records.splitlines()
    return [json.loads(line)["body"]["n"] for line in found[1 : RECORDS + 1]]


async def restart(directory: Path, sid: str) -> None:
    """The log starts and has the whole session."""
    log = SessionLog.open(directory, origin=ORIGIN, version="0")
    try:
        assert await numbers(log, sid) == list(range(RECORDS))
    finally:
        await log.aclose()
    assert survey.survey(directory, ORIGIN).wrong == []


async def test_packed_segments_are_read_by_everyone(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    async with written(directory) as (log, sid):
        await until(lambda: names(directory).count(".wal") == 1)
        assert names(directory).count(".zst") > 3
        assert await numbers(log, sid) == list(range(RECORDS))
        assert log.record(sid, 3) is not None
        assert survey.survey(directory, ORIGIN).wrong == []
        tail = Tail(directory)
        tail.adopt()
        given = [one.record["i"] for one in tail.records(lambda: log.synced) if one.sid == sid]
        assert given == list(range(RECORDS + 1))
    await restart(directory, sid)
    assert names(directory) == [".wal"]  # those of the boot before are gone, packed or not


async def test_what_the_siem_has_not_got_is_held_packed(tmp_path: Path) -> None:
    """Also where its place is in the middle of a segment that is packed meanwhile."""
    directory = tmp_path / "log"
    tail = Tail(directory)
    tail.adopt()
    async with written(directory) as (log, sid):
        reading = tail.records(lambda: log.synced)
        first = [next(reading) for _ in range(12)]
        tail.delivered(first[-1].place)
        await until(lambda: names(directory).count(".wal") == 1)
        rest = [one.record["i"] for one in reading]
    again = Tail(directory)
    again.adopt()
    assert names(directory, "siem").count(".wal") == 1
    assert names(directory, "siem").count(".zst") > 2
    seen = [one.record["i"] for one in again.records(lambda: 1 << 40)]
    assert seen == rest == list(range(len(first) - 1, RECORDS + 1))
    await restart(directory, sid)
    assert [one.record["i"] for one in again.records(lambda: 1 << 40)][: len(seen)] == seen
    last = list(again.records(lambda: 1 << 40))[-1]
    again.delivered(last.place)
    assert len(names(directory, "siem")) == 1


async def test_a_segment_that_is_packed_under_the_reader_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen under its first name, and gone from there when it is to be held."""
    directory = tmp_path / "log"
    async with written(directory) as (log, sid):
        await until(lambda: names(directory).count(".wal") == 1)
        before = [path.with_suffix(".wal") for path in wal.segments(directory / "wal")]
        monkeypatch.setattr(wal, "segments", lambda _: before)
        tail = Tail(directory)
        tail.adopt()
        given = [one.record["i"] for one in tail.records(lambda: log.synced) if one.sid == sid]
        assert given == list(range(RECORDS + 1))


async def test_every_state_that_a_crash_leaves(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    plain = tmp_path / "plain"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments.Segments, "_put", lambda self, path: None)
        async with written(whole) as (_, sid):
            pass
    shutil.copytree(whole, plain)
    (boot,) = (whole / "wal").iterdir()
    first = min(boot.glob("*.wal"))
    packed_one = segments.pack(first, segments.threading.Event())
    data = packed_one.read_bytes()
    for state in ("both", "half", "packed", "empty"):
        root = tmp_path / state
        shutil.copytree(plain, root)
        here = root / "wal" / boot.name
        half = here / f".{packed_one.name}.new"
        if state in ("half", "empty"):
            half.write_bytes(data[: len(data) // 2] if state == "half" else b"")
        else:
            (here / packed_one.name).write_bytes(data)
        if state == "packed":
            (here / first.name).unlink()
        await restart(root, sid)
        assert not half.exists()


@pytest.mark.parametrize("fault", ["write_all", "sync", "rename"])
async def test_a_disk_that_fails_under_the_packing_costs_space_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    real = getattr(disk, fault)

    def failing(what: Any, *rest: Any) -> Any:
        """Of the calls for a packed segment, each."""
        name = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else str(what)
        if ".zst" in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(what, *rest)

    monkeypatch.setattr(disk, fault, failing)
    directory = tmp_path / "log"
    with caplog.at_level(logging.WARNING):
        async with written(directory) as (log, sid):
            await until(lambda: "is not packed" in caplog.text)
            assert log.healthy
            assert set(names(directory)) == {".wal"}
            assert not list(directory.glob("wal/*/.*"))
    await restart(directory, sid)


async def test_a_damaged_packed_segment_stops_the_start(tmp_path: Path) -> None:
    """Each of its bytes counts: the frames by the batches' checksums, the table by its sizes."""
    directory = tmp_path / "log"
    await packed_log(directory)
    path = min(directory.glob("wal/*/*.zst"))
    data = path.read_bytes()
    chosen = random.Random(7).sample(range(len(data)), 60)
    for at in [*chosen, *range(len(data) - 9, len(data))]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            frames = list(wal.SegmentReader(path).frames())
        except wal.DamagedLogError:
            continue
        # A bit of zstd's own that means nothing: then every batch is what it was.
        path.write_bytes(data)
        assert frames == list(wal.SegmentReader(path).frames())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ConfigurationError, match="is no packed segment"):
        SessionLog.open(directory, origin=ORIGIN, version="0")


@pytest.mark.parametrize(
    "plain", [0, 1499, 1 << 20, packed.LARGEST, packed.LARGEST + 1, (1 << 32) - 1]
)
def test_a_frame_never_becomes_more_than_its_table_says(tmp_path: Path, plain: int) -> None:
    """16 MiB of zeros in a few hundred bytes, under a table that says less, or more than any."""
    path = tmp_path / "x.zst"
    with path.open("w+b") as file:
        packing = packed.Packing(file.fileno())
        packing.add(bytes(16 << 20))
        packing.finish()
    data = bytearray(path.read_bytes())
    assert len(data) < 4096
    struct.pack_into("<I", data, len(data) - 13, plain)
    path.write_bytes(data)
    if plain > packed.LARGEST or plain == 0:
        with pytest.raises(wal.DamagedLogError, match=f"a frame of {plain} bytes"):
            packed.reading(path)  # before any room is taken
        return
    with packed.opened(path) as found, pytest.raises(wal.DamagedLogError, match="is damaged"):
        found.read(0, 1)


def test_a_packed_segment_is_what_zstd_unpacks(tmp_path: Path) -> None:
    """Frames and a table as the format says, by another reader of it."""
    path = tmp_path / "x.zst"
    pieces = [bytes([n]) * (n * 1000) for n in range(1, 5)]
    with path.open("w+b") as file:
        packing = packed.Packing(file.fileno())
        for piece in pieces:
            packing.add(piece)
        packing.finish()
    import pyarrow as pa

    data = path.read_bytes()
    table = 4 * 8 + 9
    with pa.input_stream(pa.py_buffer(data[: -table - 8]), compression="zstd") as stream:
        assert stream.read() == b"".join(pieces)
    assert data[-table - 8 : -table] == bytes.fromhex("5e2a4d18") + struct.pack("<I", table)
    with packed.opened(path) as found:
        assert found.read(990, 1020) == b"".join(pieces)[990:2010]
        assert found.read(9_990, 100) == b"".join(pieces)[9_990:]
