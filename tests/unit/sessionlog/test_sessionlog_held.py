"""A log whose long-term key is held elsewhere: no file has it, and what it does not sign is not."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import ConfigurationError, LogUnavailable
from gateway.sessionlog import SessionLog, survey
from gateway.sessionlog.note import LogKey, NoteError, VerifierKey

ORIGIN = "log.example.org/clinic"
SID = "018f0000-0000-7000-8000-00000000000{}"


class Held:
    """Signs until it is told not to, as a token does that goes away (tests/hsm has a real one)."""

    def __init__(self, private: Ed25519PrivateKey | None = None) -> None:
        self._private = private or Ed25519PrivateKey.generate()
        self.away = False
        self.seconds = 0.0
        self.signed = 0

    def sign(self, data: bytes, /) -> bytes:
        if self.away:
            raise LogUnavailable("the token does not sign")
        self.signed += 1
        time.sleep(self.seconds)
        return self._private.sign(data)

    def public_key(self) -> Ed25519PublicKey:
        return self._private.public_key()


def opened(directory: Path, held: Held | None) -> SessionLog:
    return SessionLog.open(directory, origin=ORIGIN, version="0", held=held)


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def lived(log: SessionLog, number: int) -> None:
    await log.open_session(SID.format(number), {"identity": "a"})
    await log.close_session(SID.format(number), {"reason": "client"})


async def test_no_file_has_the_key_and_the_log_goes_on_with_it(tmp_path: Path) -> None:
    held = Held()
    for number in (1, 2):
        log = opened(tmp_path, held)
        await lived(log, number)
        VerifierKey.parse(log.vkey, b"\x01").verify(
            b"maskgate evidence manifest v1\n{}", log.sign_manifest(b"{}")
        )
        await log.aclose()
    assert not (tmp_path / "key").exists()
    found = survey.survey(tmp_path, ORIGIN, held)
    assert (found.wrong, found.epochs, found.key) == ([], 2, log.vkey)
    assert survey.checkpoint(tmp_path, ORIGIN, held).size == found.size
    assert survey.prove(tmp_path, ORIGIN, 0, held).startswith(b"c2sp.org/tlog-proof@v1")


async def test_another_key_does_not_go_on_with_the_log(tmp_path: Path) -> None:
    log = opened(tmp_path, Held())
    await lived(log, 1)
    await log.aclose()
    before = files(tmp_path)
    with pytest.raises(ConfigurationError, match="no known key has signed"):
        opened(tmp_path, Held())
    with pytest.raises(ConfigurationError, match=r"key: missing beside a log; .*log\.key"):
        opened(tmp_path, None)
    with pytest.raises(ConfigurationError, match="no known key has signed"):
        survey.survey(tmp_path, ORIGIN, Held())
    assert files(tmp_path) == before


async def test_a_file_beside_a_held_key_is_refused(tmp_path: Path) -> None:
    """Also the same key's: that copy is what the token is there to rule out."""
    log = opened(tmp_path, None)
    await lived(log, 1)
    await log.aclose()
    brought = serialization.load_pem_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(brought, Ed25519PrivateKey)
    held = Held(brought)
    with pytest.raises(ConfigurationError, match="a file beside the key in a token"):
        opened(tmp_path, held)
    (tmp_path / "key").unlink()
    log = opened(tmp_path, held)
    await lived(log, 2)
    await log.aclose()
    assert survey.survey(tmp_path, ORIGIN, held).wrong == []


async def test_what_is_not_signed_stops_the_log_for_good(tmp_path: Path) -> None:
    held = Held()
    log = opened(tmp_path, held)
    await lived(log, 1)
    await log.open_session(SID.format(2), {"identity": "a"})
    checkpoint = (tmp_path / "ledger" / "checkpoint").read_bytes()
    held.away = True
    with pytest.raises(LogUnavailable, match="the token does not sign"):
        log.signed_receipt({"session": SID.format(1)})
    with pytest.raises(LogUnavailable, match="the token does not sign"):
        log.sign_manifest(b"{}")
    assert log.healthy  # nothing of the ledger was asked of the key
    with pytest.raises(LogUnavailable, match="the token does not sign"):
        await log.close_session(SID.format(2), {"reason": "client"})
    held.away = False
    assert not log.healthy and "the token does not sign" in log.trouble
    with pytest.raises(LogUnavailable, match="session log stopped"):
        await log.append(SID.format(2), "intent", {"statement_no": 1})
    assert (tmp_path / "ledger" / "checkpoint").read_bytes() == checkpoint
    shutil.copytree(tmp_path, tmp_path.with_name("left"))
    await log.aclose()
    # The next start finds what was durable, and the interrupted session.
    log = opened(tmp_path.with_name("left"), held)
    records = (await log.session_bytes(SID.format(2))).records.splitlines()
    assert [json.loads(line)["type"] for line in records][:1] == ["open"]
    await log.aclose()
    assert survey.survey(tmp_path.with_name("left"), ORIGIN, held).wrong == []


async def test_a_slow_token_is_asked_once_for_all_that_wait(tmp_path: Path) -> None:
    held = Held()
    log = opened(tmp_path, held)
    sids = [str(uuid.uuid4()) for _ in range(40)]
    await asyncio.gather(*(log.open_session(sid, {"identity": "a"}) for sid in sids))
    held.seconds, before = 0.1, held.signed
    await asyncio.gather(*(log.close_session(sid, {"reason": "client"}) for sid in sids))
    assert held.signed - before <= 5
    await log.aclose()


def test_a_held_key_is_no_other_than_a_files(tmp_path: Path) -> None:
    held = Held()
    key = LogKey(ORIGIN, held)
    note = key.sign_checkpoint(1, bytes(32)).note
    assert key.open_checkpoint(note).size == 1
    with pytest.raises(NoteError):
        LogKey(ORIGIN, Held()).open_checkpoint(note)
