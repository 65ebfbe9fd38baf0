"""What a sealed record shows is an allow-list: what nobody named is for the auditor."""

from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway import seal_command
from gateway.errors import InvalidRequest
from gateway.evidence import counted_under
from gateway.flows.sealed import SEALED, TITLES, Sealing
from gateway.flows.unsealed import unseal
from gateway.sessionlog import SessionLog
from gateway.sessionlog.sealing import AuditorKey, AuditorPrivateKey, Place, generate

SID = "00112233-4455-6677-8899-aabbccddeeff"
GRANT = {
    "id": "g", "identity": "i#a", "connection": "clinic", "tables": ["*"], "purpose": "WORDED",
    "state": "active", "requested_at": "t", "not_before": "t", "expires_at": "t", "max_rows": None,
    "decided_by": "i#b", "decided_at": "t", "reason": "WORDED",
}  # fmt: skip


def output(name: str, column: str) -> dict[str, Any]:
    return {"name": name, "shape": "bare", "columns": [column]}


def decided(name: str, column: str) -> dict[str, Any]:
    return {
        "column": name, "treatment": "redact", "reason": "rule r = redact", "columns": [column],
        "masked_at_source": [],
    }  # fmt: skip


INTENT: dict[str, Any] = {
    "statement_no": 1,
    "statement": "select full_name, full_name as worded1, id, mrn as worded1 from patient worded2",
    "params": "WORDED", "server_text": "WORDED",
    "analysis": {
        "outputs": [
            output("full_name", "public.patient.full_name"), output("WORDED", "public.patient.mrn"),
            output("id", "public.patient.id"), output("WORDED", "public.patient.mrn"),
        ],
        "control": [
            {"column": "public.patient.id", "use": "ORDER BY"},
            {"column": "public.patient.id", "use": "an expression (output column 'WORDED')"},
        ],
        "tables": ["public.patient"], "tree": "WORDED",
    },
    "decision": [
        decided("full_name", "public.patient.full_name"), decided("WORDED", "public.patient.mrn"),
        decided("id", "public.patient.id"), decided("WORDED", "public.patient.mrn"),
    ],
    "policy_hash": "00", "grant": "g", "format": "arrow", "role": "r", "database_floor": "f",
    "masked_at_source": [
        {"column": "public.patient.mrn", "relation": "public.patient", "reference": "WORDED",
         "uses": ["WHERE of the view WORDED", "output column 'WORDED', in another arm"],
         "reason": "rule r"},
    ],
    "permitted": [], "notes": ["WORDED"],
}  # fmt: skip
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("open", {"identity": "i#a", "name": "WORDED", "purpose": "WORDED", "grant": GRANT}),
    ("intent", INTENT),
    ("release", {"statement_no": 1, "rows": 2, "notes": ["WORDED"],
                 "cells_masked": {"full_name": {"redact": 1}, "WORDED": {"redact": 2},
                                  "WORDED_2": {"redact": 3}},
                 "detectors": {"WORDED": {"ssn": {"cells": 1, "spans": 1}}}}),
    ("refused", {"statement_no": 2, "statement": "select 'WORDED'", "code": "not_understood",
                 "detail": "WORDED"}),
    ("refused", {"statement_no": 3, "statement_bytes": 9, "statement_blake3": "WORDED",
                 "statement_head": "select WORDED", "code": "invalid_request", "detail": "WORDED"}),
    ("error", {"statement_no": 4, "rows": 0, "code": "upstream_failed", "detail": "WORDED"}),
    ("error", {"statement_no": 4, "rows": 0, "code": "WORDED", "detail": "WORDED"}),
    ("cancel", {"statement_no": 5, "rows": 0, "reason": "WORDED"}),
    ("event", {"kind": "login.failed", "client": "192.0.2.1", "code": "unauthenticated",
               "detail": "WORDED"}),
    ("event", {"kind": "login.saml", "identity": "i#a", "provider": "corp", "groups": ["g"],
               "credential": "saml", "expires_at": "2026-11-23T12:00:00Z"}),
    ("event", {"kind": "refused", "identity": "i#a", "session": "WORDED", "connection": "WORDED",
               "statement": "WORDED", "code": "not_found", "detail": "WORDED"}),
    ("event", {"kind": "grant.revoked", "grant": "g", "purpose": "WORDED", "reason": "WORDED"}),
    ("event", {"kind": "something.new", "anything": "WORDED"}),
    ("a type of the future", {"anything": "WORDED"}),
]  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[AuditorKey, AuditorPrivateKey]:
    generate(tmp_path / "key", tmp_path / "pem")
    return AuditorKey.load(tmp_path / "pem"), AuditorPrivateKey.load(tmp_path / "key")


