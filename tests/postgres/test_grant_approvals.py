"""Several approvers, a later beginning, hours, renewal and break-glass, against a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import servers
from control import (
    AGENT,
    AMIR,
    BILLING,
    DANA,
    ELIF,
    START,
    Desk,
    fresh_database,
    identity,
    open_desk,
)
from gateway.errors import Conflict, Forbidden, GrantExpired, InvalidRequest, NoGrant, NotFound
from gateway.grants import AccessRules, BreakGlass, Grants
from gateway.grants.force import until
from gateway.model import GrantState

FRAN = identity("steward-fran", "data-stewards")
RULES = AccessRules(
    approvers=("group:data-stewards",),
    auditors=("group:auditors",),
    approvals=1,
    approvals_on={"clinic": 2},
    break_glass=(BreakGlass("ward", (AGENT.key,), "clinic", 900),),
)


@pytest_asyncio.fixture
async def two(newest: servers.Server) -> AsyncIterator[Desk]:
    """A desk where two must approve, and the agent may break the glass."""
    async with open_desk(await fresh_database(newest), RULES) as opened:
        yield opened


# -- k of n --------------------------------------------------------------------------------------


async def test_two_must_approve(two: Desk) -> None:
    asked = await two.ask()
    first = await two.grants.approve(asked.id, DANA, "looked at it")
    assert (first.state, first.approvals) == (GrantState.PENDING, (DANA.key,))
    with pytest.raises(NoGrant) as told:
        await two.grants.in_force(AGENT, "clinic")
    assert told.value.hint == "1 of 2 approvers have approved it."
    with pytest.raises(Conflict, match="approved this request already"):
        await two.grants.approve(asked.id, DANA, "and again")
    second = await two.grants.approve(asked.id, ELIF, "so did I")
    assert (second.state, second.approvals) == (GrantState.ACTIVE, (DANA.key, ELIF.key))
    assert two.ledger.names == ["grant.requested", "grant.endorsed", "grant.approved"]
    assert two.ledger.records[1][1]["approvals"] == [DANA.key]
    history = [line["event"] for line in await two.grants.history(asked.id, AMIR)]
    assert history == ["requested", "endorsed", "approved"]


async def test_another_connection_takes_its_own_number(two: Desk) -> None:
    asked = await two.ask(connection="billing")
    assert (await two.grants.approve(asked.id, DANA, "yes")).state is GrantState.ACTIVE


@pytest.mark.parametrize(
    "second",
    [
        identity("steward-two", "data-stewards", actor="steward-dana"),
        identity("steward-three", "data-stewards", actor=DANA.key),
    ],
)
async def test_one_person_behind_two_identities_approves_once(two: Desk, second: Any) -> None:
    asked = await two.ask()
    await two.grants.approve(asked.id, DANA, "yes")
    with pytest.raises(Conflict, match="already"):
        await two.grants.approve(asked.id, second, "me too")
    assert (await two.grants.get(asked.id, AMIR)).state is GrantState.PENDING


async def test_two_agents_of_one_person_approve_once(two: Desk) -> None:
    asked = await two.ask()
    one, other = (identity(name, "data-stewards", actor="pat") for name in ("bot-a", "bot-b"))
    await two.grants.approve(asked.id, one, "yes")
    with pytest.raises(Conflict, match="already"):
        await two.grants.approve(asked.id, other, "yes")


async def test_one_denial_ends_it(two: Desk) -> None:
    asked = await two.ask()
    await two.grants.approve(asked.id, DANA, "yes")
    assert (await two.grants.deny(asked.id, ELIF, "no")).state is GrantState.DENIED
    with pytest.raises(Conflict, match="is denied"):
        await two.grants.approve(asked.id, FRAN, "yes")


async def test_two_approvals_at_once_are_two(two: Desk) -> None:
    for _ in range(5):
        asked = await two.ask()
        first, second = await asyncio.gather(
            two.grants.approve(asked.id, DANA, "yes"), two.grants.approve(asked.id, ELIF, "yes")
        )
        assert {first.state, second.state} == {GrantState.PENDING, GrantState.ACTIVE}


async def test_more_approvers_asked_for_since_count(two: Desk) -> None:
    asked = await two.ask()
    strict = AccessRules(approvers=RULES.approvers, approvals=3)
    grants = Grants(two.store, strict, two.ledger, two.clock)
    for who, state in ((DANA, "pending"), (ELIF, "pending"), (FRAN, "active")):
        assert (await grants.approve(asked.id, who, "yes")).state == state


async def test_an_approval_that_cannot_be_recorded_does_not_count(two: Desk) -> None:
    asked = await two.ask()
    two.ledger.broken = OSError(28, "no space")
    with pytest.raises(Exception, match="could not be recorded"):
        await two.grants.approve(asked.id, DANA, "yes")
    two.ledger.broken = None
    assert (await two.grants.get(asked.id, AMIR)).approvals == ()
    assert (await two.grants.approve(asked.id, DANA, "yes")).approvals == (DANA.key,)


async def test_an_approver_lets_fewer_rows_through_and_never_more(two: Desk) -> None:
    asked = await two.ask(filters={"public.patient": ["ward = 'A'"]})
    first = await two.grants.approve(
        asked.id, DANA, "of this month", {"public.patient": "n > 5", "public.visit": "n > 6"}
    )
    assert first.filters == (
        ("public.patient", ("ward = 'A'", "n > 5")),
        ("public.visit", ("n > 6",)),
    )
    assert first.predicates[0] == ("public.patient", "(ward = 'A') AND (n > 5)")
    assert two.ledger.records[-1][1]["filters"] == dict(first.predicates)
    second = await two.grants.approve(asked.id, ELIF, "so be it")
    assert (second.state, second.filters) == (GrantState.ACTIVE, first.filters)
    assert (await two.grants.renew(asked.id, AGENT)).filters == first.filters


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ("{}", "fewer rows"),
        ('{"public.patient": ["true"]}', "fewer rows"),
        ('{"public.patient": ["n > 1", "ward = \'A\'"]}', "fewer rows"),
        ('{"public.visit": ["ward = \'A\'"]}', "fewer rows"),
        ('{"public.patient": []}', "list of conditions"),
        ('{"public.patient": [["ward = \'A\'"]]}', "list of conditions"),
        ('{"public.patient": "(ward = \'A\') AND (n > 1) OR (true)"}', "list of conditions"),
        ('{"public.patient": ["ward = \'A\'", null]}', "list of conditions"),
    ],
)
async def test_no_program_widens_a_filter(two: Desk, filters: str, says: str) -> None:
    asked = await two.ask(filters={"public.patient": ["ward = 'A'"]})
    wider = "UPDATE maskgate.grants SET filters = $2 WHERE id = $1"
    connection = await asyncpg.connect(two.dsn)
    try:
        with pytest.raises(asyncpg.RaiseError, match=says):
            await connection.execute(wider, asked.id, filters)
        for who in (DANA, ELIF):
            await two.grants.approve(asked.id, who, "yes")
        more = '{"public.patient": ["ward = \'A\'", "n > 1"]}'
        with pytest.raises(asyncpg.RaiseError, match="while it is pending"):
            await connection.execute(wider, asked.id, more)
    finally:
        await connection.close()


_INSERT = "INSERT INTO maskgate.grant_approvals (grant_id, identity, actor, at, reason) VALUES "
_ACTIVE = (
    "UPDATE maskgate.grants SET state = 'active', not_before = now(), decided_at = now(), "
    "expires_at = now() + make_interval(secs => duration_s), decided_by = "
)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (_INSERT + f"($1, '{AGENT.key}', NULL, now(), 'x')", "a party to the request"),
        (_INSERT + f"($1, 'x', '{AGENT.key}', now(), 'x')", "a party to the request"),
        (_INSERT + f"($1, 'x', '{DANA.key}', now(), 'x')", "approves once"),
        (_INSERT + f"($1, '{DANA.key}', NULL, now(), 'x')", "approves once"),
        (_ACTIVE + f"'{DANA.key}' WHERE id = $1", "1 of 2 approvals"),
        (_ACTIVE + "'auto:x#y' WHERE id = $1", "1 of 2 approvals"),
        (_ACTIVE + "'break-glass:x' WHERE id = $1", "1 of 2 approvals"),
        ("UPDATE maskgate.grants SET approvals = '{a,b}' WHERE id = $1", "of grant_approvals"),
        ("UPDATE maskgate.grants SET approvals_needed = 1 WHERE id = $1", "asked for does not"),
        ("UPDATE maskgate.grants SET break_glass = true WHERE id = $1", "asked for does not"),
        ("UPDATE maskgate.grants SET hours = '{}', ticket = 'x' WHERE id = $1", "asked for"),
        ("UPDATE maskgate.grants SET begins_at = now() WHERE id = $1", "asked for does not"),
        ("DELETE FROM maskgate.grant_approvals WHERE grant_id = $1", "history stays"),
        ("UPDATE maskgate.grant_approvals SET at = now() WHERE grant_id = $1", "history stays"),
    ],
)
async def test_no_program_goes_around_the_approvals(two: Desk, sql: str, says: str) -> None:
    asked = await two.ask()
    await two.grants.approve(asked.id, DANA, "yes")
    connection = await asyncpg.connect(two.dsn)
    try:
        with pytest.raises(asyncpg.RaiseError, match=says):
            await connection.execute(sql, asked.id)
    finally:
        await connection.close()


# -- when ----------------------------------------------------------------------------------------


async def test_a_grant_begins_when_it_was_asked_for(desk: Desk) -> None:
    begins = START + timedelta(hours=2)
    grant = await desk.active(not_before=begins)
    assert (grant.not_before, grant.expires_at) == (begins, begins + timedelta(seconds=3600))
    with pytest.raises(NoGrant, match="it begins at 2026-11-22T14:00"):
        await desk.grants.in_force(AGENT, "clinic")
    desk.clock.turn(7200)
    assert (await desk.grants.in_force(AGENT, "clinic")).id == grant.id
    desk.clock.turn(3600)
    with pytest.raises(GrantExpired):
        await desk.grants.in_force(AGENT, "clinic")


async def test_a_beginning_that_is_past_is_the_approval(desk: Desk) -> None:
    asked = await desk.ask(not_before=START + timedelta(seconds=60))
    desk.clock.turn(600)
    grant = await desk.grants.approve(asked.id, DANA, "late")
    assert grant.not_before == desk.clock.now


async def test_out_of_hours_nothing_is_in_force_and_a_statement_stops(desk: Desk) -> None:
    # START is a Sunday, 12:00
    grant = await desk.active(hours=["sun 11:00-12:30", "sun 18:00-19:00"], duration_s=28800)
    session = await desk.sessions.open_session(AGENT, "clinic", grant)
    stopped = asyncio.Event()
    hold = desk.standing.hold(session.id, AGENT, "clinic", grant.id, lambda _: stopped.set())
    async with hold:
        desk.clock.turn(1800)
        await asyncio.wait_for(stopped.wait(), 5)
        assert until(grant, desk.clock.now) is None
        with pytest.raises(NoGrant, match="The hours of the grant"):
            hold._watch.check()
    with pytest.raises(NoGrant, match="in force at sun 11:00-12:30, sun 18:00-19:00 UTC, not now"):
        await desk.grants.in_force(AGENT, "clinic")
    assert (await desk.grants.get(grant.id, AGENT)).state is GrantState.ACTIVE
    desk.clock.turn(6 * 3600)
    assert (await desk.grants.in_force(AGENT, "clinic")).id == grant.id


# -- renewal -------------------------------------------------------------------------------------


async def test_a_renewal_is_a_new_request(desk: Desk) -> None:
    old = await desk.active(max_rows=5, ticket="T-1", hours=["sun 00:00-24:00"])
    await desk.grants.revoke(old.id, DANA, "over")
    new = await desk.grants.renew(old.id, AGENT, duration_s=60)
    assert (new.state, new.renews, new.duration_s) == (GrantState.PENDING, old.id, 60)
    assert (new.tables, new.max_rows, new.ticket, new.hours) == (
        old.tables,
        5,
        "T-1",
        ("sun 00:00-24:00",),
    )
    with pytest.raises(NoGrant):
        await desk.grants.in_force(AGENT, "clinic")
    await desk.grants.approve(new.id, ELIF, "once more")
    assert (await desk.grants.in_force(AGENT, "clinic")).id == new.id
    assert (await desk.grants.get(old.id, AGENT)).state is GrantState.REVOKED


async def test_only_the_holder_renews_what_was_decided(desk: Desk) -> None:
    asked = await desk.ask()
    with pytest.raises(Conflict, match="waits for a decision already"):
        await desk.grants.renew(asked.id, AGENT)
    with pytest.raises(Forbidden, match="Only the holder"):
        await desk.grants.renew(asked.id, DANA)
    with pytest.raises(NotFound):
        await desk.grants.renew(asked.id, BILLING)


# -- break-glass ---------------------------------------------------------------------------------


async def test_breaking_the_glass_begins_at_once_and_says_so(two: Desk) -> None:
    grant = await two.ask(duration_s=600, break_glass="patient in the ER, chart unreadable")
    assert (grant.state, grant.break_glass, grant.approvals) == (GrantState.ACTIVE, True, ())
    assert grant.decided_by == "break-glass:ward"
    assert two.ledger.names == ["grant.requested", "grant.break_glass"]
    record = two.ledger.records[1][1]
    assert (record["by"], record["break_glass"]) == (AGENT.key, True)
    assert record["reason"] == "patient in the ER, chart unreadable"
    session = await two.sessions.open_session(AGENT, "clinic", grant)
    assert session.break_glass
    # what began so is asked for again like anything else
    renewal = await two.grants.renew(grant.id, AGENT)
    assert (renewal.state, renewal.break_glass) == (GrantState.PENDING, False)


@pytest.mark.parametrize(
    ("who", "changes", "error"),
    [
        (BILLING, {}, Forbidden),
        (AGENT, {"connection": "billing"}, Forbidden),
        (AGENT, {"duration_s": 901}, InvalidRequest),
        (AGENT, {"break_glass": " "}, InvalidRequest),
        (AGENT, {"not_before": START + timedelta(hours=1)}, InvalidRequest),
        (AGENT, {"hours": ["mon 00:00-01:00"]}, InvalidRequest),
    ],
)
async def test_the_glass_holds_without_a_rule(
    two: Desk, who: Any, changes: dict[str, Any], error: type[Exception]
) -> None:
    wanted = {"duration_s": 60, "break_glass": "emergency", **changes}
    with pytest.raises(error):
        await two.ask(who, **wanted)
    assert two.ledger.names == []
