"""Attacks with a plan: what someone does who knows the format, and what he holds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import struct
import sys
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import pytest
import repack
from bundles import Case, Judge
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import evidence
from gateway.errors import InvalidRequest
from gateway.evidence import canonical
from gateway.sessionlog import SessionLog, merkle
from gateway.sessionlog.note import MANIFEST_PREFIX, LogKey


def without(items: list[bytes], index: int) -> list[bytes]:
    return items[:index] + items[index + 1 :]


LINE_ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "first-record-gone": lambda r: r[1:],
    "last-record-gone": lambda r: r[:-1],
    "middle-record-gone": lambda r: without(r, 5),
    "record-twice": lambda r: [*r[:4], r[3], *r[4:]],
    "two-swapped": lambda r: [*r[:2], r[3], r[2], *r[4:]],
    "all-gone": lambda r: [],
    "cut-in-a-line": lambda r: [*r[:-1], r[-1][:40]],
    "blank-line": lambda r: [*r[:3], b"\n", *r[3:]],
    "crlf": lambda r: [line.replace(b"\n", b"\r\n") for line in r],
    "last-newline-gone": lambda r: [*r[:-1], r[-1].rstrip(b"\n")],
    "space-added": lambda r: [*r[:2], r[2].replace(b'":', b'": ', 1), *r[3:]],
}


@pytest.mark.parametrize("attack", LINE_ATTACKS)
@pytest.mark.parametrize("signed", [False, True], ids=["as-found", "manifest-signed-again"])
def test_lines(case: Case, judge: Judge, attack: str, signed: bool) -> None:
    parts = repack.members(case.small)
    parts["session.jsonl"] = b"".join(LINE_ATTACKS[attack](repack.lines(parts)))
    if signed:
        parts = repack.restate(parts, case.log.sign_manifest, records=len(repack.lines(parts)))
    assert judge(repack.pack(parts))[0] == 1


def test_the_changed_record_is_named(case: Case, judge: Judge) -> None:
    parts = repack.members(case.small)
    records = repack.lines(parts)
    records[5] = records[5].replace(b"mrn = '1'", b"mrn = '2'")
    parts["session.jsonl"] = b"".join(records)
    code, text = judge(repack.pack(parts))
    assert code == 1
    assert "(changed: record 5 or the link of record 6): expected" in text


def beautify(records: list[dict[str, Any]]) -> None:
    """What an operator would like to hide, and a genesis that fits a tree of his own."""
    records[5]["body"]["statement"] = "SELECT 1"
    records[0]["genesis"] |= {"cp_size": 0, "cp_root": merkle.EMPTY_ROOT.hex()}


def own_key() -> LogKey:
    return LogKey(bundles.ORIGIN, Ed25519PrivateKey.generate())


def test_everything_hashed_and_signed_again_with_another_key(case: Case, judge: Judge) -> None:
    forged = repack.forge(case.small, beautify, own_key())
    code, text = judge(forged)
    assert code == 1
    assert "the trust file does not name" in text
    # Without a trust file it is as good as any other bundle: that is why 0 needs one.
    assert judge(forged, trust=None)[0] == 2


def test_everything_hashed_again_without_the_key(case: Case, judge: Judge) -> None:
    parts = repack.members(case.small)
    forged = repack.members(repack.forge(case.small, beautify, own_key()))
    manifest = json.loads(forged["manifest.json"])
    genuine = json.loads(parts["manifest.json"])
    manifest |= {"key": genuine["key"]}
    for signature in (manifest["signature"], genuine["signature"]):
        manifest["signature"] = signature
        forged["manifest.json"] = canonical.encode(manifest)
        code, text = judge(repack.pack(forged))
        assert code == 1
        assert "manifest.json: signature by" in text


@pytest.mark.parametrize(
    "member", ["checkpoint", "ledger/leaves.jsonl", "ledger/consistency.json", "session.jsonl"]
)
def test_parts_of_another_session(case: Case, judge: Judge, member: str) -> None:
    """Spliced under a manifest signed with the genuine key."""
    parts = repack.members(case.small)
    files = case.open_files
    story = json.loads(files.records.split(b"\n")[0])
    other = {
        "checkpoint": files.checkpoint,
        "session.jsonl": files.records,
        "ledger/leaves.jsonl": b"".join(
            canonical.encode(
                {
                    "index": leaf.index,
                    "leaf": leaf.data.decode(),
                    "proof": [part.hex() for part in leaf.proof],
                }
            )
            + b"\n"
            for leaf in files.leaves
        ),
        "ledger/consistency.json": canonical.encode(
            {
                "from": story["genesis"]["cp_size"],
                "proof": [part.hex() for part in files.consistency],
                "to": int(files.checkpoint.split(b"\n")[1]),
            }
        ),
    }
    if other[member] == parts[member]:
        pytest.fail("the two sessions do not differ in this part")
    spliced = repack.restate({**parts, member: other[member]}, case.log.sign_manifest)
    assert judge(repack.pack(spliced))[0] == 1


async def test_an_old_checkpoint(case: Case, judge: Judge) -> None:
    """A genuine note of the same log, from before the session ended."""
    parts = repack.members(case.small)
    old = case.log._key.sign_checkpoint(2, merkle.node_hash(*(
        merkle.leaf_hash(case.log._tiles.leaf(index)) for index in (0, 1)
    )))  # fmt: skip
    forged = repack.restate({**parts, "checkpoint": old.note}, case.log.sign_manifest)
    code, text = judge(repack.pack(forged))
    assert code == 1
    assert "tampered: ledger/leaves.jsonl, line 1: the proof is too long" in text


def test_an_open_session_is_incomplete(case: Case, judge: Judge) -> None:
    code, text = judge(bundles.export(case.log, case.open_files))
    assert code == 2
    assert "still open when this was exported" in text


def test_an_open_session_dressed_as_closed(case: Case, judge: Judge) -> None:
    """A close record appended by hand is not under the commit leaf."""
    parts = repack.members(bundles.export(case.log, case.open_files, bundles.STAND_IN))
    records = [json.loads(line) for line in repack.lines(parts)]
    last = json.loads(json.dumps(records[-1]))
    last |= {"type": "close", "body": {"reason": "done", "statements": 4}}
    parts["session.jsonl"], _ = repack.rehash([*records, last], bundles.ORIGIN)
    forged = repack.restate(parts, case.log.sign_manifest, records=len(records) + 1)
    assert judge(repack.pack(forged))[0] == 1


def zipped(parts: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def containers() -> dict[str, Callable[[dict[str, bytes]], bytes]]:
    def symlink(parts: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in parts.items():
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.external_attr = (0o120777 if name == "policy.toml" else 0o100644) << 16
                archive.writestr(info, data)
        return buffer.getvalue()

    def duplicate(parts: dict[str, bytes]) -> bytes:
        data = bytearray(zipped({**parts, "grant.jso2": b"{}"}))
        return bytes(data.replace(b"grant.jso2", b"grant.json"))

    def bomb(parts: dict[str, bytes]) -> bytes:
        return zipped({**parts, "session.jsonl": bytes(64 << 20)}, compression=zipfile.ZIP_DEFLATED)

    def huge(parts: dict[str, bytes]) -> bytes:
        data = bytearray(repack.pack(parts))
        at = data.index(b"session.jsonl") - 30
        struct.pack_into("<II", data, at + 18, 0xFFFFFFF0, 0xFFFFFFF0)
        return bytes(data)

    return {
        "another-tool": zipped,
        "compressed": lambda parts: zipped(parts, compression=zipfile.ZIP_DEFLATED),
        "bomb": bomb,
        "member-missing": lambda p: zipped({n: d for n, d in p.items() if n != "grant.json"}),
        "member-extra": lambda p: zipped({**p, "more.txt": b"x"}),
        "member-renamed": lambda p: zipped({n.replace("grant", "Grant"): d for n, d in p.items()}),
        "member-twice": duplicate,
        "path-escaping": lambda p: zipped(
            {n.replace("policy", "../policy"): d for n, d in p.items()}
        ),
        "absolute-path": lambda p: zipped({"/etc/passwd": b"x", **p}),
        "other-order": lambda p: zipped(dict(reversed(p.items()))),
        "symlink": symlink,
        "size-beyond-the-file": huge,
        "comment": lambda p: repack.pack(p)[:-2] + b"\x03\x00abc",
        "not-a-zip": lambda p: b"hello\n" * 100,
        "empty": lambda p: b"",
        "one-byte": lambda p: b"P",
        "end-record-only": lambda p: repack.pack(p)[-22:],
    }


@pytest.mark.parametrize("defect", containers())
def test_containers(case: Case, judge: Judge, defect: str) -> None:
    data = containers()[defect](repack.members(case.small))
    code, text = judge(data)
    assert (code, text.splitlines()[-1][:30]) == (1, "verdict 1: tampered: container"), text


NOTES: dict[str, Callable[[str], str]] = {
    "hyphen-for-dash": lambda n: n.replace("— ", "- "),
    "en-dash": lambda n: n.replace("— ", "– "),
    "crlf": lambda n: n.replace("\n", "\r\n"),
    "no-last-newline": lambda n: n.rstrip("\n"),
    "more-newlines": lambda n: n + "\n",
    "url-safe-base64": lambda n: n.replace("+", "-").replace("/", "_"),
    "padding-gone": lambda n: n.replace("=\n", "\n", 1),
    "leading-zero": lambda n: n.replace("\n", "\n0", 1),
    "sign-on-size": lambda n: n.replace("\n", "\n+", 1),
    "arabic-digits": lambda n: n.replace(size := n.split("\n")[1], chr(1632 + int(size[0])), 1),
    "extra-line": lambda n: n.replace("\n\n", "\nextra\n\n"),
    "signature-twice": lambda n: n + n.split("\n")[4] + "\n",
    "no-signature": lambda n: n.split("\n\n")[0] + "\n\n",
    "other-origin": lambda n: n.replace("log.example.org", "log.example.com"),
    "bom": lambda n: "\ufeff" + n,
    "empty": lambda n: "",
}


@pytest.mark.parametrize("defect", NOTES)
def test_checkpoints_with_another_spelling(case: Case, judge: Judge, defect: str) -> None:
    parts = repack.members(case.small)
    changed = NOTES[defect](parts["checkpoint"].decode())
    if defect in ("url-safe-base64", "padding-gone") and changed.encode() == parts["checkpoint"]:
        changed = changed.replace("\n", "\n ", 1)
    forged = repack.restate({**parts, "checkpoint": changed.encode()}, case.log.sign_manifest)
    code, text = judge(repack.pack(forged))
    assert (code, "verdict 1: tampered: checkpoint" in text) == (1, True), text


def test_a_second_signature_for_one_message(case: Case, judge: Judge) -> None:
    """S + L is as good in the equation; the strict rules of RFC 8032 refuse it."""
    parts = repack.members(case.small)
    manifest = json.loads(parts["manifest.json"])
    signature = base64.b64decode(manifest["signature"])
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    manifest["signature"] = base64.b64encode(signature[:32] + s.to_bytes(32, "little")).decode()
    code, text = judge(repack.pack({**parts, "manifest.json": canonical.encode(manifest)}))
    assert (code, "S is not below the order" in text) == (1, True)


def test_a_key_of_small_order(case: Case, judge: Judge, tmp_path: Path) -> None:
    """A key for which one signature fits many messages."""
    parts = repack.members(case.small)
    manifest = json.loads(parts["manifest.json"])
    public = b"\x01" + bytes(31)
    encoded = b"\x01" + public
    hashed = hashlib.sha256(bundles.ORIGIN.encode() + b"\n" + encoded).hexdigest()[:8]
    vkey = f"{bundles.ORIGIN}+{hashed}+{base64.b64encode(encoded).decode()}"
    manifest |= {"key": vkey, "signature": base64.b64encode(public + bytes(32)).decode()}
    trust = tmp_path / "trust.json"
    trust.write_text(
        json.dumps({"type": "trust", "v": 1, "origin": bundles.ORIGIN, "keys": [vkey]})
    )
    data = repack.pack({**parts, "manifest.json": canonical.encode(manifest)})
    for arguments in ([], ["--pure"]):
        code, text = judge(data, *arguments, trust=trust)
        assert (code, "of small order" in text) == (1, True)


TRUST = {
    "not-json": b"{",
    "not-an-object": b"[]",
    "no-keys": b'{"type":"trust","v":1,"origin":"log.example.org/clinic"}',
    "empty-keys": b'{"type":"trust","v":1,"origin":"log.example.org/clinic","keys":[]}',
    "number-for-key": b'{"type":"trust","v":1,"origin":"log.example.org/clinic","keys":[1]}',
    "not-a-key": b'{"type":"trust","v":1,"origin":"log.example.org/clinic","keys":["a+b+c"]}',
    "wrong-version": b'{"type":"trust","v":2,"origin":"log.example.org/clinic","keys":["a"]}',
    "key-twice": b'{"type":"trust","v":1,"v":1,"origin":"x","keys":[]}',
    "float": b'{"type":"trust","v":1.0,"origin":"x","keys":["a"]}',
    "not-utf-8": b"\xff\xfe",
    "deep": b"[" * 60000,
    "long": b" " * (1 << 17),
}


@pytest.mark.parametrize("defect", TRUST)
def test_wrong_trust_files_are_wrong_usage(
    case: Case, judge: Judge, tmp_path: Path, defect: str
) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(TRUST[defect])
    code, text = judge(case.small, trust=path)
    assert (code, text.startswith("verify.py: trust file")) == (3, True), text


def test_a_trust_file_of_another_log(case: Case, judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    other = LogKey("log.example.org/other", Ed25519PrivateKey.generate())
    stated = {"type": "trust", "v": 1, "origin": other.origin, "keys": [other.vkey]}
    path.write_text(json.dumps(stated))
    assert judge(case.small, trust=path)[0] == 1


def test_usage(case: Case, judge: Judge, tmp_path: Path) -> None:
    assert judge(case.small, trust=tmp_path / "missing.json")[0] == 3
    assert judge(case.small, "--no-such-option")[0] == 3
    assert judge(case.small, str(tmp_path))[0] == 3
    assert judge(case.small, "--help")[0] == 0
    code, text = judge(case.small, "--self")
    assert (code, text.strip()) == (0, hashlib.sha256(bundles.VERIFIER).hexdigest())


def test_the_listing_cannot_steer_the_terminal(case: Case, judge: Judge) -> None:
    code, text = judge(case.small, "--list")
    assert code == 0
    assert "SELECT 1 WHERE mrn = '1'" in text
    assert "\\u{202e}" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_nothing_is_listed_of_a_tampered_bundle(case: Case, judge: Judge) -> None:
    changed = case.small.replace(b"maria@", b"carla@", 1)
    code, text = judge(changed, "--list")
    assert code == 1
    assert "carla" not in text


def test_memory_stays_bounded(case: Case, judge: Judge) -> None:
    """A member that claims four gigabytes costs nothing."""
    before = sys.getallocatedblocks()
    assert judge(containers()["size-beyond-the-file"](repack.members(case.small)))[0] == 1
    assert sys.getallocatedblocks() - before < 100_000


def test_a_policy_of_another_hash_is_not_bundled(case: Case) -> None:
    with pytest.raises(InvalidRequest):
        evidence.build(
            case.files, policy=b"other", verifier=b"", sign=case.log.sign_manifest,
            created=bundles.CREATED,
        )  # fmt: skip


def test_the_policy_and_the_grant_are_the_recorded_ones(case: Case, judge: Judge) -> None:
    parts = repack.members(case.small)
    for member, data in (("policy.toml", b"x = 1\n"), ("grant.json", b"{}\n")):
        forged = repack.restate({**parts, member: data}, case.log.sign_manifest)
        code, text = judge(repack.pack(forged))
        assert (code, f"tampered: {member}" in text) == (1, True)


async def test_the_gateways_own_session_has_no_bundle(case: Case) -> None:
    files = await case.log.session_bytes(case.log._gateway.sid)
    with pytest.raises(InvalidRequest):
        bundles.export(case.log, files)


async def test_an_interrupted_session_is_incomplete(judge: Judge, tmp_path: Path) -> None:
    home = tmp_path / "log"
    log = SessionLog.open(home, origin=bundles.ORIGIN, version="0.1.0")
    sid = str(uuid.uuid4())
    await bundles.converse(log, sid)
    # Stopped without a word: the thread ends, the lock is given free, nothing more is written.
    log._commits.stop()
    os.close(log._lock_fd)
    again = SessionLog.open(home, origin=bundles.ORIGIN, version="0.1.0")
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps(again.trust_file()))
    code, text = judge(bundles.export(again, await again.session_bytes(sid)), trust=trust)
    await again.aclose()
    assert (code, "stopped before the session was closed" in text) == (2, True), text


def test_manifest_and_checkpoint_signatures_do_not_pass_for_each_other(case: Case) -> None:
    assert b" " in MANIFEST_PREFIX.split(b"\n")[0]
    with pytest.raises(Exception, match="log origin"):
        LogKey("maskgate evidence manifest v1", Ed25519PrivateKey.generate())