@pytest.mark.parametrize(
    ("type_", "body"), BODIES, ids=[f"{n}-{b[0]}" for n, b in enumerate(BODIES)]
)
def test_no_worded_member_is_clear_and_the_auditor_has_all(
    pair: tuple[AuditorKey, AuditorPrivateKey], type_: str, body: dict[str, Any]
) -> None:
    public, private = pair
    seal = Sealing(public, {"full_name", "mrn", "id", "patient"}, ["clinic"])
    place = Place("o", SID, 3, type_)
    before = copy.deepcopy(body)
    made = seal(place, {**body, "extra": "WORDED"})
    clear = {name: value for name, value in made.items() if name != SEALED}
    assert "WORDED" not in json.dumps(clear)
    assert "worded" not in json.dumps(clear)
    opened = {**clear, **private.open(place, made[SEALED])}
    if "statement_head" in body:
        assert opened.pop("statement") == "select {n1}"
    assert opened == {**body, "extra": "WORDED"}
    assert before == body  # nothing is changed in place


def test_which_witness_was_silent_is_clear_and_what_it_said_is_not(
    pair: tuple[AuditorKey, AuditorPrivateKey],
) -> None:
    """Who did not vouch for the log, and since when, is not for the auditor alone."""
    body = {"kind": "witness.silent", "witness": "w.example.org+00+AA", "reason": "WORDED"}
    made = Sealing(pair[0], set(), ["clinic"])(Place("o", SID, 3, "event"), body)
    assert made["witness"] == "w.example.org+00+AA"
    assert "WORDED" not in json.dumps({**made, SEALED: None})


@pytest.mark.parametrize(("type_", "number"), [("refused", {"statement_no": 1}), ("close", {})])
def test_nothing_is_kept_of_a_statement_whose_intent_was_not_recorded(
    pair: tuple[AuditorKey, AuditorPrivateKey], type_: str, number: dict[str, Any]
) -> None:
    """Sealed, then over the limit of a record: refused instead, and never released."""
    seal = Sealing(pair[0], set(), ["clinic"])
    seal(Place("o", SID, 1, "intent"), INTENT)
    seal(Place("o", SID, 1, type_), {**number, "code": "limit_exceeded"})
    assert not seal._counted


def test_counts_of_renamed_outputs_stay_with_their_columns(
    pair: tuple[AuditorKey, AuditorPrivateKey],
) -> None:
    seal = Sealing(pair[0], set(), ["clinic"])
    intent = seal(Place("o", SID, 1, "intent"), INTENT)
    assert [one["name"] for one in intent["analysis"]["outputs"]] == [
        "full_name", "column 2", "id", "column 4",
    ]  # fmt: skip
    assert [use["use"] for use in intent["analysis"]["control"]] == ["ORDER BY", "an expression"]
    assert intent["masked_at_source"][0]["uses"] == ["WHERE", "an expression"]
    assert intent["masked_at_source"][0]["reference"] == SEALED
    release = seal(Place("o", SID, 2, "release"), BODIES[2][1])
    assert release["cells_masked"] == {
        "full_name": {"redact": 1}, "column 2": {"redact": 2}, "column 4": {"redact": 3},
    }  # fmt: skip
    assert release["detectors"] == {"column 2": {"ssn": {"cells": 1, "spans": 1}}}


