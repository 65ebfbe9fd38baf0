"""The time that grants go by: never behind the control store's, and never set back.

It is the latest of three: this machine's clock; what that said at the start, with what a monotonic
clock has counted since; the store's clock as it was last heard, counted on in the same way. So no
clock that is slow or is set back puts the end of a grant off. Refuses to judge while this machine's
clock and the store's are further apart than gateways may be: one of them is wrong, and nobody here
knows which. And for good once the clock of the start is that far ahead of the other two: it was
wrong and has been set right, or both of them were set back; every new grant would be over early.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gateway.errors import StoreUnavailable

SKEW = timedelta(seconds=5)  # between the clocks of gateways that share a store
_PROMPT_S = 1.0  # an answer that took longer says too little about what time it is now
_TIME = "SELECT pg_catalog.clock_timestamp() AS moment"
_LOG = logging.getLogger("maskgate")


def utc_now() -> datetime:
    return datetime.now(UTC)


class _Store(Protocol):
    async def fetchrow(self, sql: str, *arguments: Any) -> Any: ...


class Clock:
    """One for each gateway process; `hear` is called about once a second."""

    def __init__(
        self,
        wall: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._begun = wall(), monotonic()
        self._heard: tuple[datetime, float] | None = None  # from the store, and when
        self._told = ""  # what the operator was last told, without its numbers

    def __call__(self) -> datetime:
        """Now, at the latest: what is over by this is over."""
        return max(self._wall(), self._since(self._begun), *self._of_the_store())

    def earliest(self) -> datetime:
        """Now, by whichever of this machine and the store is behind: when what begins now began."""
        return min(self._wall(), *self._of_the_store())

    async def hear(self, store: _Store) -> None:
        """Ask the store for its time. Raises StoreUnavailable; the older answer is counted on."""
        asked = self._monotonic()
        row = await store.fetchrow(_TIME)
        answered = self._monotonic()
        if answered - asked <= _PROMPT_S:
            self._heard = row["moment"], answered
            self._tell()

    def check(self) -> None:
        """Raises StoreUnavailable while the clocks do not agree."""
        found = self._trouble()
        if found:
            raise StoreUnavailable(found[0], hint=found[1])

    @property
    def trouble(self) -> str:
        """A sentence or two while the clocks do not agree; else empty."""
        return " ".join(self._trouble())

    def _trouble(self) -> tuple[str, ...]:
        """What is wrong and what has to be done about it."""
        wall, store = self._wall(), self._of_the_store()
        apart = wall - store[0] if store else timedelta()  # nothing is known before it was heard
        if abs(apart) > SKEW:
            return _apart(apart), _SET
        back = self._since(self._begun) - max((wall, *store))
        return (_back(back), _RESTART) if back > SKEW else ()

    def _of_the_store(self) -> tuple[datetime, ...]:
        return () if self._heard is None else (self._since(self._heard),)

    def _since(self, known: tuple[datetime, float]) -> datetime:
        moment, then = known
        return moment + timedelta(seconds=self._monotonic() - then)

    def _tell(self) -> None:
        found = self._trouble()
        told = found[1] if found else ""
        if told != self._told:
            self._told = told
            said = " ".join(found) or "this gateway's clock and the control store's agree"
            _LOG.warning("%s", said)


_SET = "The operator has to set the clocks."
_RESTART = "The operator has to restart this gateway."


def _apart(ahead: timedelta) -> str:
    seconds = ahead.total_seconds()
    which = "ahead of" if seconds > 0 else "behind"
    return (
        f"This gateway's clock is {abs(seconds):.0f} s {which} the control store's: which grants "
        "are in force cannot be told."
    )


def _back(back: timedelta) -> str:
    return (
        f"This gateway's clock has been set back by {back.total_seconds():.0f} s since the gateway "
        "started, which goes on with the time it started with: it would end every grant too early."
    )
