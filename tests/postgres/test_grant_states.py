"""The state machine as a property, against the real store.

Whatever is tried in whatever order: nothing is in force outside active and its time, nobody's
approval of their own counts, and no terminal state is ever left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import servers
from control import AGENT, AMIR, BILLING, DANA, ELIF, Desk, fresh_database, identity, open_desk
from gateway.errors import Conflict, Forbidden, GrantExpired, LimitExceeded, NoGrant, NotFound
from gateway.model import Grant, GrantState, Identity

T = TypeVar("T")
FOR_DANA = identity("agent-for-dana", actor="steward-dana")
PEOPLE = (AGENT, BILLING, FOR_DANA, DANA, ELIF, AMIR)
TERMINAL = {GrantState.EXPIRED, GrantState.REVOKED, GrantState.DENIED}


@dataclass
class Known:
    """What the model believes of one grant."""

    holder: Identity
    duration_s: int
    max_rows: int | None
    state: GrantState = GrantState.PENDING
    ends: datetime | None = None
    released: int = 0


class Life(RuleBasedStateMachine):
    """`desk` and `runner` are the test's; each example uses new grants of the same store."""

    desk: Desk
    runner: asyncio.Runner
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}

    def do(self, call: Awaitable[T]) -> T:
        async def run() -> T:
            return await call

        return self.runner.run(run())

    @initialize()
    def another_connection(self) -> None:
        """Grants of earlier examples stay in the store; a connection of its own sets them apart."""
        type(self).example = getattr(type(self), "example", 0) + 1
        self.connection = f"clinic-{type(self).example}"

    @rule(
        target=grants,
        who=st.sampled_from(PEOPLE),
        duration_s=st.integers(1, 120),
        max_rows=st.none() | st.integers(1, 50),
    )
    def request(self, who: Identity, duration_s: int, max_rows: int | None) -> str:
        asked = self.do(
            self.desk.grants.request(who, self.connection, ["*"], "look", duration_s, max_rows)
        )
        assert asked.state is GrantState.PENDING
        self.known[asked.id] = Known(who, duration_s, max_rows)
        return asked.id

    @rule(grant_id=grants, by=st.sampled_from(PEOPLE))
    def approve(self, grant_id: str, by: Identity) -> None:
        known = self.known[grant_id]
        try:
            grant = self.do(self.desk.grants.approve(grant_id, by, "yes"))
        except (Forbidden, NotFound, Conflict):
            return
        assert by in (DANA, ELIF)
        assert by.key != known.holder.key
        assert not (by is DANA and known.holder is FOR_DANA)
        assert known.state is GrantState.PENDING
        assert grant.expires_at is not None
        assert grant.not_before == self.desk.clock.now
        known.state, known.ends = GrantState.ACTIVE, grant.expires_at

    @rule(grant_id=grants, by=st.sampled_from(PEOPLE))
    def deny(self, grant_id: str, by: Identity) -> None:
        with contextlib.suppress(Forbidden, NotFound, Conflict):
            self.do(self.desk.grants.deny(grant_id, by, "no"))
            known = self.known[grant_id]
            assert by in (DANA, ELIF) or by is known.holder
            assert known.state is GrantState.PENDING
            known.state = GrantState.DENIED

    @rule(grant_id=grants, by=st.sampled_from(PEOPLE))
    def revoke(self, grant_id: str, by: Identity) -> None:
        with contextlib.suppress(Forbidden, NotFound, Conflict):
            self.do(self.desk.grants.revoke(grant_id, by, "over"))
            known = self.known[grant_id]
            assert by in (DANA, ELIF) or by is known.holder
            assert known.state is GrantState.ACTIVE
            known.state = GrantState.REVOKED

    @rule(seconds=st.integers(-60, 120))
    def turn_the_clock(self, seconds: int) -> None:
        self.desk.clock.turn(seconds)

    @rule()
    def expire(self) -> None:
        for grant in self.do(self.desk.grants.expire_due()):
            if grant.id in self.known:
                self.over(grant.id)

    @rule(grant_id=grants, rows=st.integers(0, 30))
    def charge(self, grant_id: str, rows: int) -> None:
        known = self.known[grant_id]
        try:
            grant = self.do(self.desk.grants.charge_rows(grant_id, rows))
        except LimitExceeded:
            assert known.max_rows is not None
            assert known.released + rows > known.max_rows
        except (NoGrant, GrantExpired):
            # the clock can have been turned back to before the approval
            early = self.in_time(known) and (
                self.stored()[grant_id].not_before > self.desk.clock.now
            )
            assert early or not self.in_time(known)
        else:
            assert self.in_time(known)
            known.released += rows
            assert grant.rows_released == known.released

    @rule(who=st.sampled_from(PEOPLE))
    def use(self, who: Identity) -> None:
        mine = {one: known for one, known in self.known.items() if known.holder is who}
        usable = [one for one, known in mine.items() if self.in_time(known)]
        try:
            grant = self.do(self.desk.grants.in_force(who, self.connection))
        except (NoGrant, GrantExpired):
            # fewer are usable than the model thinks when the clock is before an approval
            for one in usable:
                assert self.stored()[one].not_before > self.desk.clock.now
        else:
            assert grant.id in usable
        for one, known in mine.items():
            if known.state is GrantState.ACTIVE and not self.in_time(known):
                self.over(one)  # it was looked at after its end: over for good

    def over(self, grant_id: str) -> None:
        known = self.known[grant_id]
        assert known.state is GrantState.ACTIVE
        assert not self.in_time(known)
        known.state = GrantState.EXPIRED

    def in_time(self, known: Known) -> bool:
        return (
            known.state is GrantState.ACTIVE
            and known.ends is not None
            and self.desk.clock.now < known.ends
        )

    def stored(self) -> dict[str, Any]:
        rows: tuple[Grant, ...] = self.do(self.desk.grants.list(AMIR))
        return {grant.id: grant for grant in rows if grant.connection == self.connection}

    @invariant()
    def the_store_agrees(self) -> None:
        if not self.known:
            return
        stored = self.stored()
        assert {one: grant.state for one, grant in stored.items()} == {
            one: known.state for one, known in self.known.items()
        }
        for grant in stored.values():
            if grant.state in TERMINAL - {GrantState.DENIED} or grant.state is GrantState.ACTIVE:
                assert grant.not_before is not None
            assert grant.max_rows is None or grant.rows_released <= grant.max_rows


def test_nothing_in_force_outside_active_and_nothing_comes_back(
    newest: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound on waiting requests is another test's; examples leave theirs behind.
    monkeypatch.setattr("gateway.grants.lifecycle.MAX_PENDING", 10**6)
    with asyncio.Runner() as runner:

        async def enter() -> tuple[Any, Desk]:
            opened = open_desk(await fresh_database(newest))
            return opened, await opened.__aenter__()

        opened, desk = runner.run(enter())
        try:
            Life.desk, Life.runner = desk, runner
            run_state_machine_as_test(
                Life,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    derandomize=True,  # below it is asserted that some are approved
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
            assert "grant.approved" in desk.ledger.names
        finally:
            runner.run(opened.__aexit__(None, None, None))
