"""Each call that changes the disk, broken once: it fails, stops half way, or the process dies."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from lives import acknowledged, check, work
from power import Killed, Op, Recorder

from gateway.errors import ConfigurationError
from gateway.sessionlog import wal
from gateway.sessionlog.segments import Segments

PAGE = Path(__file__).parents[3] / "docs" / "session-log.md"
#: How many of the calls one run of a parametrised test breaks.
SHARDS = 4


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments end soon, so that the calls of a rotation are among those that are broken."""
    monkeypatch.setattr(wal, "GROWTH", 1 << 12)
    monkeypatch.setattr(wal, "SEGMENT_LIMIT", 2500)
    # Packed by the writer's thread, so that the calls come in one order each time.
    monkeypatch.setattr(Segments, "_put", lambda self, path: self._packed(path))


async def two_lives(recorder: Recorder) -> None:
    """Two sessions, a kill in the middle of a frame, a start on what it left, and a third."""
    await work(recorder, sessions=2)
    if recorder.broken_at is not None:
        return
    segment = max(recorder.root.glob("wal/*/*.wal"))
    reader = wal.SegmentReader(segment)
    batch = [frame.batch for frame in reader.frames()][-1]
    half = wal.encode(batch + 1, b"r " + b"x" * 900)[:500]
    segment.write_bytes(segment.read_bytes()[: reader.end] + half)
    await work(recorder, sessions=1, first=2)


async def whole_life(root: Path) -> Recorder:
    recorder = Recorder(root, [])
    with recorder.watching():
        await two_lives(recorder)
    return recorder


async def broken(root: Path, at: int, how: int | str) -> Recorder:
    """Two lives of which the call of number `at` goes wrong."""
    recorder = Recorder(root, [])
    recorder.fault = (at, how)
    with recorder.watching():
        try:
            await two_lives(recorder)
        except ConfigurationError as refusal:
            assert isinstance(how, int), refusal  # a start on a disk that fails is refused
        except Killed:
            assert how == "killed"
    return recorder


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("how", [errno.EIO, errno.ENOSPC, "short", "killed"])
async def test_whatever_call_breaks_what_was_acknowledged_is_there(
    tmp_path: Path, how: int | str, shard: int
) -> None:
    calls = (await whole_life(tmp_path / "whole")).calls
    assert calls > 150
    for at in range(shard, calls, SHARDS):
        root = tmp_path / f"{how}-{at}"
        recorder = await broken(root, at, how)
        promised = acknowledged(recorder.ops)
        assert how == "short" or recorder.broken_at is not None, "the call was not made"
        if how == "killed" or (isinstance(how, int) and not packing(recorder)):
            # One failure is final: nobody is told anything behind it.
            assert acknowledged(recorder.ops[: recorder.broken_at]) == promised, at
        await check(root, promised)


def packing(recorder: Recorder) -> bool:
    """Whether the call that failed was of a segment being packed: then the plain one is there, and
    the log goes on."""
    removed = re.fullmatch(r"remove wal/\d+/\d+\.wal", recorder.broken)
    before = recorder.ops[: recorder.broken_at][-1:]
    renamed = any(op.other.endswith(".zst") for op in before)
    return ".zst" in recorder.broken or renamed or removed is not None


def place(op: Op) -> str:
    """The name that the page has for what a call changes."""
    name = re.sub(r"(^|/)\.(.+)\.new$", r"\1\2", op.name)
    name = re.sub(r"^quarantine/.+", "quarantine/*.torn", name)
    name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "SID", name)
    name = re.sub(r"[0-9]{20}", "N", name)
    name = re.sub(r"tile/[0-9]+/[0-9]+$", "tile/L/T", name)
    name = re.sub(r"tile/[0-9]+$", "tile/L", name)
    return re.sub(r"entries/[0-9]+$", "entries/T", name)


CALLS = {"write": "write", "cut": "cut", "sync": "sync", "sync_names": "sync of the directory"} | {
    name: name for name in ("create", "mkdir", "rename", "remove")
}


async def test_the_page_lists_every_call(tmp_path: Path) -> None:
    """The table of the page, against the calls that a life makes."""
    made: dict[str, set[str]] = {}
    for op in (await whole_life(tmp_path / "log")).ops:
        if op.what != "mark":
            made.setdefault(place(op), set()).add(CALLS[op.what])
    table = PAGE.read_text().partition("### Every call that changes the disk")[2]
    rows = re.findall(r"^\| `([^`]*)` \| ([^|]+) \|", table.partition("\n#")[0], re.M)
    told = {name.strip(): {call.strip() for call in calls.split(",")} for name, calls in rows}
    assert told == {name or ".": calls for name, calls in made.items()}
