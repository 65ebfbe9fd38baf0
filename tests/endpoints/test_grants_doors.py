"""Grants over HTTP and the command line: two approvers, renewal, waiting, a broken glass."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import AGENT, AUDITOR, OTHER, STEWARD, World, built, verify, wait_until

import servers
from receiver import Receiver

SECOND = AUDITOR  # named as an approver beside the group


@pytest.fixture(scope="module")
def ward(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two stewards, both of whom must approve, and a glass to break."""
    home = tmp_path_factory.mktemp("ward")
    with built(home, newest, "grant_doors") as world:
        second = f"{world.issuer.ready['issuer']}#{SECOND}"
        agent = f"{world.issuer.ready['issuer']}#{AGENT}"
        text = world.config.read_text()
        text = text.replace(
            'approvers = ["group:data-stewards"]',
            f'approvers = ["group:data-stewards", "{second}"]\napprovals = 2\n'
            f'break_glass = [{{ who = "{agent}", connection = "clinic", max_duration = "15m" }}]',
        )
        text = text.replace("[limits]", '[limits]\nquotas = [{ per = "grant", rows_a_day = 3500 }]')
        receiver = Receiver()
        receiver.start()
        (home / "hook").write_text("a secret of thirty-two characters\n")
        hook = f'webhooks = [{{ url = "{receiver.url}", secret = "file:hook" }}]'
        text = text.replace("approvals = 2\n", f"approvals = 2\n{hook}\n")
        world.config.write_text(text)
        world.restart()
        world.receiver = receiver
        yield world
        receiver.stop()


def ask(world: World, **more: Any) -> Any:
    body = {"connection": "clinic", "tables": ["patient"], "purpose": "totals", "duration_s": 600}
    return world.call(AGENT, "POST", "/v1/grants", {**body, **more})


def command(world: World, who: str, *words: str) -> list[str]:
    arguments = ["--url", world.url, "--token", world.token(who)]
    return [sys.executable, "-m", "gateway", "grants", *words, *arguments]


