"""add-checkpoint of C2SP tlog-witness, status by status, and what it remembers through faults."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import ConfigurationError
from gateway.sessionlog import cosignature, disk, merkle
from gateway.sessionlog.note import LogKey, Note, NoteError, Signature, VerifierKey
from gateway.witness import Answer, Memory, Witness

ORIGIN = "log.example.org/clinic"
NAME = "witness.example.org/w1"
KEY = LogKey(ORIGIN, Ed25519PrivateKey.generate())
LOGS = {ORIGIN: (KEY.verifier,)}
NOW = 1_700_000_000


class Tree:
    """A log's tree of numbered leaves; `branch` makes a different one from that leaf on."""

    def __init__(self, branch: int | None = None) -> None:
        self._branch = branch

    def leaf(self, number: int) -> bytes:
        other = self._branch is not None and number >= self._branch
        return merkle.leaf_hash(f"{'other' if other else 'leaf'} {number}".encode())

    def node(self, level: int, number: int) -> bytes:
        if level == 0:
            return self.leaf(number)
        left, right = (self.node(level - 1, 2 * number + half) for half in (0, 1))
        return merkle.node_hash(left, right)

    def note(self, size: int, key: LogKey = KEY) -> bytes:
        root = merkle.Frontier.read(self.node, size).root()
        return key.sign_checkpoint(size, root).note

    def proof(self, old: int, size: int) -> list[bytes]:
        return list(merkle.consistency_proof(self.node, old, size))


TREE, FORK = Tree(), Tree(branch=3)


def request(old: int, proof: list[bytes], note: bytes) -> bytes:
    lines = [f"old {old}", *(base64.b64encode(part).decode() for part in proof)]
    return "\n".join(lines).encode() + b"\n\n" + note


def grown(old: int, size: int, tree: Tree = TREE) -> bytes:
    return request(old, tree.proof(old, size), tree.note(size))


