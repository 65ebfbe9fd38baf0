"""The ledger looked at: what adds up, what does not, and what pruning leaves."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import cli
from gateway.errors import ConfigurationError, LogUnavailable, NotFound
from gateway.sessionlog import SessionLog, retention, survey
from gateway.sessionlog import log as session_log
from gateway.sessionlog.session import SessionStore
from gateway.sessionlog.tail import Tail
from gateway.sessionlog.tiles import LedgerError, Tiles

ORIGIN = "log.example.org/ledger"
LATER = "9999-01-01T00:00:00.000000Z"


async def boot(directory: Path, sessions: int, *, close: bool = True) -> list[str]:
    """A boot with so many sessions, of which the last stays open where it is not to be closed."""
    log = SessionLog.open(directory, origin=ORIGIN, version="0")
    made = []
    for number in range(sessions):
        made.append(str(uuid.uuid4()))
        await log.open_session(made[-1], {})
        await log.append(made[-1], "export", {"n": number})
        if close or number + 1 < sessions:
            await log.close_session(made[-1], {"reason": "done", "statements": 0})
    if close:
        await log.aclose()
    else:
        log._commits.stop()
        session_log.os.close(log._lock_fd)
    return made


async def test_a_ledger_that_adds_up(tmp_path: Path) -> None:
    await boot(tmp_path, 3, close=False)
    await boot(tmp_path, 2)
    found = survey.survey(tmp_path, ORIGIN)
    assert found.wrong == []
    assert found.sessions == 7  # two of them the gateway's own
    # Of the last boot's own session the write-ahead file has the records.
    assert (found.running, found.pruned, found.files) == (0, 0, 6)
    assert found.leaves["open"] == 7
    assert found.leaves["recovery"] == 2
    assert found.size == sum(found.leaves.values())
    assert found.first is not None and found.last is not None and found.first < found.last


async def test_beside_a_running_gateway(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    try:
        sid = str(uuid.uuid4())
        await log.open_session(sid, {})
        await log.session_bytes(sid)
        found = survey.survey(tmp_path, ORIGIN)
        assert found.wrong == []
        assert found.running == 2
    finally:
        await log.aclose()


def changed(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "a leaf": (lambda home, sid: changed(home / "ledger/tile/entries/000", 40), "of its hash"),
    "a hash": (lambda home, sid: changed(home / "ledger/tile/0/000", 40), "of its hash"),
    "a session": (lambda home, sid: changed(home / f"sessions/{sid}.jsonl", 40), "last leaf says"),
    "a session is gone": (
        lambda home, sid: (home / f"sessions/{sid}.jsonl").unlink(),
        "no leaf says it was removed",
    ),
    "leaves are gone": (lambda home, sid: (home / "ledger/tile/0/000").unlink(), "is missing"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_what_does_not_add_up_is_named(tmp_path: Path, what: str) -> None:
    (sid,) = await boot(tmp_path, 1)
    await boot(tmp_path, 0)
    damage, sentence = DAMAGE[what]
    damage(tmp_path, sid)
    (wrong,) = survey.survey(tmp_path, ORIGIN).wrong
    assert sentence in wrong


async def test_another_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    await boot(tmp_path, 1)
    changed(tmp_path / "ledger/checkpoint", len(ORIGIN) + 1)
    with pytest.raises(ConfigurationError, match="checkpoint"):
        survey.survey(tmp_path, ORIGIN)
    with pytest.raises(ConfigurationError, match="no gateway has kept its log here"):
        survey.checkpoint(tmp_path / "none", ORIGIN)


async def test_pruning_removes_records_and_leaves_leaves(tmp_path: Path) -> None:
    old = await boot(tmp_path, 2)
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    try:
        assert await log.prune("2001-01-01T00:00:00.000000Z") == []
        gone = await log.prune(LATER)
        assert set(old) < set(gone)
        assert len(gone) == 3  # and that boot's own session
        for sid in old:
            assert not (tmp_path / "sessions" / f"{sid}.jsonl").exists()
            with pytest.raises(NotFound, match="no longer kept"):
                await log.session_bytes(sid)
            with pytest.raises(Exception, match="exists"):
                await log.open_session(sid, {})
        own = (await log.session_bytes(log._gateway.sid)).records.decode()
        assert '"kind":"log.pruned"' in own
    finally:
        await log.aclose()
    await boot(tmp_path, 1)
    found = survey.survey(tmp_path, ORIGIN)
    assert found.wrong == []
    assert found.leaves["pruned"] == found.pruned == 3


async def test_what_a_kill_left_of_a_pruning_is_pruned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said first, then done: between the two the records are still there."""
    old = await boot(tmp_path, 2)

    def killed(store: object, sids: object) -> None:
        raise OSError(5, "killed")

    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    monkeypatch.setattr(session_log.SessionStore, "drop", killed)
    with pytest.raises(OSError, match="killed"):
        await log.prune(LATER)
    monkeypatch.undo()
    await log.aclose()
    assert all((tmp_path / "sessions" / f"{sid}.jsonl").exists() for sid in old)
    assert survey.survey(tmp_path, ORIGIN).wrong == []
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    assert set(old) < set(await log.prune(LATER))
    await log.aclose()
    assert survey.survey(tmp_path, ORIGIN).wrong == []


