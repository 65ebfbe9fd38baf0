"""A gateway with a second credential: what stands in the database while grants come and go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import world as worlds
from test_faults import LONG, read_some
from world import AGENT, OTHER, STEWARD, World, wait_until

import servers
from floors import OURS, SECOND, drop_by_hand, logins

LOGIN = "maskgate_login"  # the world's


def admin(world: World, *commands: str) -> list[str]:
    """As a superuser; gives the provisioned roles of its database after it."""

    async def run() -> list[str]:
        connection = await asyncpg.connect(world.server.dsn(database=world.database))
        try:
            for command in commands:
                await connection.execute(command)
            return [row["rolname"] for row in await connection.fetch(OURS)]
        finally:
            await connection.close()

    return asyncio.run(run())


def dropped(world: World, role: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(world.server.dsn(database=world.database))
        try:
            await drop_by_hand(connection, role)
        finally:
            await connection.close()

    asyncio.run(run())


def provisioned(world: World) -> None:
    """From here on by the second credential; the next start takes it."""
    admin(world, logins(world.database, LOGIN))
    text = world.config.read_text().replace(
        '"public.patient.notes" = "scan"',
        '"public.patient.notes" = { treatment = "scan", row = ["full_name"] }',
    )
    second = world.server.dsn(SECOND, world.database)
    world.config.write_text(text.replace('role = "clinic_reader"', f'admin_dsn = "{second}"'))


@pytest.fixture(scope="module")
def started(server: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp(f"provisioned{server.major}")
    with worlds.built(home, server, "provisioned") as world:
        provisioned(world)
        world.restart()
        yield world


@pytest.fixture
def clinic(started: World) -> Iterator[World]:
    """Without a grant in force before and after, and so without a role."""
    yield started
    for client in (AGENT, OTHER):
        for grant in started.call(client, "GET", "/v1/grants").json()["items"]:
            if grant["state"] == "active":  # or over by the time it is revoked
                path = f"/v1/grants/{grant['id']}/revoke"
                started.call(STEWARD, "POST", path, {"reason": "enough"})
    gone(started)


def revoke(world: World, grant: dict[str, Any]) -> None:
    body = {"reason": "enough"}
    answer = world.call(STEWARD, "POST", f"/v1/grants/{grant['id']}/revoke", body)
    assert answer.status_code == 200, answer.text


def gone(world: World) -> None:
    wait_until(lambda: admin(world) == [], 3.0)


def test_each_record_names_the_role_and_the_database_has_it_as_long(clinic: World) -> None:
    grant = clinic.grant(tables=["patient(id, city, full_name)"])
    (role,) = wait_until(lambda: admin(clinic), 3.0)
    session = clinic.session()
    assert clinic.rows(session, "select id, city from patient where id = 1") == [
        {"id": 1, "city": "Salem"}
    ]
    (row,) = clinic.rows(session, "select full_name from patient where id = 1")
    assert row["full_name"] == "[REDACTED]"
    assert clinic.rows(session, "select 1 as one") == [{"one": 1}]
    refused = clinic.query(session, "select notes from patient")
    assert refused.json()["code"] == "out_of_scope"
    records = clinic.records(session)
    assert {r["role"] for r in records if r["type"] == "intent"} == {role}
    floors = [r["database_floor"] for r in records if r["type"] in ("open", "intent")]
    assert {floor.split(":")[0] for floor in floors} == {"provisioned"}
    revoke(clinic, grant)
    gone(clinic)


def test_masked_at_source_filtered_and_brought_along_run_under_the_role(clinic: World) -> None:
    clinic.grant(
        tables=["patient(id, mrn, notes)", "encounter"],
        filters={"public.encounter": "status = 'planned'"},
    )
    session = clinic.session()
    assert clinic.rows(session, "select id from patient where mrn = 'ST-900001'") == []
    (row,) = clinic.rows(session, "select notes from patient where id = 1")
    assert "ST-900001" not in row["notes"]
    (count,) = clinic.rows(session, "select count(*) as n from encounter")
    assert 0 < count["n"] < 5000
    joined = "select p.id, e.cost from patient p join encounter e on e.patient_id = p.id"
    assert clinic.rows(session, f"{joined} where p.id < 9")


def test_a_role_dropped_by_hand_is_made_again_and_a_stream_goes_on(clinic: World) -> None:
    clinic.grant()
    session = clinic.session()
    with (
        clinic.http(AGENT) as http,
        http.stream("POST", f"/v1/sessions/{session}/query", json={"sql": LONG}) as stream,
    ):
        body = stream.iter_raw()
        assert read_some(body, 100_000)
        (role,) = admin(clinic)
        dropped(clinic, role)
        assert read_some(body, 3_000_000)
    assert clinic.rows(session, "select id from patient where id = 1") == [{"id": 1}]
    assert admin(clinic) == [role]


def test_columns_that_change_are_told_and_then_read(clinic: World) -> None:
    clinic.grant(tables=["encounter"])
    session = clinic.session()
    assert clinic.rows(session, "select id from encounter where id = 1")
    for number in range(10):
        column = f"ward_{number}"
        admin(clinic, f"alter table encounter add column {column} text default 'east'")
        statement = f"select {column} from encounter where id = 1"
        changed = clinic.query(session, statement)
        if changed.status_code == 502:
            break
        # A look of the gateway's own, for a grant that has begun or ended, was between.
        assert worlds.table_of(changed).to_pylist() == [{column: "east"}]
    assert changed.status_code == 502
    assert changed.json()["hint"] == "send the statement again"
    assert clinic.rows(session, statement) == [{column: "east"}]


def test_a_role_goes_with_the_time_of_its_grant_though_nobody_asks(clinic: World) -> None:
    clinic.grant(tables=["patient"], duration_s=2)
    assert len(wait_until(lambda: admin(clinic), 1.5)) == 1
    began = time.monotonic()
    gone(clinic)
    assert time.monotonic() - began < 3


def test_what_a_kill_left_is_gone_after_the_next_start(clinic: World) -> None:
    ending = clinic.grant(tables=["encounter"])
    clinic.grant(tables=["patient"])
    wait_until(lambda: len(admin(clinic)) == 2, 3.0)
    clinic.gateway.child.kill()
    clinic.gateway.end()

    async def end() -> None:
        control = clinic.server.dsn(database=f"{clinic.database}_control")
        connection = await asyncpg.connect(control)
        await connection.execute(
            "update maskgate.grants set state = 'revoked' where id = $1", ending["id"]
        )
        await connection.close()

    asyncio.run(end())
    assert len(admin(clinic)) == 2
    clinic.start()
    assert len(admin(clinic)) == 1


def test_an_orderly_stop_leaves_what_grants_in_force_need(clinic: World) -> None:
    grant = clinic.grant(tables=["encounter"])
    clinic.grant(tables=["patient"], duration_s=1)
    clinic.gateway.end()
    wait_until(lambda: len(admin(clinic)) >= 1, 1.0)
    clinic.start()
    wait_until(lambda: len(admin(clinic)) == 1, 3.0)
    revoke(clinic, grant)
    gone(clinic)


def test_two_gateways_share_the_roles(clinic: World, tmp_path: Path) -> None:
    other = clinic.neighbour(tmp_path / "other")
    try:
        grants = [clinic.grant(client, tables=["patient"]) for client in (AGENT, OTHER)]
        sessions = [(world, world.session(client)) for world in (clinic, other)
                    for client in (AGENT, OTHER)]  # fmt: skip
        for number, (world, session) in enumerate(sessions):
            client = (AGENT, OTHER)[number % 2]
            assert world.rows(session, "select id from patient where id = 1", client=client)
        assert len(admin(clinic)) == 1
        revoke(other, grants[0])
        assert clinic.rows(sessions[1][1], "select id from patient where id = 1", client=OTHER)
        clinic.gateway.end()
        assert len(admin(clinic)) == 1
        assert other.rows(sessions[3][1], "select id from patient where id = 1", client=OTHER)
        revoke(other, grants[1])
        gone(other)
        clinic.start()
    finally:
        other.gateway.end()


def test_nothing_runs_without_the_floor(clinic: World) -> None:
    """The second credential is taken away: what stands goes on, nothing else begins."""
    clinic.grant(tables=["patient"])
    session = clinic.session()
    assert clinic.rows(session, "select id from patient where id = 1")
    admin(clinic, f"alter role {SECOND} nologin")
    try:
        assert clinic.rows(session, "select id from patient where id = 2")
        clinic.grant(OTHER, tables=["encounter"])
        refused = clinic.query(clinic.session(OTHER), "select id from encounter", client=OTHER)
        assert refused.status_code == 502
        assert "roles of the database floor" in refused.json()["detail"]
        told = clinic.call(None, "GET", "/readyz")
        assert told.status_code == 503
        assert "roles of the database floor" in told.text
    finally:
        admin(clinic, f"alter role {SECOND} login")
    wait_until(lambda: clinic.call(None, "GET", "/readyz").status_code == 200, 10)
    assert clinic.rows(clinic.session(OTHER), "select 1 as n", client=OTHER)


def _said(world: World, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *command, "-c", str(world.config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_and_serve_say_what_is_wrong_with_the_second_credential(fragile: World) -> None:
    provisioned(fragile)
    sound = _said(fragile, "check")
    assert sound.returncode == 0, sound.stdout
    assert "admin_dsn" not in sound.stdout
    assert "no role is configured" not in sound.stdout
    admin(fragile, f"revoke select on payroll from {SECOND}")
    assert "admin_dsn may not grant all of public.payroll" in _said(fragile, "check").stdout
    admin(fragile, f"alter role {SECOND} nocreaterole")
    fragile.gateway.end()
    try:
        for command in ("check", "serve"):
            said = _said(fragile, command)
            assert said.returncode != 0
            assert "may not make roles" in said.stdout + said.stderr
    finally:
        admin(fragile, f"alter role {SECOND} createrole")
    admin(fragile, f"grant select on payroll to {LOGIN}")
    fragile.start()
    try:
        told = (fragile.home / "gateway.err").read_text()
        assert "clinic: the login itself may read tables: the role is no floor" in told
    finally:
        admin(fragile, f"revoke select on payroll from {LOGIN}")


@pytest.mark.pg15
def test_each_record_says_which_floor_there_was(server: servers.Server, tmp_path: Path) -> None:
    """Pre-made and none on every version; on 15 nothing is provisioned."""
    with worlds.built(tmp_path, server, "which_floor") as world:
        grant = world.grant(tables=["patient"])
        assert _floors(world) == {("pre-made role clinic_reader", "clinic_reader")}
        world.config.write_text(world.config.read_text().replace('role = "clinic_reader"', ""))
        world.restart()
        assert _floors(world) == {("none", None)}
        revoke(world, grant)
        if server.major == 15:
            world.gateway.end()
            world.write_config()
            provisioned(world)
            said = _said(world, "serve")
            assert said.returncode != 0
            assert "leave admin_dsn out and name a pre-made role" in said.stderr
        assert admin(world) == []


def _floors(world: World) -> set[tuple[str, str | None]]:
    """What the records of one statement say of floor and role."""
    session = world.session()
    world.query(session, "select id from patient where id = 1")
    records = [r for r in world.records(session) if r["type"] in ("open", "intent")]
    assert len(records) == 2
    (floor,) = {record["database_floor"].split(":")[0] for record in records}
    return {(floor, record["role"]) for record in records if record["type"] == "intent"}
