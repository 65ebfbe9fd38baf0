"""What others keep against whoever has the log's key: cosignatures, an auditor's memory."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import pytest
import repack
from bundles import STAND_IN, Case, Judge
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.auditor import verify
from gateway.errors import Conflict
from gateway.sessionlog import SessionLog
from gateway.sessionlog.cosignature import WitnessKey
from gateway.sessionlog.note import LogKey, Note, Signature

NOW = 1_795_000_000
WITNESSES = [
    WitnessKey(f"witness.example.org/w{n}", Ed25519PrivateKey.generate()) for n in (1, 2, 3)
]
ONE, TWO, THREE = WITNESSES


def line(witness: WitnessKey, note: bytes, time: int = NOW) -> bytes:
    return witness.cosign(Note.parse(note).text, time).line


def with_checkpoint(case: Case, note: bytes) -> bytes:
    """The bundle with this checkpoint, behind a manifest that the log's key signed again."""
    parts = repack.members(case.small) | {"checkpoint": note}
    return repack.pack(repack.restate(parts, case.log.sign_manifest))


def cosigned(case: Case, *witnesses: WitnessKey) -> bytes:
    note = repack.members(case.small)["checkpoint"]
    return with_checkpoint(case, note + b"".join(line(one, note) for one in witnesses))


@pytest.fixture
def trusting(case: Case, tmp_path: Path) -> Callable[..., Path]:
    """A trust file with witnesses, or with whatever else."""

    def write(*witnesses: WitnessKey, **changes: Any) -> Path:
        stated = case.log.trust_file()
        if witnesses:
            stated |= {"witnesses": [one.vkey for one in witnesses], "quorum": len(witnesses)}
        path = tmp_path / f"trust-{uuid.uuid4()}.json"
        path.write_text(json.dumps(stated | changes))
        return path

    return write


Trusting = Callable[..., Path]


def test_a_quorum_that_has_signed(case: Case, judge: Judge, trusting: Trusting) -> None:
    code, text = judge(cosigned(case, ONE, TWO), trust=trusting(ONE, TWO, THREE, quorum=2))
    assert code == 0, text
    assert f"cosigned by {ONE.name} at {NOW}, {TWO.name} at {NOW}" in text
    code, text = judge(cosigned(case, ONE, TWO), "--pure", trust=trusting(ONE, TWO))
    assert code == 0, text


@pytest.mark.parametrize("have", [(), (ONE,), (ONE, THREE), (THREE,)])
def test_fewer_than_the_quorum(
    case: Case, judge: Judge, trusting: Trusting, have: tuple[WitnessKey, ...]
) -> None:
    code, text = judge(cosigned(case, *have), trust=trusting(ONE, TWO))
    known = len({*have} & {ONE, TWO})
    said = f"not anchored: {known} of the 2 witnesses it needs have cosigned the checkpoint"
    assert (code, said in text) == (2, True), text


def test_strangers_are_passed_over(case: Case, judge: Judge, trusting: Trusting) -> None:
    """Their lines may be there; they count for nobody."""
    stranger = WitnessKey(ONE.name, Ed25519PrivateKey.generate())
    assert judge(cosigned(case, ONE, TWO))[0] == 0
    assert judge(cosigned(case, stranger, TWO), trust=trusting(TWO))[0] == 0
    assert judge(cosigned(case, stranger, TWO), trust=trusting(ONE, TWO))[0] == 2


def test_no_bit_of_a_cosignature_is_free(case: Case, judge: Judge, trusting: Trusting) -> None:
    note = repack.members(case.small)["checkpoint"]
    own = line(ONE, note)
    trust = trusting(ONE)
    verdicts = set()
    for at in range(len(own)):
        for bit in (0, 3, 6):
            changed = bytearray(own)
            changed[at] ^= 1 << bit
            code, text = judge(with_checkpoint(case, note + bytes(changed)), trust=trust)
            assert code in (1, 2), (at, bit, text)
            # Another name or key id is another key, which nobody knows; all else is tampering.
            named = len("— ".encode()) <= at < len(own) - 99
            assert code == 1 or named, (at, bit, text)
            verdicts.add(code)
    assert verdicts == {1, 2}


