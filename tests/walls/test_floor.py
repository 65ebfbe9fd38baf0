"""What `maskgate check` says of the roles, and what a record says of the role of a statement."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import asyncpg
import pytest
import world as worlds
from ward import CLEAR, READER, Ward

import servers
from gateway.flows import floor
from gateway.flows.house import Connection

CLINIC_CLEAR = """
revoke temp on database "{database}" from public;
create role {role} nologin;
grant {role} to maskgate_login;
grant usage on schema public to {role};
grant select (id, city) on patient to {role};
grant select on encounter to {role};
"""
_ROLE = "clinic_clear_columns"


def connected(ward: Ward, role: str | None = READER, clear_role: str | None = CLEAR) -> Connection:
    return Connection(
        name="ward",
        upstream=ward.database,
        role=role,
        clear_role=clear_role,
        analysis=ward.settings,
        policy=ward.policy,
        infinity="error",
        token_domain="ward",
    )


@pytest.mark.pg15
async def test_a_sound_pair_of_roles_is_not_wrong(ward: Ward) -> None:
    found = await floor.inspect(connected(ward))
    assert found.wrong == ()
    assert not [sentence for sentence in found.loose if CLEAR in sentence]


@pytest.mark.pg15
@pytest.mark.parametrize(
    ("granted", "says"),
    [
        ("select (ssn) on patient", "may read public.patient.ssn, which is protected (rule"),
        ("select on patient", "may read public.patient.dob, which is protected"),
        ("select (badge) on patient", "may read public.patient.badge, which is protected"),
        ("select on labels", "may read public.labels.label, which is protected"),
        ("select (label) on copied", "may read public.copied.label, which is protected"),
        ("select on closed", "may read public.closed, which is refused: public.closed has row"),
        ("select on archive.member", "may read archive.member.id, which is protected (no rule"),
    ],
)
async def test_a_protected_column_in_reach_of_the_clear_role_is_wrong(
    ward: Ward, granted: str, says: str
) -> None:
    await ward.admin.execute(f"grant {granted} to {CLEAR}")
    try:
        found = await floor.inspect(connected(ward))
    finally:
        await ward.admin.execute(f"revoke {granted} from {CLEAR}")
        await ward.admin.execute(f"grant select (id, city, mood, code, pair) on patient to {CLEAR}")
    assert any(f"clear_role {CLEAR} {says}" in sentence for sentence in found.wrong), found.wrong


@pytest.mark.pg15
async def test_a_role_that_cannot_be_taken_is_wrong(ward: Ward) -> None:
    found = await floor.inspect(connected(ward, clear_role="pg_monitor"))
    assert found.wrong == ("clear_role pg_monitor: the login may not take the role pg_monitor",)
    missing = await floor.inspect(connected(ward, role="nobody_at_all", clear_role=None))
    assert "role nobody_at_all: the login may not take the role nobody_at_all" in missing.wrong


@pytest.mark.pg15
async def test_rights_that_nobody_needs_are_loose(ward: Ward) -> None:
    await ward.admin.execute(
        f'grant temp on database "ward" to {READER}; grant create on schema early to {READER};'
        f"grant execute on function peek(int) to public; grant select on archive.member to {READER}"
    )
    try:
        loose = "\n".join((await floor.inspect(connected(ward))).loose)
    finally:
        await ward.admin.execute(
            f'revoke temp on database "ward" from {READER};'
            f"revoke create on schema early from {READER};"
            "revoke execute on function peek(int) from public;"
            f"revoke select on archive.member from {READER}"
        )
    for part in (
        f"the role {READER} may make temporary tables",
        f"the role {READER} may CREATE in the schemas early",
        f"the role {READER} may run SECURITY DEFINER functions",
        "REVOKE EXECUTE ON peek(integer) FROM PUBLIC",
        f"the role {READER} may read 1 columns that no rule names: archive.member.id",
    ):
        assert part in loose


# ------------------------------------------------------------------ through the whole gateway


@pytest.fixture(scope="module")
def clinic(
    newest: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    """A world with a clear role, started again so that it takes it."""
    import asyncio

    async def prepare(database: str) -> None:
        admin = await asyncpg.connect(newest.dsn(database=database))
        await admin.execute(CLINIC_CLEAR.format(database=database, role=_ROLE))
        await admin.close()

    with worlds.built(tmp_path_factory.mktemp("roles"), newest, "walls_roles") as world:
        asyncio.run(prepare("walls_roles"))
        text = world.config.read_text()
        world.config.write_text(
            text.replace(
                'role = "clinic_reader"', f'role = "clinic_reader"\nclear_role = "{_ROLE}"'
            )
        )
        world.restart()
        world.grant()
        yield world


def test_each_record_names_the_role_of_its_statement(clinic: worlds.World) -> None:
    session = clinic.session()
    assert clinic.rows(session, "select id, city from patient where id = 1")
    (row,) = clinic.rows(session, "select id, full_name from patient where id = 1")
    assert row["full_name"] == "[REDACTED]"
    # Clear by the policy; the role has no right to it, and the database says so.
    denied = clinic.query(session, "select status from visits")
    assert denied.status_code == 403
    assert "visits" not in denied.json()["detail"]
    intents = [record for record in clinic.records(session) if record["type"] == "intent"]
    assert [intent["role"] for intent in intents] == [_ROLE, "clinic_reader", _ROLE]
    assert f"role {_ROLE} where no protected column comes out" in intents[0]["database_floor"]


def _check(world: worlds.World) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(world.config)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "COLUMNS": "300"},
    )


def test_check_fails_when_the_clear_role_is_not_clear(clinic: worlds.World) -> None:
    import asyncio

    async def admin(command: str) -> None:
        connection = await asyncpg.connect(clinic.server.dsn(database=clinic.database))
        await connection.execute(command)
        await connection.close()

    sound = _check(clinic)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert "loose  connections.clinic: the role clinic_reader may read 2 columns" in sound.stdout
    assert "columns that no rule names: public.payroll.id" in sound.stdout
    asyncio.run(admin(f"grant select (mrn) on patient to {_ROLE}"))
    try:
        wrong = _check(clinic)
    finally:
        asyncio.run(admin(f"revoke select (mrn) on patient from {_ROLE}"))
    assert wrong.returncode == 1
    said = f"wrong  connections.clinic: clear_role {_ROLE} may read public.patient.mrn"
    assert f"{said}, which is protected" in wrong.stdout


def test_what_drifts_under_a_running_gateway_stays_masked(clinic: worlds.World) -> None:
    """Through HTTP, in each format: the policy was loaded before the change."""
    import asyncio

    async def admin(command: str) -> None:
        connection = await asyncpg.connect(clinic.server.dsn(database=clinic.database))
        await connection.execute(command)
        await connection.close()

    session = clinic.session()
    changes = {
        "alter table patient add column alias text default 'Nadia Planted'": (
            "select alias, id from patient limit 3",
        ),
        "alter table patient rename column phone to mobile": (
            "select mobile from patient limit 3",
        ),
        "alter table patient rename column city to town;"
        "alter table patient rename column full_name to city": (
            "select city from patient limit 3",
            "select id, city from patient where id = 5",
        ),
        "create or replace view visits as select e.id, p.mrn as full_name, e.status"
        " from encounter e join patient p on p.id = e.patient_id": (
            "select full_name, status from visits limit 3",
        ),
        "alter table patient alter column dob type text using notes": (
            "select dob from patient limit 3",
        ),
    }
    for change, statements in changes.items():
        asyncio.run(
            admin(f"{change}; grant select on all tables in schema public to clinic_reader")
        )
        for sql in statements:
            for accept in (worlds.ARROW, "application/x-ndjson", "text/csv"):
                answer = clinic.query(session, sql, accept=accept)
                assert answer.status_code in (200, 422, 403), answer.text
                for planted in (b"Planted", b"ST-90", b"555-010-"):
                    assert planted not in answer.content, sql
    errors = (clinic.home / "gateway.err").read_bytes()
    assert b"Planted" not in errors
    assert "Planted" not in json.dumps(clinic.records(session)).replace(
        "default 'Nadia Planted'", ""
    )
