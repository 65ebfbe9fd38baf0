"""A cancellation that comes late stops nobody else's statement."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.sql import analyse
from gateway.upstream import Database, UpstreamSettings

_CANCEL = 80877102
_LONG = "select generate_series(1, {}) as g, lpad('', 500, 'x') as filler"
ENDLESS = _LONG.format(1_000_000_000)
#: More than waits anywhere on the way: it still runs when its first rows have been taken.
MANY = _LONG.format(100_000)
PATIENCE_S = 30.0  # ends a test that would hang; decides nothing


class Relay:
    """Between the gateway and its database: cancellations stay here until they are let go."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._held: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self._arrived: list[asyncio.Event] = []
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        theirs, ours = await asyncio.open_connection(*self._target)
        with contextlib.closing(writer), contextlib.closing(ours):
            if struct.unpack("!II", first)[1] == _CANCEL:
                packet = first + await reader.readexactly(8)
                let_go, told = asyncio.Event(), asyncio.Event()
                self._arrived.append(told)
                await self._held.put(let_go)
                await let_go.wait()
                ours.write(packet)
                await theirs.read()  # its end: the server has sent the signal
                told.set()
                return
            ours.write(first)
            # Each closes what the other reads.
            await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))

    async def cancellation(self) -> asyncio.Event:
        """The next one that comes, as what lets it go."""
        return await self._held.get()

    async def ended(self) -> None:
        while self._serving:
            await asyncio.wait(self._serving)

    async def told(self) -> None:
        """Every cancellation that came has been given to the server."""
        for told in self._arrived:
            await told.wait()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def relay(clinic_dsn: str) -> AsyncIterator[tuple[Relay, Database]]:
    parts = urlsplit(clinic_dsn)
    host = parts.hostname or parse_qs(parts.query)["host"][0]
    relay = Relay(host, parts.port or 5432)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    place = server.sockets[0].getsockname()[1]
    who = (parts.netloc.rpartition("@")[0] + "@") if "@" in parts.netloc else ""
    dsn = parts._replace(netloc=f"{who}127.0.0.1:{place}", query="sslmode=disable").geturl()
    database = Database(UpstreamSettings(dsn, max_connections=1))
    await database.open()
    yield relay, database
    await database.close()
    server.close()
    await relay.ended()


async def leave(database: Database) -> None:
    """Leave an endless statement after its first rows."""
    async with database.transaction("leaving") as transaction:
        analysis = await analyse(ENDLESS, [], transaction)
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        async with aclosing(pieces):
            await anext(pieces)


async def test_the_next_statement_is_not_the_one_that_is_cancelled(
    relay: tuple[Relay, Database],
) -> None:
    cancellations, database = relay
    async with asyncio.timeout(PATIENCE_S):
        leaving = asyncio.create_task(leave(database))
        first = await cancellations.cancellation()
        second = await cancellations.cancellation()  # the first was taken for lost
        first.set()
        await leaving
        size = 0
        async with database.transaction("next") as transaction:
            analysis = await analyse(MANY, [], transaction)
            async for piece in transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations
            ):
                if not size:
                    second.set()
                    await cancellations.told()
                size += len(piece)
    assert size > 100_000 * 500
