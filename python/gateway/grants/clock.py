"""The time that grants go by: never behind the control store's, and never set back.

It is the latest of three: this machine's clock; what that said at the start, with what a monotonic
clock has counted since; the store's clock as it was last heard, counted on in the same way. So no
clock that is slow or is set back puts the end of a grant off. Refuses to judge while this machine's
clock and the store's are further apart than gateways may be: one of them is wrong, and nobody here
knows which.
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
        self._agreed = True

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
        """Raises StoreUnavailable while the two clocks do not agree."""
        apart = self._ahead()
        if abs(apart) > SKEW:
            raise StoreUnavailable(_sentence(apart), hint="The operator has to set the clocks.")

    @property
    def trouble(self) -> str:
        """A sentence while the two clocks do not agree; else empty."""
        apart = self._ahead()
        return _sentence(apart) if abs(apart) > SKEW else ""

    def _ahead(self) -> timedelta:
        """Of the store's clock; nothing is known before it was heard."""
        found = self._of_the_store()
        return self._wall() - found[0] if found else timedelta()

    def _of_the_store(self) -> tuple[datetime, ...]:
        return () if self._heard is None else (self._since(self._heard),)

    def _since(self, known: tuple[datetime, float]) -> datetime:
        moment, then = known
        return moment + timedelta(seconds=self._monotonic() - then)

    def _tell(self) -> None:
        trouble = self.trouble
        if bool(trouble) is self._agreed:
            self._agreed = not trouble
            _LOG.warning("%s", trouble or "this gateway's clock and the control store's agree")


def _sentence(ahead: timedelta) -> str:
    seconds = ahead.total_seconds()
    which = "ahead of" if seconds > 0 else "behind"
    return (
        f"This gateway's clock is {abs(seconds):.0f} s {which} the control store's: which grants "
        "are in force cannot be told."
    )
