"""Epochs of a log over boots and days, ledgers from before there were any, and proofs as files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from earlier import without_epochs
from typer.testing import CliRunner

from gateway import cli
from gateway.auditor import verify
from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, epochs, merkle, survey
from gateway.sessionlog import log as session_log
from gateway.sessionlog.note import ED25519, LogKey, Note, VerifierKey
from gateway.sessionlog.tiles import LedgerError, Tiles

ORIGIN = "log.example.org/epochs"
CONFIG = """
[server]
listen = "127.0.0.1:0"
[state]
log = "log"
origin = "log.example.org/epochs"
[[issuers]]
issuer = "https://login.example.org"
audience = "maskgate"
[connections.clinic]
dsn = "env:NO_SUCH_DSN"
role = "reader"
"""


def start(directory: Path) -> SessionLog:
    return SessionLog.open(directory, origin=ORIGIN, version="0")


async def session(log: SessionLog) -> str:
    sid = str(uuid.uuid4())
    await log.open_session(sid, {})
    await log.close_session(sid, {"reason": "done", "statements": 0})
    return sid


def told(directory: Path) -> list[dict[str, Any]]:
    size = survey.checkpoint(directory, ORIGIN).size
    return [json.loads(leaf) for leaf in Tiles(directory / "ledger").leaves(size)]


async def test_each_boot_and_each_day_has_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = start(tmp_path)
    await session(log)
    days = iter(["2030-01-01T23:59:59.000000Z"] * 3 + ["2030-01-02T00:00:00.000000Z"] * 99)
    monkeypatch.setattr(epochs, "now", lambda: next(days))
    for _ in range(3):
        await session(log)
    await log.aclose()
    monkeypatch.undo()
    log = start(tmp_path)
    await log.aclose()
    found = told(tmp_path)
    made = [(at, leaf) for at, leaf in enumerate(found) if leaf["type"] == "epoch"]
    assert [leaf["number"] for _, leaf in made] == [1, 2, 3, 4]
    assert [leaf["previous"] for _, leaf in made] == [0, 1, 2, 3]
    assert [leaf["from"] for _, leaf in made] == [at + 1 for at, _ in made]
    assert {leaf["first"] for _, leaf in made} == {made[0][0] + 1}
    assert len({leaf["key"] for _, leaf in made}) == 4
    assert [leaf["epoch"] for leaf in found if leaf["type"] == "boot"] == [1, 4]
    assert found[-1]["type"] == "checkpoint"
    assert found[-1]["epoch"] == 4
    looked = survey.survey(tmp_path, ORIGIN)
    assert looked.wrong == []
    assert looked.epochs == 4
    assert looked.epoch is not None
    assert looked.epoch["from"] == made[-1][1]["from"]


def files_with(directory: Path, *parts: bytes) -> list[Path]:
    found = [path for path in directory.rglob("*") if path.is_file()]
    return [path for path in found if any(part in path.read_bytes() for part in parts)]


async def test_an_epochs_private_key_is_in_no_file(tmp_path: Path) -> None:
    log = start(tmp_path)
    await session(log)
    current = log._journal.epochs._current
    assert current is not None
    raw = current._private.private_bytes_raw()
    await log.aclose()
    assert files_with(tmp_path, raw, raw.hex().encode(), base64.b64encode(raw)[:40]) == []
    assert files_with(tmp_path, ORIGIN.encode()) != []


async def test_a_ledger_from_before_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_epochs(monkeypatch)
    log = start(tmp_path)
    old = await session(log)
    assert (await log.session_bytes(old)).epoch == ()
    await log.aclose()
    before = len(told(tmp_path))
    assert survey.survey(tmp_path, ORIGIN).epoch is None
    monkeypatch.undo()
    log = start(tmp_path)
    first = log.trust_file()["epochs"]
    assert first > before
    files = await log.session_bytes(old)
    assert [json.loads(leaf.data)["type"] for leaf in files.epoch] == ["epoch", "checkpoint"]
    await log.aclose()
    looked = survey.survey(tmp_path, ORIGIN)
    assert looked.wrong == []
    assert looked.epochs == 1
    again = start(tmp_path)
    assert again.trust_file()["epochs"] == first
    await again.aclose()


@pytest.mark.parametrize("kind", ["epoch", "checkpoint"])
async def test_a_certificate_that_was_changed_is_not_gone_on_from(
    tmp_path: Path, kind: str
) -> None:
    """Recovery reads the hashes; the leaf that the numbers go on from is held against its own."""
    log = start(tmp_path)
    log._commits.stop()  # killed: the last leaf names the epoch
    session_log.os.close(log._lock_fd)
    await start(tmp_path).aclose()  # its segments are gone, its leaves stay
    log = start(tmp_path)
    log._journal.close()
    session_log.os.close(log._lock_fd)
    log._commits.stop()
    path = tmp_path / "ledger/tile/entries/000"
    data = path.read_bytes()
    at = data.rindex(b'"type":"%b"' % kind.encode())
    path.write_bytes(data[: at - 20] + bytes([data[at - 20] ^ 1]) + data[at - 19 :])
    tiles, key = Tiles(tmp_path / "ledger"), LogKey.load(tmp_path / "key", ORIGIN)
    with pytest.raises(ValueError, match="of its hash"):
        epochs.newest(tiles, survey.checkpoint(tmp_path, ORIGIN).size, key.verifier)


async def test_damage_to_epochs_is_named(tmp_path: Path) -> None:
    log = start(tmp_path)
    await log.aclose()
    path = tmp_path / "ledger/checkpoint"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]))  # the long-term key's signature alone
    (wrong,) = survey.survey(tmp_path, ORIGIN).wrong
    assert "epoch 1 has not signed the checkpoint" in wrong


def test_the_epoch_worked_by_hand() -> None:
    known = json.loads((Path(__file__).parents[2] / "vectors/epochs.json").read_text("utf-8"))
    log = VerifierKey.parse(known["log_key"], ED25519)
    leaf, data = json.loads(known["leaf"]), known["leaf"].encode()
    certificate = epochs.Certificate.parse(6, data, log)
    assert certificate.key.vkey == known["epoch_key"] == leaf["key"]
    numbers = leaf["number"], leaf["from"], leaf["first"]
    message = epochs.certified(known["origin"], leaf["key"], leaf["ts"], *numbers)
    assert message.hex() == known["certified"]
    assert merkle.leaf_hash(data).hex() == known["leaf_hash"]
    note = Note.parse(known["note"].encode())
    assert epochs.signed(2, note.text).hex() == known["signed"]
    certificate.check(note)
    found = {"epoch": (6, leaf), "checkpoint": (7, json.loads(known["last_leaf"]))}
    engine = verify.Engine(pure=True)
    key = verify.Key(known["log_key"], "key")
    signed = verify.Checkpoint(known["note"].encode(), key, [], engine)
    assert "epoch 2" in verify.check_epoch(signed, key, found, engine)
    for index in (5, 7):
        with pytest.raises(LedgerError, match="another place"):
            epochs.Certificate.parse(index, data, log)


# A proof as a file. The reader below is written from the specification of C2SP tlog-proof.


def read_proof(raw: bytes) -> tuple[int, bytes | None, list[bytes], bytes]:
    """Index, extra data, hashes, checkpoint."""
    head, _, checkpoint = raw.partition(b"\n\n")
    first, *lines = head.decode("ascii").split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    extra = None
    if lines[0].startswith("extra "):
        extra = base64.b64decode(lines.pop(0)[6:], validate=True)
    word, number = lines.pop(0).split(" ")
    assert word == "index"
    assert number == str(int(number))
    hashes = [base64.b64decode(line, validate=True) for line in lines]
    assert all(len(one) == 32 for one in hashes)
    return int(number), extra, hashes, checkpoint


def root_of(index: int, size: int, leaf: bytes, way: list[bytes]) -> bytes:
    """RFC 6962, 2.1.1, from the definition of the path."""
    if size == 1:
        assert way == []
        return hashlib.sha256(b"\0" + leaf).digest()
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        left, right = root_of(index, split, leaf, way[:-1]), way[-1]
    else:
        left, right = way[-1], root_of(index - split, size - split, leaf, way[:-1])
    return hashlib.sha256(b"\1" + left + right).digest()


def signed_by(checkpoint: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that this key has signed (C2SP signed-note)."""
    text, _, signatures = checkpoint.decode().rpartition("\n\n")
    text += "\n"
    name, stated, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded)
    assert key[:1] == b"\x01"
    found = 0
    for line in signatures.splitlines():
        dash, who, signature = line.split(" ")
        raw = base64.b64decode(signature)
        assert dash == "—"
        if (who, raw[:4].hex()) == (name, stated):
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], text.encode())
            found += 1
    assert found == 1
    origin, size, root = text.splitlines()
    return origin, int(size), base64.b64decode(root)


