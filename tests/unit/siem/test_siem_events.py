"""An event has what OCSF 1.6.0 requires of its class, and nothing that somebody worded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import DurableRecord, LogPlace
from gateway.siem.ocsf import event

OPEN = {
    "identity": "https://idp#a", "issuer": "https://idp", "subject": "a", "groups": ["g"],
    "client": "192.0.2.1", "connection": "clinic", "policy_hash": "00" * 32,
    "grant": {"id": "g-1", "purpose": "WORDED"}, "purpose": "WORDED", "name": "WORDED",
}  # fmt: skip
DECISION = [{"column": "WORDED", "treatment": "redact", "reason": "WORDED", "columns": ["WORDED"]}]
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("open", OPEN),
    "close": ("close", {"reason": "WORDED", "statements": 2}),
    "login.failed": (
        "event",
        {"kind": "login.failed", "client": "192.0.2.1", "code": "c", "detail": "WORDED"},
    ),
    "login.saml": (
        "event",
        {"kind": "login.saml", "client": "192.0.2.1", "identity": "https://idp#b",
         "issuer": "https://idp", "subject": "b", "groups": [], "provider": "corp",
         "credential": "saml", "token_fingerprint": "33" * 32},
    ),
    "login.ended": (
        "event", {"kind": "login.ended", "client": "192.0.2.1", "identity": "https://idp#b"}
    ),
    "intent": (
        "intent",
        {
            "statement_no": 1, "statement": "WORDED", "params": "WORDED", "server_text": "WORDED",
            "analysis": {"outputs": [{"name": "WORDED"}], "control": [], "tables": ["p.t"]},
            "decision": DECISION, "policy_hash": "11" * 32, "notes": ["WORDED"],
        },
    ),
    "result": ("result", {"statement_no": 1, "rows": 2, "bytes": 9, "digest": "22" * 32}),
    "release": (
        "release",
        {"statement_no": 1, "rows": 2, "chunks": 1, "cells_masked": {"WORDED": {"redact": 2}},
         "detectors": {"WORDED": {}}, "notes": ["WORDED"], "truncated": False},
    ),
    "refused": (
        "refused",
        {"statement_no": 1, "statement": "WORDED", "code": "c", "detail": "WORDED"},
    ),
    "over the limit": (
        "refused",
        {"statement_no": 1, "statement_bytes": 9, "statement_head": "WORDED", "code": "c",
         "statement_blake3": "WORDED", "detail": "WORDED"},
    ),
    "refused event": (
        "event",
        {"kind": "refused", "identity": "https://idp#b", "statement": "WORDED", "code": "c",
         "detail": "WORDED", "session": "WORDED", "connection": "WORDED"},
    ),
    "error": ("error", {"statement_no": 1, "rows": 0, "code": "c", "detail": "WORDED"}),
    "cancel": ("cancel", {"statement_no": 1, "rows": 0, "reason": "WORDED"}),
}  # fmt: skip


def made(type_: str, body: dict[str, Any], opened: dict[str, Any] | None = OPEN) -> Any:
    record = {
        "body": body, "i": 3, "prev": "aa" * 32, "sid": "00112233-4455-6677-8899-aabbccddeeff",
        "ts": "2026-11-22T12:00:01.234567Z", "type": type_, "v": 1,
    }  # fmt: skip
    found = DurableRecord(LogPlace(1, 0, 1), record["sid"], record, "bb" * 32, None)
    return event(
        found, opened, lambda _, __: "select {s}", connections={"clinic"}, origin="o", version="1"
    )


@pytest.mark.parametrize("name", BODIES)
def test_it_has_what_its_class_requires(name: str) -> None:
    type_, body = BODIES[name]
    found = made(type_, body)
    assert json.loads(json.dumps(found)) == found
    for required in ("activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid",
                     "metadata"):  # fmt: skip
        assert required in found, required
    assert found["type_uid"] == found["class_uid"] * 100 + found["activity_id"]
    assert found["category_uid"] == found["class_uid"] // 1000
    assert found["class_uid"] in (6005, 3002)
    assert found["time"] == 1795348801234
    assert found["metadata"]["version"] == "1.6.0"
    assert found["metadata"]["product"]["name"]
    assert found["metadata"]["uid"] == "00112233-4455-6677-8899-aabbccddeeff:3"
    assert found["actor"]["user"]["name"]
    if found["class_uid"] == 6005:
        assert found["src_endpoint"]
        assert found["database"]["name"]
        assert found["database"]["type_id"] == 1
    else:
        assert found["user"]["name"]
        assert found["service"]["name"]
    if "query_info" in found:
        assert found["query_info"]["query_string"]
        assert found["query_info"]["uid"]
    assert found["unmapped"]["record"] == 3
    assert found["unmapped"]["record_hash"] == "bb" * 32


@pytest.mark.parametrize("name", BODIES)
def test_it_carries_no_words(name: str) -> None:
    type_, body = BODIES[name]
    assert "WORDED" not in json.dumps(made(type_, body))


@pytest.mark.parametrize("name", BODIES)
def test_a_member_that_nobody_knows_is_not_passed_on(name: str) -> None:
    type_, body = BODIES[name]
    strange = {**body, "extra": "WORDED", "query": "WORDED", "unmapped": "WORDED"}
    assert made(type_, strange) == made(type_, body)


def test_a_sealed_record_s_statement_is_its_template_already() -> None:
    body = {"statement_no": 1, "statement": "select {d}", "code": "c", "sealed": {}}
    assert made("refused", body)["query_info"]["query_string"] == "select {d}"


def test_one_whose_session_is_not_known_is_told_all_the_same() -> None:
    found = made("error", BODIES["error"][1], None)
    assert found["actor"]["user"] == {"name": "unknown", "type_id": 0, "type": "Unknown"}


def test_the_gateway_s_own_session_and_other_events_have_none() -> None:
    gateway = {"kind": "gateway", "gateway_version": "1"}
    assert made("open", gateway, None) is None
    assert made("close", {"reason": "gateway_stopped"}, gateway) is None
    assert made("event", {"kind": "policy.loaded", "policy": "WORDED"}, gateway) is None
