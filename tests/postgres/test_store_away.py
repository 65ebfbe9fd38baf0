"""The control store out of reach without a word: lines that swallow what is said, a server that
hangs. Nobody waits long, nothing runs on a guess, and it goes on when the store is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest_asyncio

import servers
from control import AGENT, DANA, Desk, fresh_database, open_desk
from gateway.errors import NoGrant, Refusal, StoreUnavailable
from gateway.model import GrantState
from relay import Relay, relaying

STATEMENT_S = 3.0  # what docs/grants.md promises; then its answer is no
OTHERS_S = 9.0
REVOKED_S = 3.0  # over a line that is dead
SLACK_S = 2.0  # for a machine that is busy


@pytest_asyncio.fixture
async def relay(newest: servers.Server) -> AsyncIterator[Relay]:
    with relaying(newest.port) as running:
        yield running


@pytest_asyncio.fixture
async def far(newest: servers.Server, relay: Relay) -> AsyncIterator[tuple[Desk, Desk]]:
    """A gateway's view of a store behind the relay, and another's of the same store directly."""
    direct = await fresh_database(newest)
    through = direct.replace(f":{newest.port}/", f":{relay.port}/")
    async with open_desk(direct) as near, open_desk(through) as behind:
        yield behind, near


async def refused_within(seconds: float, asked: Awaitable[Any]) -> None:
    begun = time.monotonic()
    try:
        await asked
    except StoreUnavailable:
        assert time.monotonic() - begun < seconds + SLACK_S
    else:
        raise AssertionError("it was answered")


async def test_a_store_that_says_nothing_is_not_waited_for(
    far: tuple[Desk, Desk], relay: Relay
) -> None:
    behind, _ = far
    grant = await behind.active()
    session = (await behind.sessions.open_session(AGENT, "clinic", grant)).id
    statement = (session, AGENT, "clinic", grant.id)
    assert await behind.standing.grant(*statement) == grant
    relay.swallow()
    await asyncio.gather(
        refused_within(STATEMENT_S, behind.standing.grant(*statement)),
        refused_within(OTHERS_S, behind.grants.in_force(AGENT, "clinic")),
        refused_within(OTHERS_S, behind.grants.charge_rows(grant.id, 1)),
        *(refused_within(OTHERS_S, behind.store.check()) for _ in range(20)),
    )
    relay.heal()
    # The first question that finds a dead line costs its patience; no other one does.
    assert await behind.standing.grant(*statement) == grant
    begun = time.monotonic()
    for _ in range(10):
        await behind.store.check()
    assert time.monotonic() - begun < SLACK_S


async def test_a_revocation_is_heard_over_a_line_that_is_dead_without_a_word(
    far: tuple[Desk, Desk], relay: Relay
) -> None:
    behind, near = far
    grant = await near.active()
    session = (await behind.sessions.open_session(AGENT, "clinic", grant)).id
    ended: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
    hold = behind.standing.hold(session, AGENT, "clinic", grant.id, ended.set_result)
    async with hold:
        await asyncio.sleep(0.5)  # the line is there
        relay.swallow_open_lines()
        begun = time.monotonic()
        await near.grants.revoke(grant.id, DANA, "over")
        assert isinstance(await asyncio.wait_for(ended, 30), NoGrant)
        assert time.monotonic() - begun < REVOKED_S + SLACK_S
        # What one line was found out to be is known of the others.
        begun = time.monotonic()
        assert (await behind.grants.get(grant.id, AGENT)).state is GrantState.REVOKED
        assert time.monotonic() - begun < SLACK_S


async def test_a_revocation_while_the_store_was_away_is_in_force_when_it_is_back(
    far: tuple[Desk, Desk], relay: Relay
) -> None:
    behind, near = far
    grant = await near.active()
    session = (await behind.sessions.open_session(AGENT, "clinic", grant)).id
    ended: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
    hold = behind.standing.hold(session, AGENT, "clinic", grant.id, ended.set_result)
    async with hold:
        await asyncio.sleep(0.5)
        relay.cut()
        await near.grants.revoke(grant.id, DANA, "over")
        await asyncio.sleep(1)
        assert not ended.done()  # nobody can have told: it would last until its expiry
        relay.heal()
        begun = time.monotonic()
        assert isinstance(await asyncio.wait_for(ended, 30), NoGrant)
        assert time.monotonic() - begun < 1 + SLACK_S
