"""Sessions of a database from one statement to the next: what goes along, and what is left."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from corpus.clinic import opened
from gateway.errors import InvalidRequest, LimitExceeded, UpstreamFailed
from gateway.sql import analyse
from gateway.upstream import Database, UpstreamSettings
from gateway.upstream import pool as pools

_STATE = "SELECT state FROM pg_stat_activity WHERE pid = $1"
PATIENCE_S = 30.0  # ends a test that would hang; decides nothing


async def run(database: Database, sql: str) -> bytes:
    async with database.transaction("test") as transaction:
        analysis = await analyse(sql, [], transaction)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        return b"".join([piece async for piece in pieces])


async def backend(database: Database) -> int:
    async with database.transaction("test") as transaction:
        (row,) = await transaction.fetch("SELECT pg_catalog.pg_backend_pid() AS pid")
    return int(row["pid"])


async def test_one_statement_after_another_takes_one_session(
    clinic_dsn: str, admin: asyncpg.Connection
) -> None:
    async with opened(clinic_dsn, role=corpus.READER) as database:
        pid = await backend(database)
        for _ in range(3):
            assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]
            assert await admin.fetchval(_STATE, pid) == "idle"  # nothing is locked any more
        assert await backend(database) == pid


async def test_a_refused_setting_refuses_what_goes_along_with_it(clinic_dsn: str) -> None:
    async with opened(clinic_dsn) as database:
        database._preamble += "SET LOCAL work_mem = 'nonsense';"
        with pytest.raises(UpstreamFailed, match="class 22"):
            await run(database, "select 1")
        with pytest.raises(UpstreamFailed, match="did not accept the settings"):
            async with database.transaction("test") as transaction:
                await transaction.fetch("SELECT 1")
        database._preamble = database._preamble.replace("'nonsense'", "'4MB'")
        assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]


async def test_no_row_comes_from_outside_a_transaction(clinic_dsn: str) -> None:
    """Where BEGIN itself was refused, what goes along runs as the login: nobody sees its rows."""
    printing = "debug_print_rewritten=on&debug_pretty_print=off&client_min_messages=log"
    dsn = f"{clinic_dsn}{'&' if '?' in clinic_dsn else '?'}{printing}"
    async with opened(dsn, role=corpus.READER) as database:
        async with database.transaction("test") as transaction:
            analysis = await analyse("select 1 as one", [], transaction)
        database._preamble = "BEGIN NONSENSE;"
        given = []
        with pytest.raises(UpstreamFailed, match="did not accept the settings"):
            async with database.transaction("test") as transaction:
                async for piece in transaction.stream(
                    analysis.server_text, analysis.server_tree, analysis.relations
                ):
                    given.append(piece)
        assert given == []


async def test_a_refused_role_gives_no_row_and_its_name(clinic_dsn: str) -> None:
    async with opened(clinic_dsn, role=corpus.READER, clear_role="postgres") as database:
        async with database.transaction("test") as transaction:
            analysis = await analyse("select 1 as one", [], transaction)
            rows = transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations, raw=False
            )
            with pytest.raises(UpstreamFailed, match="may not take the role postgres"):
                raise AssertionError([piece async for piece in rows])
        assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]


async def test_a_refused_text_leaves_a_session_for_the_next(clinic_dsn: str) -> None:
    async with opened(clinic_dsn, max_connections=1) as database:
        pid = await backend(database)
        with pytest.raises(InvalidRequest):
            await run(database, "selec 1")
        assert await backend(database) == pid


async def test_who_leaves_while_the_transaction_begins_leaves_a_whole_session(
    clinic_dsn: str,
) -> None:
    async with opened(clinic_dsn, max_connections=1) as database:
        await backend(database)
        for turns in range(12):
            leaving = asyncio.create_task(run(database, "select 1"))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            async with asyncio.timeout(PATIENCE_S):
                assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]


async def test_a_session_that_died_while_it_was_idle_is_not_taken(
    clinic_dsn: str, admin: asyncpg.Connection
) -> None:
    async with opened(clinic_dsn) as database:
        pid = await backend(database)
        await admin.execute("SELECT pg_terminate_backend($1)", pid)
        async with asyncio.timeout(PATIENCE_S):
            while True:  # until the end of the connection has come
                with contextlib.suppress(UpstreamFailed):
                    assert await backend(database) != pid
                    break


async def test_there_are_no_more_than_there_may_be(clinic_dsn: str) -> None:
    async with (
        opened(clinic_dsn, max_connections=2, acquire_timeout=0.05) as database,
        database.transaction("one"),
        database.transaction("two"),
    ):
        with pytest.raises(LimitExceeded, match="too many statements"):
            async with database.transaction("three"):
                raise AssertionError("there was a third")


async def test_sessions_that_nobody_takes_are_ended(
    clinic_dsn: str, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_IDLE", 0.0)
    monkeypatch.setattr(pools, "_LOOK", 0.0)
    async with opened(clinic_dsn) as database:
        pid = await backend(database)
        async with asyncio.timeout(PATIENCE_S):
            while await admin.fetchval(_STATE, pid) is not None:  # noqa: ASYNC110 tells no event
                await asyncio.sleep(0.01)


async def test_a_session_is_not_used_for_ever(
    clinic_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_MOST_USES", 2)
    async with opened(clinic_dsn) as database:
        pids = [await backend(database) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_question_of_the_gateway_s_own_that_was_left_ends_its_session(
    clinic_dsn: str,
) -> None:
    async with opened(clinic_dsn, max_connections=1) as database:
        await database.ping()
        asking = asyncio.create_task(database.posture())
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]


async def test_a_database_is_told_apart_by_what_made_it(
    server: servers.Server,
) -> None:
    """Not by its address; a login that may not ask gets no answer, and no error."""
    admin = await asyncpg.connect(server.dsn())
    await admin.execute("CREATE DATABASE other_of_that_server")
    await admin.execute("CREATE ROLE asks_nothing LOGIN")
    try:
        found = []
        for dsn in (
            server.dsn(),
            server.dsn().replace("127.0.0.1", "localhost"),
            server.dsn(database="other_of_that_server"),
            server.dsn(user="asks_nothing"),
        ):
            database = Database(UpstreamSettings(dsn))
            await database.open()
            found.append(await database.which())
            await database.close()
        assert found[0] == found[1] == found[3] != found[2]
        await admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        database = Database(UpstreamSettings(server.dsn(user="asks_nothing")))
        await database.open()
        assert await database.which() == ""
        await database.close()
    finally:
        await admin.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
        await admin.execute("DROP DATABASE other_of_that_server")
        await admin.execute("DROP ROLE asks_nothing")
        await admin.close()
