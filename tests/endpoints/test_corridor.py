"""The main job over HTTP: granted, masked, recorded, proven."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from world import AGENT, AUDITOR, OTHER, STEWARD, World, verify

FOUR = "select id, full_name, mrn, dob, city from patient where id <= 3 order by id"


@pytest.fixture(scope="module")
def session(world: World) -> str:
    return world.session(grant=world.grant()["id"])


def test_protected_columns_come_back_masked(world: World, session: str) -> None:
    table = world.table(session, FOUR)
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert {row["full_name"] for row in rows} == {"[REDACTED]"}
    assert len({row["mrn"] for row in rows}) == 3
    assert all("ST-9" not in row["mrn"] for row in rows)
    assert rows[0]["dob"] == "1980"
    assert [row["city"] for row in rows] == ["Salem", "Lynn", "Boston"]
    assert table.schema.field("mrn").metadata[b"maskgate.treatment"] == b"token"
    assert table.schema.metadata[b"maskgate.session"].decode() == session


def test_notes_lose_their_identifiers_and_keep_their_words(world: World, session: str) -> None:
    notes = world.rows(session, "select notes, phone from patient where id = 7")[0]
    assert notes["notes"].startswith("Seen on ")
    for planted in ("ST-900007", "010-0007", "03/04/2021"):
        assert planted not in notes["notes"]
    assert notes["phone"].endswith("07")
    assert "555-010" not in notes["phone"]


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/csv"])
def test_every_format_masks_what_arrow_masks(world: World, session: str, accept: str) -> None:
    answer = world.query(session, FOUR, accept=accept)
    assert answer.status_code == 200
    assert b"Nadia" not in answer.content
    assert b"ST-9" not in answer.content
    if accept == "text/csv":
        rows = list(csv.DictReader(io.StringIO(answer.text)))
    else:
        rows = [json.loads(line) for line in answer.text.splitlines()]
    arrow = world.rows(session, FOUR)
    assert [row["mrn"] for row in rows] == [row["mrn"] for row in arrow]
    assert [row["full_name"] for row in rows] == ["[REDACTED]"] * 3


def test_a_view_is_traced_to_its_columns(world: World, session: str) -> None:
    rows = world.rows(session, "select * from visits where status = 'cancelled' limit 5")
    assert len(rows) == 5
    assert {row["full_name"] for row in rows} == {"[REDACTED]"}


def test_a_column_made_of_protected_ones_is_redacted(world: World, session: str) -> None:
    rows = world.rows(session, "select id, label from labelled")
    assert rows == [{"id": 1, "label": "[REDACTED]"}]


CATALOG = [
    (
        "select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),"
        " (select pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) from pg_catalog.pg_attrdef d"
        "  where d.adrelid = a.attrelid and d.adnum = a.attnum and a.atthasdef) as standard"
        " from pg_catalog.pg_attribute a where a.attrelid = 'labelled'::regclass and a.attnum > 0"
        " order by a.attnum",
        ["note", "label"],
    ),
    (
        "select conname, pg_get_constraintdef(oid, true) as definition from pg_constraint"
        " where conrelid = 'encounter'::regclass and contype = 'f'",
        ["FOREIGN KEY (patient_id) REFERENCES patient(id)"],
    ),
    (
        "select column_name, data_type, column_default from information_schema.columns"
        " where table_name = 'patient'",
        ["full_name", "bigint"],
    ),
]


@pytest.mark.parametrize(("sql", "expected"), CATALOG)
def test_the_catalog_tells_the_structure(
    world: World, session: str, sql: str, expected: list[str]
) -> None:
    cells = {cell for row in world.rows(session, sql) for cell in row.values()}
    assert cells >= set(expected)
    assert "Planted" not in str(cells)


def test_a_date_that_the_statement_writes_out_is_no_free_text(world: World, session: str) -> None:
    own = "select to_char(date '2024-05-06', 'YYYY-MM-DD') as day, cost::text || '@2024-05-06' as c"
    (row,) = world.rows(session, f"{own} from encounter limit 1")
    assert row["day"] == "2024-05-06"
    assert row["c"].endswith("@2024-05-06")
    mixed = "select status || ' on ' || date '2024-05-06' as said from encounter limit 1"
    assert world.rows(session, mixed)[0]["said"].endswith(" on [DATE]")


def test_parameters(world: World, session: str) -> None:
    rows = world.rows(
        session,
        "select id, status from encounter where status = $1 and cost > $2 order by id limit $3",
        params=["cancelled", 10.5, 2],
    )
    assert len(rows) == 2
    assert {row["status"] for row in rows} == {"cancelled"}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("delete from patient", "statement_refused"),
        ("select 1; select 2", "statement_refused"),
        ("explain select 1", "statement_refused"),
        ("copy patient to stdout", "statement_refused"),
        ("select id from patient for update", "statement_refused"),
        ("select * into t from patient", "statement_refused"),
    ],
)
def test_what_is_refused_says_why(world: World, session: str, sql: str, code: str) -> None:
    answer = world.query(session, sql)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code, answer.text
    assert "Nadia" not in answer.text


@pytest.mark.parametrize(
    "sql",
    [
        "select query_to_xml('select full_name from patient', true, false, '')",
        "select * from pg_stats",
        "select current_setting('is_superuser')",
        "select pg_sleep(1)",
        "select prosrc from pg_proc",
        "select lo_get(1)",
        "select pg_read_file('/etc/passwd')",
        "select set_config('application_name', 'x', false)",
    ],
)
def test_what_never_names_the_patient_table_is_refused_too(
    world: World, session: str, sql: str
) -> None:
    answer = world.query(session, sql)
    assert answer.status_code in (403, 422), answer.text


@pytest.mark.parametrize(
    "sql", ["", "   ", ";", "-- nothing", "select '\x00'", "select '" + "x" * (1 << 20) + "'"]
)
def test_bad_statements_are_refused_and_recorded(world: World, sql: str) -> None:
    session = world.session()
    answer = world.query(session, sql)
    assert answer.status_code == 422, answer.text
    refused = [r for r in world.records(session) if r["type"] == "refused"]
    assert len(refused) == 1
    assert refused[0]["statement_no"] == 1
    if len(sql) > 1 << 20:
        assert refused[0]["statement_bytes"] == len(sql)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"sql": "select \xff"}',
        b"[1]",
        b'{"sql": 3}',
        b'{"sql":"select 1","x":1}',
        b'{"sql": "select \\ud800"}',
        b"[" * 100_000,
    ],
)
def test_bad_bodies_are_refused_and_recorded(world: World, body: bytes) -> None:
    session = world.session()
    with world.http(AGENT) as http:
        answer = http.post(f"/v1/sessions/{session}/query", content=body)
    assert answer.status_code == 422, answer.text
    assert [r["type"] for r in world.records(session)].count("refused") == 1


def test_no_grant_no_rows(world: World) -> None:
    answer = world.call(OTHER, "POST", "/v1/query", {"connection": "clinic", "sql": "select 1"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "no_grant"


def test_no_token_no_answer(world: World) -> None:
    for path in ("/v1/whoami", "/v1/grants", "/v1/sessions", "/v1/connections/clinic/schema"):
        assert world.call(None, "GET", path).status_code == 401
    assert world.call(None, "POST", "/v1/query", {"sql": "select 1"}).status_code == 401
    assert world.call(None, "GET", "/healthz").status_code == 200
    assert world.call(None, "GET", "/readyz").status_code == 200


def test_another_identity_cannot_enter_the_session(world: World, session: str) -> None:
    world.grant(OTHER)
    answer = world.query(session, "select 1", client=OTHER)
    assert answer.status_code == 404
    assert world.call(OTHER, "GET", f"/v1/sessions/{session}").status_code == 404
    assert world.call(OTHER, "GET", f"/v1/sessions/{session}/evidence").status_code == 404
    assert world.call(OTHER, "GET", f"/v1/sessions/{session}/statements/1").status_code == 404
    assert world.call(OTHER, "DELETE", f"/v1/sessions/{session}").status_code == 404


def test_out_of_scope_tables_are_refused(world: World) -> None:
    grant = world.grant(tables=["encounter"])
    session = world.session(grant=grant["id"])
    assert world.rows(session, "select count(*) as n from encounter") == [{"n": 5000}]
    answer = world.query(session, "select id from patient")
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
    everything = world.session(grant=world.grant()["id"])
    answer = world.query(everything, "select salary from payroll")
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")


def test_two_grants_are_two_scopes_and_a_session_has_one(fragile: World) -> None:
    narrow = fragile.grant(tables=["encounter"], duration_s=600)["id"]
    longest = fragile.grant(tables=["patient"], duration_s=900)["id"]
    body = {"connection": "clinic"}
    opened = fragile.call(AGENT, "POST", "/v1/sessions", body).json()
    assert opened["grant"] == longest  # unnamed: the grant that ends last, and the answer says so
    assert len(fragile.rows(opened["id"], "select id from patient limit 1")) == 1
    refused = fragile.query(opened["id"], "select id from encounter").json()
    assert refused["code"] == "out_of_scope"
    assert f"{narrow} (public.encounter)" in refused["hint"]
    assert "POST /v1/grants" in refused["hint"]
    named = fragile.session(grant=narrow)
    assert len(fragile.rows(named, "select id from encounter limit 1")) == 1
    both = "select p.id from patient p join encounter e on e.patient_id = p.id"
    for session in (named, opened["id"]):
        assert fragile.query(session, both).json()["code"] == "out_of_scope"
    records = fragile.records(named)
    assert records[0]["grant"]["id"] == narrow
    fragile.grant(OTHER, tables=["encounter"])
    others = fragile.session(OTHER)
    hint = fragile.query(others, "select id from patient", client=OTHER).json()["hint"]
    assert narrow not in hint
    assert longest not in hint


def test_max_rows_of_a_request_ends_cleanly(world: World, session: str) -> None:
    answer = world.query(session, "select id from encounter", max_rows=7)
    assert answer.status_code == 200
    number = answer.headers["maskgate-statement"]
    receipt = world.call(AGENT, "GET", f"/v1/sessions/{session}/statements/{number}").json()
    assert (receipt["rows"], receipt["truncated"]) == (7, True)


def test_the_receipt_counts_what_was_masked(world: World, session: str) -> None:
    answer = world.query(session, FOUR)
    number = answer.headers["maskgate-statement"]
    receipt = world.call(AGENT, "GET", f"/v1/sessions/{session}/statements/{number}").json()
    assert receipt["rows"] == 3
    assert receipt["cells_masked"]["full_name"] == {"redact": 3}
    assert receipt["cells_masked"]["mrn"] == {"token": 3}


def test_accept_decides_the_format(world: World, session: str) -> None:
    answer = world.query(session, "select 1 as one", accept="application/json")
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_nobody_approves_his_own_grant(world: World) -> None:
    body = {"connection": "clinic", "tables": ["*"], "purpose": "x", "duration_s": 60}
    own = world.call(STEWARD, "POST", "/v1/grants", body).json()["id"]
    answer = world.call(STEWARD, "POST", f"/v1/grants/{own}/approve", {"reason": "me"})
    assert answer.status_code == 403
    agents = world.call(AGENT, "POST", "/v1/grants", body).json()["id"]
    assert world.call(
        OTHER, "POST", f"/v1/grants/{agents}/approve", {"reason": "me"}
    ).status_code in (403, 404)


def test_the_schema_tells_types_and_treatments(world: World) -> None:
    items = world.call(AGENT, "GET", "/v1/connections/clinic/schema").json()["items"]
    found = {(item["table"], item["column"]): item["treatment"] for item in items}
    assert found["public.patient", "full_name"] == "redact"
    assert found["public.encounter", "cost"] == "clear"
    assert found["public.payroll", "salary"] == "redact"


def test_the_evidence_verifies_and_a_flipped_byte_does_not(world: World, tmp_path: Path) -> None:
    session = world.session(grant=world.grant()["id"])
    world.rows(session, FOUR)
    world.query(session, "select id from patient where full_name = 'x'")
    open_bundle = tmp_path / "open.zip"
    open_bundle.write_bytes(world.evidence(session))
    assert verify(open_bundle, "--trust", str(world.trust)).returncode == 2
    world.close(session)
    data = world.evidence(session)
    bundle = tmp_path / "session.zip"
    bundle.write_bytes(data)
    trusted = verify(bundle, "--trust", str(world.trust))
    assert trusted.returncode == 0, trusted.stdout + trusted.stderr
    assert verify(bundle).returncode == 2
    with zipfile.ZipFile(bundle) as members:
        report = members.read("report.html").decode()
        assert "Nadia" not in report
        assert "full_name" in report
    for position in range(0, len(data), max(1, len(data) // 10)):
        changed = bytearray(data)
        changed[position] ^= 0x01
        bundle.write_bytes(changed)
        flipped = verify(bundle, "--trust", str(world.trust))
        assert flipped.returncode != 0, position
        assert "Traceback" not in flipped.stderr


def test_the_auditor_sees_every_session_and_others_their_own(world: World, session: str) -> None:
    seen = world.call(AUDITOR, "GET", "/v1/sessions").json()["items"]
    assert session in {item["id"] for item in seen}
    others = world.call(OTHER, "GET", "/v1/sessions").json()["items"]
    assert session not in {item["id"] for item in others}