def test_two_approvals_over_http(ward: World) -> None:
    asked = ask(ward, ticket="OPS-4711", hours=["mon-sun 00:00-24:00"]).json()
    assert (asked["state"], asked["approvals_needed"], asked["ticket"]) == (
        "pending",
        2,
        "OPS-4711",
    )
    path = f"/v1/grants/{asked['id']}"
    first = ward.call(STEWARD, "POST", f"{path}/approve", {"reason": "ok"})
    assert (first.status_code, first.json()["state"]) == (200, "pending")
    again = ward.call(STEWARD, "POST", f"{path}/approve", {"reason": "ok"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert ward.call(AGENT, "POST", "/v1/sessions", {"connection": "clinic"}).status_code == 403
    second = ward.call(SECOND, "POST", f"{path}/approve", {"reason": "ok"}).json()
    assert (second["state"], len(second["approvals"])) == ("active", 2)
    told = ward.call(AGENT, "GET", f"{path}/history").json()["items"]
    assert [line["event"] for line in told] == ["requested", "endorsed", "approved"]
    assert ward.call(OTHER, "GET", f"{path}/history").status_code == 404
    ward.close(ward.session(grant=asked["id"]))
    renewed = ward.call(AGENT, "POST", f"{path}/renew", {}).json()
    assert (renewed["state"], renewed["renews"]) == ("pending", asked["id"])
    assert ward.call(OTHER, "POST", f"{path}/renew", {}).status_code == 404


COLUMNS = "patient(id, city)"


@pytest.fixture(scope="module")
def narrow(ward: World) -> str:
    """A session under a grant for two columns of a table, and two of a view."""
    tables = [COLUMNS, "encounter", {"table": "visits", "columns": ["id", "status"]}]
    return ward.session(grant=_approved(ward, tables=tables))


@pytest.mark.parametrize(
    "sql",
    [
        "select id, city from patient where id < 3",
        "select count(*) from patient",
        "select p.city, count(*) from patient p join encounter e on e.patient_id = p.id group by 1",
        "select id, status from visits where id < 3",
        "with c as (select id, city as town from patient) select town from c order by id limit 2",
    ],
)
def test_granted_columns_are_read(ward: World, narrow: str, sql: str) -> None:
    assert ward.query(narrow, sql).status_code == 200


@pytest.mark.parametrize(
    "sql",
    [
        "select full_name from patient",
        "select * from patient",
        "select id from patient where mrn = 'x'",
        "select id from patient where exists (select 1 from encounter where patient.dob is null)",
        "select e.id from encounter e join patient p on p.mrn = e.id::text",
        "select id from patient order by full_name",
        "select p from patient p",
        "select row_to_json(p) from patient p",
        "select count(p) from patient p",
        "select count(*) from (select * from patient) s",
        "with c as (select * from patient) select id from c",
        "select (select q.phone from patient q where q.id = e.id) from encounter e",
        "select a.id from patient a join patient b using (id, mrn)",
        "select id from patient natural join (values ('x')) v(mrn)",
        "select id from patient group by id having max(dob) is null",
        "select id, sum(id) over (partition by phone) from patient",
        "select id from encounter union all select id from patient where notes is null",
        "select full_name from visits",
        "select id from visits where full_name is null",
        "select l.x from patient p, lateral (select p.phone as x) l",
        "table patient",
    ],
)
def test_another_column_is_out_of_scope_wherever_it_stands(
    ward: World, narrow: str, sql: str
) -> None:
    answer = ward.query(narrow, sql)
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope"), answer.text
    assert "is outside the grant, which covers public." in answer.json()["detail"]


def test_a_free_text_is_still_read_with_its_row(ward: World) -> None:
    session = ward.session(grant=_approved(ward, tables=["patient(id, notes)"]))
    (row,) = ward.rows(session, "select notes from patient where id = 1")
    assert "900001" not in row["notes"]


@pytest.mark.parametrize(
    "tables",
    [
        ["patient()"],
        ["patient(nothing)"],
        ["*(id)"],
        [{"table": "patient"}],
        [{"table": "patient", "columns": "id"}],
        [{"table": "patient", "columns": [1]}],
    ],
)
def test_columns_that_are_not_there_are_refused(ward: World, tables: Any) -> None:
    answer = ask(ward, tables=tables)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


def test_rows_that_an_approver_has_left_out_are_not_there(ward: World) -> None:
    asked = ask(ward, filters={"patient": "city = 'Boston'"}).json()
    assert asked["scope"]["filters"] == {"public.patient": "city = 'Boston'"}
    path = f"/v1/grants/{asked['id']}"
    body = {"reason": "ok", "filters": {"public.patient": "id <= 30"}}
    assert ward.call(STEWARD, "POST", f"{path}/approve", body).status_code == 200
    approved = ward.call(SECOND, "POST", f"{path}/approve", {"reason": "ok"}).json()
    session = ward.session(grant=asked["id"])
    rows = ward.rows(session, "select id, city, full_name from patient")
    assert len(rows) == 10
    assert {row["city"] for row in rows} == {"Boston"}
    assert ward.rows(session, "select count(*) as n, min(1000 / (id - 31)) as q from patient") == [
        {"n": 10, "q": -1000}
    ]
    refused = ward.query(session, "select id from visits")
    assert refused.status_code == 403, refused.text
    ward.close(session)
    intent = next(one for one in ward.records(session) if one["type"] == "intent")
    assert intent["statement"] == "select id, city, full_name from patient"
    predicate = "(city = 'Boston') AND (id <= 30)"
    assert approved["filters"] == {"public.patient": predicate}
    assert f"WHERE ({predicate}) OFFSET 0)" in intent["server_text"]
    assert f"public.patient: the grant covers rows where {predicate}" in intent["notes"]


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"patient": "full_name = 'Nadia Planted1'"}, "protected_use"),
        ({"patient": "1 / id > 0"}, "invalid_request"),
        ({"patient": "nothing = 1"}, "invalid_request"),
        ({"encounter": "id = 1"}, "invalid_request"),
        ({"patient": "id = 1", "public.patient": "id = 2"}, "invalid_request"),
        ({"patient": "exists (select 1 from payroll)"}, "invalid_request"),
    ],
)
def test_a_filter_that_cannot_be_kept_to_is_refused(
    ward: World, filters: dict[str, str], code: str
) -> None:
    answer = ask(ward, filters=filters)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_a_filter_that_cannot_be_kept_to_beside_the_others_is_not_added(ward: World) -> None:
    """Each would do for itself; together they are too long, and the grant would be useless."""
    long = "city IN (" + ", ".join(f"'{n:05d}'" for n in range(300)) + ")"
    asked = ask(ward, filters={"patient": long}).json()["id"]
    path = f"/v1/grants/{asked}/approve"
    more = {"reason": "ok", "filters": {"patient": long.replace("IN", "NOT IN")}}
    refused = ward.call(STEWARD, "POST", path, more)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), refused.text
    assert "at most 4096 characters" in refused.json()["detail"]
    assert ward.call(AGENT, "GET", f"/v1/grants/{asked}").json()["state"] == "pending"
    assert ward.call(STEWARD, "POST", path, {"reason": "ok"}).status_code == 200


def test_a_grant_for_one_statement_runs_that_and_no_other(ward: World) -> None:
    sql = "select id from patient\nwhere id <= $1"
    free = ward.session(grant=_approved(ward, statement=sql))
    assert len(ward.rows(free, sql, params=[3])) == 3
    assert len(ward.rows(free, sql, params=[4])) == 4
    bound = ward.session(grant=_approved(ward, statement=sql, params=[3]))
    assert len(ward.rows(bound, sql, params=[3])) == 3
    for session, text, params in (
        (free, sql + " ", [3]),
        (free, sql.replace("\n", " "), [3]),
        (free, "select 1 as one", []),
        (bound, sql, [4]),
        (bound, sql, ["3"]),
        (bound, sql, [3.0]),
    ):
        answer = ward.query(session, text, params=params)
        assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope"), answer.text


