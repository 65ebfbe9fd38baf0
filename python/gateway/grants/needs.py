"""What the grants in force need of the databases, as the control store has it now.

Asked by whoever keeps the database's own rights equal to them. Refuses to answer from memory: while
the store is away nobody knows, and nothing is made or taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.grants import records
from gateway.grants.clock import SKEW
from gateway.grants.force import ending, until
from gateway.grants.store import ControlStore, Line
from gateway.model import Grant

_ACTIVE = """
SELECT * FROM maskgate.grants WHERE state = 'active' AND expires_at > $1
 ORDER BY decided_at, id"""


@dataclass(frozen=True, slots=True)
class Needed:
    """The grants in force at a moment, the longest first decided first."""

    grants: tuple[Grant, ...]
    again: datetime | None  # when time alone may make it other grants; None when it will not


class Needs:
    """Of all gateways that share the store."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    async def installation(self) -> str:
        """What this store is told from others by."""
        row = await self._store.fetchrow("SELECT id FROM maskgate.installation")
        return str(row["id"])

    async def read(self, now: datetime) -> Needed:
        """Raises StoreUnavailable."""
        active = [records.grant(row) for row in await self._store.fetch(_ACTIVE, now)]
        moments = [_changes(grant, now) for grant in active]
        return Needed(
            tuple(grant for grant in active if ending(grant, now) is None),
            min(moments, default=None),
        )

    def changes(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[Line]:
        """`heard` is called at each change of a grant, until the line is lost."""
        return self._store.listening(heard)


def _changes(grant: Grant, now: datetime) -> datetime:
    """When an active grant may begin or cease to be in force."""
    if ending(grant, now) is None:
        return until(grant, now) or now + SKEW
    if grant.not_before is not None and now < grant.not_before - SKEW:
        return grant.not_before - SKEW
    # Outside of its hours, which begin with a minute.
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)