async def test_a_heartbeat_when_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_log, "COMMIT_INTERVAL", 0.02)
    monkeypatch.setattr(session_log, "HEARTBEAT_INTERVAL", 0.05)
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    before = survey.checkpoint(tmp_path, ORIGIN).size
    for _ in range(500):
        if (
            survey.checkpoint(tmp_path, ORIGIN).size >= before + 6
        ):  # each with the leaf that names its epoch
            break
        await asyncio.sleep(0.02)
    await log.aclose()
    found = survey.survey(tmp_path, ORIGIN)
    assert found.leaves["heartbeat"] >= 3
    assert found.wrong == []
    again = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    await again.aclose()


CONFIG = """
[server]
listen = "127.0.0.1:0"
[state]
log = "log"
origin = "log.example.org/ledger"
[[issuers]]
issuer = "https://login.example.org"
audience = "maskgate"
[connections.clinic]
dsn = "env:NO_SUCH_DSN"
role = "reader"
"""


def asked(home: Path, *words: str, answers: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(
        cli.app, ["ledger", *words, "-c", str(home / "maskgate.toml")], input=answers
    )
    return result.exit_code, result.output


async def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "maskgate.toml").write_text(CONFIG)
    (sid,) = await boot(tmp_path / "log", 1)
    code, said = await asyncio.to_thread(asked, tmp_path, "checkpoint")
    assert code == 0
    assert said == (tmp_path / "log/ledger/checkpoint").read_text()
    code, said = await asyncio.to_thread(asked, tmp_path, "show", "--json")
    assert code == 0
    assert json.loads(said)["sessions"] == 2
    code, said = await asyncio.to_thread(asked, tmp_path, "prune")
    assert (code, said.split()[0]) == (0, "0")
    code, said = await asyncio.to_thread(asked, tmp_path, "prune", "--days", "1", "--dry-run")
    assert code == 0
    code, said = await asyncio.to_thread(asked, tmp_path, "verify")
    assert (code, said.splitlines()[-1]) == (0, "it adds up")
    changed(tmp_path / f"log/sessions/{sid}.jsonl", 40)
    code, said = await asyncio.to_thread(asked, tmp_path, "verify")
    assert code == 1
    assert "wrong: " in said


async def test_what_the_siem_has_not_got_survives_a_pruning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pruning starts the log, and each start drops segments: those must be held before."""
    config = CONFIG.replace("[[issuers]]", '[siem]\ntarget = "stdout"\n[[issuers]]')
    (tmp_path / "maskgate.toml").write_text(config)
    monkeypatch.setattr(session_log, "now", lambda: "2001-01-01T00:00:00.000000Z")
    (sid,) = await boot(tmp_path / "log", 1)
    monkeypatch.undo()
    words = ("prune", "--days", "1", "--yes")
    code, said = await asyncio.to_thread(asked, tmp_path, *words)
    assert code == 0
    assert "2 sessions removed" in said
    tail = Tail(tmp_path / "log")
    tail.adopt()
    found = [one.record["type"] for one in tail.records(lambda: 1 << 62) if one.sid == sid]
    assert found[0] == "open"
    assert found[-1] == "close"


async def test_beside_a_gateway_that_is_still_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start writes its leaves, then the files of those before it: what has no file yet is in the
    write-ahead file, and without that it is missing."""

    def killed(*_: object, **__: object) -> None:
        raise OSError(5, "killed")

    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    await log.open_session(sid := str(uuid.uuid4()), {})
    monkeypatch.setattr(session_log.SessionStore, "cut", killed)
    with pytest.raises(LogUnavailable):
        await log.close_session(sid, {"reason": "done", "statements": 0})
    log._commits.stop()
    session_log.os.close(log._lock_fd)
    with pytest.raises(ConfigurationError, match="killed"):
        SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    monkeypatch.undo()
    assert survey.survey(tmp_path, ORIGIN).wrong == []
    (tmp_path / "wal").rename(tmp_path / "gone")
    assert f"{sid}.jsonl is missing" in survey.survey(tmp_path, ORIGIN).wrong[0]
    (tmp_path / "gone").rename(tmp_path / "wal")
    await boot(tmp_path, 1)
    assert survey.survey(tmp_path, ORIGIN).wrong == []