def test_another_statement_s_names_are_not_taken(
    pair: tuple[AuditorKey, AuditorPrivateKey],
) -> None:
    seal = Sealing(pair[0], set(), ["clinic"])
    seal(Place("o", SID, 1, "intent"), INTENT)
    other = {**BODIES[2][1], "statement_no": 2}
    assert seal(Place("o", SID, 2, "release"), other)["cells_masked"] == {}
    elsewhere = seal(Place("o", str(uuid.UUID(int=5)), 2, "release"), BODIES[2][1])
    assert elsewhere["cells_masked"] == {}


def test_what_holds_no_words_is_not_sealed(pair: tuple[AuditorKey, AuditorPrivateKey]) -> None:
    seal = Sealing(pair[0], set(), ["clinic"])
    result = {
        "statement_no": 1,
        "chunk": 0,
        "rows": 1,
        "bytes": 2,
        "cumulative_rows": 1,
        "digest": "0",
    }
    assert seal(Place("o", SID, 2, "result"), result) == result
    close = {"reason": "closed by its owner", "statements": 1}
    assert seal(Place("o", SID, 3, "close"), close) == close
    session = {"kind": "export", "identity": "i#a", "session": SID}
    assert seal(Place("o", SID, 4, "event"), session) == session


def test_every_code_of_the_contract_has_a_title() -> None:
    assert TITLES["protected_use"].startswith("A protected column")
    assert {"internal", "unauthenticated", "log_unavailable", "cancelled"} <= set(TITLES)


def test_names_are_counted_as_the_kernel_counts_them() -> None:
    assert counted_under(["a", "a_2", "a", "b", "a"]) == ["a", "a_2", "a_3", "b", "a_4"]


async def test_a_record_moved_to_another_place_is_refused(
    pair: tuple[AuditorKey, AuditorPrivateKey], tmp_path: Path
) -> None:
    public, private = pair
    seal = Sealing(public, set(), ["clinic"])
    log = SessionLog.open(tmp_path / "log", origin="o.example", version="0", seal=seal)
    sid = str(uuid.uuid4())
    await log.open_session(sid, {"identity": "i#a", "purpose": "P"})
    for number in (1, 2):
        body = {"statement_no": number, "statement": f"select '{number}'", "code": "not_found"}
        await log.append(sid, "refused", body)
    await log.close_session(sid, {"reason": "r", "statements": 2})
    records = (await log.session_bytes(sid)).records
    await log.aclose()
    told = list(unseal(records, private))
    assert [one["body"].get("statement") for one in told] == [
        None,
        "select '1'",
        "select '2'",
        None,
    ]
    lines = [json.loads(line) for line in records.splitlines()]
    lines[1]["body"]["sealed"], lines[2]["body"]["sealed"] = (
        lines[2]["body"]["sealed"],
        lines[1]["body"]["sealed"],
    )
    swapped = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with pytest.raises(InvalidRequest, match="not sealed for this place"):
        list(unseal(swapped, private))
    for broken in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        records[:-30],
        records.split(b"\n", 1)[1],
    ):
        with pytest.raises(InvalidRequest):
            list(unseal(broken, private))


def test_no_record_draws_lines_of_another() -> None:
    """Without a trust file anybody may have written any part of it."""
    forged = {
        "i": 1,
        "ts": "2026\x1b[2J\n2 2026 release",
        "type": "refused\r",
        "body": {"statement_no": "1\n\u202e", "statement": "a\nb"},
    }
    shown = seal_command._told(forged)
    assert shown.count("\n") == 2
    assert shown.replace("\n", "").isprintable()
    assert seal_command._told({**forged, "ts": "2026", "type": "refused"}).startswith("1 2026 ref")
