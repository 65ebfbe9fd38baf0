"""Each statement asks the control store anew whether its session and its grant still stand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import servers
from control import AGENT, BILLING, DANA, Desk, fresh_database, open_desk
from gateway.errors import Conflict, GrantExpired, NoGrant, NotFound, Refusal, StoreUnavailable
from gateway.grants import Grants
from gateway.model import Grant, GrantState

PATIENCE_S = 30.0  # ends a test that would hang; decides nothing


async def opened(desk: Desk, **changes: Any) -> tuple[str, Grant]:
    grant = await desk.active(**changes)
    return (await desk.sessions.open_session(AGENT, "clinic", grant)).id, grant


def nobody(refusal: Refusal) -> None:
    raise AssertionError(f"nobody ended the grant: {refusal}")


async def ask(desk: Desk, session: str, grant: Grant) -> Grant:
    return await desk.standing.grant(session, AGENT, "clinic", grant.id)


async def test_no_answer_is_kept(desk: Desk) -> None:
    session, grant = await opened(desk)
    assert await ask(desk, session, grant) == grant
    async with open_desk(desk.dsn) as other:  # another gateway
        await other.grants.revoke(grant.id, DANA, "over")
    with pytest.raises(NoGrant, match="was revoked"):
        await ask(desk, session, grant)


async def test_rows_that_were_released_are_counted_anew(desk: Desk) -> None:
    session, grant = await opened(desk, max_rows=10)
    await desk.grants.charge_rows(grant.id, 4)
    assert (await ask(desk, session, grant)).rows_released == 4


async def test_an_expired_grant_is_expired_in_the_store_as_well(desk: Desk) -> None:
    session, grant = await opened(desk, duration_s=60)
    desk.clock.turn(60)
    with pytest.raises(GrantExpired):
        await ask(desk, session, grant)
    assert (await desk.grants.get(grant.id, AGENT)).state is GrantState.EXPIRED
    desk.clock.turn(-60)
    with pytest.raises(GrantExpired):
        await ask(desk, session, grant)


async def test_a_session_has_its_own_identity_connection_and_grant(desk: Desk) -> None:
    session, grant = await opened(desk)
    other = await desk.active(BILLING)
    for who, connection, named, refusal in (
        (BILLING, "clinic", other.id, NotFound),
        (AGENT, "lab", grant.id, NoGrant),
        (AGENT, "clinic", other.id, NoGrant),
        (AGENT, "clinic", "g-none", NoGrant),
    ):
        with pytest.raises(refusal):
            await desk.standing.grant(session, who, connection, named)
    with pytest.raises(NotFound):
        await desk.standing.grant("no such session", AGENT, "clinic", grant.id)
    await desk.sessions.close_session(session, AGENT)
    with pytest.raises(Conflict):
        await ask(desk, session, grant)


async def test_what_is_asked_together_is_answered_each_for_itself(desk: Desk) -> None:
    standing, revoked = await opened(desk), await opened(desk)
    await desk.grants.revoke(revoked[1].id, DANA, "over")
    asked = [ask(desk, *one) for one in (standing, revoked, standing)] + [
        ask(desk, "unknown", standing[1])
    ]
    first, second, third, fourth = await asyncio.gather(*asked, return_exceptions=True)
    assert (first, third) == (standing[1], standing[1])
    assert isinstance(second, NoGrant)
    assert isinstance(fourth, NotFound)


async def test_who_asks_while_an_answer_is_on_its_way_is_not_given_that_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, grant = await opened(desk)
    asking, answer = asyncio.Event(), asyncio.Event()
    fetch = desk.store.ask

    async def slowly(sql: str, *arguments: Any) -> list[Any]:
        rows = await fetch(sql, *arguments)
        asking.set()
        await answer.wait()
        return rows

    monkeypatch.setattr(desk.store, "ask", slowly)
    async with asyncio.timeout(PATIENCE_S):
        early = asyncio.create_task(ask(desk, session, grant))
        await asking.wait()
        await desk.grants.revoke(grant.id, DANA, "over")
        late = asyncio.create_task(ask(desk, session, grant))
        await asyncio.sleep(0)
        answer.set()
        assert await early == grant
        with pytest.raises(NoGrant):
            await late


async def test_a_revocation_between_the_answer_and_the_watch_is_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, grant = await opened(desk)
    told: list[Refusal] = []
    held = desk.standing.hold(session, AGENT, "clinic", grant.id, told.append)
    asked = desk.standing.grant

    async def and_revoked(*arguments: Any) -> Grant:
        found = await asked(*arguments)
        await desk.grants.revoke(grant.id, DANA, "over")
        while held._watch.ended is None:  # noqa: ASYNC110 heard by the listener or the poll
            await asyncio.sleep(0.01)
        return found

    monkeypatch.setattr(desk.standing, "grant", and_revoked)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(NoGrant, match="was revoked"):
            async with held:
                raise AssertionError("the statement began")
    assert told == []  # it is raised, and not told as well


async def test_a_statement_is_told_of_its_grant_s_end(desk: Desk) -> None:
    session, grant = await opened(desk)
    ended: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
    async with (
        asyncio.timeout(PATIENCE_S),
        desk.standing.hold(session, AGENT, "clinic", grant.id, ended.set_result) as held,
    ):
        assert held == grant
        await desk.grants.revoke(grant.id, DANA, "over")
        assert isinstance(await ended, NoGrant)


async def test_nothing_is_told_after_the_statement(desk: Desk) -> None:
    session, grant = await opened(desk)
    async with desk.standing.hold(session, AGENT, "clinic", grant.id, nobody):
        pass
    ended: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
    async with (
        asyncio.timeout(PATIENCE_S),
        desk.standing.hold(session, AGENT, "clinic", grant.id, ended.set_result),
    ):
        await desk.grants.revoke(grant.id, DANA, "over")
        assert isinstance(await ended, NoGrant)


async def test_the_store_away_and_back() -> None:
    with servers.running(servers.majors()[-1]) as own:
        async with open_desk(await fresh_database(own)) as desk:
            session, grant = await opened(desk)
            await ask(desk, session, grant)
            own.stop()
            several = [ask(desk, session, grant) for _ in range(3)]
            for answer in await asyncio.gather(*several, return_exceptions=True):
                assert isinstance(answer, StoreUnavailable)
            own.start()
            assert await ask(desk, session, grant) == grant


async def test_who_leaves_takes_no_answer_from_the_others(desk: Desk) -> None:
    session, grant = await opened(desk)
    leaving = asyncio.create_task(ask(desk, session, grant))
    staying = asyncio.create_task(ask(desk, session, grant))
    await asyncio.sleep(0)
    leaving.cancel()
    async with asyncio.timeout(PATIENCE_S):
        assert await staying == grant
    assert leaving.cancelled()


async def test_a_store_that_is_closed_answers_nobody(desk: Desk) -> None:
    session, grant = await opened(desk)
    store = await type(desk.store).connect(desk.dsn)
    grants = Grants(store, desk.grants._rules, desk.ledger, desk.clock)
    standing = type(desk.standing)(store, grants, desk.clock)
    assert await standing.grant(session, AGENT, "clinic", grant.id) == grant
    await store.close()
    with pytest.raises(StoreUnavailable):
        await standing.grant(session, AGENT, "clinic", grant.id)
