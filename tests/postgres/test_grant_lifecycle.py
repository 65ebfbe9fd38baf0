"""The life of a grant against a real control store: who decides, what counts, what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import servers
from control import (
    AGENT,
    AMIR,
    BILLING,
    DANA,
    ELIF,
    ISSUER,
    RULES,
    Desk,
    fresh_database,
    identity,
    open_desk,
)
from gateway.errors import (
    Conflict,
    Forbidden,
    GrantExpired,
    InvalidRequest,
    LimitExceeded,
    LogUnavailable,
    NoGrant,
    NotFound,
)
from gateway.grants import AccessRules, AutoApprove, Grants
from gateway.grants.lifecycle import MAX_PENDING
from gateway.model import GrantState, Identity

# -- the life of a grant -------------------------------------------------------------------------


async def test_a_request_waits_and_is_in_force_once_approved(desk: Desk) -> None:
    asked = await desk.ask(max_rows=500)
    assert (asked.state, asked.expires_at) == (GrantState.PENDING, None)
    with pytest.raises(NoGrant, match="waits for a decision"):
        await desk.grants.in_force(AGENT, "clinic")

    approved = await desk.grants.approve(asked.id, DANA, "ticket 4711")
    assert approved.state is GrantState.ACTIVE
    assert approved.not_before == desk.clock.now
    assert approved.expires_at == desk.clock.now + timedelta(seconds=3600)
    assert (approved.decided_by, approved.reason) == (DANA.key, "ticket 4711")
    assert await desk.grants.in_force(AGENT, "clinic", desk.clock.now) == approved


async def test_each_change_is_recorded_before_it_is_acknowledged(desk: Desk) -> None:
    asked = await desk.ask()
    await desk.grants.approve(asked.id, DANA, "ticket 4711")
    await desk.grants.revoke(asked.id, ELIF, "report is fixed")
    assert desk.ledger.names == ["grant.requested", "grant.approved", "grant.revoked"]
    last = desk.ledger.records[-1][1]
    assert (last["grant"], last["by"], last["reason"]) == (asked.id, ELIF.key, "report is fixed")
    history = await desk.grants.history(asked.id, AGENT)
    assert [(line["event"], line["by"]) for line in history] == [
        ("requested", AGENT.key),
        ("approved", DANA.key),
        ("revoked", ELIF.key),
    ]


@pytest.mark.parametrize("failure", [LogUnavailable("full"), OSError(28, "no space")])
async def test_a_change_that_cannot_be_recorded_does_not_happen(
    desk: Desk, failure: Exception
) -> None:
    pending, active = await desk.ask(), await desk.active()
    desk.ledger.broken = failure
    for change in (
        desk.ask(),
        desk.grants.approve(pending.id, DANA, "yes"),
        desk.grants.deny(pending.id, DANA, "no"),
        desk.grants.revoke(active.id, DANA, "over"),
    ):
        with pytest.raises(LogUnavailable):
            await change
    states = {grant.id: grant.state for grant in await desk.grants.list(AMIR)}
    assert states == {pending.id: GrantState.PENDING, active.id: GrantState.ACTIVE}
    desk.clock.turn(3601)
    with pytest.raises(LogUnavailable):
        await desk.grants.expire_due()
    told = await desk.grants.history(active.id, AMIR)
    assert [line["event"] for line in told] == ["requested", "approved"]
    desk.ledger.broken = None
    with pytest.raises(GrantExpired):
        await desk.grants.in_force(AGENT, "clinic")


async def test_a_caller_who_vanishes_does_not_split_record_and_change(desk: Desk) -> None:
    asked = await desk.ask()
    recording, go_on = asyncio.Event(), asyncio.Event()

    async def slow(name: str, payload: dict[str, Any]) -> None:
        recording.set()
        await go_on.wait()
        await desk.ledger(name, payload)

    grants = Grants(desk.store, AccessRules(approvers=("group:data-stewards",)), slow, desk.clock)
    call = asyncio.create_task(grants.approve(asked.id, DANA, "yes"))
    await recording.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    # the revocation waits for the row that the approval holds, then finds it active
    await desk.grants.revoke(asked.id, DANA, "over")
    assert desk.ledger.names[-2] == "grant.approved"


async def test_nobody_approves_their_own(desk: Desk) -> None:
    asked = await desk.ask(DANA)
    with pytest.raises(Forbidden, match="of their own"):
        await desk.grants.approve(asked.id, DANA, "looks fine to me")
    assert (await desk.grants.approve(asked.id, ELIF, "agreed")).state is GrantState.ACTIVE


@pytest.mark.parametrize(
    ("requester", "approver"),
    [
        # the person the agent works for
        (identity("agent-x", actor="steward-dana"), DANA),
        # … named by another issuer's token
        (identity("agent-x", issuer="https://other", actor=f"{ISSUER}#steward-dana"), DANA),
        # the agent, holding a token in which it acts for a steward
        (AGENT, identity("steward-dana", "data-stewards", actor="agent-reporting")),
        # two identities behind which the same person stands
        (
            identity("agent-x", actor="pat"),
            identity("agent-y", "data-stewards", actor="pat"),
        ),
    ],
)
async def test_a_party_to_the_request_does_not_approve(
    desk: Desk, requester: Identity, approver: Identity
) -> None:
    asked = await desk.ask(requester)
    with pytest.raises(Forbidden, match="acts for them"):
        await desk.grants.approve(asked.id, approver, "fine")
    assert (await desk.grants.approve(asked.id, ELIF, "fine")).state is GrantState.ACTIVE


async def test_only_approvers_decide(desk: Desk) -> None:
    asked = await desk.ask()
    for change in (desk.grants.approve, desk.grants.deny, desk.grants.revoke):
        with pytest.raises(Forbidden):
            await change(asked.id, AMIR, "I audit")
        with pytest.raises(NotFound):
            await change(asked.id, BILLING, "not mine")
    with pytest.raises(Forbidden):
        await desk.grants.approve(asked.id, AGENT, "mine")


async def test_the_requester_may_withdraw_and_the_holder_give_back(desk: Desk) -> None:
    asked = await desk.ask()
    assert (await desk.grants.deny(asked.id, AGENT, "a mistake")).state is GrantState.DENIED
    active = await desk.active()
    assert (await desk.grants.revoke(active.id, AGENT, "done")).state is GrantState.REVOKED


async def test_no_way_back(desk: Desk) -> None:
    denied = await desk.grants.deny((await desk.ask()).id, DANA, "no")
    revoked = await desk.grants.revoke((await desk.active()).id, DANA, "over")
    expired = await desk.active(duration_s=1)
    desk.clock.turn(1)
    assert [grant.id for grant in await desk.grants.expire_due()] == [expired.id]
    for grant in (denied, revoked, expired):
        for change in (desk.grants.approve, desk.grants.deny, desk.grants.revoke):
            with pytest.raises(Conflict):
                await change(grant.id, ELIF, "again")


async def test_a_grant_whose_time_is_over_is_shown_so_before_it_is_recorded(desk: Desk) -> None:
    over, active = await desk.active(duration_s=1), await desk.active()
    desk.clock.turn(1)
    assert (await desk.grants.get(over.id, AGENT)).state is GrantState.EXPIRED
    shown = {grant.id: grant.state for grant in await desk.grants.list(AGENT)}
    assert shown == {over.id: GrantState.EXPIRED, active.id: GrantState.ACTIVE}
    for state, grant in ((GrantState.ACTIVE, active), (GrantState.EXPIRED, over)):
        listed = await desk.grants.list(AGENT, state=state)
        assert [one.id for one in listed] == [grant.id]
    assert desk.ledger.names[-1] == "grant.approved"


async def test_races_have_one_winner(desk: Desk) -> None:
    asked = await desk.ask()
    decisions: list[Callable[[], Awaitable[Any]]] = [
        lambda: desk.grants.approve(asked.id, DANA, "yes"),
        lambda: desk.grants.approve(asked.id, ELIF, "yes"),
        lambda: desk.grants.deny(asked.id, DANA, "no"),
    ]
    outcomes = await asyncio.gather(*(one() for one in decisions * 3), return_exceptions=True)
    losers = [one for one in outcomes if isinstance(one, Conflict)]
    assert len(losers) == len(outcomes) - 1
    assert len(desk.ledger.names) == 2


async def test_a_reason_is_needed(desk: Desk) -> None:
    asked = await desk.ask()
    for change in (desk.grants.approve, desk.grants.deny, desk.grants.revoke):
        with pytest.raises(InvalidRequest, match="reason"):
            await change(asked.id, DANA, "  ")


async def test_a_limit_lowered_since_the_request_counts(desk: Desk) -> None:
    asked = await desk.ask()
    rules = AccessRules(approvers=("group:data-stewards",), max_duration_s=600)
    with pytest.raises(Conflict, match="at most 600 s"):
        await Grants(desk.store, rules, desk.ledger, desk.clock).approve(asked.id, DANA, "yes")


async def test_waiting_requests_are_bounded(desk: Desk) -> None:
    for _ in range(MAX_PENDING):
        await desk.ask()
    with pytest.raises(LimitExceeded, match="wait for a decision"):
        await desk.ask()
    assert (await desk.ask(BILLING)).state is GrantState.PENDING


async def test_a_rule_approves_at_once_and_is_recorded_as_such(newest: servers.Server) -> None:
    rule = AutoApprove("night-shift", (AGENT.key,), "clinic", 900)
    async with open_desk(await fresh_database(newest), AccessRules(auto_approve=(rule,))) as desk:
        grant = await desk.ask(duration_s=900)
        assert (grant.state, grant.decided_by) == (GrantState.ACTIVE, "auto:night-shift")
        assert desk.ledger.names == ["grant.requested", "grant.approved"]
        for who, changes in (
            (AGENT, {"duration_s": 901}),
            (AGENT, {"connection": "lab"}),
            (BILLING, {}),
        ):
            asked = await desk.ask(who, **{"duration_s": 900, **changes})
            assert asked.state is GrantState.PENDING


# -- in force ------------------------------------------------------------------------------------


async def test_a_grant_belongs_to_one_identity_and_one_connection(desk: Desk) -> None:
    grant = await desk.active()
    for who, connection, named in (
        (BILLING, "clinic", None),
        (BILLING, "clinic", grant.id),
        (AGENT, "lab", None),
        (AGENT, "lab", grant.id),
        (identity("agent-reporting", issuer="https://other"), "clinic", grant.id),
    ):
        with pytest.raises(NoGrant, match="hold no grant"):
            await desk.grants.in_force(who, connection, grant_id=named)


async def test_of_several_the_named_one_or_the_one_that_ends_last(desk: Desk) -> None:
    long = await desk.active(duration_s=7200)
    short = await desk.active(duration_s=600)
    assert (await desk.grants.in_force(AGENT, "clinic")).id == long.id
    assert (await desk.grants.in_force(AGENT, "clinic", grant_id=short.id)).id == short.id
    await desk.grants.revoke(short.id, DANA, "over")
    with pytest.raises(NoGrant, match="was revoked \\(over\\)"):
        await desk.grants.in_force(AGENT, "clinic", grant_id=short.id)
    assert (await desk.grants.in_force(AGENT, "clinic")).id == long.id


async def test_over_stays_over_when_the_clock_goes_back(desk: Desk) -> None:
    grant = await desk.active(duration_s=60)
    desk.clock.turn(59.999)
    assert (await desk.grants.in_force(AGENT, "clinic")).id == grant.id
    desk.clock.turn(0.001)
    with pytest.raises(GrantExpired, match="ended at"):
        await desk.grants.in_force(AGENT, "clinic")
    desk.clock.turn(-30)
    with pytest.raises(GrantExpired):
        await desk.grants.in_force(AGENT, "clinic")
    with pytest.raises(GrantExpired):
        await desk.grants.charge_rows(grant.id, 1)


async def test_expiry_goes_on_after_the_log_was_away(desk: Desk) -> None:
    grant = await desk.active(duration_s=60)
    desk.clock.turn(60)
    asked: list[tuple[str, str]] = []

    async def ledger(name: str, payload: dict[str, Any]) -> None:
        asked.append((name, payload["by"]))
        if len(asked) == 1:
            raise LogUnavailable("full")

    grants = Grants(desk.store, RULES, ledger, desk.clock)
    with pytest.raises(LogUnavailable):
        await grants.expire_due()
    assert [ended.id for ended in await grants.expire_due()] == [grant.id]
    assert asked == [("grant.expired", "clock")] * 2
    with pytest.raises(Conflict, match="is expired"):
        await desk.grants.revoke(grant.id, DANA, "over")


async def test_a_clock_before_the_approval_is_not_believed(desk: Desk) -> None:
    await desk.active()
    desk.clock.turn(-3600)
    with pytest.raises(NoGrant, match="not in force yet"):
        await desk.grants.in_force(AGENT, "clinic")


@pytest.mark.parametrize("wrong", ["", "g-\x00", "x" * 65, "g-\ud800", "' OR '1'='1"])
async def test_ids_nobody_made(desk: Desk, wrong: str) -> None:
    with pytest.raises(NotFound):
        await desk.grants.get(wrong, AMIR)
    with pytest.raises(NotFound):
        await desk.sessions.get_session(wrong, AMIR)
    with pytest.raises(NoGrant):
        await desk.grants.in_force(AGENT, "clinic", grant_id=wrong)


async def test_who_sees_which_grants(desk: Desk) -> None:
    mine, other = await desk.ask(), await desk.ask(BILLING)
    assert {grant.id for grant in await desk.grants.list(AGENT)} == {mine.id}
    for who in (AMIR, DANA):
        assert {grant.id for grant in await desk.grants.list(who)} == {mine.id, other.id}
    with pytest.raises(NotFound):
        await desk.grants.get(other.id, AGENT)
    with pytest.raises(NotFound):
        await desk.grants.history(other.id, AGENT)
    active = await desk.active()
    assert [one.id for one in await desk.grants.list(AGENT, state=GrantState.ACTIVE)] == [active.id]


# -- rows ----------------------------------------------------------------------------------------


async def test_rows_are_counted_over_the_life_of_the_grant(desk: Desk) -> None:
    grant = await desk.active(max_rows=100)
    assert (await desk.grants.charge_rows(grant.id, 60)).rows_released == 60
    with pytest.raises(LimitExceeded, match="60 were released and 41 more"):
        await desk.grants.charge_rows(grant.id, 41)
    assert (await desk.grants.charge_rows(grant.id, 40)).rows_released == 100
    with pytest.raises(LimitExceeded):
        await desk.grants.charge_rows(grant.id, 1)
    assert (await desk.grants.charge_rows(grant.id, 0)).rows_released == 100


async def test_concurrent_charges_never_exceed_the_limit(desk: Desk) -> None:
    grant = await desk.active(max_rows=100)
    outcomes = await asyncio.gather(
        *(desk.grants.charge_rows(grant.id, 7) for _ in range(40)), return_exceptions=True
    )
    assert sum(not isinstance(one, Exception) for one in outcomes) == 14
    assert (await desk.grants.get(grant.id, AGENT)).rows_released == 98


async def test_nothing_is_charged_to_a_grant_that_has_ended(desk: Desk) -> None:
    grant = await desk.active()
    await desk.grants.revoke(grant.id, DANA, "over")
    with pytest.raises(NoGrant, match="was revoked"):
        await desk.grants.charge_rows(grant.id, 0)


@pytest.mark.parametrize("rows", [-1, True, 1.5, "1", 2**53])
async def test_rows_are_whole_numbers(desk: Desk, rows: Any) -> None:
    grant = await desk.active()
    with pytest.raises(InvalidRequest):
        await desk.grants.charge_rows(grant.id, rows)
