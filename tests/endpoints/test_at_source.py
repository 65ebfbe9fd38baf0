"""Computing with protected columns over HTTP: answered with NULL in their place, and said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from world import AGENT, COLUMNS, World, verify

DENIED = COLUMNS.replace('mrn" = "token"', 'mrn" = "deny"')


@pytest.fixture(scope="module")
def session(world: World) -> str:
    return world.session(grant=world.grant()["id"])


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select upper(full_name) as loud from patient limit 1", [{"loud": None}]),
        ("select count(distinct mrn) as n from patient", [{"n": 0}]),
        ("select id from patient order by full_name, id limit 2", [{"id": 1}, {"id": 2}]),
        ("select id from patient where mrn = 'ST-900001'", []),
        ("select id from patient where mrn is null and id < 3 order by id", [{"id": 1}, {"id": 2}]),
        (
            "select extract(year from dob) as y, count(*) as n from patient group by 1",
            [{"y": None, "n": 1000}],
        ),
        (
            "with p as (select p.* from patient p) select full_name, city from p where id = 1",
            [{"full_name": "[REDACTED]", "city": "Salem"}],
        ),
        ("select count(*) as n from patient a join patient b on a.mrn = b.mrn", [{"n": 0}]),
        (
            "select p.id, p.city, upper(p.full_name) as loud, count(*) as n from patient p"
            " join encounter e on e.patient_id = p.id where p.id = 7 group by p.id",
            [{"id": 7, "city": "Salem", "loud": None, "n": 5}],
        ),
        (
            "select full_name, case when phone like '%7' then 1 else 0 end as seven from patient"
            " where id = 7",
            [{"full_name": "[REDACTED]", "seven": 0}],
        ),
        ("select full_name from visits where full_name like 'N%' limit 1", []),
        ("select id, upper(label) as l from labelled", [{"id": 1, "l": None}]),
    ],
)  # fmt: skip
def test_masked_semantics(world: World, session: str, sql: str, rows: list[dict[str, Any]]) -> None:
    assert world.rows(session, sql) == rows


def test_a_whole_row_holds_null(world: World, session: str) -> None:
    (row,) = world.rows(session, "select to_jsonb(p) as doc from patient p where id = 1")
    doc = json.loads(row["doc"])
    assert doc == {
        "id": 1, "city": "Salem", "full_name": None, "mrn": None, "dob": None, "notes": None,
        "phone": None,
    }  # fmt: skip


def test_parameters_are_inlined_before_the_rewriting(world: World, session: str) -> None:
    rows = world.rows(
        session,
        "select id, upper(full_name) as loud from patient where city = $1 and id < $2 order by id",
        params=["Lynn", 6],
    )
    assert rows == [{"id": 2, "loud": None}, {"id": 5, "loud": None}]


def test_the_answer_says_what_was_null(world: World, tmp_path: Path) -> None:
    session = world.session(grant=world.grant()["id"])
    sql = (
        "select id, full_name, upper(mrn) as code, phone from patient"
        " where id = 3 order by full_name"
    )
    table = world.table(session, sql)
    fields = {field.name: field.metadata for field in table.schema}
    key = b"maskgate.masked_at_source"
    assert fields["code"][key] == b"public.patient.mrn"
    assert fields["full_name"][key] == b"public.patient.full_name"
    assert fields["full_name"][b"maskgate.treatment"] == b"null"
    assert fields["phone"] == {b"maskgate.treatment": b"partial"}
    assert key not in fields["id"]
    records = world.records(session)
    intent = [record for record in records if record["type"] == "intent"][-1]
    assert intent["statement"] == sql
    assert 'CAST(NULL AS text) AS "mrn"' in intent["server_text"]
    assert [(one["column"], one["uses"]) for one in intent["masked_at_source"]] == [
        ("public.patient.full_name", ["ORDER BY"]),
        ("public.patient.mrn", ["an expression (output column 'code')"]),
    ]
    assert intent["decision"][2]["masked_at_source"] == ["public.patient.mrn"]
    number = intent["statement_no"]
    receipt = world.call(AGENT, "GET", f"/v1/sessions/{session}/statements/{number}").json()
    (note,) = receipt["notes"]
    assert note == intent["notes"][0]
    assert json.loads((table.schema.metadata or {})[b"maskgate.notes"]) == [note]
    assert note.startswith("inside public.patient these protected columns were NULL: full_name")
    world.close(session)
    bundle = tmp_path / "session.zip"
    bundle.write_bytes(world.evidence(session))
    assert verify(bundle, "--trust", str(world.trust)).returncode == 0


def test_what_nothing_can_be_hidden_in_is_refused(fragile: World) -> None:
    fragile.write_config(columns=DENIED)
    fragile.restart()
    fragile.grant()
    session = fragile.session()
    for sql in (
        "select upper(mrn) from patient",
        "select * from patient",
        "select mrn from patient",
    ):
        answer = fragile.query(session, sql)
        assert (answer.status_code, answer.json()["code"]) == (422, "protected_use"), sql
    assert fragile.rows(session, "select count(upper(full_name)) as n from patient") == [{"n": 0}]


REFUSED = [
    "select id from patient where mrn = 'ST-900001'",
    "select upper(full_name) from patient",
    "select id from patient order by full_name",
    "select count(distinct mrn) from patient",
    "select patient from patient",
    "select p.full_name as id from patient p where p.notes like '%x%'",
    "select to_jsonb(p) from patient p",
]


def test_a_connection_may_refuse_instead(fragile: World) -> None:
    fragile.write_config(connection='expressions = "refuse"')
    fragile.restart()
    fragile.grant()
    session = fragile.session()
    for sql in REFUSED:
        answer = fragile.query(session, sql)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "protected_use", answer.text
        assert "Nadia" not in answer.text
    assert fragile.rows(session, "select full_name from patient where id = 1") == [
        {"full_name": "[REDACTED]"}
    ]
