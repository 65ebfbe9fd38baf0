"""The log and its witnesses: what they sign is kept, what they remember is heeded."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standing import ORIGIN, Standing, standing, start, until

from gateway.errors import ConfigurationError, LogUnavailable
from gateway.model import SessionFiles
from gateway.sessionlog import SessionLog, anchors, cosignature, disk, merkle
from gateway.sessionlog.note import LogKey, Note

END = {"reason": "done", "statements": 0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only waited for takes no time here."""
    monkeypatch.setattr(anchors, "ROUND_SECONDS", 0.2)
    monkeypatch.setattr(anchors, "LONGEST_PAUSE", 0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory whose key exists: witnesses know a log before it begins."""
    disk.make_directory(tmp_path / "log")
    LogKey.create(tmp_path / "log" / "key", ORIGIN)
    return tmp_path / "log"


@pytest.fixture
async def three(home: Path, tmp_path: Path) -> AsyncIterator[list[Standing]]:
    key = LogKey.load(home / "key", ORIGIN).verifier
    async with standing(tmp_path, key, "w1", "w2", "w3") as made:
        yield made


async def session(log: SessionLog) -> str:
    sid = str(uuid.uuid4())
    await log.open_session(sid, {"identity": "a"})
    await log.close_session(sid, END)
    return sid


def answers(home: Path) -> int:
    """How many witnesses the log says are back. It waits for their cosignatures again from then on;
    a witness remembers a checkpoint before the log has its answer."""
    return sum(kind == b"witness.answers" for kind, _ in told_of_witnesses(home))


def told_of_witnesses(home: Path) -> list[tuple[bytes, bytes]]:
    """The kinds and reasons of the log's records of its witnesses."""
    record = rb'"kind":"(witness[.a-z]+)","reason":"([^"]*)"'
    return [
        told for one in home.glob("wal/*/*.wal") for told in re.findall(record, one.read_bytes())
    ]


def signers(files: SessionFiles, *known: Standing) -> list[str]:
    """The witnesses whose cosignatures hold; the session's proofs lead to what they signed."""
    note = Note.parse(files.checkpoint)
    for leaf in files.leaves:
        merkle.verify_inclusion(
            merkle.leaf_hash(leaf.data), leaf.index, note.size, leaf.proof, note.root
        )
    genesis = json.loads(files.records.splitlines()[0])["genesis"]
    before = bytes.fromhex(genesis["cp_root"])
    merkle.verify_consistency(genesis["cp_size"], note.size, files.consistency, before, note.root)
    log, epoch, *lines = note.signatures
    assert (log.name, epoch.name) == (ORIGIN, ORIGIN)
    keys = {one.key.verifier.name: one.key.verifier for one in known}
    return [cosignature.verify(note.text, one, keys[one.name]).key.name[-2:] for one in lines]


async def test_an_export_carries_the_cosignatures_of_all(home: Path, three: list[Standing]) -> None:
    log = start(home, *three)
    for _ in range(3):
        sid = await session(log)
        assert signers(await log.session_bytes(sid), *three) == ["w1", "w2", "w3"]
    await log.aclose()
    # The end of the log is cosigned as well.
    newest = Note.parse((home / "ledger" / "checkpoint").read_bytes())
    assert [one.size() for one in three] == [newest.size] * 3


async def test_an_open_session_is_exported_under_a_cosigned_checkpoint(
    home: Path, three: list[Standing]
) -> None:
    log = start(home, three[0])
    sid = str(uuid.uuid4())
    await log.open_session(sid, {"identity": "a"})
    files = await log.session_bytes(sid)
    assert (signers(files, *three), files.closed) == (["w1"], False)
    await log.aclose()


@pytest.mark.parametrize(
    "mode",
    [(500, b""), (404, b""), (403, b""), (200, b""), (200, b"\xff"), (200, b"x" * 70_000),
     (409, b"many\n"), (409, b""), (302, b"")],
    ids=["500", "404", "403", "200-empty", "200-no-text", "200-huge", "409-words", "409-empty",
         "302"],
)  # fmt: skip
async def test_a_witness_that_does_not_answer_well_is_not_counted_and_not_waited_for(
    home: Path, three: list[Standing], mode: tuple[int, bytes]
) -> None:
    three[1].mode = mode
    log = start(home, *three, quorum=2)
    sid = await session(log)
    assert signers(await log.session_bytes(sid), *three) == ["w1", "w3"]
    assert log.healthy
    three[1].mode = "well"
    await until(lambda: three[1].size() == three[0].size())
    await log.aclose()


@pytest.mark.parametrize("elsewhere", [b"mailto:x", b"http://xn--a-ecp.ru/", b"http://["])
async def test_no_address_that_an_answer_names_ends_the_log(
    home: Path, three: list[Standing], elsewhere: bytes
) -> None:
    """Whoever stands between the two can answer so; httpx looks at an address it will not follow,
    and fails in ways of its own."""
    three[0].mode, three[0].fields = (307, b""), [(b"location", elsewhere)]
    assert await anchors.reachable(three[0].witness) != ""
    log = start(home, three[0])
    await until(lambda: three[0].requests > 3)
    assert log.healthy
    three[0].mode = "well"
    sid = await session(log)
    await until(lambda: answers(home) == 1)
    assert signers(await log.session_bytes(sid), *three) == ["w1"]
    await log.aclose()


async def test_a_witness_that_hangs_is_left(
    home: Path, three: list[Standing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "ASK_SECONDS", 1.0)
    three[1].mode = "hang"
    log = start(home, *three, quorum=2)
    sid = await session(log)
    assert signers(await log.session_bytes(sid), *three) == ["w1", "w3"]
    await log.aclose()


async def test_without_any_witness_the_log_goes_on(home: Path, three: list[Standing]) -> None:
    for one in three:
        one.mode = (500, b"")
    log = start(home, *three)
    sid = await session(log)
    await until(lambda: min(one.requests for one in three) > 2)
    assert signers(await log.session_bytes(sid), *three) == []
    for one in three:
        one.mode = "well"
    await until(lambda: answers(home) == 3)
    assert signers(await log.session_bytes(sid), *three) == ["w1", "w2", "w3"]
    await log.aclose()


async def test_its_silence_and_its_return_are_recorded(home: Path, three: list[Standing]) -> None:
    three[0].mode = (500, b"")
    log = start(home, three[0])
    await until(lambda: three[0].requests > 2)
    three[0].mode = "well"
    await until(lambda: answers(home) == 1)
    await log.aclose()
    assert told_of_witnesses(home) == [
        (b"witness.silent", b"it answered 500"),
        (b"witness.answers", b""),
    ]


async def test_a_signature_by_another_key_does_not_count(
    home: Path, three: list[Standing], tmp_path: Path
) -> None:
    key = LogKey.load(home / "key", ORIGIN).verifier
    async with standing(tmp_path / "other", key, "w1") as (impostor,):
        three[0].url, impostor.url = impostor.url, three[0].url
        log = start(home, three[0])
        await until(lambda: impostor.requests > 2)
        sid = await session(log)
        assert signers(await log.session_bytes(sid)) == []
        await log.aclose()


def copy(home: Path, to: Path) -> Path:
    shutil.copytree(home, to)
    return to


async def stopped(log: SessionLog, said: str) -> None:
    await until(lambda: not log.healthy)
    assert said in log.trouble
    with pytest.raises(LogUnavailable, match=said):
        await log.open_session(str(uuid.uuid4()), {})
    await log.aclose()


async def test_a_log_that_was_rolled_back_is_stopped(
    home: Path, three: list[Standing], tmp_path: Path
) -> None:
    log = start(home, *three)
    await session(log)
    await log.aclose()
    old = copy(home, tmp_path / "old")
    log = start(home, *three)
    for _ in range(5):
        await session(log)
    await log.aclose()
    again = start(old, three[0])
    await stopped(again, "the log was rolled back")


async def test_a_log_with_two_histories_is_stopped(
    home: Path, three: list[Standing], tmp_path: Path
) -> None:
    log = start(home, *three)
    await session(log)
    await log.aclose()
    old = copy(home, tmp_path / "old")
    log = start(home, three[0])
    await session(log)
    await log.aclose()
    # The copy goes on alone until it is the larger one.
    other = SessionLog.open(old, origin=ORIGIN, version="0")
    while other.newest().size <= three[0].size():  # type: ignore[union-attr]
        await session(other)
    await other.aclose()
    await stopped(start(old, three[0]), "the log has two histories")


async def test_the_cosigned_checkpoint_is_kept_over_a_restart(
    home: Path, three: list[Standing]
) -> None:
    log = start(home, *three)
    sid = await session(log)
    await log.aclose()
    for one in three:
        one.mode = (500, b"")
    log = start(home, *three)
    assert signers(await log.session_bytes(sid), *three) == ["w1", "w2", "w3"]
    await log.aclose()
    # Without one of them in the configuration its line is left out.
    log = start(home, *three[:2])
    assert signers(await log.session_bytes(sid), *three) == ["w1", "w2"]
    await log.aclose()


async def test_what_was_cosigned_must_be_in_the_ledger_at_the_start(
    home: Path, three: list[Standing], tmp_path: Path
) -> None:
    log = start(home, three[0])
    await session(log)
    await log.aclose()
    old = copy(home, tmp_path / "old")
    log = start(home, three[0])
    await session(log)
    await log.aclose()
    key = LogKey.load(home / "key", ORIGIN)
    cosigned = (home / "ledger" / "cosigned").read_bytes()
    fork = key.sign_checkpoint(3, b"\7" * 32).note
    for wrong, said in (
        (cosigned, "it was rolled back; not started"),
        (fork, "it was rolled back; not started"),
        (cosigned[:-9], "not started"),
        (cosigned.replace(b"\n2", b"\n1", 1), "not started"),
    ):
        (old / "ledger" / "cosigned").write_bytes(wrong)
        with pytest.raises(ConfigurationError, match=said):
            start(old, three[0])
    (old / "ledger" / "cosigned").unlink()
    await stopped(start(old, three[0]), "the log was rolled back")


def test_a_ledger_that_cannot_be_read_is_told_with_its_file(home: Path, tmp_path: Path) -> None:
    """A hash that only this comparison needs may be the one that is gone."""
    key, path = LogKey.load(home / "key", ORIGIN), tmp_path / "cosigned"
    path.write_bytes(key.sign_checkpoint(3, b"\7" * 32).note)
    asking = anchors.Anchors(object(), anchors.Anchoring(), path)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="tile/0/000 is missing; not started"):
        asking.recall(key.verifier, anchors.Tiles(tmp_path / "ledger"), 5)


async def test_a_witness_that_forgot_is_told_again(
    home: Path, three: list[Standing], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = start(home, three[0])
    await session(log)
    await log.aclose()
    three[0].memory._newest.clear()
    log = start(home, three[0])
    sid = await session(log)
    assert signers(await log.session_bytes(sid), *three) == ["w1"]
    assert "has forgotten: it knows 0 leaves" in caplog.text
    await log.aclose()


async def test_statements_wait_for_a_quorum_where_the_policy_says_so(
    home: Path, three: list[Standing]
) -> None:
    three[0].mode = (500, b"")
    log = start(home, *three[:2], require_within=0.3)
    sid = str(uuid.uuid4())
    with pytest.raises(LogUnavailable, match="has cosigned the log since the gateway was started"):
        await log.open_session(sid, {})
    await log.event("login.failed", {})
    three[0].mode = "well"
    await until(lambda: not log.trouble)
    await log.open_session(sid, {})
    await log.append(sid, "intent", {"statement_no": 1})
    three[1].mode = (500, b"")
    await log.append(sid, "export", {})
    await until(lambda: log.trouble)
    with pytest.raises(LogUnavailable, match="no quorum of witnesses has cosigned the log for 0 s"):
        await log.append(sid, "intent", {"statement_no": 2})
    # What has begun is recorded to its end.
    await log.append(sid, "cancel", {"statement_no": 1})
    three[1].mode = "well"
    await until(lambda: not log.trouble)
    await log.append(sid, "intent", {"statement_no": 2})
    await log.close_session(sid, END)
    await log.aclose()


async def test_a_policy_that_was_never_begun_lets_nothing_through(home: Path) -> None:
    unasked = anchors.Anchoring((), 1, require_within=60.0)
    log = SessionLog.open(home, origin=ORIGIN, version="0", anchoring=unasked)
    with pytest.raises(LogUnavailable, match="since the gateway was started"):
        await log.open_session(str(uuid.uuid4()), {})
    await log.aclose()


async def test_a_cosignature_that_cannot_be_kept_ends_the_log(
    home: Path, three: list[Standing], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = start(home, three[0])
    await session(log)
    await until(lambda: three[0].size() > 0)
    real = disk.replace

    def broken(path: Path, data: bytes, **named: Any) -> None:
        if path.name == "cosigned":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path, data, **named)

    monkeypatch.setattr(disk, "replace", broken)
    with contextlib.suppress(LogUnavailable):  # when it has ended by then
        await log.open_session(str(uuid.uuid4()), {})
    await until(lambda: not log.healthy)
    assert "Input/output error" in log.trouble
    await log.aclose()


async def test_the_trust_file_names_the_witnesses(home: Path, three: list[Standing]) -> None:
    log = start(home, *three, quorum=2)
    stated = log.trust_file()
    assert stated["witnesses"] == [one.key.vkey for one in three]
    assert stated["quorum"] == 2
    public = base64.b64decode(stated["witnesses"][0].split("+", 2)[2])
    assert public == b"\x04" + three[0].key.verifier.public
    await log.aclose()
