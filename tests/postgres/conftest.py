"""The corpus' clinic on each server with the gateway's side of it, and a fresh control store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

import servers
from control import Desk, fresh_database, open_desk
from corpus import clinic as corpus
from gateway.upstream import Database, UpstreamSettings


@pytest.fixture(scope="session")
async def clinic_dsn(server: servers.Server) -> str:
    """The login of a freshly built clinic."""
    await corpus.build(server.dsn(), server.dsn(database="clinic"))
    return server.dsn(user=corpus.LOGIN, database="clinic")


@pytest.fixture(scope="session")
async def clinic(clinic_dsn: str) -> AsyncIterator[Database]:
    """The gateway's connection to it."""
    database = Database(UpstreamSettings(clinic_dsn, role=corpus.READER))
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def admin(server: servers.Server, clinic_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser in the clinic."""
    connection = await asyncpg.connect(server.dsn(database="clinic"))
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def desk(newest: servers.Server) -> AsyncIterator[Desk]:
    """A gateway's view of a fresh control store."""
    async with open_desk(await fresh_database(newest)) as opened:
        yield opened