def test_bytes_are_counted_over_the_life_of_the_grant(ward: World) -> None:
    sql = "select id, city from patient order by id"
    one = len(ward.query(ward.session(grant=_approved(ward)), sql).content)
    session = ward.session(grant=_approved(ward, max_bytes=one + 10))
    assert len(ward.query(session, sql).content) == one
    with pytest.raises(httpx.RemoteProtocolError):  # it ended in the middle
        ward.query(session, sql)
    short = ward.session(grant=_approved(ward, max_bytes=one))
    assert len(ward.query(short, sql).content) == one
    answer = ward.query(short, sql)
    assert (answer.status_code, answer.json()["code"]) == (429, "limit_exceeded")


def test_a_quota_of_the_configuration_holds(ward: World) -> None:
    session = ward.session(grant=_approved(ward))
    for _ in range(3):
        assert len(ward.rows(session, "select id from patient")) == 1000
    with pytest.raises(httpx.RemoteProtocolError):
        ward.query(session, "select id from patient")
    refused = ward.call(AGENT, "GET", f"/v1/sessions/{session}/statements/4")
    assert refused.status_code == 404
    ward.close(session)
    assert any("3500 rows a day" in record.get("detail", "") for record in ward.records(session))


def test_a_grant_s_statements_a_minute_are_counted(ward: World) -> None:
    session = ward.session(grant=_approved(ward, max_per_minute=2, max_concurrent=1))
    sql = "select id from patient where id = 1"
    assert [ward.query(session, sql).status_code for _ in range(2)] == [200, 200]
    answer = ward.query(session, sql)
    assert (answer.status_code, answer.json()["code"]) == (429, "limit_exceeded")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "2 statements a minute" in answer.json()["detail"]


def test_a_webhook_hears_of_it_and_of_no_purpose(ward: World) -> None:
    grant = _approved(ward, purpose="chart of Nadia Planted")
    events = wait_until(
        lambda: (
            (found := [e for e in ward.receiver.events if e["grant"] == grant])
            and len(found) == 3
            and found
        )
    )
    assert [event["event"] for event in events] == [
        "grant.requested",
        "grant.endorsed",
        "grant.approved",
    ]
    assert "Nadia" not in json.dumps(ward.receiver.events)
    assert ward.receiver.headers["Maskgate-Signature"].startswith("v1=")


@pytest.mark.parametrize(
    "wrong",
    [
        {"not_before": "soon"},
        {"hours": ["always"]},
        {"ticket": ""},
        {"hours": "mon"},
        {"statement": "select \x00"},
        {"params": [1]},
        {"max_bytes": 0},
        {"max_concurrent": 0},
        {"max_per_minute": -1},
    ],
)
def test_odd_requests_are_refused_with_a_sentence(ward: World, wrong: dict[str, Any]) -> None:
    answer = ask(ward, **wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (key,) = wrong
    assert key in answer.json()["detail"]


def test_a_broken_glass_is_marked_wherever_it_is_seen(ward: World, tmp_path: Path) -> None:
    earlier = ward.session(grant=_approved(ward))
    ward.close(earlier)
    broken = ask(ward, break_glass="patient in the ER").json()
    assert (broken["state"], broken["break_glass"]) == ("active", True)
    assert "BREAK-GLASS" in (ward.home / "gateway.err").read_text()
    session = ward.session(grant=broken["id"])
    assert len(ward.rows(session, "select id from patient where id < 4")) == 3
    assert ward.query(session, "select 1 from nothing").status_code == 422
    ward.close(session)
    records = ward.records(session)
    assert {record["type"] for record in records} >= {"open", "intent", "release", "refused"}
    assert all(record["break_glass"] is True for record in records if record["type"] != "export")
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(ward.evidence(session))
    assert verify(bundle, "--trust", str(ward.trust)).returncode == 0
    due = ward.call(AUDITOR, "GET", "/v1/reviews").json()["items"]
    assert (due[0]["session"], due[0]["break_glass"]) == (session, True)
    assert earlier in {one["session"] for one in due[1:]}


def _approved(ward: World, **more: Any) -> str:
    grant = ask(ward, **more).json()["id"]
    for who in (STEWARD, SECOND):
        ward.call(who, "POST", f"/v1/grants/{grant}/approve", {"reason": "ok"})
    return str(grant)


def test_nobody_else_breaks_the_glass(ward: World) -> None:
    body = {"connection": "clinic", "tables": ["*"], "purpose": "x", "duration_s": 60}
    answer = ward.call(OTHER, "POST", "/v1/grants", {**body, "break_glass": "me too"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_request_waits_until_the_last_approval(ward: World) -> None:
    words = ("request", "clinic", "patient", "--purpose", "totals", "--wait", "--json")
    with subprocess.Popen(
        command(ward, AGENT, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        found = re.match(r"(g-[0-9a-f]+): pending, 0 of 2 approvals", line)
        assert found is not None, line
        for who in (STEWARD, SECOND):
            path = f"/v1/grants/{found[1]}/approve"
            assert ward.call(who, "POST", path, {"reason": "ok"}).status_code == 200
        out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    (grant,) = json.loads(out)
    assert (grant["id"], grant["state"]) == (found[1], "active")
