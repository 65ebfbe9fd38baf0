"""What may end a running statement from outside: revocation, expiry, deadline, a stalled client.

The corridor runs in one task; the watch cancels that task, so the database is cancelled and the
record says why. Refuses to outlive the statement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from gateway.errors import LimitExceeded
from gateway.flows.house import House, Limits
from gateway.flows.statement import Statement
from gateway.grants import bounds_of
from gateway.model import Grant, Identity

#: How often the clocks are looked at, seconds.
_TICK = 0.2


class Watch:
    """Looks at two clocks: the statement's, and that of a client who is to take a chunk."""

    def __init__(self, grant: Grant, statement: Statement, limits: Limits) -> None:
        self.grant = grant
        self._statement = statement
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._deadline = time.monotonic() + limits.statement_seconds
        self._waiting_since: float | None = None
        self._next = self._loop.call_later(_TICK, self._look)

    @contextmanager
    def waiting_for_client(self) -> Iterator[None]:
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None

    def end(self) -> None:
        self._next.cancel()

    def _look(self) -> None:
        limits = self._limits
        now = time.monotonic()
        since = self._waiting_since
        if now > self._deadline:
            took = f"{limits.statement_seconds:g} s"
            self._statement.stop(LimitExceeded(f"the statement ran longer than {took}"))
        elif since is not None and now - since > limits.client_stall_seconds:
            stall = f"{limits.client_stall_seconds:g} s"
            self._statement.stop(LimitExceeded(f"the client took nothing for {stall}"))
        else:
            self._next = self._loop.call_later(_TICK, self._look)


@asynccontextmanager
async def watched(house: House, identity: Identity, statement: Statement) -> AsyncIterator[Watch]:
    """The grant of the statement's session, in force, and its end: the statement is stopped when
    the grant ends or a limit of time is passed."""
    held = house.standing.hold(
        statement.session, identity, statement.connection.name, statement.grant_id, statement.stop
    )
    async with held as grant:
        bounds = bounds_of(house.limits.quotas, identity, grant)
        watch = Watch(grant, statement, house.limits)
        try:
            async with house.usage.statement(bounds):
                statement.bounds = bounds
                yield watch
        finally:
            watch.end()
