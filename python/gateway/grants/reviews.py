"""Which sessions a person has looked through, and which nobody has yet.

Holds places in the session log, not words: what a review says, and that there was one, is the log's
to tell. Refuses nothing itself; who may review is the journey's to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.grants import requests
from gateway.grants.sessions import SessionRow, row_of
from gateway.grants.store import ControlStore

LIST_LIMIT = 1000

_ADD = """
INSERT INTO maskgate.reviews (session_id, leaf, log_session, record, reviewed_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"""

_OF = """
SELECT leaf, log_session, record, reviewed_at FROM maskgate.reviews
 WHERE session_id = $1 ORDER BY leaf"""

_DUE = """
SELECT s.* FROM maskgate.sessions s
 WHERE s.closed_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM maskgate.reviews r WHERE r.session_id = s.id)
 ORDER BY s.break_glass DESC, s.closed_at, s.id LIMIT $1"""

_DONE = """
SELECT s.* FROM maskgate.sessions s
 WHERE EXISTS (SELECT FROM maskgate.reviews r WHERE r.session_id = s.id)
 ORDER BY s.closed_at DESC, s.id LIMIT $1"""


@dataclass(frozen=True, slots=True)
class ReviewPlace:
    """Where one review stands in the log."""

    leaf: int
    log_session: str
    record: int
    reviewed_at: datetime


class Reviews:
    """The reviews of one control store."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    async def add(self, session_id: str, place: ReviewPlace) -> None:
        """Note a review whose record and leaf are durable."""
        await self._store.fetch(
            _ADD, session_id, place.leaf, place.log_session, place.record, place.reviewed_at
        )

    async def of(self, session_id: str) -> list[ReviewPlace]:
        """The reviews of a session, oldest first."""
        if not requests.is_id(session_id):
            return []
        rows = await self._store.fetch(_OF, session_id)
        return [
            ReviewPlace(row["leaf"], row["log_session"], row["record"], row["reviewed_at"])
            for row in rows
        ]

    async def due(self) -> list[SessionRow]:
        """Ended sessions that nobody has reviewed, at most LIST_LIMIT: those of a broken glass
        first, then the longest ended."""
        return await self._sessions(_DUE)

    async def done(self) -> list[SessionRow]:
        """Sessions with a review, the newest first; at most LIST_LIMIT."""
        return await self._sessions(_DONE)

    async def _sessions(self, sql: str) -> list[SessionRow]:
        rows: list[Any] = await self._store.fetch(sql, LIST_LIMIT)
        return [row_of(row) for row in rows]