def respelled(own: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The line with its signature's bytes behind the key id changed."""
    found = Signature.parse(own.decode()[:-1])
    return Signature(found.name, found.id, change(found.body)).line


def other_note(case: Case) -> bytes:
    """An earlier state of the same log, signed by its key."""
    key: LogKey = case.log._key
    return key.sign_checkpoint(3, b"\7" * 32).note


WRONG: dict[str, Callable[[Case, bytes, bytes], bytes]] = {
    "of-another-checkpoint": lambda case, note, own: note + line(ONE, other_note(case)),
    "another-time": lambda case, note, own: note + respelled(own, lambda b: b"\0" * 8 + b[8:]),
    "a-time-beyond-time": lambda case, note, own: note + line(ONE, note, 1 << 63),
    "short": lambda case, note, own: note + respelled(own, lambda b: b[:-1]),
    "long": lambda case, note, own: note + respelled(own, lambda b: b + b"\0"),
    "nothing-but-a-time": lambda case, note, own: note + respelled(own, lambda b: b[:8]),
    "empty": lambda case, note, own: note + respelled(own, lambda b: b"\0"),
    "a-key-id-alone": lambda case, note, own: note + f"— {ONE.name} AAAAAA==\n".encode(),
    "signed-by-another-key": lambda case, note, own: (
        note + respelled(own, lambda b: Signature.parse(line(TWO, note).decode()[:-1]).body)
    ),
    "signed-as-a-log-signs": lambda case, note, own: (
        note + respelled(own, lambda b: b[:8] + ONE._private.sign(Note.parse(note).text))
    ),
    "twice": lambda case, note, own: note + own + own,
    "twice-the-second-one-wrong": lambda case, note, own: (
        note + own + respelled(own, lambda b: b[:-1] + bytes([b[-1] ^ 1]))
    ),
    "before-the-log-s-own": lambda case, note, own: note.replace(b"\n\n", b"\n\n" + own),
    "instead-of-the-log-s-own": lambda case, note, own: note[: note.index(b"\n\n") + 2] + own,
    "the-log-s-own-twice": lambda case, note, own: note + note[note.index(b"\n\n") + 2 :],
    "an-empty-line-between": lambda case, note, own: note + b"\n" + own,
    "an-empty-line-behind": lambda case, note, own: note + own + b"\n",
    "without-its-end": lambda case, note, own: (note + own)[:-1],
    "carriage-return": lambda case, note, own: note + own.replace(b"\n", b"\r\n"),
    "a-hyphen": lambda case, note, own: note + own.replace("—".encode(), b"-"),
    "two-spaces": lambda case, note, own: note + own.replace(b" w", b"  w"),
    "a-word-behind": lambda case, note, own: note + own.replace(b"\n", b" x\n"),
    "base64-otherwise": lambda case, note, own: note + own.replace(b"=\n", b"\n"),
    "a-name-with-a-plus": lambda case, note, own: note + own.replace(b"witness.", b"witness+"),
    "a-name-in-other-letters": lambda case, note, own: (
        note + own.replace(b"witness.", "wítness.".encode())
    ),
    "not-utf-8": lambda case, note, own: note + own.replace(b"witness.", b"witness\xff"),
    "an-extension-line": lambda case, note, own: note.replace(b"\n\n", b"\nmore\n\n") + own,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_lines_of_a_witness_that_is_known(
    case: Case, judge: Judge, trusting: Trusting, name: str
) -> None:
    note = repack.members(case.small)["checkpoint"]
    wrong = WRONG[name](case, note, line(ONE, note))
    assert wrong != note + line(ONE, note)
    code, text = judge(with_checkpoint(case, wrong), trust=trusting(ONE))
    assert (code, "verdict 1: tampered: checkpoint" in text) == (1, True), text


def test_one_key_is_one_witness(case: Case, judge: Judge, trusting: Trusting) -> None:
    alias = WitnessKey("witness.example.org/alias", ONE._private)
    code, text = judge(cosigned(case, ONE, alias), trust=trusting(ONE, alias))
    assert (code, "keys of their own" in text) == (3, True), text
    assert judge(cosigned(case, ONE), trust=trusting(ONE, ONE))[0] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"quorum": 1},
        {"witnesses": [ONE.vkey]},
        {"witnesses": [ONE.vkey], "quorum": 0},
        {"witnesses": [ONE.vkey], "quorum": 2},
        {"witnesses": [ONE.vkey], "quorum": True},
        {"witnesses": [ONE.vkey], "quorum": "1"},
        {"witnesses": [ONE.vkey], "quorum": -1},
        {"witnesses": [ONE.vkey, 1], "quorum": 1},
        {"witnesses": ONE.vkey, "quorum": 1},
        {"witnesses": [ONE.vkey.replace("w1", "w2")], "quorum": 1},
        {"witness": [ONE.vkey]},
        {"quorom": 1},
    ],
    # The key is of this run: its name would be another in each.
    ids=lambda changes: re.sub(r"\+[^']+", "", str(changes)),
)
def test_trust_files_that_demand_what_cannot_be(
    case: Case, judge: Judge, trusting: Trusting, changes: dict[str, Any]
) -> None:
    code, text = judge(cosigned(case, ONE), trust=trusting(**changes))
    assert (code, text.startswith("verify.py: trust file")) == (3, True), text


