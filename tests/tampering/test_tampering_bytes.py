"""No byte of a bundle is free: each change of one bit, and each cut, is found."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from pathlib import Path

import bundles
import pytest
import repack
from bundles import Case, Judge

from gateway.auditor import verify

SEED = 20261122


def test_the_bundle_itself_verifies(case: Case, judge: Judge) -> None:
    code, text = judge(case.bundle)
    assert (code, text.splitlines()[-1]) == (0, "verdict 0: verified and anchored")
    assert [line[:3] for line in text.splitlines()[:-1]] == [f"{n:2d}." for n in range(11)]


def test_its_own_implementations_agree(case: Case, judge: Judge) -> None:
    code, text = judge(case.small, "--pure")
    assert code == 0
    assert "BLAKE3 of this script; Ed25519 of this script" in text


def test_the_copy_in_the_bundle_needs_python_alone(case: Case, tmp_path: Path) -> None:
    """No site packages, no environment, another folder: as on an auditor's machine."""
    script, bundle = tmp_path / "verify.py", tmp_path / "b.zip"
    script.write_bytes(repack.members(case.bundle)["verify.py"])
    bundle.write_bytes(case.bundle)
    for trust, verdict in ((["--trust", str(case.trust)], 0), ([], 2)):
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(script), str(bundle), *trust],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert (done.returncode, done.stderr) == (verdict, "")
        assert "BLAKE3 of this script; Ed25519 of this script" in done.stdout
    bundle.write_bytes(case.bundle.replace(b"maria", b"marie", 1))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(bundle)], capture_output=True, text=True
    )
    assert done.returncode == 1


def test_the_script_is_one_file_of_the_standard_library() -> None:
    source = bundles.VERIFIER.decode()
    assert source.count("\n") < 1000
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    outside = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert outside == {"blake3", "cryptography"}


def test_one_bit_of_each_byte(case: Case, judge: Judge) -> None:
    choice = random.Random(SEED)
    survivors = []
    for at in range(len(case.small)):
        changed = bytearray(case.small)
        changed[at] ^= 1 << choice.randrange(8)
        code, text = judge(bytes(changed))
        if code != 1 or "verdict 1: tampered: " not in text:
            survivors.append((at, code))
    assert survivors == []


@pytest.mark.parametrize("member", ["manifest.json", "ledger/consistency.json", "checkpoint"])
def test_bits_of_what_is_signed(case: Case, judge: Judge, member: str) -> None:
    """Behind a container that is right again: checksums, lengths and all."""
    parts = repack.members(case.small)
    survivors = []
    for at in range(len(parts[member])):
        # The last bits of base64 and the case of hex are where a second spelling would hide.
        for bit in (0, 5):
            changed = bytearray(parts[member])
            changed[at] ^= 1 << bit
            if judge(repack.pack({**parts, member: bytes(changed)}))[0] != 1:
                survivors.append((at, bit))
    assert survivors == []


@pytest.mark.parametrize("member", [name for name in verify.MEMBERS if name != "manifest.json"])
def test_bytes_of_each_member_behind_a_manifest_signed_again(
    case: Case, judge: Judge, member: str
) -> None:
    """Who holds the key of exports still cannot change what the ledger covers."""
    if member in ("report.html", "verify.py", "README.txt"):
        # These are only the exporter's word: the manifest is all that covers them.
        changed = repack.members(case.small) | {member: b"changed"}
        assert judge(repack.pack(changed))[0] == 1
        return
    parts = repack.members(case.small)
    places = range(len(parts[member]))
    choice = random.Random(SEED)
    if len(places) > 400:
        places = choice.sample(places, 400)
    survivors = []
    for at in places:
        changed = bytearray(parts[member])
        changed[at] ^= 1 << choice.randrange(8)
        forged = repack.restate({**parts, member: bytes(changed)}, case.log.sign_manifest)
        if judge(repack.pack(forged))[0] != 1:
            survivors.append(at)
    assert survivors == []


def test_every_cut_and_every_tail(case: Case, judge: Judge) -> None:
    ends = [*range(0, len(case.small), 97), *range(len(case.small) - 200, len(case.small))]
    assert {judge(case.small[:end])[0] for end in ends} == {1}
    assert {judge(case.small[end:])[0] for end in ends if end} == {1}
    for tail in (b"\0", b"PK", case.small, b"\n"):
        assert judge(case.small + tail)[0] == 1
        assert judge(tail + case.small)[0] == 1


def test_random_damage(case: Case, judge: Judge) -> None:
    choice = random.Random(SEED + 1)
    for _ in range(1500):
        changed = bytearray(case.small)
        for _ in range(choice.randrange(1, 4)):
            start = choice.randrange(len(changed))
            end = min(len(changed), start + choice.randrange(1, 64))
            kind = choice.randrange(4)
            if kind == 0:
                changed[start:end] = choice.randbytes(end - start)
            elif kind == 1:
                del changed[start:end]
            elif kind == 2:
                changed[start:start] = changed[start:end]
            else:
                other = choice.randrange(len(changed))
                changed[start:end], changed[other : other + end - start] = (
                    changed[other : other + end - start],
                    changed[start:end],
                )
        if bytes(changed) != case.small:
            assert judge(bytes(changed))[0] == 1
