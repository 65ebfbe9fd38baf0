"""Who leaves while a session of the database is being opened leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

import servers
from gateway.errors import UpstreamFailed
from gateway.upstream import Database, UpstreamSettings
from gateway.upstream.transaction import Session

#: More turns of the event loop than opening a session takes.
TURNS = range(60)
_OURS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def quiet() -> AsyncIterator[list[dict[str, Any]]]:
    """What the event loop complained of, to nobody in particular."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield complaints
    loop.set_exception_handler(None)


async def ended(admin: asyncpg.Connection) -> None:
    async with asyncio.timeout(30):
        while await admin.fetchval(_OURS):  # noqa: ASYNC110 the server tells no event
            await asyncio.sleep(0.01)


async def statement(database: Database) -> None:
    async with database.transaction("leaving") as transaction:
        await transaction.parse("select 1")


async def witness(database: Database) -> None:
    await database._witness.grown([1], 1, [])


async def asking(
    server: servers.Server, ask: Callable[[Database], Awaitable[None]], turns: int
) -> tuple[Database, asyncio.Future[None]]:
    """A database of one session, and a client that has had so many turns of the loop."""
    database = Database(UpstreamSettings(server.dsn(), max_connections=1))
    await database.open()
    client = asyncio.ensure_future(ask(database))
    for _ in range(turns):
        await asyncio.sleep(0)
    return database, client


@pytest.mark.parametrize("ask", [statement, witness])
async def test_a_client_that_leaves_in_any_turn(
    newest: servers.Server,
    quiet: list[dict[str, Any]],
    ask: Callable[[Database], Awaitable[None]],
) -> None:
    for turns in TURNS:
        database, client = await asking(newest, ask, turns)
        client.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await client
        await statement(database)  # its place in the pool is free again
        await database.close()
    gc.collect()  # what is forgotten complains now
    assert quiet == []
    admin = await asyncpg.connect(newest.dsn())
    await ended(admin)
    await admin.close()


@pytest.mark.parametrize("ask", [statement, witness])
async def test_a_gateway_that_closes_in_any_turn(
    newest: servers.Server,
    quiet: list[dict[str, Any]],
    ask: Callable[[Database], Awaitable[None]],
) -> None:
    clients = []
    databases = []
    for turns in TURNS:
        database, client = await asking(newest, ask, turns)
        await database.close()
        with contextlib.suppress(UpstreamFailed):
            await client
        clients.append(client)
        databases.append(database)  # nothing is ended by being forgotten
    admin = await asyncpg.connect(newest.dsn())
    await ended(admin)
    await admin.close()
    assert quiet == []
    assert any(client.exception() for client in clients)


async def test_a_server_that_never_answers_is_not_waited_for(
    quiet: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.database._MOMENT", 0.05)
    asked, left = asyncio.Event(), asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        asked.set()
        await reader.read()
        left.set()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        database = Database(UpstreamSettings(f"postgresql://x:y@127.0.0.1:{port}/x"))
        await database.open()
        client = asyncio.ensure_future(statement(database))
        await asked.wait()
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client
        await asyncio.wait_for(left.wait(), 30)
        await database.close()
    assert quiet == []


@pytest.mark.parametrize("question", [Database.ping, Database.posture])
async def test_a_server_that_goes_away_before_it_answers(
    newest: servers.Server, monkeypatch: pytest.MonkeyPatch, question: Callable[..., Any]
) -> None:
    async def gone(session: asyncpg.Connection, *_: Any, **__: Any) -> None:
        session.terminate()
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(Session, "fetchrow", gone)
    monkeypatch.setattr(Session, "fetchval", gone)
    database = Database(UpstreamSettings(newest.dsn(), max_connections=1))
    await database.open()
    with pytest.raises(UpstreamFailed, match="class 08"):
        await question(database)
    await database.close()