def test_a_log_s_key_is_no_witness(case: Case, judge: Judge, trusting: Trusting) -> None:
    changes = {"witnesses": case.log.trust_file()["keys"], "quorum": 1}
    assert judge(case.small, trust=trusting(**changes))[0] == 3


# What an auditor remembers.


class Clinic:
    """A log of its own, that can be copied, go on, and be put back."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        self.log = SessionLog.open(self.home, origin=bundles.ORIGIN, version="0.1.0")

    async def bundle(self, since: int | None = None, sid: str = "") -> bytes:
        sid = sid or await bundles.closed_session(self.log)
        files = await self.log.session_bytes(sid, since)
        return bundles.export(self.log, files, STAND_IN)


def size_of(bundle: bytes) -> int:
    return Note.parse(repack.members(bundle)["checkpoint"]).size


@pytest.fixture
def audit(judge: Judge, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The judge with this clinic's trust file and one memory."""

    def run(clinic: Clinic, bundle: bytes, *arguments: str) -> tuple[int, str]:
        trust = tmp_path / "clinic-trust.json"
        trust.write_text(json.dumps(clinic.log.trust_file()))
        return judge(bundle, "--remember", str(tmp_path / "seen"), *arguments, trust=trust)

    return run


Audit = Callable[..., tuple[int, str]]


async def test_a_ledger_that_goes_on(tmp_path: Path, audit: Audit) -> None:
    clinic = Clinic(tmp_path / "log")
    first = await clinic.bundle()
    assert audit(clinic, first)[0] == 0
    told = (tmp_path / "seen").read_text()
    root = Note.parse(repack.members(first)["checkpoint"]).root.hex()
    assert told == f"{bundles.ORIGIN} {size_of(first)} {root}\n"
    assert audit(clinic, first)[0] == 0
    assert (tmp_path / "seen").read_text() == told
    await clinic.bundle()
    sid = await bundles.closed_session(clinic.log)
    code, text = audit(clinic, await clinic.bundle(sid=sid))
    said = (
        f"no proof from the {size_of(first)} leaves you remember: export --since {size_of(first)}"
    )
    assert (code, said in text) == (2, True), text
    second = await clinic.bundle(size_of(first), sid)
    assert json.loads(repack.members(second)["ledger/consistency.json"])["since"]["proof"]
    assert audit(clinic, second)[0] == 0
    # What was seen once is known; what was not, and is older, is not.
    assert audit(clinic, first)[0] == 0
    assert [row.split()[1] for row in (tmp_path / "seen").read_text().splitlines()] == [
        str(size_of(first)),
        str(size_of(second)),
    ]
    await clinic.log.aclose()


async def test_a_session_opened_at_what_is_remembered_needs_nothing_more(
    tmp_path: Path, audit: Audit
) -> None:
    clinic = Clinic(tmp_path / "log")
    assert audit(clinic, await clinic.bundle())[0] == 0
    assert audit(clinic, await clinic.bundle())[0] == 0
    await clinic.log.aclose()


async def test_an_older_bundle_is_not_believed_and_not_called_tampered(
    tmp_path: Path, audit: Audit
) -> None:
    clinic = Clinic(tmp_path / "log")
    older, newer = await clinic.bundle(), await clinic.bundle()
    assert audit(clinic, newer)[0] == 0
    code, text = audit(clinic, older)
    assert (code, f"older than the {size_of(newer)} leaves you remember" in text) == (2, True), text
    await clinic.log.aclose()


