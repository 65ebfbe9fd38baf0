"""What may end a running statement from outside: revocation, expiry, deadline, a stalled client.

The corridor runs in one task; the watch cancels that task, so the database is cancelled and the
record says why. Refuses to outlive the statement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from gateway.errors import LimitExceeded, Refusal
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
    """Stop the statement when the grant ends or a limit of time is passed.

    Turns the cancellation that this causes into the refusal; another's cancellation passes through.
    """
    watch = Watch()
    async with house.grants.watch(grant.id) as subscription:
        ended = asyncio.create_task(subscription.wait())
        guard = asyncio.create_task(_guard(house, statement, watch, ended))
        try:
            yield watch
        except asyncio.CancelledError:
            if statement.stopped_by is None:
                raise
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
            raise statement.stopped_by from None
        finally:
            for task in (guard, ended):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _guard(
    house: House, statement: Statement, watch: Watch, ended: asyncio.Task[Refusal]
) -> None:
    limits = house.limits
    deadline = time.monotonic() + limits.statement_seconds
    while True:
        await asyncio.wait([ended], timeout=_TICK)
        now = time.monotonic()
        since = watch.waiting_since
        if ended.done():
            return statement.stop(ended.result())
        if now > deadline:
            took = f"{limits.statement_seconds:g} s"
            return statement.stop(LimitExceeded(f"the statement ran longer than {took}"))
        if since is not None and now - since > limits.client_stall_seconds:
            stall = f"{limits.client_stall_seconds:g} s"
            return statement.stop(LimitExceeded(f"the client took nothing for {stall}"))