async def test_pruning_beside_a_file_that_is_being_cut_and_over_damage(tmp_path: Path) -> None:
    """A session's records come before what is said of them; anything else is no time to prune."""
    (tmp_path / "maskgate.toml").write_text(CONFIG)
    (sid,) = await boot(tmp_path / "log", 1)
    about = tmp_path / f"log/sessions/{sid}.json"
    whole = about.read_bytes()
    about.unlink()
    code, said = await asyncio.to_thread(asked, tmp_path, "prune", "--days", "1", "--dry-run")
    assert (code, said.split()[0]) == (0, "0")
    for damage in (b"{", b"[]", whole.replace(b'"close"', b'"clos_"')):
        about.write_bytes(damage)
        result = await asyncio.to_thread(
            CliRunner().invoke,
            cli.app,
            ["ledger", "prune", "--dry-run", "-c", str(tmp_path / "maskgate.toml")],
        )
        assert isinstance(result.exception, ConfigurationError)
        assert "nothing is pruned" in result.exception.detail
    about.write_bytes(whole)
    changed(tmp_path / "log/ledger/tile/entries/000", 0)
    log = tmp_path / "log"
    with pytest.raises(LedgerError):
        retention.ended_before(SessionStore(log / "sessions"), Tiles(log / "ledger"), LATER)


DAMAGED = ("ledger/checkpoint", "ledger/cosigned", "key", "sessions/{sid}.json", "ledger")


@pytest.mark.parametrize("how", ["a folder", "noise", "gone"])
@pytest.mark.parametrize("name", DAMAGED)
async def test_no_command_falls_over_a_damaged_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """An exit code and a sentence, whatever lies there in the place of what was written."""
    (sid,) = await boot(tmp_path / "log", 1)
    (tmp_path / "maskgate.toml").write_text(CONFIG)
    path = tmp_path / "log" / name.format(sid=sid)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if how == "a folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes(b"\xff[")
    monkeypatch.chdir(tmp_path)
    for command in (
        ["show"], ["verify"], ["prove", "1"], ["copies"], ["checkpoint"], ["prune", "--dry-run"],
        ["timestamps", "--session", sid],
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["maskgate", "ledger", *command])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, 1, 2), command


async def test_a_session_that_cannot_be_read_is_one_of_what_does_not_add_up(tmp_path: Path) -> None:
    sids = await boot(tmp_path, 3, close=False)
    await boot(tmp_path, 1)
    path = tmp_path / "sessions" / f"{sids[0]}.jsonl"
    path.unlink()
    path.mkdir()
    assert [path.name in wrong for wrong in survey.survey(tmp_path, ORIGIN).wrong] == [True]


async def test_an_export_under_a_damaged_leaf_is_refused(tmp_path: Path) -> None:
    """The one that says which epoch signed."""
    (sid,) = await boot(tmp_path, 1)
    log = SessionLog.open(tmp_path, origin=ORIGIN, version="0")
    try:
        entries = tmp_path / "ledger/tile/entries/000"
        changed(entries, len(entries.read_bytes()) - 1)
        with pytest.raises(LogUnavailable, match="not the one of its hash"):
            await log.session_bytes(sid)
        newest = log.newest()
        assert newest is not None
        with pytest.raises(LogUnavailable, match="not the one of its hash"):
            log.signers(newest.size)
    finally:
        await log.aclose()
