"""What may end a running statement from outside: revocation, expiry, deadline, a stalled client.

The corridor runs in one task; the watch cancels that task, so the database is cancelled and the
record says why. Refuses to outlive the statement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from gateway.errors import GrantExpired, LimitExceeded
from gateway.flows.house import House
from gateway.flows.statement import Statement
from gateway.model import Grant

#: How often the clocks are looked at, seconds: revocation must act within one.
_TICK = 0.2


class Watch:
    """Knows how long the corridor has been waiting for the client to take a chunk."""

    def __init__(self) -> None:
        self.waiting_since: float | None = None

    @contextmanager
    def waiting_for_client(self) -> Iterator[None]:
        self.waiting_since = time.monotonic()
        try:
            yield
        finally:
            self.waiting_since = None


@asynccontextmanager
async def watched(house: House, grant: Grant, statement: Statement) -> AsyncIterator[Watch]:
    """Cancel the current task when the grant ends or a limit of time is passed.

    Turns its own cancellation into GrantExpired or LimitExceeded; another's passes through.
    """
    watch = Watch()
    driver = asyncio.current_task()
    if driver is None:
        raise RuntimeError("the corridor must run in a task")
    async with house.grants.watch(grant.id) as ended:
        guard = asyncio.create_task(_guard(house, statement, watch, ended))
        try:
            yield watch
        except asyncio.CancelledError:
            if statement.stopped_because is None:
                raise
            driver.uncancel()
            if statement.stopped_because.startswith("the grant"):
                raise GrantExpired(statement.stopped_because) from None
            raise LimitExceeded(statement.stopped_because) from None
        finally:
            guard.cancel()
            with suppress(asyncio.CancelledError):
                await guard


async def _guard(
    house: House,
    statement: Statement,
    watch: Watch,
    ended: asyncio.Future[str],
) -> None:
    deadline = time.monotonic() + house.limits.statement_seconds
    reason: str | None = None
    while reason is None:
        await asyncio.wait([ended], timeout=_TICK)
        now = time.monotonic()
        since = watch.waiting_since
        if ended.done():
            reason = f"the grant {ended.result()}"
        elif now > deadline:
            reason = f"the statement ran longer than {house.limits.statement_seconds:g} s"
        elif since is not None and now - since > house.limits.client_stall_seconds:
            reason = f"the client took nothing for {house.limits.client_stall_seconds:g} s"
    statement.stop(reason)
