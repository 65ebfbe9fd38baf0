"""The open sessions of one database: taken and given back without a turn of the event loop.

Whoever takes one holds it alone. The one that was used last is taken first, so that those which are
not needed are idle long enough to be closed. Refuses a session that has ended, and more than there
are places for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.upstream.transaction import Session

_IDLE = 300.0  # seconds after which a session that nobody takes is ended
_LOOK = 60.0
_MOST_USES = 50_000  # a backend remembers something of every relation it has met


class Pool:
    """Sessions are opened by `connect` when they are needed; never more than `most` at once."""

    def __init__(self, connect: Callable[[], Awaitable[Session]], most: int) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(most)
        self._idle: list[tuple[float, Session]] = []  # since when; the last used at the end
        self._uses: dict[Session, int] = {}  # of every session there is
        self._closed = False
        self._looking: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return self._places.locked()

    async def take(self, seconds: float) -> Session:
        """Raises TimeoutError when there is none within so many seconds, and what `connect`
        raises."""
        if self._places.locked():
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        else:
            await self._places.acquire()  # which does not wait
        try:
            while self._idle:
                _, session = self._idle.pop()
                if not session.is_closed():
                    self._uses[session] += 1
                    return session
                del self._uses[session]
            async with asyncio.timeout(seconds):
                session = await self._connect()
        except BaseException:
            self._places.release()
            raise
        self._uses[session] = 1
        return session

    def give_back(self, session: Session) -> None:
        """The session has no transaction and nothing under way, or has ended."""
        self._places.release()
        if self._closed or session.is_closed() or self._uses[session] >= _MOST_USES:
            self._uses.pop(session, None)
            session.terminate()
            return
        self._idle.append((time.monotonic(), session))
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def terminate(self) -> None:
        """End every session, those in use too."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        for session in self._uses:
            session.terminate()
        self._uses.clear()
        self._idle.clear()

    def _look(self) -> None:
        old = time.monotonic() - _IDLE
        for since, session in self._idle:
            if since < old:
                del self._uses[session]
                session.terminate()
        self._idle = [one for one in self._idle if one[0] >= old]
        self._looking = (
            asyncio.get_running_loop().call_later(_LOOK, self._look) if self._idle else None
        )