async def test_a_proof_that_other_tools_read(tmp_path: Path) -> None:
    (tmp_path / "maskgate.toml").write_text(CONFIG)
    log = start(tmp_path / "log")
    for _ in range(3):
        await session(log)
    vkey = log.trust_file()["keys"][0]
    await log.aclose()
    found = told(tmp_path / "log")

    def asked(*words: str) -> tuple[int, str]:
        where = ["-c", str(tmp_path / "maskgate.toml")]
        result = CliRunner().invoke(cli.app, ["ledger", *words, *where])
        return result.exit_code, result.output

    for index in (0, 2, 7, len(found) - 1):
        out = tmp_path / "leaf.tlog-proof"
        code, said = await asyncio.to_thread(asked, "prove", str(index), "--out", str(out))
        assert code == 0, said
        at, leaf, way, checkpoint = read_proof(out.read_bytes())
        origin, size, root = signed_by(checkpoint, vkey)
        assert (at, origin, size) == (index, ORIGIN, len(found))
        assert leaf is not None
        assert json.loads(leaf) == found[index]
        assert root_of(at, size, leaf, way) == root
        assert (await asyncio.to_thread(asked, "prove", str(index)))[1] == out.read_text()
        with pytest.raises(InvalidSignature):
            signed_by(checkpoint.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1)), vkey)
    code, said = await asyncio.to_thread(asked, "prove", str(len(found)))
    assert code != 0
    code, said = await asyncio.to_thread(asked, "show")
    assert code == 0
    assert "epochs: 1, since" in said
    with pytest.raises(ConfigurationError, match="leaves"):
        survey.prove(tmp_path / "log", ORIGIN, len(found))
