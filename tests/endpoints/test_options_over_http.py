"""The options of rules over HTTP: shown, looked up, joined, aggregated, counted, recorded."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world import AGENT, AUDITOR, COLUMNS, World, built, verify

import servers

RULES = (
    COLUMNS.replace(
        '"public.patient.full_name" = "redact"',
        '"public.patient.full_name" = { treatment = "redact", show = ["group:auditors"] }',
    )
    .replace(
        '"public.patient.mrn" = "token"',
        '"public.patient.mrn" = { treatment = "token", lookup = { per_hour = 3 }, join = "mrn" }',
    )
    .replace(
        '"public.patient.notes" = "scan"',
        '"public.patient.notes" = { treatment = "scan", without = ["place"] }',
    )
    .replace('"public.encounter.*" = "clear"', '"public.encounter.*" = "clear"\nCOST')
    .replace("COST", '"public.encounter.cost" = { treatment = "redact", aggregate = 50 }')
    + '[dictionaries.visit]\nwords = ["SEEN  on"]\n[patterns.dial]\nregex = "call .{1,6}555"\n'
)


@pytest.fixture(scope="module")
def optional(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with built(tmp_path_factory.mktemp("options"), newest, "options_world") as world:
        world.write_config(columns=RULES)
        world.restart()
        world.grant()
        yield world


def test_the_whole_of_it(optional: World, tmp_path: Path) -> None:
    world = optional
    session = world.session()

    def rows(sql: str, *params: Any) -> list[dict[str, Any]]:
        return world.rows(session, sql, params=list(params))

    # aggregated
    floor = "having count(cost) >= 50"
    (totals,) = rows(f"select count(cost) as n, avg(cost) > 0 as some from encounter {floor}")
    assert totals == {"n": 5000, "some": True}
    assert rows("select avg(cost) as a from encounter") == [{"a": None}]
    # joined
    (joined,) = rows("select count(*) as n from patient a join patient b on a.mrn = b.mrn")
    assert joined == {"n": 1000}
    # looked up, three times an hour; a restart does not begin the hour anew
    lookup = "select id, mrn from patient where mrn = $1"
    (found,) = rows(lookup, "ST-900005")
    assert found["id"] == 5
    assert "900005" not in found["mrn"]
    assert rows(lookup, "ST-1") == []
    assert rows("select count(*) as n from patient where mrn = 'ST-900005'") == [{"n": 0}]
    world.close(session)
    world.restart()
    session = world.session()
    assert rows(lookup, "ST-900006")[0]["id"] == 6
    refused = world.query(session, lookup, params=["ST-900007"])
    assert (refused.status_code, refused.json()["code"]) == (429, "limit_exceeded")
    assert 3000 < int(refused.headers["retry-after"]) <= 3600
    assert "3 times an hour" in refused.json()["detail"]
    # recorded
    records = world.records(session)
    (intent,) = [record for record in records if record["type"] == "intent"]
    assert intent["permitted"] == [
        {
            "option": "lookup",
            "columns": ["public.patient.mrn"],
            "rule": "public.patient.mrn",
            "parameter": 1,
        }
    ]
    assert json.loads(intent["params"]) == ["ST-900006"]
    assert intent["notes"] == [
        "public.patient.mrn was looked up by $1; rule public.patient.mrn answers 3 lookups an hour"
    ]
    (ended,) = [record for record in records if record["type"] == "refused"]
    assert ended["code"] == "limit_exceeded"
    world.close(session)
    bundle = tmp_path / "session.zip"
    bundle.write_bytes(world.evidence(session))
    assert verify(bundle, "--trust", str(world.trust)).returncode == 0


def test_the_schema_says_what_is_allowed(optional: World) -> None:
    answer = optional.call(AUDITOR, "GET", "/v1/connections/clinic/schema").json()["items"]
    patient = {one["column"]: one for one in answer if one["table"] == "public.patient"}
    assert patient["mrn"]["options"] == {"lookup": {"per_hour": 3}, "join": "mrn"}
    assert patient["full_name"]["treatment"] == "clear"
    assert "shown to group:auditors" in patient["full_name"]["reason"]
    assert patient["dob"]["options"] is None
    others = optional.call(AGENT, "GET", "/v1/connections/clinic/schema").json()["items"]
    (name,) = [o for o in others if (o["table"], o["column"]) == ("public.patient", "full_name")]
    assert (name["treatment"], name["options"]) == ("redact", {"show": ["group:auditors"]})


def test_the_note_says_what_to_add(optional: World) -> None:
    session = optional.session()
    table = optional.query(session, "select avg(cost) as a from encounter", accept="text/csv")
    assert table.status_code == 200
    receipt = optional.call(AGENT, "GET", f"/v1/sessions/{session}/statements/1").json()
    (note,) = receipt["notes"]
    assert "HAVING count(cost) >= 50" in note


def test_a_group_is_shown_the_values_and_nobody_else(optional: World) -> None:
    optional.grant(AUDITOR)
    shown = "select full_name from patient where full_name = 'Nadia Planted7'"
    session = optional.session(AUDITOR)
    assert optional.rows(session, shown, client=AUDITOR) == [{"full_name": "Nadia Planted7"}]
    (intent,) = [r for r in optional.records(session) if r["type"] == "intent"]
    (column,) = intent["decision"]
    assert column["treatment"] == "clear"
    assert column["reason"].endswith("shown to group:auditors")
    session = optional.session()
    assert optional.rows(session, shown) == []
    plain = "select full_name from patient where id = 7"
    assert optional.rows(session, plain) == [{"full_name": "[REDACTED]"}]


def test_patterns_of_the_policy_are_counted_by_name(optional: World, tmp_path: Path) -> None:
    session = optional.session()
    sql = "select notes, notes || ' in ' || city as made from patient where id = 7"
    (row,) = optional.rows(session, sql)
    assert row["notes"] is None  # used by an expression
    (row,) = optional.rows(session, "select notes, 'seen on ' || city as made from patient limit 1")
    assert row["notes"].startswith("[VISIT] [DATE], MRN: [MRN], [")
    assert row["made"].startswith("[VISIT] ")
    receipt = optional.call(AGENT, "GET", f"/v1/sessions/{session}/statements/2").json()
    assert receipt["cells_masked"] == {"notes": {"scan": 1}, "made": {"scan": 1}}
    (last,) = [r for r in optional.records(session) if r["type"] == "release"][1:]
    assert last["detectors"]["made"] == {"visit": {"cells": 1, "spans": 1}}
    assert {"visit", "mrn", "date"} <= set(last["detectors"]["notes"])
    optional.close(session)
    bundle = tmp_path / "session.zip"
    bundle.write_bytes(optional.evidence(session))
    assert verify(bundle, "--trust", str(optional.trust)).returncode == 0
    with zipfile.ZipFile(bundle) as parts:
        texts = {name.rpartition("/")[2]: parts.read(name).decode() for name in parts.namelist()}
    assert "visit (cells 1, spans 1)" in texts["report.html"]
    assert "[dictionaries.visit]" in texts["policy.toml"]
    assert "SEEN" not in texts["policy.toml"]


def test_check_names_every_rule_that_allows_something(optional: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(optional.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    allowed = [line for line in done.stdout.splitlines() if line.startswith("allowed: ")]
    assert allowed == [
        "allowed: connections.clinic.columns: public.encounter.cost { aggregate = 50 }",
        "allowed: connections.clinic.columns: public.patient.full_name "
        '{ show = ["group:auditors"] }',
        "allowed: connections.clinic.columns: public.patient.mrn "
        '{ lookup = { per_hour = 3 }, join = "mrn" }',
        "allowed: connections.clinic.columns: public.patient.notes "
        "what these detectors would find: place",
    ]
