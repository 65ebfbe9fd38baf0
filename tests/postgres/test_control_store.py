"""The control store on a real server: schema, sessions, failures of the database."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

import servers
from control import (
    AGENT,
    AMIR,
    BILLING,
    DANA,
    START,
    Desk,
    fresh_database,
    open_desk,
)
from gateway.errors import (
    ConfigurationError,
    Conflict,
    NoGrant,
    NotFound,
    StoreUnavailable,
)
from gateway.grants import ControlStore
from gateway.grants.migrations import Migration, migrate, packaged
from gateway.model import GrantState

# -- schema --------------------------------------------------------------------------------------


async def test_schema_on_every_version(server: servers.Server) -> None:
    async with open_desk(await fresh_database(server)) as desk:
        grant = await desk.active()
        assert (await desk.grants.in_force(AGENT, "clinic")).id == grant.id


async def test_gateways_that_start_together_migrate_once(newest: servers.Server) -> None:
    dsn = await fresh_database(newest)
    stores = await asyncio.gather(*(ControlStore.connect(dsn) for _ in range(5)))
    try:
        rows = await stores[0].fetch("SELECT version FROM maskgate.schema_migrations")
        assert [row["version"] for row in rows] == [one.version for one in packaged()]
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_a_second_start_applies_nothing(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.dsn)
    try:
        assert await migrate(connection, packaged()) == 0
    finally:
        await connection.close()


OF_VERSION_3 = """
INSERT INTO maskgate.grants (id, identity, connection, tables, purpose, state, requested_at,
                             duration_s, max_rows)
SELECT name, $1, 'clinic', '{public.patient}', 'totals', 'pending', $2, 3600, 100
  FROM unnest('{waits,approved,by-rule,over,revoked}'::text[]) name"""
DECIDED_IN_3 = """
UPDATE maskgate.grants
   SET state = 'active', not_before = $2, expires_at = $2::timestamptz + interval '1 hour',
       decided_at = $2,
       decided_by = CASE WHEN id = 'by-rule' THEN 'auto:rule-1' ELSE $1 END
 WHERE id <> 'waits'"""
ENDED_IN_3 = """
UPDATE maskgate.grants SET state = CASE id WHEN 'over' THEN 'expired' ELSE 'revoked' END,
       decided_by = CASE id WHEN 'over' THEN decided_by ELSE identity END
 WHERE id IN ('over', 'revoked')"""


async def test_a_store_of_version_3_goes_on(newest: servers.Server) -> None:
    """Grants that were decided when one approval was all there was stay what they are."""
    dsn = await fresh_database(newest)
    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection, packaged()[:3])
        await connection.execute(OF_VERSION_3, AGENT.key, START)
        await connection.execute(DECIDED_IN_3, DANA.key, START)
        await connection.execute(
            "UPDATE maskgate.grants SET rows_released = 7 WHERE id = 'approved'"
        )
        await connection.execute(ENDED_IN_3)
    finally:
        await connection.close()
    async with open_desk(dsn) as desk:
        found = {grant.id: grant for grant in await desk.grants.list(AMIR)}
        assert {name: (grant.state.value, grant.approvals) for name, grant in found.items()} == {
            "waits": ("pending", ()),
            "approved": ("active", (DANA.key,)),
            "by-rule": ("active", ()),
            "over": ("expired", (DANA.key,)),
            "revoked": ("revoked", ()),
        }
        assert {grant.approvals_needed for grant in found.values()} == {1}
        assert (await desk.grants.charge_rows("approved", 5, 9)).rows_released == 12
        assert (await desk.grants.approve("waits", DANA, "yes")).state is GrantState.ACTIVE
        assert (await desk.grants.revoke("by-rule", DANA, "no more")).state is GrantState.REVOKED
        with pytest.raises(Conflict):
            await desk.grants.approve("over", DANA, "again")
        assert (await desk.grants.renew("over", AGENT)).approvals == ()


async def test_a_changed_migration_is_refused(desk: Desk) -> None:
    first = packaged()[0]
    changed = Migration(first.version, first.name, first.sql + "-- changed")
    connection = await asyncpg.connect(desk.dsn)
    try:
        with pytest.raises(ConfigurationError, match="other contents"):
            await migrate(connection, [changed, *packaged()[1:]])
    finally:
        await connection.close()


async def test_a_store_of_a_newer_version_is_refused(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.dsn)
    try:
        await connection.execute(
            "INSERT INTO maskgate.schema_migrations VALUES ($1, '9999_later.sql', 'x')",
            len(packaged()) + 1,
        )
        with pytest.raises(ConfigurationError, match="newer version"):
            await ControlStore.connect(desk.dsn)
    finally:
        await connection.close()


async def test_a_failing_migration_leaves_nothing(newest: servers.Server) -> None:
    connection = await asyncpg.connect(await fresh_database(newest))
    broken = Migration(len(packaged()) + 1, "9999_broken.sql", "CREATE TABLE maskgate.x (;")
    try:
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await migrate(connection, [*packaged(), broken])
        assert await connection.fetchval("SELECT to_regnamespace('maskgate') IS NULL")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE maskgate.grants SET state = 'active', decided_by = 'x', decided_at = now(), "
        "not_before = now(), expires_at = now() + make_interval(secs => duration_s)",
        "UPDATE maskgate.grants SET tables = ARRAY['*']",
        "UPDATE maskgate.grants SET max_rows = NULL",
        "UPDATE maskgate.grants SET rows_released = 0",
        "DELETE FROM maskgate.grants",
        "TRUNCATE maskgate.grants CASCADE",
        "UPDATE maskgate.grant_events SET by = 'x'",
        "DELETE FROM maskgate.grant_events",
        "TRUNCATE maskgate.grant_events",
        "DELETE FROM maskgate.sessions",
    ],
)
async def test_the_database_itself_refuses(desk: Desk, statement: str) -> None:
    """A superuser's SQL, not only this program, is held to the state machine."""
    grant = await desk.active(max_rows=10)
    await desk.grants.charge_rows(grant.id, 5)
    await desk.grants.revoke(grant.id, DANA, "over")
    connection = await asyncpg.connect(desk.dsn)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_database_refuses_self_approval(desk: Desk) -> None:
    grant = await desk.ask()
    connection = await asyncpg.connect(desk.dsn)
    try:
        with pytest.raises(asyncpg.RaiseError, match="0 of 1 approvals"):
            await connection.execute(
                "UPDATE maskgate.grants SET state = 'active', decided_by = identity, decided_at ="
                " now(), not_before = now(), expires_at = now() + make_interval(secs => duration_s)"
                " WHERE id = $1",
                grant.id,
            )
    finally:
        await connection.close()