class World:
    """A witness that can be stopped and started on its directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        self.memory, self.key = Memory.open(self.home, NAME, LOGS)
        self.witness = Witness(self.memory, self.key, LOGS, clock=lambda: NOW + 0.9)

    def restart(self) -> None:
        self.memory.close()
        self.start()

    def ask(self, body: bytes) -> Answer:
        return self.witness.add_checkpoint(body)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path / "witness")
    yield made
    made.memory.close()


def cosigned(world: World, answer: Answer, note: bytes) -> None:
    assert answer.status == 200, answer.body
    assert answer.body.endswith(b"\n")
    line = Signature.parse(answer.body.decode()[:-1])
    text = Note.parse(note).text
    found = cosignature.verify(text, line, world.key.verifier)
    assert found.time == NOW
    # By hand, as the specification words it.
    public = VerifierKey.parse(world.key.vkey, b"\x04")
    signed = f"cosignature/v1\ntime {NOW}\n".encode() + text
    public.verify(signed, line.body[8:])
    assert line.body[:8] == NOW.to_bytes(8, "big")
    body = NAME.encode() + b"\n\x04" + public.public
    assert line.id == hashlib.sha256(body).digest()[:4]


def test_it_cosigns_a_tree_that_grows(world: World) -> None:
    size = 0
    for new in (1, 2, 3, 3, 7, 8, 8, 21):
        cosigned(world, world.ask(grown(size, new)), TREE.note(new))
        size = new


def test_it_cosigns_whatever_it_sees_first(world: World) -> None:
    cosigned(world, world.ask(request(0, [], TREE.note(12))), TREE.note(12))


def test_an_old_size_that_is_not_its_own_is_answered_with_its_own(world: World) -> None:
    world.ask(grown(0, 5))
    for body in (grown(0, 9), grown(4, 9), grown(7, 9), grown(0, 5), grown(3, 4)):
        answer = world.ask(body)
        assert (answer.status, answer.body, answer.type) == (409, b"5\n", "text/x.tlog.size")
    cosigned(world, world.ask(grown(5, 9)), TREE.note(9))


def test_a_rollback_is_not_cosigned(world: World) -> None:
    world.ask(grown(0, 9))
    answer = world.ask(grown(5, 7))
    assert (answer.status, answer.body) == (409, b"9\n")
    assert world.memory.newest(ORIGIN).size == 9  # type: ignore[union-attr]


def test_a_second_root_of_one_size_is_not_cosigned(world: World) -> None:
    world.ask(grown(0, 5))
    answer = world.ask(request(5, [], FORK.note(5)))
    assert (answer.status, answer.body, answer.type) == (409, b"5\n", "text/x.tlog.size")
    cosigned(world, world.ask(grown(5, 6)), TREE.note(6))


@pytest.mark.parametrize(
    ("proof", "note"),
    [
        (FORK.proof(5, 9), FORK.note(9)),
        (TREE.proof(5, 9), FORK.note(9)),
        (TREE.proof(5, 9)[:-1], TREE.note(9)),
        ([*TREE.proof(5, 9), b"\0" * 32], TREE.note(9)),
        ([], TREE.note(9)),
        (TREE.proof(5, 9)[::-1], TREE.note(9)),
        (TREE.proof(4, 9), TREE.note(9)),
        ([b"\0" * 32], TREE.note(5)),
    ],
    ids=["fork", "mixed", "short", "long", "none", "reversed", "other-size", "same-size"],
)
def test_a_proof_that_leads_elsewhere_is_not_cosigned(
    world: World, proof: list[bytes], note: bytes
) -> None:
    world.ask(grown(0, 5))
    assert world.ask(request(5, proof, note)).status == 422
    cosigned(world, world.ask(grown(5, 9)), TREE.note(9))


def test_a_first_checkpoint_takes_no_proof(world: World) -> None:
    assert world.ask(request(0, [b"\0" * 32], TREE.note(5))).status == 422


def test_unknown_logs_and_unknown_keys(world: World) -> None:
    stranger = LogKey("log.example.org/other", Ed25519PrivateKey.generate())
    thief = LogKey(ORIGIN, Ed25519PrivateKey.generate())
    assert world.ask(request(0, [], TREE.note(3, stranger))).status == 404
    assert world.ask(request(0, [], TREE.note(3, thief))).status == 403
    signed_elsewhere = TREE.note(3).replace(b"\n3\n", b"\n4\n", 1)
    assert world.ask(request(0, [], signed_elsewhere)).status == 403
    # A stranger's line beside the log's own changes nothing.
    both = TREE.note(3) + TREE.note(3, thief).splitlines(keepends=True)[-1]
    cosigned(world, world.ask(request(0, [], both)), TREE.note(3))


GOOD = grown(0, 3)
MALFORMED = {
    "empty": b"",
    "no-old-line": GOOD.partition(b"\n")[2],
    "old-with-zeros": GOOD.replace(b"old 0", b"old 00"),
    "old-negative": GOOD.replace(b"old 0", b"old -1"),
    "old-in-other-digits": GOOD.replace(b"old 0", "old ٣".encode()),
    "old-over-size": GOOD.replace(b"old 0", b"old 4"),
    "old-without-end": b"old 0",
    "carriage-returns": GOOD.replace(b"\n", b"\r\n"),
    "no-separator": GOOD.replace(b"\n\n", b"\n", 1),
    "proof-not-base64": request(0, [], GOOD).replace(b"old 0\n\n", b"old 0\n????\n\n", 1),
    "proof-of-31-bytes": request(0, [b"\0" * 31], TREE.note(3)),
    "proof-of-64-lines": request(0, [b"\0" * 32] * 64, TREE.note(3)),
    "proof-spelled-otherwise": GOOD.replace(b"old 0\n", b"old 0\n" + b"A" * 42 + b"B=" + b"\n", 1),
    "size-with-zeros": GOOD.replace(b"\n3\n", b"\n03\n"),
    "size-missing": GOOD.replace(b"\n3\n", b"\n"),
    "size-huge": GOOD.replace(b"\n3\n", b"\n99999999999999999\n"),
    "root-of-31-bytes": GOOD.replace(GOOD.splitlines()[4], base64.b64encode(b"\0" * 31)),
    "no-signature": GOOD[: GOOD.rindex("— ".encode())],
    "no-last-newline": GOOD[:-1],
    "a-hyphen-for-the-dash": GOOD.replace("— ".encode(), b"- "),
    "not-utf-8": GOOD.replace(ORIGIN.encode(), b"\xff" + ORIGIN.encode()),
    "a-control-character": GOOD.replace(ORIGIN.encode(), b"\x07" + ORIGIN.encode()),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_400(world: World, name: str) -> None:
    answer = world.ask(MALFORMED[name])
    assert (answer.status, answer.type) == (400, "text/plain; charset=utf-8"), answer.body
    assert world.memory.newest(ORIGIN) is None


def test_no_bit_of_a_signed_request_is_free(world: World) -> None:
    """Whatever is cosigned is the text that the log signed, byte for byte."""
    note = TREE.note(3)
    for at in range(len(GOOD)):
        for bit in range(8):
            changed = bytearray(GOOD)
            changed[at] ^= 1 << bit
            answer = world.ask(bytes(changed))
            if answer.status == 200:
                cosigned(world, answer, note)
                pytest.fail(f"byte {at}, bit {bit}")
    cosigned(world, world.ask(GOOD), note)


def test_what_it_cosigned_it_remembers_after_a_restart(world: World) -> None:
    world.ask(grown(0, 9))
    key = world.key.vkey
    world.restart()
    assert world.key.vkey == key
    assert world.ask(grown(0, 12)).body == b"9\n"
    cosigned(world, world.ask(grown(9, 12)), TREE.note(12))


def test_two_processes_do_not_share_a_memory(world: World) -> None:
    with pytest.raises(ConfigurationError, match="another process is writing it"):
        Memory.open(world.home, NAME, LOGS)


def test_its_key_is_its_own(world: World) -> None:
    path = world.home / "key"
    assert path.stat().st_mode & 0o777 == 0o600
    world.memory.close()
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"witness key .*: mode is 0640, expected"):
        Memory.open(world.home, NAME, LOGS)
    path.chmod(0o600)
    world.start()


def test_it_does_not_make_a_new_key_beside_a_memory(world: World) -> None:
    world.ask(grown(0, 3))
    world.memory.close()
    kept = (world.home / "key").read_bytes()
    (world.home / "key").unlink()
    with pytest.raises(ConfigurationError, match="missing beside a memory"):
        Memory.open(world.home, NAME, LOGS)
    disk.replace(world.home / "key", kept)
    world.start()


def test_a_memory_that_the_log_did_not_sign_stops_the_start(world: World) -> None:
    world.ask(grown(0, 9))
    (path,) = (world.home / "logs").iterdir()
    kept = path.read_bytes()
    world.memory.close()
    thief = LogKey(ORIGIN, Ed25519PrivateKey.generate())
    for wrong in (b"", kept[:-9], kept.replace(b"\n9\n", b"\n8\n"), TREE.note(2, thief)):
        path.write_bytes(wrong)
        with pytest.raises(ConfigurationError, match="not started"):
            Memory.open(world.home, NAME, LOGS)
    path.write_bytes(kept)
    world.start()
    assert world.memory.newest(ORIGIN).size == 9  # type: ignore[union-attr]


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_it_answers_nothing_that_is_not_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Broken once: nothing is cosigned after it, and the next start knows one of the two trees."""
    world.ask(grown(0, 5))
    holder: Any = Path if call == "rename" else disk.os
    real, calls = getattr(holder, call), [0]

    def once(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    monkeypatch.setattr(holder, call, once)
    first = world.ask(grown(5, 9))
    assert (first.status, calls[0] >= 1) == (503, True)
    assert [world.ask(grown(old, 9)).status for old in (5, 9)] == [503, 503]
    monkeypatch.undo()
    world.restart()
    newest = world.memory.newest(ORIGIN)
    assert newest is not None and newest.size in (5, 9)
    cosigned(world, world.ask(grown(newest.size, 12)), TREE.note(12))


def test_it_has_written_and_synced_before_it_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("sync", "sync_directory"):
        real = getattr(disk, name)

        def told(*arguments: Any, _real: Any = real, _name: str = name) -> None:
            _real(*arguments)
            done.append(_name)

        monkeypatch.setattr(disk, name, told)
    real_sign = cosignature.WitnessKey.cosign

    def sign(self: Any, *arguments: Any) -> Signature:
        done.append("sign")
        return real_sign(self, *arguments)

    monkeypatch.setattr(cosignature.WitnessKey, "cosign", sign)
    world.ask(grown(0, 5))
    assert done == ["sync", "sync_directory", "sign"]


def test_a_cosignature_is_of_one_text_one_key_one_time() -> None:
    text = "log.example.org/x\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    key = cosignature.WitnessKey("witness.example.com/w1", Ed25519PrivateKey.generate())
    line = key.cosign(text.encode(), 1679315147)
    other = cosignature.WitnessKey("witness.example.com/w1", Ed25519PrivateKey.generate())
    assert cosignature.verify(text.encode(), line, key.verifier).time == 1679315147
    for wrong_text, wrong_key in ((text.replace("3", "4", 1), key), (text, other)):
        with pytest.raises(NoteError):
            cosignature.verify(wrong_text.encode(), line, wrong_key.verifier)
    for body in (line.body[:-1], line.body + b"\0", b"\xff" * 8 + line.body[8:]):
        wrong = Signature(line.name, line.id, body)
        with pytest.raises(NoteError):
            cosignature.verify(text.encode(), wrong, key.verifier)
