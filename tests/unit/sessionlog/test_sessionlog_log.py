"""The session log as its callers see it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, InvalidRequest, LimitExceeded, LogUnavailable, NotFound
from gateway.model import SessionFiles
from gateway.sessionlog import SessionLog, merkle, wal
from gateway.sessionlog import session as sessions
from gateway.sessionlog.tiles import Tiles, tile_path

ORIGIN = "log.example.org/unit"
END = {"reason": "done", "statements": 0}


def new() -> str:
    return str(uuid.uuid4())


def start(directory: Path) -> SessionLog:
    return SessionLog.open(directory, origin=ORIGIN, version="0.1.0")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SessionLog]:
    opened = start(tmp_path / "log")
    yield opened
    if opened.healthy:
        await opened.aclose()


def records(files: SessionFiles) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files.records.splitlines()]


def leaves(files: SessionFiles) -> list[dict[str, Any]]:
    return [json.loads(leaf.data) for leaf in files.leaves]


def check_proofs(files: SessionFiles) -> None:
    lines = files.checkpoint.split(b"\n")
    size, root = int(lines[1]), base64.b64decode(lines[2])
    for leaf in files.leaves:
        merkle.verify_inclusion(merkle.leaf_hash(leaf.data), leaf.index, size, leaf.proof, root)
    genesis = records(files)[0]["genesis"]
    before = bytes.fromhex(genesis["cp_root"])
    merkle.verify_consistency(genesis["cp_size"], size, files.consistency, before, root)


async def test_a_session_from_open_to_close(log: SessionLog) -> None:
    sid = new()
    first = await log.open_session(sid, {"identity": "a"})
    second = await log.append(sid, "intent", {"statement_no": 1, "statement": "SELECT 'é\n\0'"})
    third = await log.close_session(sid, END)
    assert [ref.index for ref in (first, second, third)] == [0, 1, 2]
    files = await log.session_bytes(sid)
    assert files.closed
    told = records(files)
    assert [record["type"] for record in told] == ["open", "intent", "close"]
    assert told[1]["prev"] == first.hash
    assert told[2]["prev"] == second.hash
    assert told[1]["body"]["statement"] == "SELECT 'é\n\0'"
    assert told[0]["ts"] == first.ts
    assert datetime.fromisoformat(first.ts) <= datetime.now(UTC)
    assert [leaf["type"] for leaf in leaves(files)] == ["boot", "open", "close"]
    assert leaves(files)[2]["head"] == third.hash
    check_proofs(files)


async def test_an_open_session_can_be_proven_so_far(log: SessionLog) -> None:
    sid = new()
    await log.open_session(sid, {})
    await log.append(sid, "export", {"n": 1})
    files = await log.session_bytes(sid)
    await log.append(sid, "export", {"n": 2})
    assert not files.closed
    assert len(records(files)) == 2
    assert leaves(files)[2]["type"] == "commit"
    assert leaves(files)[2]["n"] == 2
    check_proofs(files)


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    log = start(tmp_path / "log")
    sid, left_open = new(), new()
    await log.open_session(sid, {"n": 1})
    await log.close_session(sid, END)
    await log.open_session(left_open, {"n": 2})
    before = await log.session_bytes(sid)
    await log.aclose()
    log = start(tmp_path / "log")
    after = await log.session_bytes(sid)
    assert after.records == before.records
    check_proofs(after)
    # A gateway that stops closes what is open, and says why.
    stopped = await log.session_bytes(left_open)
    assert stopped.closed
    assert records(stopped)[-1]["body"] == {"reason": "gateway_stopped", "statements": 0}
    assert log.trust_file()["keys"] == [before.key]
    with pytest.raises(Conflict):
        await log.open_session(sid, {})
    await log.aclose()


async def test_session_numbers_have_no_gaps_over_restarts(tmp_path: Path) -> None:
    numbers, ids = [], []
    for _ in range(3):
        log = start(tmp_path / "log")
        gateway = log._gateway.sid
        mine = [new() for _ in range(3)]
        with pytest.raises(InvalidRequest):
            await log.open_session(new(), {"float": 1.5})
        await asyncio.gather(*[log.open_session(sid, {}) for sid in mine])
        ids += [gateway, *mine]
        await log.aclose()
    log = start(tmp_path / "log")
    for sid in ids:
        numbers.append(records(await log.session_bytes(sid))[0]["genesis"]["session_no"])
    await log.aclose()
    assert sorted(numbers) == list(range(1, 13))


async def test_wrong_calls_are_refused_and_leave_no_trace(log: SessionLog) -> None:
    sid = new()
    await log.open_session(sid, {})
    for wrong in ("", "x", "../../etc/passwd", sid.upper(), sid.replace("-", "")):
        with pytest.raises(InvalidRequest):
            await log.open_session(wrong, {})
        with pytest.raises(InvalidRequest):
            await log.session_bytes(wrong)
    with pytest.raises(Conflict):
        await log.open_session(sid, {})
    for type_ in ("open", "close", "event", "INTENT", "recovery", "anything"):
        with pytest.raises(InvalidRequest):
            await log.append(sid, type_, {})
    for body in ({"x": 0.1}, {"x": 2**53}, {1: 2}, {"x": "\ud800"}, {"x": b"y"}):
        with pytest.raises(InvalidRequest):
            await log.append(sid, "export", body)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded):
        await log.append(sid, "export", {"x": "y" * (17 << 20)})
    with pytest.raises(InvalidRequest):
        await log.open_session(new(), {"kind": "gateway"})
    for kind in ("", "Login", "a b", "x" * 65):
        with pytest.raises(InvalidRequest):
            await log.event(kind, {})
    for unknown in (new(), log._gateway.sid):
        with pytest.raises(NotFound):
            await log.append(unknown, "export", {})
        with pytest.raises(NotFound):
            await log.close_session(unknown, END)
    with pytest.raises(NotFound):
        await log.session_bytes(new())
    assert len(records(await log.session_bytes(sid))) == 1
    await log.close_session(sid, END)
    with pytest.raises(NotFound):
        await log.append(sid, "export", {})
    assert log.healthy


async def test_events_go_to_the_gateways_own_session(log: SessionLog) -> None:
    await log.event("login.failed", {"issuer": "x"})
    size = log._journal.tree.size
    ref = await log.event("grant.approved", {"grant": "g"})
    await log.event("policy.loaded", {"hash": "h"})
    files = await log.session_bytes(log._gateway.sid)
    told = records(files)
    assert [r["body"].get("kind") for r in told] == [
        "gateway", "login.failed", "grant.approved", "policy.loaded",
    ]  # fmt: skip
    assert {r["type"] for r in told[1:]} == {"event"}
    leaf = next(
        found
        for found in (json.loads(log._tiles.leaf(n)) for n in range(size, log._journal.tree.size))
        if found["type"] == "grant"
    )
    assert (leaf["kind"], leaf["head"]) == ("grant.approved", ref.hash)


async def test_growing_sessions_are_committed_each_second(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.sessionlog.log.COMMIT_INTERVAL", 0.02)
    log = start(tmp_path / "log")
    sid = new()
    await log.open_session(sid, {})
    ref = await log.append(sid, "export", {})
    size = log._journal.tree.size

    def wait() -> None:
        deadline = time.monotonic() + 30
        while log._tiles.size == size and time.monotonic() < deadline:
            time.sleep(0.01)

    await asyncio.to_thread(wait)
    leaf = json.loads(log._tiles.leaf(size))
    assert (leaf["type"], leaf["n"], leaf["head"]) == ("commit", 2, ref.hash)
    await log.aclose()


async def test_time_does_not_run_backwards_in_a_session(log: SessionLog, monkeypatch: Any) -> None:
    sid = new()
    await log.open_session(sid, {})
    monkeypatch.setattr(sessions, "now", lambda: "2001-01-01T00:00:00.000000Z")
    await log.append(sid, "export", {})
    monkeypatch.undo()
    await log.append(sid, "export", {})
    times = [record["ts"] for record in records(await log.session_bytes(sid))]
    assert times == sorted(times)


async def test_many_sessions_at_once_share_batches(log: SessionLog) -> None:
    ids = [new() for _ in range(40)]

    async def one(sid: str) -> None:
        await log.open_session(sid, {})
        for n in range(25):
            await log.append(sid, "export", {"n": n})
        await log.close_session(sid, END)

    before = log.synced
    await asyncio.gather(*[one(sid) for sid in ids])
    assert log.synced - before < 40 * 27 / 4
    for sid in ids:
        files = await log.session_bytes(sid)
        assert [r["body"].get("n") for r in records(files)[1:-1]] == list(range(25))
        check_proofs(files)


async def test_a_ledger_of_more_than_one_tile(tmp_path: Path) -> None:
    log = start(tmp_path / "log")
    ids = [new() for _ in range(300)]
    for sid in ids[:150]:
        await log.open_session(sid, {})
    await asyncio.gather(*[log.close_session(sid, END) for sid in ids[:150]])
    await log.aclose()
    log = start(tmp_path / "log")
    await asyncio.gather(*[log.open_session(sid, {}) for sid in ids[150:]])
    await asyncio.gather(*[log.close_session(sid, END) for sid in ids[150:]])
    assert log._journal.tree.size > 600
    for sid in ids[::17]:
        check_proofs(await log.session_bytes(sid))
    home = tmp_path / "log" / "ledger" / "tile"
    assert (home / "0" / "000").stat().st_size == 256 * 32
    assert (home / "1" / "000").stat().st_size == 2 * 32
    assert (home / "entries" / "002").exists()
    await log.aclose()


async def test_segments_rotate_and_are_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(wal, "SEGMENT_LIMIT", 20_000)
    log = start(tmp_path / "log")
    sid = new()
    await log.open_session(sid, {})
    for n in range(60):
        await log.append(sid, "export", {"n": n, "pad": "x" * 900})
    assert len(wal.segments(tmp_path / "log" / "wal")) > 2
    assert len(records(await log.session_bytes(sid))) == 61
    # Stopped without a word: recovery reads all segments of the boot.
    log._commits.stop()
    os.close(log._lock_fd)
    again = start(tmp_path / "log")
    files = await again.session_bytes(sid)
    assert len(records(files)) == 61
    assert leaves(files)[2]["type"] == "recovery"
    check_proofs(files)
    assert len(wal.segments(tmp_path / "log" / "wal")) == 1
    await again.aclose()


async def test_a_cancelled_caller_breaks_nothing(log: SessionLog) -> None:
    sid = new()
    await log.open_session(sid, {})
    task = asyncio.create_task(log.append(sid, "export", {"n": 1}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.append(sid, "export", {"n": 2})
    assert [r["body"].get("n") for r in records(await log.session_bytes(sid))[1:]] == [1, 2]


async def test_nothing_is_taken_while_the_log_closes(log: SessionLog) -> None:
    sid = new()
    await log.open_session(sid, {})
    closing = asyncio.create_task(log.aclose())
    outcomes: list[Exception] = []
    while not closing.done():
        try:
            await log.event("login.failed", {})
            await asyncio.sleep(0)
        except LogUnavailable as reason:
            outcomes.append(reason)
            break
    await closing
    assert outcomes or not log.healthy
    with pytest.raises(LogUnavailable):
        await log.event("login.failed", {})


async def test_a_changed_session_file_is_not_handed_out(tmp_path: Path) -> None:
    log = start(tmp_path / "log")
    sid = new()
    await log.open_session(sid, {"a": "b"})
    await log.close_session(sid, END)
    path = tmp_path / "log" / "sessions" / f"{sid}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"c"'))
    with pytest.raises(Exception, match="was changed"):
        await log.session_bytes(sid)
    await log.aclose()


async def test_everything_on_disk_is_for_this_user_alone(tmp_path: Path) -> None:
    log = start(tmp_path / "log")
    sid = new()
    await log.open_session(sid, {})
    await log.close_session(sid, END)
    for path in [tmp_path / "log", *(tmp_path / "log").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    await log.aclose()


def test_tile_paths() -> None:
    expected = {0: "000", 67: "067", 999: "999", 1000: "x001/000", 1234067: "x001/x234/067"}
    assert {number: tile_path(number) for number in expected} == expected


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_stored_tiles_give_the_tree_back(tmp_path: Path, size: int) -> None:
    tiles, tree = Tiles(tmp_path), merkle.Frontier()
    data = [f"leaf {n}".encode() * (n % 5 + 1) for n in range(size)]
    for n in range(0, size, 100):
        tiles.extend(data[n : n + 100])
    for leaf in data:
        tree.append(merkle.leaf_hash(leaf))
    assert tiles.stored() == size
    assert merkle.Frontier.read(tiles.node, size).root() == tree.root()
    assert [tiles.leaf(n) for n in range(0, size, 13)] == data[::13]
    # Written again from a point in the middle, as after a crash.
    tiles.sync()
    again = Tiles(tmp_path)
    again.open_at(size // 2)
    again.extend(data[size // 2 :])
    assert merkle.Frontier.read(again.node, size).root() == tree.root()


async def test_a_session_has_ended_when_its_log_says_so_and_holds_it(tmp_path: Path) -> None:
    log = start(tmp_path / "log")
    closed, left = new(), new()
    for session in (closed, left):
        await log.open_session(session, {})
    await log.close_session(closed, END)
    assert [log.ended(session) for session in (closed, left, new())] == [True, False, False]
    await log.aclose()
    again = start(tmp_path / "log")
    assert [again.ended(session) for session in (closed, left, new())] == [True, True, False]
    await again.aclose()


async def test_what_fails_while_sessions_are_closed_gives_the_directory_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = start(tmp_path / "log")
    sid = new()
    await log.open_session(sid, {})

    async def fails(*_: object) -> None:
        raise LimitExceeded("no room for the close record")

    monkeypatch.setattr(log, "close_session", fails)
    with pytest.raises(LimitExceeded):
        await log.aclose()
    assert not log.healthy
    again = start(tmp_path / "log")  # the lock is free, and its thread writes no more
    assert json.loads((await again.session_bytes(sid)).leaves[-1].data)["type"] == "recovery"
    await again.aclose()
