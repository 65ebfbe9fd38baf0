"""The witness answers several questions at once, each for itself; a session answers of itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

import servers
from gateway.errors import UpstreamFailed
from gateway.upstream.witness import OWN, Witness

_SETUP = """
drop schema if exists seen cascade; create schema seen;
create table seen.whole (id int) partition by list (id);
create table seen.known partition of seen.whole for values in (1);
create table seen.late partition of seen.whole for values in (2);
create table seen.alone (id int);
create index on seen.alone (id);
"""


@pytest_asyncio.fixture
async def admin(newest: servers.Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(newest.dsn())
    await connection.execute(_SETUP)
    yield connection
    await connection.execute("drop schema seen cascade")
    await connection.close()


async def oid(admin: asyncpg.Connection, name: str) -> int:
    found: int = await admin.fetchval("select $1::text::regclass::oid::int8", f"seen.{name}")
    return found


async def test_every_question_has_its_own_answer(
    newest: servers.Server, admin: asyncpg.Connection
) -> None:
    whole, known, late, alone = [
        await oid(admin, name) for name in ("whole", "known", "late", "alone")
    ]
    pid = admin.get_server_pid()
    connected = 0

    async def connect() -> asyncpg.Connection:
        nonlocal connected
        connected += 1
        return await asyncpg.connect(newest.dsn())

    witness = Witness(connect)
    async with admin.transaction():
        await admin.execute("select from seen.alone where id = 1")
        answers = await asyncio.gather(
            witness.grown({whole, known, alone}, pid, ()),  # a child that is not known
            witness.grown({whole, known, late, alone}, pid, ()),
            witness.grown({whole, known}, pid, (late, alone)),  # known, but not as a child
            witness.grown({known}, pid, ()),  # a lock on a table that is not known
            witness.grown({known}, pid, (alone,)),
            witness.grown({known}, pid + 1_000_000, ()),
            witness.grown({alone}, pid, ()),
        )
    assert answers == [True, False, True, True, False, False, False]
    assert connected == 1
    assert await witness.grown({known}, pid, ()) is False
    witness.close()


async def test_nobody_waits_for_a_session_that_died(
    newest: servers.Server, admin: asyncpg.Connection
) -> None:
    connected = 0

    async def connect() -> asyncpg.Connection:
        nonlocal connected
        connected += 1
        session = await asyncpg.connect(newest.dsn())
        if connected == 1:
            session.terminate()
        return session

    witness = Witness(connect)
    whole, pid = await oid(admin, "whole"), admin.get_server_pid()
    questions = [asyncio.create_task(witness.grown({whole}, pid, ())) for _ in range(3)]
    answers = await asyncio.gather(*questions, return_exceptions=True)
    assert [type(answer) for answer in answers] == [UpstreamFailed] * 3
    assert await witness.grown({whole}, pid, ()) is True
    assert connected == 2
    witness.close()


async def test_who_goes_away_takes_no_other_answer_along(
    newest: servers.Server, admin: asyncpg.Connection
) -> None:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(newest.dsn())

    witness = Witness(connect)
    whole, pid = await oid(admin, "whole"), admin.get_server_pid()
    gone = asyncio.create_task(witness.grown({whole}, pid, ()))
    stays = asyncio.create_task(witness.grown({whole}, pid, ()))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays is True
    assert gone.cancelled()
    witness.close()


async def test_what_a_session_says_of_itself(admin: asyncpg.Connection) -> None:
    whole, known, late, alone = [
        await oid(admin, name) for name in ("whole", "known", "late", "alone")
    ]
    async with admin.transaction():
        await admin.execute("select from seen.alone where id = 1")
        answers = [
            await admin.fetchval(OWN.query, relations, [*relations, *held])
            for relations, held in (
                ([whole, known, alone], []),  # a child that is not known
                ([whole, known, late, alone], []),
                ([whole, known], [late, alone]),  # known, but not as a child
                ([known], []),  # a lock on a table that is not known
                ([known], [alone]),
            )
        ]
    assert answers == [True, False, True, True, False]
    assert await admin.fetchval(OWN.query, [known], [known]) is False
