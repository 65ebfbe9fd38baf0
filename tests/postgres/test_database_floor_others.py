"""Others' hands at the floor: marks and names that mislead, open transactions, other databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

import servers
from control import AGENT, DANA, Desk, fresh_database, open_desk
from floors import SECOND, Ground, ground, of, refused


@pytest_asyncio.fixture
async def clinic(server: servers.Server) -> AsyncIterator[Ground]:
    async with ground(server) as made:
        yield made


@pytest_asyncio.fixture
async def desk(server: servers.Server) -> AsyncIterator[Desk]:
    async with open_desk(await fresh_database(server)) as opened:
        yield opened


async def test_a_role_that_bears_another_s_mark_is_nobody_s(clinic: Ground, desk: Desk) -> None:
    """It is not this connection's to drop, nor has anybody seen that it reads what it should."""
    floor = await clinic.floor(desk)
    grant = await desk.active()
    await desk.active(connection="beside")
    role = (await floor.settle()).roles[grant.id]
    mark = "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1"
    said = await clinic.admin.fetchval(mark, role)
    await clinic.admin.execute(
        f"""comment on role "{role}" is '{said.replace(" clinic", " beside")}';"""
        f'grant select on payroll to "{role}"'
    )
    assert grant.id not in (await floor.settle()).roles
    assert "bears another's mark" in await refused(floor, grant)


async def test_a_grant_for_another_database_has_no_role_in_this_one(
    clinic: Ground, desk: Desk
) -> None:
    """At another gateway of the store the connection leads elsewhere."""
    floor = await clinic.floor(desk)
    here = await clinic.opened[0].which()
    there = await desk.active(database=here + "0")
    assert "is for another database" in await refused(floor, there)
    assert await clinic.roles() == []
    for database in (here, None):
        assert await refused(floor, await desk.active(database=database)) == ""


async def test_a_name_that_two_tables_have_is_neither_s(clinic: Ground, desk: Desk) -> None:
    await clinic.admin.execute(
        'create schema inner_ward; create schema "inner_ward.x";'
        'create table inner_ward."x.y" (id int); create table "inner_ward.x".y (secret int);'
        f'grant usage on schema inner_ward, "inner_ward.x" to {SECOND} with grant option;'
        f'grant select on inner_ward."x.y", "inner_ward.x".y to {SECOND} with grant option'
    )
    floor = await clinic.floor(desk)
    grant = await desk.active(tables=["inner_ward.x.y", "public.payroll"])
    role = (await floor.settle()).roles[grant.id]
    held = "select count(*) from pg_attribute, aclexplode(attacl) x where x.grantee = $1::regrole"
    assert await clinic.readable(role) == of("payroll", "id", "salary")
    assert await clinic.admin.fetchval(held.replace("$1", f"'{role}'")) == 2
    await clinic.admin.execute('drop schema "inner_ward.x" cascade')
    role = (await floor.settle()).roles[grant.id]
    assert await clinic.admin.fetchval(held.replace("$1", f"'{role}'")) == 3


async def test_an_open_change_of_one_table_does_not_hold_up_the_others(
    clinic: Ground, desk: Desk
) -> None:
    floor = await clinic.floor(desk)
    dba = await asyncpg.connect(clinic.server.dsn(database=clinic.name))
    try:
        await dba.execute("begin")
        for name in ("id", "city", "ssn", "notes"):
            await dba.execute(f"alter table patient alter column {name} set statistics 10")
        held = [await desk.active(columns={"public.patient": [name]})
                for name in ("id", "city", "ssn", "notes")]  # fmt: skip
        free = await desk.active(tables=["public.payroll"])
        began = time.monotonic()
        assert await refused(floor, free) == ""
        assert time.monotonic() - began < 5
        assert "has not committed" in await refused(floor, held[0])
        await dba.execute("rollback")
        await floor.settle()
        assert [await refused(floor, grant) for grant in held] == [""] * 4
    finally:
        await dba.close()


async def test_the_second_credential_s_name_is_not_told(clinic: Ground, desk: Desk) -> None:
    floor = await clinic.floor(desk)
    await clinic.admin.execute(f"alter role {SECOND} nocreaterole")
    try:
        assert SECOND not in await refused(floor, await desk.active())
        assert SECOND not in floor.trouble
        assert "may not make roles" in floor.trouble
    finally:
        await clinic.admin.execute(f"alter role {SECOND} createrole")


async def test_who_asks_and_withdraws_sets_nothing_in_motion(clinic: Ground, desk: Desk) -> None:
    floor = await clinic.floor(desk)
    async with desk.store.listening(floor._heard):
        asked = await desk.ask()
        await desk.grants.deny(asked.id, AGENT, "not needed")
        other = await desk.ask()
        async with desk.store.listening(None) as line:  # later than what was told
            await line.ask("select 1")
        assert not floor._wake.is_set()
        await desk.grants.approve(other.id, DANA, "ticket 4711")
        async with asyncio.timeout(3):
            await floor._wake.wait()


async def test_a_denial_forgets_what_was_found_for_its_own_grant_only(
    clinic: Ground, desk: Desk
) -> None:
    """Else one agent could have all grants worked out anew, behind the lock, at each second."""
    floor = await clinic.floor(desk)
    one, other = [await desk.active(columns={"public.patient": [name]}) for name in ("id", "ssn")]
    await floor.settle()
    known = floor._covered._known
    assert len(known) == 2
    floor._covered.forget(one)
    assert [key[2] for key in known] == [("ssn",)]
    floor._covered.forget(other)
    assert len(known) == 0