async def test_a_second_history_is_tampering(tmp_path: Path, audit: Audit) -> None:
    """The directory is copied with its key, goes on, is put back, and goes on otherwise."""
    clinic = Clinic(tmp_path / "log")
    begun = await clinic.bundle()
    await clinic.log.aclose()
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    clinic.start()
    seen = await clinic.bundle()
    assert audit(clinic, begun)[0] == 0
    assert audit(clinic, await clinic.bundle(size_of(begun)))[0] == 0
    remembered = int((tmp_path / "seen").read_text().splitlines()[-1].split()[1])
    await clinic.log.aclose()
    other = Clinic(tmp_path / "copy")
    with pytest.raises(Conflict, match="never had"):
        await other.bundle(remembered)
    verdicts = []
    for _ in range(8):
        bundle = await other.bundle()
        code, text = audit(other, bundle)
        assert code in (1, 2), text
        verdicts.append(code)
        if size_of(bundle) > remembered:
            break
    # Larger than what is remembered, and with the proof that its own tree gives.
    code, text = audit(other, await other.bundle(remembered))
    assert code == 1, text
    assert "the ledger you remember" in text or "as remembered" in text
    assert size_of(seen) < remembered
    await other.log.aclose()


async def test_one_size_with_two_roots_is_tampering(tmp_path: Path, audit: Audit) -> None:
    clinic = Clinic(tmp_path / "log")
    bundle = await clinic.bundle()
    (tmp_path / "seen").write_text(f"{bundles.ORIGIN} {size_of(bundle)} {'07' * 32}\n")
    code, text = audit(clinic, bundle)
    assert (code, f"root of {size_of(bundle)} leaves as remembered" in text) == (1, True), text
    genesis = json.loads(repack.lines(repack.members(bundle))[0])["genesis"]
    (tmp_path / "seen").write_text(f"{bundles.ORIGIN} {genesis['cp_size']} {'07' * 32}\n")
    assert audit(clinic, bundle)[0] == 1
    await clinic.log.aclose()


async def test_only_what_was_proved_is_remembered(
    tmp_path: Path, audit: Audit, judge: Judge
) -> None:
    clinic = Clinic(tmp_path / "log")
    bundle = await clinic.bundle()
    seen = tmp_path / "seen"
    remembering = "--remember", str(seen)
    assert judge(bundle, *remembering, trust=None)[0] == 2
    assert not seen.exists()
    assert audit(clinic, bundle.replace(b"maria", b"marie", 1))[0] == 1
    assert not seen.exists()
    trust = tmp_path / "strict.json"
    stated = clinic.log.trust_file() | {"witnesses": [ONE.vkey], "quorum": 1}
    trust.write_text(json.dumps(stated))
    assert judge(bundle, *remembering, trust=trust)[0] == 2
    assert not seen.exists()
    # A session that is still open is not closed, and its checkpoint is good.
    sid = str(uuid.uuid4())
    await bundles.converse(clinic.log, sid)
    assert audit(clinic, await clinic.bundle(sid=sid))[0] == 2
    assert seen.exists()
    await clinic.log.aclose()


@pytest.mark.parametrize(
    "kept", ["word\n", "a b\n", "a 1 xyz\n", f"{bundles.ORIGIN} one {'00' * 32}\n", "\xff"]
)
def test_a_memory_that_is_none_is_wrong_usage(
    case: Case, judge: Judge, tmp_path: Path, kept: str
) -> None:
    (tmp_path / "seen").write_bytes(kept.encode("latin-1"))
    code, text = judge(case.small, "--remember", str(tmp_path / "seen"))
    assert (code, "verify.py: --remember" in text) == (3, True), text


@pytest.mark.parametrize(
    "change",
    [
        {"since": 1},
        {"since": {"from": 1}},
        {"since": {"from": 10**9, "proof": []}},
        {"since": {"from": -1, "proof": []}},
        {"since": {"from": 1, "proof": ["00"]}},
        {"since": {"from": 1, "proof": [], "to": 2}},
        {"sinse": {"from": 1, "proof": []}},
    ],
    ids=str,
)
def test_a_proof_for_nobody_is_well_formed_all_the_same(
    case: Case, judge: Judge, change: dict[str, Any]
) -> None:
    parts = repack.members(case.small)
    stated = json.loads(parts["ledger/consistency.json"]) | change
    parts["ledger/consistency.json"] = verify.canonical(stated)
    code, text = judge(repack.pack(repack.restate(parts, case.log.sign_manifest)))
    assert (code, "ledger/consistency.json" in text) == (1, True), text
