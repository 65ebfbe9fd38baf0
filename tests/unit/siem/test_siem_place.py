"""The place of the log's reader: what is read once, what holds it, what is held for it."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from gateway.sessionlog import SessionLog, leaves, wal
from gateway.sessionlog.packed import SegmentBytes
from gateway.sessionlog.session import now
from gateway.sessionlog.tail import Tail
from gateway.sessionlog.writer import Entry

ORIGIN = "log.example.org/siem"
OPEN = {"identity": "https://idp#a", "connection": "clinic"}


def held(directory: Path) -> Tail:
    tail = Tail(directory)
    tail.adopt()
    return tail


async def test_frames_without_records_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats of a gateway that nobody asks make no look at the log dearer than the last."""
    tail = held(tmp_path / "log")
    log = SessionLog.open(tmp_path / "log", origin=ORIGIN, version="0")
    found = list(tail.records(lambda: log.synced))
    tail.delivered(found[-1].place)
    for _ in range(20):
        with log._commits.lock:
            leaf = leaves.heartbeat(b"0" * 16, now(), 1)
            waiter = log._commits.put(Entry(None, None, (("heartbeat", leaf),), checkpoint=True))
        await waiter
    read: list[int] = []
    real = wal.read_frame

    def counted(data: SegmentBytes, offset: int) -> wal.Frame | None:
        read.append(offset)
        return real(data, offset)

    monkeypatch.setattr(wal, "read_frame", counted)
    assert list(tail.records(lambda: log.synced)) == []
    assert len(read) > 20
    read.clear()
    assert list(tail.records(lambda: log.synced)) == []
    assert len(read) <= 2
    # Nothing is lost by it: neither what comes next nor, after a crash, what was not delivered.
    await log.open_session(sid := str(uuid.uuid4()), OPEN)
    for reader in (tail, held(tmp_path / "log")):
        assert [one.sid for one in reader.records(lambda: log.synced)] == [sid]
    assert [one.sid for one in tail.records(lambda: log.synced)] == [sid]
    await log.aclose()


@pytest.mark.parametrize("which", [0, 1], ids=["of an earlier start", "of this one"])
async def test_a_frame_that_was_damaged_holds_the_place(tmp_path: Path, which: int) -> None:
    """What stands before it arrives; nothing behind it does as if it had not been there."""
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    sids: list[str] = []
    for number in range(6):
        if number == 3:
            held(tmp_path)
            await log.aclose()
            log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
        sids.append(str(uuid.uuid4()))
        await log.open_session(sids[-1], OPEN)
    tail = held(tmp_path)
    path = sorted((tmp_path / "siem").glob("*.wal"))[which]
    data = bytearray(path.read_bytes())
    data[data.index(sids[3 * which + 1].encode()) + 60] ^= 1
    path.write_bytes(data)
    found = list(tail.records(lambda: log.synced))
    told = [one.sid for one in found if one.sid in sids and one.record["type"] == "open"]
    assert told == sids[: 3 * which + 1]
    tail.delivered(found[-1].place)
    for _ in range(2):
        with pytest.raises(wal.DamagedLogError, match="is bad"):
            list(tail.records(lambda: log.synced))
    path.unlink()  # whoever gives an old one up says so
    rest = [one.sid for one in tail.records(lambda: log.synced)] if which == 0 else sids[3:]
    assert [sid for sid in rest if sid in sids] == sids[3:]
    log._commits.stop()
    log._journal.close()
    os.close(log._lock_fd)


async def test_starts_while_the_target_is_away_hold_what_was_written_and_no_more(
    tmp_path: Path,
) -> None:
    """A segment grows ahead of itself by megabytes; a gateway that is started again and again must
    not fill the disk with them."""
    sids = []
    for _ in range(5):
        held(tmp_path)
        log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
        sids.append(str(uuid.uuid4()))
        await log.open_session(sids[-1], OPEN)
        await log.aclose()
    tail = held(tmp_path)
    *old, last = sorted((tmp_path / "siem").glob("*.wal"))
    assert len(old) == 4
    assert sum(path.stat().st_size for path in old) < 100_000
    assert last.stat().st_size >= wal.GROWTH  # the log's own still
    again = held(tmp_path)
    for reader in (tail, again):
        found = [one for one in reader.records(lambda: log.synced) if one.sid in sids]
        assert [one.sid for one in found if one.record["type"] == "close"] == sids
