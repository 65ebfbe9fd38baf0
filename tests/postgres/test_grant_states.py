"""The state machine as a property, of two gateways over one real store.

Whatever is tried in whatever order, on either gateway and on both at once: nothing is in force
outside active and its time, an approval is by as many other people as are asked for, nobody's own
and nobody's twice, no terminal state is ever left, by renewal neither; and a stream on one gateway
hears within a second what has ended its grant on the other, and nothing else ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

import servers
from control import (
    AGENT,
    AMIR,
    BILLING,
    DANA,
    ELIF,
    Clock,
    Desk,
    fresh_database,
    open_desk,
)
from gateway.errors import (
    Conflict,
    Forbidden,
    GrantExpired,
    InvalidRequest,
    LimitExceeded,
    NoGrant,
    NotFound,
    Refusal,
)
from gateway.grants import AccessRules, BreakGlass, records
from gateway.grants.force import until
from gateway.grants.standing import Hold
from gateway.model import Grant, GrantState, Identity
from grant_model import AT_ONCE_ROWS, FRAN, PEOPLE, PERSON, STEWARDS, Known

T = TypeVar("T")
NEEDED: dict[str, int] = {}  # approvals, by connection
CHANCE = "GRANT_EXAMPLES" in os.environ  # make fuzz
EXAMPLES = int(os.environ.get("GRANT_EXAMPLES", "40"))
RULES = AccessRules(
    approvers=("group:data-stewards",),
    auditors=("group:auditors",),
    approvals_on=NEEDED,
    break_glass=tuple(
        BreakGlass(f"r{n}", (AGENT.key,), f"clinic-{n}", 60) for n in range(1, EXAMPLES * 10)
    ),
)
GATEWAY = st.sampled_from((0, 1))
# What two people do to one grant at once; None is the clock, or the holder's stream.
DECISIONS = (("approve", DANA), ("approve", ELIF), ("deny", DANA), ("deny", AGENT))
USES = (("charge", None), ("charge", None), ("revoke", ELIF), ("revoke", AGENT), ("expire", None))
MOVES = st.sampled_from(DECISIONS + USES)
TERMINAL = {GrantState.EXPIRED, GrantState.REVOKED, GrantState.DENIED}
OF_CONNECTION = "SELECT * FROM maskgate.grants WHERE connection = $1"


@dataclass
class Stream:
    """A statement that runs on one of the gateways."""

    grant: str
    hold: Hold
    told: asyncio.Future[Refusal]
    over_at: datetime
    lasts_s: float  # by a monotonic clock, which no test turns
    begun: float = field(default_factory=time.monotonic)


class Life(RuleBasedStateMachine):
    """`gateways`, their clock and `runner` are the test's; each example uses new grants of the same
    store."""

    gateways: tuple[Desk, Desk]
    clock: Clock
    runner: asyncio.Runner
    ended_streams = 0
    both_at_once = 0  # and both succeeded
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}
        self.streams: list[Stream] = []

    def teardown(self) -> None:
        for stream in self.streams:
            self.do(stream.hold.__aexit__(None, None, None))

    def do(self, call: Awaitable[T]) -> T:
        async def run() -> T:
            return await call

        return self.runner.run(run())

    @initialize(target=grants, needed=st.sampled_from((1, 2, 2, 3)))
    def another_connection(self, needed: int) -> str:
        """Grants of earlier examples stay in the store; a connection of its own sets them apart.
        One that is active stands at its beginning: chance alone seldom comes to one."""
        type(self).example = getattr(type(self), "example", 0) + 1
        self.connection = f"clinic-{type(self).example}"
        NEEDED[self.connection] = self.needed = needed
        grant = self.request(0, AGENT, 120, None, None, within=False)
        for at, by in enumerate((DANA, ELIF, FRAN)[:needed]):
            self.approve(at % 2, grant, by)
        return grant

    @rule(
        at=GATEWAY,
        target=grants,
        who=st.sampled_from((AGENT, AGENT, *PEOPLE)),
        duration_s=st.integers(1, 120),
        max_rows=st.none() | st.integers(1, 50),
        ahead=st.none() | st.integers(-60, 60),
        within=st.booleans(),
    )
    def request(
        self,
        at: int,
        who: Identity,
        duration_s: int,
        max_rows: int | None,
        ahead: int | None,
        within: bool,
    ) -> str:
        now = self.clock.now
        begins = None if ahead is None else now + timedelta(seconds=ahead)
        window = (now.replace(second=0), now.replace(second=0) + timedelta(minutes=2))
        if not within or window[1].date() != now.date():
            window = None
        hours = [f"{window[0]:%a %H:%M}-{window[1]:%H:%M}".lower()] if window else []
        asked = self.do(
            self.gateways[at].grants.request(
                who,
                self.connection,
                ["*"],
                "look",
                duration_s,
                max_rows,
                not_before=begins,
                hours=hours,
            )
        )
        assert asked.state is GrantState.PENDING
        self.known[asked.id] = Known(who, duration_s, max_rows, self.needed, begins, window=window)
        return asked.id

    @precondition(lambda self: self.streams)
    @rule(at=GATEWAY, by=st.sampled_from((DANA, ELIF, AGENT)))
    def revoke_what_is_read(self, at: int, by: Identity) -> None:
        self.revoke(at, self.streams[-1].grant, by)

    @rule(
        at=GATEWAY,
        who=st.sampled_from((AGENT, AGENT, BILLING)),
        goes_on=st.sampled_from((True, True, False)),
    )
    def run_a_statement(self, at: int, who: Identity, goes_on: bool) -> None:
        """As the corridor does: a grant, a session under it, a hold on it for the statement."""
        now = self.clock.now
        gateway = self.gateways[at]
        told = self.runner.get_loop().create_future()
        try:
            grant = self.do(gateway.grants.in_force(who, self.connection))
            session = self.do(gateway.sessions.open_session(who, self.connection, grant))
            hold = gateway.standing.hold(
                session.id, who, self.connection, grant.id, told.set_result
            )
            held = self.do(hold.__aenter__())
        except (NoGrant, GrantExpired):
            self.looked_at(who)
            return
        over_at = until(held, max(now, held.not_before))
        self.looked_at(who)
        if goes_on and over_at is not None:
            lasts_s = (over_at - now).total_seconds()
            self.streams.append(Stream(held.id, hold, told, over_at, lasts_s))
        else:
            self.do(hold.__aexit__(None, None, None))
        known = self.known[held.id]
        assert known.state is GrantState.ACTIVE
        assert known.holder is who
        if held.not_before <= now:  # else it is the leeway between clocks, and its intent fails
            assert until(held, now) is not None
            assert self.in_time(known)

    @rule(grant_id=grants)
    def look_at(self, grant_id: str) -> None:
        """`until`, by which a statement's intent is judged, is the model's own word."""
        known = self.known[grant_id]
        grant = self.stored()[grant_id]
        begun = grant.not_before is not None and grant.not_before <= self.clock.now
        assert (until(grant, self.clock.now) is not None) == (begun and self.in_time(known))

    @rule(at=GATEWAY, grant_id=grants, by=st.sampled_from(PEOPLE))
    def renew(self, at: int, grant_id: str, by: Identity) -> None:
        known = self.known[grant_id]
        try:
            asked = self.do(self.gateways[at].grants.renew(grant_id, by))
        except (Forbidden, NotFound, Conflict):
            assert by is not known.holder or known.state is GrantState.PENDING
            return
        assert by is known.holder
        assert asked.state is GrantState.PENDING
        assert not asked.break_glass
        assert asked.renews == grant_id
        self.known[asked.id] = Known(
            by, known.duration_s, known.max_rows, self.needed, window=known.window
        )

    @rule(
        at=GATEWAY,
        target=grants,
        who=st.sampled_from((AGENT, AGENT, DANA)),
        duration_s=st.sampled_from((30, 60, 61)),
    )
    def break_the_glass(self, at: int, who: Identity, duration_s: int) -> Any:
        wanted = (who, self.connection, ["*"], "look", duration_s)
        try:
            grant = self.do(self.gateways[at].grants.request(*wanted, break_glass="emergency"))
        except (Forbidden, InvalidRequest):
            assert who is not AGENT or duration_s > 60
            return multiple()
        assert who is AGENT
        assert duration_s <= 60
        known = Known(who, duration_s, None, self.needed, break_glass=True)
        known.state, known.ends = GrantState.ACTIVE, grant.expires_at
        self.known[grant.id] = known
        return grant.id

    @precondition(lambda self: self.waiting())
    @rule(at=GATEWAY, by=st.sampled_from(STEWARDS))
    def approve_what_waits(self, at: int, by: Identity) -> None:
        self.approve(at, self.waiting()[-1], by)

    def waiting(self) -> list[str]:
        return [one for one, k in self.known.items() if k.state is GrantState.PENDING]

    @rule(at=GATEWAY, grant_id=grants, by=st.sampled_from(PEOPLE))
    def approve_any(self, at: int, grant_id: str, by: Identity) -> None:
        self.approve(at, grant_id, by)

    def approve(self, at: int, grant_id: str, by: Identity) -> None:
        known = self.known[grant_id]
        try:
            grant = self.do(self.gateways[at].grants.approve(grant_id, by, "yes"))
        except (Forbidden, NotFound, Conflict):
            assert not known.may_approve(by)  # nobody who may decide is turned away
            return
        assert known.may_approve(by)
        known.approve(by, self.clock.now)
        assert grant.state is known.state
        assert grant.expires_at == known.ends

    @rule(at=GATEWAY, grant_id=grants, by=st.sampled_from(PEOPLE))
    def deny(self, at: int, grant_id: str, by: Identity) -> None:
        with contextlib.suppress(Forbidden, NotFound, Conflict):
            self.do(self.gateways[at].grants.deny(grant_id, by, "no"))
            known = self.known[grant_id]
            assert by in STEWARDS or by is known.holder
            assert known.state is GrantState.PENDING
            known.state = GrantState.DENIED

    @rule(at=GATEWAY, grant_id=grants, by=st.sampled_from(PEOPLE))
    def revoke(self, at: int, grant_id: str, by: Identity) -> None:
        with contextlib.suppress(Forbidden, NotFound, Conflict):
            self.do(self.gateways[at].grants.revoke(grant_id, by, "over"))
            known = self.known[grant_id]
            assert by in STEWARDS or by is known.holder
            assert known.state is GrantState.ACTIVE
            known.state = GrantState.REVOKED

    @rule(grant_id=grants, here=MOVES, there=MOVES)
    def any_at_once(self, grant_id: str, here: Any, there: Any) -> None:
        self.at_once(grant_id, here, there)

    @precondition(lambda self: self.waiting())
    @rule(here=st.sampled_from(DECISIONS), there=st.sampled_from(DECISIONS))
    def decided_at_once(self, here: Any, there: Any) -> None:
        self.at_once(self.waiting()[-1], here, there)

    @precondition(lambda self: self.active())
    @rule(here=st.sampled_from(USES), there=st.sampled_from(USES))
    def used_at_once(self, here: Any, there: Any) -> None:
        self.at_once(self.active()[-1], here, there)

    def active(self) -> list[str]:
        return [one for one, k in self.known.items() if k.state is GrantState.ACTIVE]

    def at_once(self, grant_id: str, here: Any, there: Any) -> None:
        """On both gateways together: as if one had been first."""
        known, now = self.known[grant_id], self.clock.now
        done = self.do(
            asyncio.gather(
                *(self.move(at, grant_id, *move) for at, move in enumerate((here, there))),
                return_exceptions=True,
            )
        )
        happened = tuple(not isinstance(one, Exception) for one in done)
        for one in done:
            if isinstance(one, list):  # what the clock has ended, other grants among them
                for other in one:
                    if other != grant_id and other in self.known:
                        self.over(other)
        happened = tuple(
            grant_id in one if isinstance(one, list) else ok
            for one, ok in zip(done, happened, strict=True)
        )
        stored = self.stored()[grant_id]
        orders = [known.after((here, there), now)]
        backwards, oks = known.after((there, here), now)
        orders.append((backwards, oks[::-1]))
        for after, oks in orders:
            if (oks, after.state, after.released) == (happened, stored.state, stored.rows_released):
                self.known[grant_id] = after
                Life.both_at_once += all(oks)
                return
        raise AssertionError((here, there, done, stored, orders))

    async def move(self, at: int, grant_id: str, verb: str, by: Identity | None) -> Any:
        """Raises what is a refusal, and fails on anything else."""
        grants = self.gateways[at].grants
        try:
            if verb == "expire":
                return [grant.id for grant in await grants.expire_due()]
            if verb == "charge":
                return await grants.charge_rows(grant_id, AT_ONCE_ROWS)
            return await getattr(grants, verb)(grant_id, by, "at once")
        except Exception as error:
            assert isinstance(error, Refusal), error
            raise

    @rule(seconds=st.integers(-60, 120))
    def turn_the_clock(self, seconds: int) -> None:
        self.clock.turn(seconds)

    @rule(at=GATEWAY)
    def expire(self, at: int) -> None:
        for grant in self.do(self.gateways[at].grants.expire_due()):
            if grant.id in self.known:
                self.over(grant.id)

    @rule(at=GATEWAY, grant_id=grants, rows=st.integers(0, 30))
    def charge(self, at: int, grant_id: str, rows: int) -> None:
        known = self.known[grant_id]
        try:
            grant = self.do(self.gateways[at].grants.charge_rows(grant_id, rows))
        except LimitExceeded:
            assert known.max_rows is not None
            assert known.released + rows > known.max_rows
        except (NoGrant, GrantExpired):
            # the clock can have been turned back to before the approval
            early = self.in_time(known) and (self.stored()[grant_id].not_before > self.clock.now)
            assert early or not self.in_time(known)
        else:
            # out of hours it is the watch that ends a stream
            assert known.state is GrantState.ACTIVE
            assert not self.ended(known)
            known.released += rows
            assert grant.rows_released == known.released

    @rule(at=GATEWAY, who=st.sampled_from(PEOPLE))
    def use(self, at: int, who: Identity) -> None:
        mine = {one: known for one, known in self.known.items() if known.holder is who}
        usable = [one for one, known in mine.items() if self.in_time(known)]
        try:
            grant = self.do(self.gateways[at].grants.in_force(who, self.connection))
        except (NoGrant, GrantExpired):
            # fewer are usable than the model thinks when the clock is before the beginning
            for one in usable:
                assert self.stored()[one].not_before > self.clock.now
        else:
            assert grant.id in usable
            # the leeway between clocks is the question's; a statement has none
            assert until(grant, self.clock.now) or grant.not_before > self.clock.now
        self.looked_at(who)

    def looked_at(self, who: Identity) -> None:
        """What was looked at after its end is over for good."""
        for one, known in self.known.items():
            if known.holder is who and known.state is GrantState.ACTIVE and self.ended(known):
                self.over(one)

    def over(self, grant_id: str) -> None:
        known = self.known[grant_id]
        assert known.state is GrantState.ACTIVE
        assert self.ended(known)
        known.state = GrantState.EXPIRED

    def ended(self, known: Known) -> bool:
        return known.ends is not None and known.ends <= self.clock.now

    def in_time(self, known: Known) -> bool:
        inside = known.window is None or (known.window[0] <= self.clock.now < known.window[1])
        return known.state is GrantState.ACTIVE and not self.ended(known) and inside

    def stored(self) -> dict[str, Any]:
        rows = self.do(self.gateways[0].store.fetch(OF_CONNECTION, self.connection))
        return {row["id"]: records.grant(row) for row in rows}

    @invariant()
    def streams_end_with_their_grants_and_not_before(self) -> None:
        for stream in list(self.streams):
            known = self.known[stream.grant]
            if known.state is GrantState.ACTIVE and self.clock.now < stream.over_at:
                late = time.monotonic() - stream.begun >= stream.lasts_s
                assert late or not stream.told.done()
                continue
            refusal = self.do(asyncio.wait_for(stream.told, 1.0))
            assert isinstance(refusal, NoGrant | GrantExpired)
            self.do(stream.hold.__aexit__(None, None, None))
            self.streams.remove(stream)
            Life.ended_streams += 1

    @invariant()
    def the_store_agrees(self) -> None:
        if not self.known:
            return
        stored = self.stored()
        assert {one: grant.state for one, grant in stored.items()} == {
            one: known.state for one, known in self.known.items()
        }
        shown: tuple[Grant, ...] = self.do(self.gateways[0].grants.list(AMIR))
        for grant in shown:
            if grant.connection == self.connection:
                known = self.known[grant.id]
                over = known.state is GrantState.ACTIVE and self.ended(known)
                assert grant.state is (GrantState.EXPIRED if over else known.state)
        for grant in stored.values():
            if grant.state in TERMINAL - {GrantState.DENIED} or grant.state is GrantState.ACTIVE:
                assert grant.not_before is not None
                known = self.known[grant.id]
                assert len(grant.approvals) >= known.needed or known.break_glass
                assert {PERSON.get(one, one) for one in grant.approvals} == known.approved_by
            assert grant.max_rows is None or grant.rows_released <= grant.max_rows


def test_nothing_in_force_outside_active_and_nothing_comes_back(
    newest: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound on waiting requests is another test's; examples leave theirs behind.
    monkeypatch.setattr("gateway.grants.lifecycle.MAX_PENDING", 10**6)
    with asyncio.Runner() as runner:

        async def enter() -> tuple[contextlib.AsyncExitStack, tuple[Desk, Desk]]:
            stack, clock = contextlib.AsyncExitStack(), Clock()
            dsn = await fresh_database(newest)
            here = await stack.enter_async_context(open_desk(dsn, RULES, clock))
            return stack, (here, await stack.enter_async_context(open_desk(dsn, RULES, clock)))

        stack, gateways = runner.run(enter())
        try:
            Life.gateways, Life.clock, Life.runner = gateways, gateways[0].clock, runner
            run_state_machine_as_test(
                Life,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=40,
                    deadline=None,
                    derandomize=not CHANCE,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
            # It is not by chance that nothing was found: each of these did happen.
            names = {name for desk in gateways for name in desk.ledger.names}
            assert {"grant.approved", "grant.endorsed", "grant.break_glass"} <= names
            assert Life.ended_streams > 5
            assert Life.both_at_once > 5
        finally:
            runner.run(stack.aclose())
