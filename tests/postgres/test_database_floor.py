"""The roles that a connection with a second credential has: equal to the grants in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

import floors
import servers
from control import DANA, Desk, fresh_database, open_desk
from floors import Ground, drop_by_hand, ground, of, refused
from gateway.errors import OutOfScope, UpstreamFailed
from gateway.flows import provisioned
from gateway.flows.provisioned import Provisioned
from gateway.grants.store import LISTENER
from gateway.model import Grant
from gateway.upstream import ColumnSet
from gateway.upstream.roles import LOCK

PATIENT = of("patient", "id", "full_name", "city", "notes", "ssn")


@pytest_asyncio.fixture
async def clinic(server: servers.Server) -> AsyncIterator[Ground]:
    async with ground(server) as made:
        yield made


@pytest_asyncio.fixture
async def desk(server: servers.Server) -> AsyncIterator[Desk]:
    """On the very server: as where a store and the data stand together."""
    async with open_desk(await fresh_database(server)) as opened:
        yield opened


@pytest_asyncio.fixture
async def floor(clinic: Ground, desk: Desk) -> Provisioned:
    return await clinic.floor(desk)


async def role_of(floor: Provisioned, grant: Grant) -> str:
    found = await floor.settle()
    return found.roles[grant.id]


@pytest.mark.parametrize(
    ("scope", "reads"),
    [
        ({"tables": ["public.patient"]}, PATIENT),
        (
            {"tables": ["public.patient"], "columns": {"public.patient": ["id", "city"]}},
            of("patient", "id", "city"),
        ),
        (
            {
                "tables": ["public.patient", "public.encounter"],
                "columns": {"public.patient": ["id"]},
            },
            of("patient", "id") | of("encounter", "id", "patient_id", "status"),
        ),
        ({"tables": ["public.visits"]}, of("visits", "id", "full_name", "status")),
        ({"tables": ["public.event"]}, of("event", "id", "day", "note")),
        (
            {"tables": ['public.Odd "table'], "columns": {'public.Odd "table': ['a "b']}},
            {'"Odd ""table"."a ""b"'},
        ),
        (
            {
                "tables": ["public.patient"],
                "columns": {"public.patient": ["id"]},
                "filters": {"public.patient": ["city = 'Salem'"]},
            },
            of("patient", "id", "city"),
        ),
        ({"tables": ["public.gone", "public.payroll"]}, of("payroll", "id", "salary")),
    ],
    ids=["table", "columns", "both", "view", "partitioned", "quoted", "filter", "gone"],
)
async def test_a_role_reads_what_its_grant_covers_and_nothing_else(
    clinic: Ground, desk: Desk, floor: Provisioned, scope: dict[str, object], reads: set[str]
) -> None:
    grant = await desk.active(**scope)
    assert await clinic.readable(await role_of(floor, grant)) == reads


async def test_a_grant_for_everything_covers_what_can_be_handed_on(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    await clinic.admin.execute("create table later (id int)")
    await clinic.admin.execute("revoke select on payroll from floor_roles")
    grant = await desk.active(tables=["*"])
    role = await role_of(floor, grant)
    every = {f"{t}.{c}" for t, columns in (await clinic.columns()).items() for c in columns}
    assert await clinic.readable(role) == every - of("payroll", "id", "salary")


async def test_columns_that_a_text_is_masked_beside_are_read_too(
    server: servers.Server, desk: Desk
) -> None:
    rules = {
        "*.*.*": "clear",
        "public.patient.full_name": "redact",
        "public.patient.notes": {"treatment": "scan", "row": ["full_name"]},
    }
    async with ground(server, rules) as clinic:
        floor = await clinic.floor(desk)
        beside = await desk.active(columns={"public.patient": ["id", "notes"]})
        alone = await desk.active(columns={"public.patient": ["id", "city"]})
        read = await clinic.readable(await role_of(floor, beside))
        assert read == of("patient", "id", "notes", "full_name")
        assert await clinic.readable(await role_of(floor, alone)) == of("patient", "id", "city")


async def test_grants_for_the_same_columns_share_a_role_until_the_last_has_ended(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    first, second = await desk.active(), await desk.active()
    found = await floor.settle()
    assert found.roles[first.id] == found.roles[second.id]
    assert await clinic.roles() == [found.roles[first.id]]
    await desk.grants.revoke(first.id, DANA, "enough")
    await floor.settle()
    assert len(await clinic.roles()) == 1
    desk.clock.turn(3601)
    await floor.settle()
    assert await clinic.roles() == []


async def test_a_grant_has_a_role_only_while_it_is_in_force(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    asked = await desk.ask()
    await desk.active(not_before=desk.clock().replace(hour=13).isoformat())
    await desk.active(hours=["mon-mon 00:00-24:00"])  # the clock stands on a Sunday
    await floor.settle()
    assert await clinic.roles() == []
    await desk.grants.deny(asked.id, DANA, "no")
    desk.clock.turn(3600)
    await floor.settle()
    assert len(await clinic.roles()) == 1


async def test_the_login_reads_nothing_and_inherits_nothing(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    await desk.active(tables=["*"])
    await floor.settle()
    login = await asyncpg.connect(clinic.login)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.fetch("select id from patient")
    (role,) = await clinic.roles()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.execute(f'grant "{role}" to pg_monitor')
    await login.close()


async def test_a_role_cannot_log_in(clinic: Ground, desk: Desk, floor: Provisioned) -> None:
    role = await role_of(floor, await desk.active())
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(clinic.server.dsn(role, clinic.name))


# ------------------------------------------------------------------------- others' hands


async def under(floor: Provisioned, grant: Grant, sql: str) -> list[object]:
    """A statement's rows as the corridor would ask for them, under the role of the grant."""
    async with floor.transaction("test", grant) as transaction:
        role = transaction.role(raw=True)
        await transaction.fetch(f'SET LOCAL ROLE "{role}"')
        return await transaction.fetch(sql)


