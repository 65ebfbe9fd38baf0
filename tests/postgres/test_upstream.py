"""The transaction of a statement, against real servers: settings, trees, rows, faults."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from corpus.clinic import opened
from gateway.errors import (
    ConfigurationError,
    InvalidRequest,
    LimitExceeded,
    NotUnderstood,
    OutOfScope,
    StatementRefused,
    UpstreamFailed,
)
from gateway.model import Analysis
from gateway.sql import analyse
from gateway.upstream import Database, Transaction, UpstreamSettings
from gateway.upstream import versions as rules

pytestmark = pytest.mark.pg15

# Neither fills memory or disk: rows come as they are made, and counting keeps none.
ENDLESS = "select generate_series(1, 1000000000) as g, lpad('', 1000, 'x') as filler"
SILENT = "select count(*) from (select generate_series(1, 1000000000)) g"


async def read(transaction: Transaction, analysis: Analysis) -> bytes:
    pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
    return b"".join([piece async for piece in pieces])


async def run(database: Database, sql: str) -> bytes:
    async with database.transaction("test") as transaction:
        return await read(transaction, await analyse(sql, [], transaction))


async def until(admin: asyncpg.Connection, query: str, wanted: object) -> None:
    """Wait for the server to say so; the limit is for a machine that has stopped."""
    async with asyncio.timeout(30):
        while await admin.fetchval(query) != wanted:  # noqa: ASYNC110 the server tells no event
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------ the transaction


async def test_settings_are_those_of_one_statement(clinic: Database) -> None:
    async with clinic.transaction("session-1.2:3") as transaction:
        (row,) = await transaction.fetch(
            "SELECT current_setting('application_name') AS name,"
            " current_setting('transaction_read_only') AS read_only,"
            " current_setting('transaction_isolation') AS isolation,"
            " current_setting('search_path') AS path, current_setting('timezone') AS zone,"
            " current_setting('debug_pretty_print') AS pretty"
        )
    assert row["name"] == "session-1.2:3"
    assert (row["read_only"], row["isolation"]) == ("on", "read committed")
    assert row["path"].split(", ")[-1] == "pg_temp"
    assert (row["zone"], row["pretty"]) == ("UTC", "off")
    async with clinic._own() as session:
        assert await session.fetchval("SELECT current_setting('debug_print_rewritten')") == "off"
        assert await session.fetchval("SELECT current_setting('application_name')") == ""


@pytest.mark.parametrize("name", ["", "a" * 64, "a'; drop", "é", "a b"])
async def test_a_session_id_is_plain(clinic: Database, name: str) -> None:
    with pytest.raises(ConfigurationError):
        async with clinic.transaction(name):
            pass


async def test_the_statement_writes_nothing(clinic: Database) -> None:
    async with clinic.transaction("test") as transaction:
        with pytest.raises(UpstreamFailed) as failed:
            await transaction.fetch("DELETE FROM patient")
    assert failed.value.sqlstate_class == "25"


# ------------------------------------------------------------------ whose tree


async def test_no_byte_before_the_tree_of_copy_is_the_approved_one(clinic: Database) -> None:
    async with clinic.transaction("test") as transaction:
        approved = await analyse("select city from patient", [], transaction)
        pieces = []
        with pytest.raises(NotUnderstood):
            async for piece in transaction.stream(
                "select ssn from patient", approved.server_tree, approved.relations
            ):
                pieces.append(piece)
    assert pieces == []


@pytest.mark.parametrize("rows", [1, 1000, 20000, 60000])
async def test_a_reader_that_stops_early_leaves_the_session_usable(
    clinic_dsn: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A backend that is given no processor for a second is not one that does not heed.
    monkeypatch.setattr("gateway.upstream.transaction._GRACE", 60.0)
    monkeypatch.setattr("gateway.upstream.transaction._MOMENT", 5.0)
    sql = f"select generate_series(1, {rows}) as g, lpad('', 50, 'x') as filler"
    async with opened(clinic_dsn, max_connections=1) as database:
        pids = set()
        for _ in range(3):
            async with database.transaction("early") as transaction:
                pids.add(transaction._session.get_server_pid())
                analysis = await analyse(sql, [], transaction)
                pieces = transaction.stream(
                    analysis.server_text, analysis.server_tree, analysis.relations
                )
                assert (await anext(pieces)).startswith(b"PGCOPY")
                await asyncio.sleep(0.01)  # the rest arrives and waits
                await pieces.aclose()
        assert len(pids) == 1


@pytest.mark.parametrize(
    "change",
    [
        "CREATE OR REPLACE VIEW patient_city AS SELECT id, ssn AS city, risk FROM patient",
        "ALTER VIEW patient_city RENAME COLUMN city TO town",
        "ALTER TABLE patient RENAME COLUMN city TO town",
        "ALTER TABLE patient ALTER COLUMN city TYPE varchar",
        "ALTER TABLE patient ENABLE ROW LEVEL SECURITY",
        "DROP TABLE patient CASCADE",
    ],
)
async def test_parse_locks_the_meaning_until_the_rows_are_out(
    clinic: Database, admin: asyncpg.Connection, change: str
) -> None:
    before = await run(clinic, "select id, city from patient_city order by id")
    async with clinic.transaction("test") as transaction:
        analysis = await analyse("select id, city from patient_city order by id", [], transaction)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await admin.execute(f"SET lock_timeout = '100ms'; {change}")
        assert await read(transaction, analysis) == before


# ------------------------------------------------------------------ rows


async def test_a_comment_at_the_end_stays_in_its_line(clinic: Database) -> None:
    copied = await run(clinic, "select id from encounter where id = 10 -- ) to stdout")
    assert corpus.rows(copied) == [[(10).to_bytes(4, "big")]]


async def test_no_rows_is_a_whole_copy(clinic: Database) -> None:
    assert corpus.rows(await run(clinic, "select id from encounter where false")) == []


async def test_a_slow_reader_holds_the_server_back(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    async with clinic.transaction("slow-reader") as transaction:
        analysis = await analyse(ENDLESS, [], transaction)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        assert (await anext(pieces)).startswith(b"PGCOPY")
        await until(
            admin,
            "SELECT wait_event FROM pg_stat_activity WHERE application_name = 'slow-reader'",
            "ClientWrite",
        )
        assert len(await anext(pieces)) > 0
        await pieces.aclose()


_RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gone'"


async def test_closing_the_rows_stops_the_server(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    async with clinic.transaction("gone") as transaction:
        analysis = await analyse(ENDLESS, [], transaction)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        await anext(pieces)
        await pieces.aclose()
    await until(admin, _RUNNING, 0)
    assert corpus.rows(await run(clinic, "select 1")) == [[b"\0\0\0\1"]]


@pytest.mark.parametrize("sql", [ENDLESS, SILENT])
async def test_cancelling_the_reader_stops_the_server(
    clinic: Database, admin: asyncpg.Connection, sql: str
) -> None:
    started = asyncio.Event()

    async def reader() -> None:
        async with clinic.transaction("gone") as transaction:
            analysis = await analyse(sql, [], transaction)
            started.set()
            async for _ in transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations
            ):
                await asyncio.sleep(3600)

    task = asyncio.create_task(reader())
    await started.wait()
    await until(admin, f"{_RUNNING} AND state = 'active' AND query LIKE 'COPY%'", 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(admin, _RUNNING, 0)


async def test_a_backend_that_does_not_heed_is_ended(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    async with clinic.transaction("gone") as transaction:
        analysis = await analyse(ENDLESS, [], transaction)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        await anext(pieces)
        pid = transaction._session.get_server_pid()
        os.kill(pid, signal.SIGSTOP)
        await pieces.aclose()
    os.kill(pid, signal.SIGCONT)
    await until(admin, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}", 0)
    assert corpus.rows(await run(clinic, "select 1")) == [[b"\0\0\0\1"]]


async def test_one_row_has_a_largest_size(clinic_dsn: str) -> None:
    async with opened(clinic_dsn, max_row_bytes=1_000_000) as database:
        with pytest.raises(LimitExceeded, match="larger than 1,000,000 bytes"):
            await run(database, "select lpad('', 20000000, 'x')")
        many = await run(database, "select g, lpad('', 9000, 'x') from generate_series(1, 2000) g")
        assert len(corpus.rows(many)) == 2000


# ------------------------------------------------------------------ faults


async def test_errors_of_parse_say_what_and_where(clinic: Database) -> None:
    with pytest.raises(InvalidRequest) as unknown:
        await run(clinic, "select city,\n  citi from patient")
    assert unknown.value.detail == 'column "citi" does not exist (line 2, column 3)'
    assert unknown.value.hint is None  # the server's would name a column
    with pytest.raises(InvalidRequest, match="syntax error"):
        await run(clinic, "select from where")


async def test_errors_of_rows_say_their_class_only(clinic: Database) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        await run(clinic, "select kind::int from encounter")
    assert failed.value.sqlstate_class == "22"
    assert "visit" not in failed.value.detail + (failed.value.hint or "")
    with pytest.raises(UpstreamFailed) as failed:
        await run(clinic, "select 1 / (id - 12) from encounter order by id")
    assert failed.value.detail == "a value could not be computed or converted (class 22)"


async def test_the_role_is_the_floor(clinic_dsn: str) -> None:
    async with opened(clinic_dsn) as without_role:
        with pytest.raises(OutOfScope):
            await run(without_role, "select city from patient")
        assert "no role is configured" in " ".join(await without_role.posture())
    async with opened(clinic_dsn, role=corpus.READER) as with_role:
        assert await with_role.posture() == ()
    async with opened(clinic_dsn, role="postgres") as wrong_role:
        with pytest.raises(UpstreamFailed, match="may not take the role"):
            await run(wrong_role, "select city from patient")


async def test_row_security_is_the_role_s(clinic_dsn: str, admin: asyncpg.Connection) -> None:
    async with opened(clinic_dsn, role=corpus.READER, role_before_parse=True) as database:
        with pytest.raises(StatementRefused, match="row security"):
            await run(database, "select given from consent")


async def test_time_limit(clinic_dsn: str) -> None:
    async with opened(clinic_dsn, statement_timeout=0.05) as database:
        with pytest.raises(LimitExceeded, match="time limit"):
            await run(database, SILENT)


async def test_a_locked_table_is_not_waited_for(clinic_dsn: str, admin: asyncpg.Connection) -> None:
    async with opened(clinic_dsn, lock_timeout=0.05) as database, admin.transaction():
        await admin.execute("LOCK TABLE measure")
        with pytest.raises(UpstreamFailed) as failed:
            await run(database, "select id from measure")
    assert failed.value.sqlstate_class == "55"


async def test_too_many_at_once(clinic_dsn: str) -> None:
    async with (
        opened(clinic_dsn, max_connections=1, acquire_timeout=0.05) as database,
        database.transaction("first"),
    ):
        with pytest.raises(LimitExceeded):
            async with database.transaction("second"):
                pass


async def test_a_backend_lost_in_mid_stream(clinic: Database, admin: asyncpg.Connection) -> None:
    async with clinic.transaction("lost") as transaction:
        analysis = await analyse(ENDLESS, [], transaction)
        with pytest.raises(UpstreamFailed) as failed:
            async for _ in transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations
            ):
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'lost'"
                )
    assert failed.value.sqlstate_class in ("08", "57")
    assert corpus.rows(await run(clinic, "select 1")) == [[b"\0\0\0\1"]]


async def test_no_row_comes_of_a_backend_that_was_lost_before_its_locks_were_seen(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    pieces = []
    async with clinic.transaction("lost") as transaction:
        few = "select p.id::bigint from patient p, generate_series(1, 3000) limit 3000"
        sql = f"({few}) union all select count(*) from generate_series(1, 1000000000)"
        analysis = await analyse(sql, [], transaction)

        async def grown(*_: object) -> bool:
            """What a look at a backend that holds nothing any more says."""
            await admin.execute("select pg_terminate_backend($1)", session.get_server_pid())
            await lost.wait()
            return False

        lost, session = asyncio.Event(), transaction._session
        session.add_termination_listener(lambda _: lost.set())
        transaction._grown = grown
        with pytest.raises(UpstreamFailed):
            async for piece in transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations
            ):
                pieces.append(piece)
    assert pieces == []


async def test_no_server(newest: servers.Server) -> None:
    async with opened("postgresql://nobody@127.0.0.1:1/none") as database:
        with pytest.raises(UpstreamFailed):
            await database.ping()
        with pytest.raises(UpstreamFailed):
            async with database.transaction("test"):
                pass
    with pytest.raises(UpstreamFailed, match="not open"):
        await database.ping()


async def test_ping_names_the_version(clinic: Database, server: servers.Server) -> None:
    assert (await clinic.ping()).startswith(f"{server.major}.")


async def test_old_and_unknown_servers(clinic_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(clinic_dsn) as database:
        monkeypatch.setattr(rules, "FLOOR", dict.fromkeys(rules.FLOOR, 99))
        with pytest.raises(UpstreamFailed, match=r"CVE-2025-8713.*\.99 or later"):
            await database.ping()
        monkeypatch.setattr(rules, "FLOOR", {3: 0})
        with pytest.raises(UpstreamFailed, match="is not known here"):
            await database.ping()


async def test_a_database_of_another_encoding(
    server: servers.Server, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        async with opened(server.dsn(database="latin")) as database:
            with pytest.raises(UpstreamFailed, match="LATIN1"):
                await database.ping()
    finally:
        await admin.execute("DROP DATABASE latin")


async def test_trees_can_be_kept_out_of_the_server_s_log(
    server: servers.Server, clinic_dsn: str, admin: asyncpg.Connection
) -> None:
    log = server.home / "log"
    async with opened(clinic_dsn, quiet_server_log=True) as database:
        with pytest.raises(UpstreamFailed, match="did not accept the settings"):
            await database.__class__.transaction(database, "t").__aenter__()
        await admin.execute(f"GRANT SET ON PARAMETER log_min_messages TO {corpus.LOGIN}")
        try:
            before = log.read_text(errors="replace").count("rewritten parse tree")
            assert corpus.rows(await run(database, "select 1")) == [[b"\0\0\0\1"]]
            assert log.read_text(errors="replace").count("rewritten parse tree") == before
        finally:
            await admin.execute(f"REVOKE SET ON PARAMETER log_min_messages FROM {corpus.LOGIN}")


@pytest.mark.parametrize(
    "settings",
    [{"schemas": ("a\0",)}, {"role": ""}, {"statement_timeout": 0}, {"lock_timeout": -1}],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Database(UpstreamSettings("postgresql://x@127.0.0.1/x", **settings))


def test_the_address_is_not_shown() -> None:
    assert "secret" not in repr(UpstreamSettings("postgresql://u:secret@h/d"))


async def test_a_server_that_is_not_there_is_out_of_reach(server: servers.Server) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        dsn = f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/x"
        async with opened(dsn) as database:
            with pytest.raises(UpstreamFailed, match="cannot be reached"):
                await database.ping()