# -- sessions ------------------------------------------------------------------------------------


async def test_a_session_belongs_to_who_opened_it(desk: Desk) -> None:
    grant = await desk.active()
    opened = await desk.sessions.open_session(AGENT, "clinic", grant)
    assert (opened.identity, opened.grant, opened.expires_at) == (
        AGENT.key,
        grant.id,
        grant.expires_at,
    )
    await desk.sessions.count({opened.id: 2})
    await desk.sessions.count({opened.id: 1})  # told late
    for stranger in (BILLING, DANA):
        for call in (desk.sessions.get_session, desk.sessions.close_session):
            with pytest.raises(NotFound):
                await call(opened.id, stranger)
        with pytest.raises(NotFound):
            await desk.standing.grant(opened.id, stranger, "clinic", grant.id)
        assert await desk.sessions.list_sessions(stranger) == []
    assert (await desk.sessions.get_session(opened.id, AMIR)).statements == 2
    assert len(await desk.sessions.list_sessions(AMIR)) == 1
    with pytest.raises(NotFound):
        await desk.sessions.close_session(opened.id, AMIR)


async def test_a_closed_session_takes_no_statement(desk: Desk) -> None:
    grant = await desk.active()
    opened = await desk.sessions.open_session(AGENT, "clinic", grant)
    closed = await desk.sessions.close_session(opened.id, AGENT, statements=7)
    assert closed.statements == 7
    desk.clock.turn(5)
    assert await desk.sessions.close_session(opened.id, AGENT) == closed
    with pytest.raises(Conflict, match="closed"):
        await desk.standing.grant(opened.id, AGENT, "clinic", grant.id)


async def test_no_session_without_a_grant_in_force(desk: Desk) -> None:
    active = await desk.active()
    pending = await desk.ask()
    for who, connection, grant in (
        (BILLING, "clinic", active),
        (AGENT, "lab", active),
        (AGENT, "clinic", pending),
    ):
        with pytest.raises(NoGrant):
            await desk.sessions.open_session(who, connection, grant)
    await desk.grants.revoke(active.id, DANA, "over")
    with pytest.raises(NoGrant):
        await desk.sessions.open_session(AGENT, "clinic", active)


# -- the store away ------------------------------------------------------------------------------


async def test_a_store_that_is_not_there() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await ControlStore.connect("postgresql://nobody@127.0.0.1:1/none")


async def test_lost_and_back_without_a_restart() -> None:
    with servers.running(servers.majors()[-1]) as own:
        async with open_desk(await fresh_database(own)) as desk:
            grant = await desk.active()
            own.stop()
            with pytest.raises(StoreUnavailable):
                await desk.grants.in_force(AGENT, "clinic")
            with pytest.raises(StoreUnavailable):
                await desk.grants.charge_rows(grant.id, 1)
            own.start()
            assert (await desk.grants.in_force(AGENT, "clinic")).id == grant.id


async def test_what_a_crash_left_open_is_closed_by_its_own_log_alone(desk: Desk) -> None:
    grant = await desk.active()
    ours, theirs = [await desk.sessions.open_session(AGENT, "clinic", grant) for _ in range(2)]
    assert await desk.sessions.close_where(lambda session: session == ours.id) == 1
    assert await desk.sessions.close_where(lambda session: session == ours.id) == 0
    found = {row.id: row.closed_at for row in await desk.sessions.list_sessions(AGENT)}
    assert found == {ours.id: desk.clock.now, theirs.id: None}