async def test_a_role_that_somebody_dropped_is_made_again_once(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    grant = await desk.active()
    role = await role_of(floor, grant)
    await drop_by_hand(clinic.admin, role)
    assert await under(floor, grant, "select id from public.patient")
    assert await clinic.roles() == [role]
    # And what cannot be made again is refused: nothing runs without the floor.
    await drop_by_hand(clinic.admin, role)
    await clinic.admin.execute("alter role floor_roles nocreaterole")
    try:
        assert "may not make roles" in await refused(floor, grant)
    finally:
        await clinic.admin.execute("alter role floor_roles createrole")


async def test_what_nobody_has_looked_at_for_long_is_not_believed(
    clinic: Ground, desk: Desk, floor: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await desk.active()
    await floor.settle()
    await clinic.admin.execute("alter role floor_roles nologin")
    try:
        assert await refused(floor, grant) == ""
        monkeypatch.setattr(provisioned, "BELIEVED_S", 0.0)
        assert "roles of the database floor cannot be looked after" in await refused(floor, grant)
    finally:
        await clinic.admin.execute("alter role floor_roles login")


@pytest.mark.parametrize(
    "tampered",
    [
        'grant select on payroll to "{role}"',
        'grant select (salary) on payroll to "{role}"',
        'grant update (city) on patient to "{role}"',
        'grant pg_read_all_data to "{role}"',
        'alter role "{role}" superuser',
        'alter role "{role}" bypassrls',
        'alter role "{role}" login',
        'set role floor_roles; revoke select (city) on patient from "{role}"; reset role',
        'grant "{role}" to floor_login with inherit true',
        'grant "{role}" to floor_login with admin true',
        'grant "{role}" to floor_stranger',
        'grant create on schema public to "{role}"',
        'grant execute on function pg_read_file(text) to "{role}"',
    ],
)
async def test_a_role_that_somebody_changed_is_made_anew(
    clinic: Ground, desk: Desk, floor: Provisioned, tampered: str
) -> None:
    await clinic.admin.execute(
        "do $$ begin create role floor_stranger; exception when duplicate_object then null; end $$"
    )
    grant = await desk.active()
    role = await role_of(floor, grant)
    oid = await clinic.admin.fetchval("select oid from pg_roles where rolname = $1", role)
    await clinic.admin.execute(tampered.format(role=role))
    found = await floor.settle()
    if role in found.stuck:
        # Rights that somebody else gave are not the second credential's to take.
        assert await refused(floor, grant)
        await drop_by_hand(clinic.admin, role)
        found = await floor.settle()
    assert found.made == {role}
    assert await clinic.admin.fetchval("select oid from pg_roles where rolname = $1", role) != oid
    assert await clinic.readable(role) == PATIENT


async def test_a_table_that_takes_another_s_name_is_not_what_was_granted(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    grant = await desk.active()
    role = await role_of(floor, grant)
    await clinic.admin.execute(
        "alter table patient rename to patient_before; alter table payroll rename to patient"
    )
    assert await clinic.readable(role) == {
        c.replace("patient.", "patient_before.") for c in PATIENT
    }
    other = await role_of(floor, grant)
    assert other != role
    assert await clinic.readable(other) == of("patient", "id", "salary")
    assert await clinic.roles() == [other]


async def test_a_column_that_came_later_is_in_the_next_role(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    grant = await desk.active()
    role = await role_of(floor, grant)
    await clinic.admin.execute("alter table patient add column phone text")
    assert "patient.phone" not in await clinic.readable(role)
    assert "patient.phone" in await clinic.readable(await role_of(floor, grant))
    assert len(await clinic.roles()) == 1


async def test_nothing_of_anybody_else_is_dropped(
    clinic: Ground, desk: Desk, floor: Provisioned, server: servers.Server
) -> None:
    """A role of the same look, one of another installation, of another database or connection."""
    stem = (await role_of(floor, await desk.active(duration_s=60)))[:18]
    await clinic.admin.execute(f'create role "{stem}by_hand"')
    async with (
        open_desk(await fresh_database(server)) as stranger,
        ground(server) as other_database,
    ):
        await stranger.active()
        theirs = (await (await clinic.floor(stranger)).settle()).made
        await desk.active(connection="elsewhere")
        elsewhere = (await (await other_database.floor(desk, "elsewhere")).settle()).made
        await desk.active(connection="beside")
        beside = (await (await clinic.floor(desk, "beside")).settle()).made
        desk.clock.turn(61)
        found = await floor.settle()
        assert len(found.dropped) == 1
        everybodys = {f"{stem}by_hand", *theirs, *elsewhere}
        assert {*await clinic.roles(), *await other_database.roles()} == everybodys | beside
        # What a connection left that has no grant in force any more, whoever looks.
        desk.clock.turn(3600)
        found = await floor.settle()
        assert (found.dropped, found.stuck) == (beside, {})
        assert {*await clinic.roles(), *await other_database.roles()} == everybodys
    await clinic.admin.execute(f'drop role if exists "{stem}by_hand"')


async def test_a_grant_for_another_database_of_that_name_needs_nothing_here(
    clinic: Ground, desk: Desk, floor: Provisioned, server: servers.Server
) -> None:
    async with ground(server) as other:
        there = await other.floor(desk)
        grant = await desk.active(database=await other.opened[0].which())
        assert (await floor.settle()).roles == {}
        assert await refused(floor, grant)
        assert set((await there.settle()).roles) == {grant.id}
        await floor.settle()
        assert len(await other.roles()) == 1
        assert await under(there, grant, "select id from public.patient")


async def test_what_hangs_on_a_role_elsewhere_keeps_it_but_not_for_the_login(
    clinic: Ground, desk: Desk, floor: Provisioned, server: servers.Server
) -> None:
    grant = await desk.active()
    role = await role_of(floor, grant)
    await clinic.admin.execute(f'grant update on payroll to "{role}"')
    await desk.grants.revoke(grant.id, DANA, "enough")
    found = await floor.settle()
    assert "something of somebody else's depends on it" in found.stuck[role]
    login = await asyncpg.connect(clinic.login)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.execute(f'set role "{role}"')
    await login.close()
    await clinic.admin.execute(f'revoke all on payroll from "{role}"')
    assert (await floor.settle()).dropped == {role}


# ------------------------------------------------------------------------- the second credential


async def test_what_the_second_credential_may_not_grant_is_said(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    await clinic.admin.execute("revoke grant option for select on payroll from floor_roles cascade")
    whole, other = await desk.active(tables=["public.payroll"]), await desk.active()
    assert "may not grant SELECT on id, salary of public.payroll" in await refused(floor, whole)
    assert await refused(floor, other) == ""
    await clinic.admin.execute("create schema inner_ward; create table inner_ward.t (id int)")
    await clinic.admin.execute("grant select on inner_ward.t to floor_roles with grant option")
    closed = await desk.active(tables=["inner_ward.t"])
    await floor.settle()
    assert "may not grant USAGE on the schema inner_ward" in await refused(floor, closed)
    await clinic.admin.execute(
        "grant usage on schema inner_ward to floor_roles with grant option;"
        "grant usage on schema inner_ward to floor_login"
    )
    await floor.settle()
    assert await under(floor, closed, "select id from inner_ward.t") == []


async def test_a_role_that_gets_less_than_it_should_is_none(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    """Without the grant option GRANT warns and does nothing; what changed since one looked."""
    async with floor._roles.locked() as locked:
        tables = await locked.tables(["public.patient", "public.payroll"])
        await clinic.admin.execute(
            "revoke grant option for select on payroll from floor_roles cascade"
        )
        wanted = ColumnSet.of((table, table.columns) for table in tables.values())
        with pytest.raises(UpstreamFailed, match="did not get the rights"):
            await locked.make(wanted)
        await clinic.admin.execute(
            "alter table patient rename to was; alter table event rename to patient"
        )
        wanted = ColumnSet.of([(tables["public.patient"], ["id"])])
        with pytest.raises(UpstreamFailed, match="did not get the rights"):
            await locked.make(wanted)
    assert await clinic.roles() == []


@pytest.mark.parametrize(
    ("user", "database", "says"),
    [
        (floors.LOGIN, None, "the login of dsn"),
        ("floor_weak", None, "may not make roles: ALTER ROLE … CREATEROLE"),
        ("postgres", "postgres", "another server or database"),
    ],
)
async def test_a_credential_that_is_not_good_for_it_is_refused(
    clinic: Ground, desk: Desk, user: str, database: str | None, says: str
) -> None:
    await clinic.admin.execute(
        "do $$ begin create role floor_weak login;"
        " exception when duplicate_object then null; end $$"
    )
    second = clinic.server.dsn(user, database or clinic.name)
    floor = await clinic.floor(desk, second=second)
    assert says in await refused(floor, await desk.active())


async def test_what_the_server_gives_to_makers_of_roles_is_left(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    await clinic.admin.execute("alter role floor_roles set createrole_self_grant = 'set, inherit'")
    try:
        grant = await desk.active()
        assert await clinic.readable(await role_of(floor, grant)) == PATIENT
    finally:
        await clinic.admin.execute("alter role floor_roles reset createrole_self_grant")


async def test_a_superuser_can_be_the_second_credential(clinic: Ground, desk: Desk) -> None:
    floor = await clinic.floor(desk, second=clinic.server.dsn(database=clinic.name))
    grant = await desk.active(columns={"public.patient": ["id"]})
    assert await clinic.readable(await role_of(floor, grant)) == of("patient", "id")
    assert (await floor.settle()).made == frozenset()
    desk.clock.turn(3601)
    await floor.settle()
    assert await clinic.roles() == []


# ------------------------------------------------------------------------- several gateways


async def test_two_gateways_at_once_agree(clinic: Ground, desk: Desk) -> None:
    """Grants come and go while both look again and again; no look fails, and none is left."""
    async with open_desk(desk.dsn) as second_desk:
        second_desk.clock = desk.clock
        one, other = await clinic.floor(desk), await clinic.floor(second_desk)

        async def gateway(floor: Provisioned, numbers: range) -> None:
            for number in numbers:
                grant = await desk.active(
                    columns={"public.patient": ["id", ["city", "ssn", "notes"][number % 3]]}
                )
                assert await under(floor, grant, "select id from public.patient")
                await desk.grants.revoke(grant.id, DANA, "enough")
                await floor.settle()

        await asyncio.gather(
            *(gateway(floor, range(start, start + 6)) for floor in (one, other) for start in (0, 1))
        )
        await one.settle()
        assert await clinic.roles() == []


async def test_who_waited_for_the_lock_asks_what_is_needed_behind_it(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    """What was asked before it may be over: a role would go that another grant needs by then."""
    ending = await desk.active()
    role = await role_of(floor, ending)
    oid = await clinic.admin.fetchval("select oid from pg_roles where rolname = $1", role)
    await desk.grants.revoke(ending.id, DANA, "enough")
    await clinic.admin.execute(f"select pg_advisory_lock({LOCK})")
    settling = asyncio.create_task(floor.settle())
    await asyncio.sleep(0.5)
    coming = await desk.active()
    await clinic.admin.execute(f"select pg_advisory_unlock({LOCK})")
    found = await settling
    assert (found.roles, found.dropped, found.made) == ({coming.id: role}, set(), set())
    assert await clinic.admin.fetchval("select oid from pg_roles where rolname = $1", role) == oid


async def test_a_grant_for_another_database_of_that_name_has_no_role(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    own = await desk.active(tables=["public.patient"], database=await floor._database.which())
    other = await desk.active(tables=["public.payroll"], database="7711438692888485933/5")
    found = await floor.settle()
    assert set(found.roles) == {own.id}
    assert await clinic.roles() == [found.roles[own.id]]
    with pytest.raises(OutOfScope, match="another database"):
        async with floor.transaction("s", other):
            raise AssertionError("it began")


async def test_what_another_gateway_revokes_is_heard_and_taken_away(
    clinic: Ground, desk: Desk, floor: Provisioned
) -> None:
    """Long before the next look that nothing was heard of; not by one's own line alone."""
    running = asyncio.create_task(floor.run())
    try:
        async with open_desk(desk.dsn) as other, asyncio.timeout(20):
            for _ in range(2):
                grant = await other.active(tables=["public.patient"])
                while not await clinic.roles():  # noqa: ASYNC110 nobody tells of a role
                    await asyncio.sleep(0.05)
                await other.grants.revoke(grant.id, DANA, "over")
                while await clinic.roles():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                # The line is lost, and another one hears.
                await desk.store.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = $1 AND datname = current_database()",
                    LISTENER,
                )
                await asyncio.sleep(1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
