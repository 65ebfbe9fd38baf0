"""Parse and the catalog's answer about its tree, against real servers: whose, when, and at loss."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from corpus import clinic as corpus
from gateway.errors import InvalidRequest, NotUnderstood, UpstreamFailed
from gateway.model import Question
from gateway.sql import analyse, structure
from gateway.upstream import Database, UpstreamSettings

pytestmark = pytest.mark.pg15

CITIES = "select id, city from patient order by id"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@contextlib.asynccontextmanager
async def one(dsn: str) -> AsyncIterator[Database]:
    database = Database(UpstreamSettings(dsn, role=corpus.READER, max_connections=1))
    await database.open()
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def locked(dsn: str) -> AsyncIterator[None]:
    """The table `measure`, by somebody else."""
    other = await asyncpg.connect(dsn.replace(corpus.LOGIN, "postgres"))
    async with other.transaction():
        await other.execute("LOCK TABLE measure")
        yield
    await other.close()


async def waiting(admin: asyncpg.Connection, how_many: int) -> None:
    async with asyncio.timeout(30):
        while await admin.fetchval(_WAITING) != how_many:  # noqa: ASYNC110 the server tells no event
            await asyncio.sleep(0.01)


async def test_types_that_the_driver_has_not_met_are_nothing_special(clinic_dsn: str) -> None:
    async with one(clinic_dsn) as database, database.transaction("test") as first:
        analysis = await analyse("select risk, home from patient", [], first)
        pieces = first.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        assert len(corpus.rows(b"".join([piece async for piece in pieces]))) == 4


async def test_two_trees_are_not_understood(clinic: Database) -> None:
    async with clinic.transaction("test") as transaction:
        await transaction.fetch("SET LOCAL debug_print_parse = on")
        with pytest.raises(NotUnderstood, match="exactly one tree"):
            await transaction.parse("select 1")


async def test_no_tree_is_not_understood(clinic: Database) -> None:
    async with clinic.transaction("test") as transaction:
        await transaction.fetch("SET LOCAL debug_print_rewritten = off")
        with pytest.raises(NotUnderstood, match="exactly one tree"):
            await transaction.parse("select 1", structure.RELATIONS)


async def test_what_is_described_is_what_the_driver_would_say(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    sql = 'select id, city as "Größe", risk, home from patient where id = $1 and city = $2'
    driven = await admin.prepare(sql)
    async with clinic.transaction("test") as transaction:
        parsed = await transaction.parse(sql)
    assert parsed.names == tuple(a.name for a in driven.get_attributes())
    assert parsed.parameters == tuple(p.oid for p in driven.get_parameters())
    assert len(parsed.type_oids) == 4


@pytest.mark.parametrize("guessed", [{1259}, {1}, {4294967295}])
async def test_a_wrong_guess_changes_nothing(clinic_dsn: str, guessed: set[int]) -> None:
    async with one(clinic_dsn) as database:
        for _ in range(2):
            async with database.transaction("test") as transaction:
                right = await transaction.parse(CITIES, structure.RELATIONS)
        database._guesses.learn(CITIES, frozenset(guessed))
        async with database.transaction("test") as transaction:
            assert await transaction.parse(CITIES, structure.RELATIONS) == right
    assert set(right.told) == right.named


async def test_a_table_in_the_place_of_another_is_asked_about(
    clinic_dsn: str, admin: asyncpg.Connection
) -> None:
    async with one(clinic_dsn) as database:
        for columns in ("v int, w text", "w text, v date"):
            await admin.execute(f"CREATE TABLE swapped ({columns})")
            try:
                for _ in range(2):
                    async with database.transaction("test") as transaction:
                        analysis = await analyse("select v from swapped", [], transaction)
                        (column,) = analysis.outputs[0].columns
                        assert column.attnum == 1 + columns.split(", ").index(
                            next(one for one in columns.split(", ") if one.startswith("v"))
                        )
            finally:
                await admin.execute("DROP TABLE swapped")


async def test_a_column_that_is_renamed_is_known_by_its_new_name(
    clinic_dsn: str, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE TABLE turned (a int, b int)")
    try:
        async with one(clinic_dsn) as database:
            for name in ("b", "c", "c"):
                async with database.transaction("test") as transaction:
                    analysis = await analyse("select t.* from turned t", [], transaction)
                    assert str(analysis.outputs[1].columns[0]) == f"public.turned.{name}"
                if name == "b":
                    await admin.execute("ALTER TABLE turned RENAME b TO c")
    finally:
        await admin.execute("DROP TABLE turned")


async def test_the_question_is_the_gateway_s_to_get_wrong(clinic: Database) -> None:
    wrong = Question("wrong", "SELECT 1 / (1 - cardinality($1::oid[])), 'x'", 10)
    async with clinic.transaction("test") as transaction:
        with pytest.raises(UpstreamFailed) as failed:
            await transaction.parse(CITIES, wrong)
    assert failed.value.sqlstate_class == "22"
    async with clinic.transaction("test") as transaction:
        assert (await transaction.parse(CITIES)).names == ("id", "city")


async def test_a_text_with_nul_is_one_text_only(clinic: Database) -> None:
    async with clinic.transaction("test") as transaction:
        with pytest.raises(InvalidRequest):
            await transaction.parse("select 1\0select 2")


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("patience", [0.05, 60.0])
async def test_who_leaves_while_parse_waits_leaves_a_usable_place(
    clinic_dsn: str,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    patience: float,
    first: bool,
) -> None:
    """Also when the session meets the question in the very exchange that is left."""
    monkeypatch.setattr("gateway.upstream.transaction._GRACE", patience)
    async with one(clinic_dsn) as database:

        async def parse() -> None:
            async with database.transaction("test") as transaction:
                await transaction.parse("select id from measure", structure.RELATIONS)

        if not first:
            await parse()
        async with locked(clinic_dsn):
            leaving = asyncio.create_task(parse())
            await waiting(admin, 1)
            leaving.cancel()
            if patience < 1:
                with pytest.raises(asyncio.CancelledError):
                    await leaving
                await waiting(admin, 0)
        with pytest.raises(asyncio.CancelledError):
            await leaving  # or it got its lock, and the session lives on
        await parse()


async def test_a_backend_lost_while_it_parses(clinic_dsn: str, admin: asyncpg.Connection) -> None:
    async with one(clinic_dsn) as database, locked(clinic_dsn):

        async def parse() -> None:
            async with database.transaction("lost") as transaction:
                await transaction.parse("select id from measure", structure.RELATIONS)

        task = asyncio.create_task(parse())
        await waiting(admin, 1)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lost'"
        )
        with pytest.raises(UpstreamFailed) as failed:
            await task
    assert failed.value.sqlstate_class == "57"
