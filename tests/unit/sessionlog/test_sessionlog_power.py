"""The power is lost at every moment: what was acknowledged is there, and the log starts."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from lives import acknowledged, check, work
from power import Disk, Fate, Op, Recorder, every, none, replay, some, torn

from gateway.sessionlog import wal
from gateway.sessionlog.segments import Segments


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments grow by little, so that hundreds of them are laid down soon."""
    monkeypatch.setattr(wal, "GROWTH", 1 << 12)


def fates(seed: int) -> list[tuple[Fate, random.Random | None]]:
    choice = random.Random(seed)
    return [(none, None), (every, None), (torn, choice), (some(seed), choice)]


async def lose_power_everywhere(ops: list[Op], start: int, base: Path) -> int:
    """Check the disk at each of the moments from `start` on; how many there were."""
    disk = Disk()
    tried = 0
    for at, op in enumerate(ops, 1):
        disk.apply(op)
        if at < start or op.what == "mark":
            continue
        for number, (fate, choice) in enumerate(fates(at)):
            root = base / f"{at}-{number}"
            disk.after_power_loss(root, fate, choice)
            await check(root, acknowledged(ops[:at]))
            shutil.rmtree(root)
            tried += 1
    return tried


async def test_power_lost_at_any_moment(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log", [])
    with recorder.watching():
        await work(recorder)
    assert len(acknowledged(recorder.ops)) == 2
    (tmp_path / "tries").mkdir()
    assert await lose_power_everywhere(recorder.ops, 1, tmp_path / "tries") > 200


@pytest.mark.parametrize("failing", [0, 3])
async def test_power_lost_while_starting_after_a_failed_sync(tmp_path: Path, failing: int) -> None:
    """What a failed sync leaves is in the cache, where the next start reads it, not on the disk."""
    recorder = Recorder(tmp_path / "log", [])
    with recorder.watching():
        await work(recorder, failing=failing)
    assert any(op.what == "drop" for op in recorder.ops)
    await start_again_and_lose_power(recorder.ops, tmp_path)


@pytest.mark.parametrize("back", [0, 1, 3])
async def test_power_lost_while_starting_after_a_kill(tmp_path: Path, back: int) -> None:
    """Killed behind one of the last writes: the next start reads what is in the cache alone."""
    recorder = Recorder(tmp_path / "log", [])
    with recorder.watching():
        await work(recorder)
    writes = [at for at, op in enumerate(recorder.ops, 1) if op.what == "write"]
    await start_again_and_lose_power(recorder.ops[: writes[-1 - back]], tmp_path)


async def test_power_lost_while_a_segment_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first byte of the packed one to the moment behind the plain one's end."""
    monkeypatch.setattr(wal, "SEGMENT_LIMIT", 2500)
    monkeypatch.setattr(Segments, "_put", lambda self, path: self._packed(path))
    recorder = Recorder(tmp_path / "log", [])
    with recorder.watching():
        await work(recorder)
    names = [op.name for op in recorder.ops]
    start = next(at for at, name in enumerate(names, 1) if ".zst" in name)
    gone = next(at for at, op in enumerate(recorder.ops, 1) if op.what == "remove" and at > start)
    (tmp_path / "tries").mkdir()
    assert await lose_power_everywhere(recorder.ops[: gone + 3], start, tmp_path / "tries") > 20


async def start_again_and_lose_power(ops: list[Op], tmp_path: Path) -> None:
    """A start on what the cache holds behind these calls; power is lost at each moment of it."""
    root = tmp_path / "again"
    replay(ops).cached(root)
    again = Recorder(root, ops)
    with again.watching():
        await work(again, sessions=0)
    (tmp_path / "tries").mkdir()
    tried = await lose_power_everywhere(again.ops, len(ops) + 1, tmp_path / "tries")
    assert tried > 20
