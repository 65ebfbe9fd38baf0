"""Who runs now and who waits: as many statements at once as the database has connections for.

Those who wait do so by identity in turn, so one agent's thousand statements do not stand before
another's one. Refuses more than may wait, and whoever has waited too long, at once and with the
seconds after which asking again makes sense.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import LimitExceeded

_LONGEST_RETRY = 60
_NEW = 0.1  # the weight of the last statement in the mean of how long one takes


class Gate:
    """The places of one database. For one event loop."""

    def __init__(self, places: int = 16, waiting: int = 1024, patience: float = 10.0) -> None:
        """`waiting`: how many may wait for a place; `patience`: seconds that one waits."""
        self._places = self._free = places
        self._most = waiting
        self._patience = patience
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns
        self._count = 0
        self._lasts = 0.0  # seconds that a place is held, on average

    @property
    def waiting(self) -> int:
        return self._count

    @asynccontextmanager
    async def place(self, who: str) -> AsyncIterator[None]:
        """Hold a place. Raises LimitExceeded when there is none to wait for."""
        await self._enter(who)
        since = time.monotonic()
        try:
            yield
        finally:
            self._lasts += _NEW * (time.monotonic() - since - self._lasts)
            self._leave()

    async def _enter(self, who: str) -> None:
        if self._free and not self._queues:
            self._free -= 1
            return
        if self._count >= self._most:
            raise self._refusal(f"{self._count} statements wait for this connection already")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queues.setdefault(who, deque()).append(turn)
        self._count += 1
        timer = loop.call_later(self._patience, self._late, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()  # it was given a place in the moment in which it left
            else:
                self._forget(who, turn)
            raise
        finally:
            timer.cancel()
            self._count -= 1

    def _leave(self) -> None:
        """Give the place to the next identity's longest waiting statement."""
        while self._queues:
            who, queue = next(iter(self._queues.items()))
            del self._queues[who]
            turn = queue.popleft()
            if queue:
                self._queues[who] = queue  # behind all others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _late(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_exception(
                self._refusal(f"no place on this connection within {self._patience:g} s")
            )

    def _forget(self, who: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(who)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[who]

    def _refusal(self, detail: str) -> LimitExceeded:
        seconds = math.ceil(self._count * self._lasts / self._places)
        return LimitExceeded(
            detail,
            hint="ask again later, or have the operator raise limits.pool",
            retry_after=min(max(1, seconds), _LONGEST_RETRY),
        )
