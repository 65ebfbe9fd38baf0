"""What the server ran in place of what was asked: no word of it can be changed, left out, moved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import bundles
import pytest
import repack
from bundles import Case, Judge, intent, opened, release, result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.sessionlog.note import LogKey

Records = list[dict[str, Any]]
ASKED = "SELECT p.id, p.city || p.mrn AS label FROM public.patient AS p WHERE p.mrn LIKE '7%'"
NOTE = "public.patient.mrn was NULL in p (WHERE, expression); rule public.patient.mrn"


def rewritten(number: int, alias: str) -> dict[str, Any]:
    """The intent of a statement whose protected column was NULL at its source."""
    asked = ASKED.replace("p.", f"{alias}.").replace("AS p", f"AS {alias}")
    source = f"(SELECT id, city, NULL::text AS mrn FROM public.patient AS m) AS {alias}"
    first, second = intent(number)["decision"]
    label = {**second, "column": "label", "treatment": {"name": "clear"}, "columns": []}
    return {
        **intent(number, asked),
        "server_text": asked.replace(f"public.patient AS {alias}", source),
        "decision": [first, {**label, "masked_at_source": ["public.patient.mrn"]}],
        "masked_at_source": [
            {
                "column": "public.patient.mrn",
                "relation": "public.patient",
                "reference": alias,
                "uses": ["WHERE", "expression"],
                "reason": "rule public.patient.mrn",
            }
        ],
        "notes": [NOTE.replace(" p ", f" {alias} ")],
    }


@pytest.fixture
async def bundle(case: Case) -> bytes:
    """Two rewritten statements, both released."""
    sid = str(uuid.uuid4())
    await case.log.open_session(sid, opened())
    for number, alias in ((1, "p"), (2, "patient_again")):
        body = rewritten(number, alias)
        await case.log.append(sid, "intent", body)
        await case.log.append(sid, "result", result(number, 0, 3, 3))
        await case.log.append(
            sid, "release", release(number, 3, b"rows", cells_masked={}, notes=body["notes"])
        )
    await case.log.close_session(sid, {"reason": "done", "statements": 2})
    return bundles.export(case.log, await case.log.session_bytes(sid), bundles.STAND_IN)


def body(records: Records, index: int) -> dict[str, Any]:
    found: dict[str, Any] = records[index]["body"]
    return found


def exchange(records: Records, one: int, other: int, key: str) -> None:
    first, second = body(records, one), body(records, other)
    first[key], second[key] = second[key], first[key]


#: The intents are records 1 and 4, the releases 3 and 6.
CHANGES: dict[str, Callable[[Records], object]] = {
    "the server's text is the one that was asked": lambda r: body(r, 1).update(server_text=ASKED),
    "the server's text has one more column": lambda r: body(r, 1).update(
        server_text=body(r, 1)["server_text"].replace("id, city", "id, mrn, city")
    ),
    "the server's text is gone": lambda r: body(r, 1).update(server_text=None),
    "the server's texts are exchanged": lambda r: exchange(r, 1, 4, "server_text"),
    "what was asked reads like what ran": lambda r: body(r, 1).update(
        statement=body(r, 1)["server_text"]
    ),
    "a note is changed": lambda r: body(r, 1).update(notes=[NOTE.replace("mrn", "city")]),
    "the notes are gone": lambda r: body(r, 1).update(notes=[]),
    "the notes are exchanged": lambda r: exchange(r, 1, 4, "notes"),
    "the release's notes are gone": lambda r: body(r, 3).update(notes=[]),
    "the releases' notes are exchanged": lambda r: exchange(r, 3, 6, "notes"),
    "the list of what was NULL is gone": lambda r: body(r, 1).pop("masked_at_source"),
    "the list of what was NULL is empty": lambda r: body(r, 1).update(masked_at_source=[]),
    "the lists of what was NULL are exchanged": lambda r: exchange(r, 1, 4, "masked_at_source"),
    "a use is left out": lambda r: body(r, 1)["masked_at_source"][0]["uses"].pop(),
    "the column is another's": lambda r: body(r, 1)["masked_at_source"][0].update(
        column="public.patient.city"
    ),
    "the decision does not say that its source was NULL": lambda r: body(r, 1)["decision"][1].pop(
        "masked_at_source"
    ),
    "the decisions are exchanged": lambda r: body(r, 1)["decision"].reverse(),
    "the statements are exchanged": lambda r: r.__setitem__(
        slice(1, 7), [*[dict(x) for x in r[4:7]], *[dict(x) for x in r[1:4]]]
    ),
}


def test_the_bundle_itself_verifies_and_tells_both_texts(bundle: bytes, judge: Judge) -> None:
    code, text = judge(bundle)
    assert (code, text.splitlines()[-1]) == (0, "verdict 0: verified and anchored")
    report = repack.members(bundle)["report.html"].decode()
    assert report.count("NULL::text AS mrn") == 2
    assert report.count("<td>public.patient.mrn</td><td>clear, made of NULL</td>") == 2


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_rewriting_is_found(case: Case, bundle: bytes, judge: Judge, change: str) -> None:
    genuine = repack.members(bundle)
    records = [json.loads(line) for line in repack.lines(genuine)]
    CHANGES[change](records)
    written = b"".join(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in records)
    chained, _ = repack.rehash([json.loads(line) for line in written.splitlines()], bundles.ORIGIN)
    assert chained != genuine["session.jsonl"]
    for data in (written, chained):
        parts = {**genuine, "session.jsonl": data}
        # As found, and behind a manifest that the genuine key has signed again.
        for forged in (parts, repack.restate(parts, case.log.sign_manifest)):
            code, text = judge(repack.pack(forged))
            assert (code, "verdict 1: tampered: " in text) == (1, True), text
    # Everything made again, ledger and checkpoint too, needs a key that the auditor trusts.
    other = LogKey(bundles.ORIGIN, Ed25519PrivateKey.generate())
    code, text = judge(repack.forge(bundle, CHANGES[change], other))
    assert (code, "the trust file does not name" in text) == (1, True), text
