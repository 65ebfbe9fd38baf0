"""Receipts: what a client keeps of a statement, against whoever has the log's key."""

from __future__ import annotations

import base64
import json
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
from gateway.sessionlog import merkle
from gateway.sessionlog.note import LogKey


def receipt(case: Case, number: int = 1, **changes: Any) -> dict[str, Any]:
    """The receipt of a released statement of the case's session, signed by its log."""
    records = [json.loads(row) for row in repack.lines(repack.members(case.small))]
    found = next(
        n
        for n, record in enumerate(records)
        if record["type"] == "release" and record["body"]["statement_no"] == number
    )
    kept = ("rows", "truncated", "cells_masked", "digest", "notes")
    stated = {
        "session": records[0]["sid"],
        "statement": number,
        "record_hash": records[found + 1]["prev"],
        **{name: records[found]["body"][name] for name in kept},
    }
    return case.log.signed_receipt(stated | changes)


@pytest.fixture
def receipts(case: Case, judge: Judge, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def run(*kept: dict[str, Any], data: bytes = case.small) -> tuple[int, str]:
        folder = tmp_path / f"receipts-{uuid.uuid4()}"
        folder.mkdir()
        for number, one in enumerate(kept):
            (folder / f"{number}.json").write_text(json.dumps(one, indent=2))
        return judge(data, "--receipts", str(folder))

    return run


Receipts = Callable[..., tuple[int, str]]


def test_a_receipt_of_the_session(
    case: Case, judge: Judge, receipts: Receipts, tmp_path: Path
) -> None:
    code, text = receipts(receipt(case))
    assert (code, "11. receipts: 1 are of records in this bundle" in text) == (0, True), text
    one = tmp_path / "one.json"
    one.write_text(json.dumps(receipt(case)))
    assert judge(case.small, "--receipts", str(one))[0] == 0
    elsewhere = receipt(case, session=str(uuid.uuid4()))
    code, text = receipts(receipt(case), elsewhere)
    assert (code, "1 of other sessions" in text) == (0, True), text


def test_receipts_that_prove_nothing_are_not_passed_over(case: Case, receipts: Receipts) -> None:
    for kept in ((), (receipt(case, session=str(uuid.uuid4())),)):
        code, text = receipts(*kept)
        assert (code, "not every receipt is of a statement in this bundle" in text) == (2, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"statement": 2},
        {"statement": 3},
        {"statement": 99},
        {"record_hash": "00" * 32},
        {"rows": 6},
        {"rows": True},
        {"truncated": True},
        {"cells_masked": {}},
        {"digest": "00" * 32},
        {"notes": ["another"]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_receipt_that_the_log_signed_and_did_not_record(
    case: Case, receipts: Receipts, changes: dict[str, Any]
) -> None:
    """The log's key says that a statement was released so; the bundle says otherwise."""
    code, text = receipts(receipt(case, **changes))
    assert (code, "is not recorded as it says" in text) == (1, True), text


def test_a_receipt_that_the_log_did_not_sign(case: Case, receipts: Receipts) -> None:
    own = receipt(case)
    thief = LogKey(bundles.ORIGIN, Ed25519PrivateKey.generate())
    unsigned = {name: value for name, value in own.items() if name != "signature"}
    forged = unsigned | {"key": thief.vkey}
    forged["signature"] = base64.b64encode(thief.sign_receipt(verify.canonical(forged))).decode()
    manifest = case.log.sign_manifest(verify.canonical(unsigned))
    for wrong in (
        unsigned,
        {name: value for name, value in own.items() if name != "key"},
        forged,
        forged | {"key": own["key"]},
        own | {"rows": 6},
        own | {"signature": base64.b64encode(manifest).decode()},
        own | {"signature": ""},
        own | {"signature": own["signature"].rstrip("=")},
    ):
        code, text = receipts(own, wrong)
        assert (code, "tampered: receipt 1.json" in text) == (1, True), text


@pytest.mark.parametrize("kept", [b"", b"[]", b"{", b"\xff", b'{"session":1}', b'{"a":1.5}'])
def test_receipts_that_are_none(case: Case, judge: Judge, tmp_path: Path, kept: bytes) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(kept)
    code, text = judge(case.small, "--receipts", str(path))
    assert (code, "tampered: receipt odd.json" in text) == (1, True), text
    assert judge(case.small, "--receipts", str(tmp_path / "missing"))[0] == 3


def drop_another(records: list[dict[str, Any]]) -> None:
    del records[6:8]
    records[-1]["body"]["statements"] = 3
    for record in records:
        if record["body"].get("statement_no") == 4:
            record["body"]["statement_no"] = 3


def change_its_words(records: list[dict[str, Any]]) -> None:
    records[1]["body"]["statement"] = "SELECT 1"


@pytest.mark.parametrize("change", [drop_another, change_its_words])
def test_a_receipt_against_whoever_has_the_key_and_makes_everything_again(
    case: Case, receipts: Receipts, judge: Judge, change: Callable[[Any], None]
) -> None:
    def forge(records: list[dict[str, Any]]) -> None:
        records[0]["genesis"] |= {"cp_size": 0, "cp_root": merkle.EMPTY_ROOT.hex()}
        change(records)

    forged = repack.forge(case.small, forge, case.log._key)
    assert judge(forged)[0] == 0
    code, text = receipts(receipt(case), data=forged)
    assert (code, "statement 1 is not recorded as it says" in text) == (1, True), text


async def test_a_receipt_of_a_statement_behind_the_export(case: Case, receipts: Receipts) -> None:
    sid = str(uuid.uuid4())
    await case.log.open_session(sid, bundles.opened())
    await case.log.append(sid, "intent", bundles.intent(1))
    early = bundles.export(case.log, await case.log.session_bytes(sid), STAND_IN)
    await case.log.append(sid, "result", bundles.result(1, 0, 3, 3))
    body = bundles.release(1, 3, b"rows")
    ref = await case.log.append(sid, "release", body)
    kept = ("rows", "truncated", "cells_masked", "digest", "notes")
    stated = {"session": sid, "statement": 1, "record_hash": ref.hash}
    own = case.log.signed_receipt(stated | {name: body[name] for name in kept})
    code, text = receipts(own, data=early)
    assert (code, "1 of statements behind it" in text) == (2, True), text
    late = bundles.export(case.log, await case.log.session_bytes(sid), STAND_IN)
    code, text = receipts(own, data=late)
    assert (code, "1 are of records in this bundle" in text) == (2, True), text
    assert "not every receipt" not in text
