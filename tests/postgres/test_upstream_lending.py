"""Rows that the kernel reads from the socket itself: the same rows, and a session that is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pyarrow as pa
import pytest

import copybytes
from corpus.clinic import opened
from gateway._kernel import CopyReader, MaskedStream
from gateway.errors import UpstreamFailed
from gateway.masking import masked
from gateway.sql import analyse
from gateway.upstream import Database, Transaction

ROWS = 200_000
SQL = f"select generate_series(1, {ROWS}) as g, lpad('', 50, 'x') as filler"
ENDLESS = SQL.replace(str(ROWS), "1000000000")
#: Fails behind more rows than come before a socket is lent.
FAILING = f"select 1 / ({ROWS} - g) as g, filler from ({ENDLESS}) s"
#: The server speaks between rows.
SPEAKING = (
    "select g, to_tsquery('english', case g % 700 when 0 then 'the' else 'cat' end)::text"
    f" from generate_series(1, {ROWS}) g"
)


@pytest.fixture
async def database(clinic_dsn: str) -> AsyncIterator[Database]:
    """Of one session, so that each statement meets what the last one left."""
    async with opened(clinic_dsn, max_connections=1) as database:
        yield database


def kernel(**options: int) -> MaskedStream:
    columns = [copybytes.column("g", "int4"), copybytes.column("filler")]
    return MaskedStream(copybytes.plan(columns, **options), copybytes.TOKEN_KEY)


class Lending:
    """What `stream` gives, and how often that was a reader."""

    def __init__(self) -> None:
        self.readers = 0

    async def pieces(self, transaction: Transaction, sql: str) -> AsyncIterator[bytes | CopyReader]:
        analysis = await analyse(sql, [], transaction)
        async with aclosing(
            transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations, lend=True
            )
        ) as pieces:
            async for piece in pieces:
                self.readers += isinstance(piece, CopyReader)
                yield piece


async def rows(database: Database, sql: str, *, most: int | None = None) -> pa.Table:
    """The answer, read as the corridor reads it."""
    stream, lending = kernel(**({} if most is None else {"limit_rows": most})), Lending()
    out = [stream.head().data]
    async with (
        database.transaction("lending") as transaction,
        aclosing(lending.pieces(transaction, sql)) as pieces,
        aclosing(masked(stream, pieces)) as chunks,
    ):
        out += [chunk.data async for chunk in chunks]
    assert lending.readers == 1
    out += [chunk.data for chunk in stream.finish()]
    return pa.ipc.open_stream(b"".join(out)).read_all()


@pytest.mark.parametrize("sql", [SQL, SPEAKING])
async def test_every_row_comes(database: Database, sql: str) -> None:
    for _ in range(3):
        table = await rows(database, sql)
        assert table["g"].to_pylist() == list(range(1, ROWS + 1))


async def test_a_limit_of_rows(database: Database) -> None:
    assert (await rows(database, ENDLESS, most=150_000)).num_rows == 150_000
    assert (await rows(database, SQL)).num_rows == ROWS


async def test_an_error_of_the_server(database: Database) -> None:
    with pytest.raises(UpstreamFailed, match="class 22"):
        await rows(database, FAILING)
    assert (await rows(database, SQL)).num_rows == ROWS


@pytest.mark.parametrize("chunks", [0, 1, 2, 5, 20])
async def test_a_reader_who_leaves_at_any_chunk(
    database: Database, admin: asyncpg.Connection, chunks: int
) -> None:
    pids = set()
    for _ in range(3):
        stream = kernel()
        stream.head()
        async with database.transaction("lending") as transaction:
            pids.add(transaction._session.get_server_pid())
            async with (
                aclosing(Lending().pieces(transaction, ENDLESS)) as pieces,
                aclosing(masked(stream, pieces)) as given,
            ):
                for _ in range(chunks):
                    await anext(given)
    assert len(pids) == 1
    assert (await rows(database, SQL)).num_rows == ROWS


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.03, 0.1])
async def test_a_reader_who_is_cancelled_at_any_time(database: Database, delay: float) -> None:
    task = asyncio.create_task(rows(database, ENDLESS, most=10_000_000))
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await rows(database, SQL)).num_rows == ROWS


async def test_a_server_that_goes_away(database: Database, admin: asyncpg.Connection) -> None:
    stream = kernel()
    stream.head()
    with pytest.raises(UpstreamFailed, match=r"class (08|57)|lost"):
        async with (
            database.transaction("lending") as transaction,
            aclosing(Lending().pieces(transaction, ENDLESS)) as pieces,
            aclosing(masked(stream, pieces)) as chunks,
        ):
            pid = transaction._session.get_server_pid()
            async for _ in chunks:
                await admin.execute("select pg_terminate_backend($1)", pid)
    assert (await rows(database, SQL)).num_rows == ROWS


async def test_a_gateway_that_closes(clinic_dsn: str) -> None:
    async with opened(clinic_dsn, max_connections=1) as database:
        task = asyncio.create_task(rows(database, ENDLESS, most=10_000_000))
        await asyncio.sleep(0.2)
    with pytest.raises(UpstreamFailed):
        await asyncio.wait_for(task, 30)


async def test_asking_for_the_next_piece_ends_a_reader(database: Database) -> None:
    """Who does not read what he is lent has the rest from the loop: nothing stalls."""
    after = 0
    lending = Lending()
    async with (
        database.transaction("lending") as transaction,
        aclosing(lending.pieces(transaction, ENDLESS)) as pieces,
    ):
        async for _ in pieces:
            after += lending.readers
            if after > 5:
                break
    assert (await rows(database, SQL)).num_rows == ROWS
