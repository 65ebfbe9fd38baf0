"""Sessions: which identity opened which, under which grant, and how many statements it ran.

Refuses to open one without a grant in force, and to show or use somebody else's: a session that is
not one's own does not exist, except for auditors, who may look.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import NoGrant, NotFound
from gateway.grants import requests
from gateway.grants.access import AccessRules, actor_key
from gateway.grants.store import ControlStore
from gateway.model import Grant, Identity

LIST_LIMIT = 1000

_OPEN = """
INSERT INTO maskgate.sessions (id, identity, actor, connection, grant_id, opened_at, expires_at,
                               break_glass)
SELECT $1, identity, $2, connection, id, $3, expires_at, break_glass FROM maskgate.grants
 WHERE id = $4 AND identity = $5 AND connection = $6
   AND state = 'active' AND expires_at > $3
RETURNING *"""

# Numbers only grow, whichever of two gateways' answers comes first.
_COUNT = """
UPDATE maskgate.sessions s SET statements = u.statements
  FROM ROWS FROM (
    pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.int8[])
  ) AS u (id, statements)
 WHERE s.id = u.id AND s.statements < u.statements"""

_CLOSE = """
UPDATE maskgate.sessions
   SET closed_at = coalesce(closed_at, $3), statements = greatest(statements, $4)
 WHERE id = $1 AND identity = $2 RETURNING *"""

_ONE = """
SELECT * FROM maskgate.sessions WHERE id = $1 AND ($2::text IS NULL OR identity = $2)"""

_OPEN_IDS = "SELECT id FROM maskgate.sessions WHERE closed_at IS NULL"

_CLOSE_THESE = """
UPDATE maskgate.sessions SET closed_at = $2
 WHERE id = ANY ($1::text[]) AND closed_at IS NULL RETURNING id"""

_LIST = """
SELECT * FROM maskgate.sessions WHERE $1::text IS NULL OR identity = $1
 ORDER BY opened_at DESC, id LIMIT $2"""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session; `id` is 16 random bytes in hex."""

    id: str
    identity: str  # Identity.key
    actor: str | None  # ISSUER#SUBJECT of the person the agent works for
    connection: str
    grant: str
    opened_at: datetime
    expires_at: datetime  # the grant's
    closed_at: datetime | None
    statements: int
    break_glass: bool  # its grant began without anybody's approval


class Sessions:
    """Opens, counts, closes and lists sessions; shared by all gateways of one store."""

    def __init__(
        self, store: ControlStore, rules: AccessRules, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    async def open_session(
        self, identity: Identity, connection: str, grant: Grant, *, session_id: str | None = None
    ) -> SessionRow:
        """A new session under this grant, which must be the identity's own and in force."""
        row = await self._store.fetchrow(
            _OPEN,
            session_id or secrets.token_hex(16),
            actor_key(identity),
            self._clock(),
            grant.id,
            identity.key,
            connection,
        )
        if row is None:
            raise NoGrant(
                f"The grant {grant.id} is not in force for you on the connection {connection!r}."
            )
        return row_of(row)

    async def get_session(self, session_id: str, by: Identity) -> SessionRow:
        """One's own session, or anybody's for auditors; NotFound otherwise."""
        whose = None if self._rules.audits(by) else by.key
        row = await self._one(session_id, whose)
        if row is None:
            raise _not_found()
        return row_of(row)

    async def count(self, statements: Mapping[str, int]) -> None:
        """Write down how many statements each of these sessions has had."""
        await self._store.fetch(_COUNT, list(statements), list(statements.values()))

    async def close_session(
        self, session_id: str, by: Identity, *, statements: int = 0
    ) -> SessionRow:
        """Close one's own session, which had so many statements; closing it again is harmless."""
        row = None
        if requests.is_id(session_id):
            row = await self._store.fetchrow(_CLOSE, session_id, by.key, self._clock(), statements)
        if row is None:
            raise _not_found()
        return row_of(row)

    async def close_where(self, ended: Callable[[str], bool]) -> int:
        """Close the open sessions that the caller's log says have ended; returns how many. Those of
        other gateways, which that log does not hold, stay as they are."""
        rows = await self._store.fetch(_OPEN_IDS)
        over = [row["id"] for row in rows if ended(row["id"])]
        return len(await self._store.fetch(_CLOSE_THESE, over, self._clock())) if over else 0

    async def list_sessions(self, by: Identity, *, limit: int = LIST_LIMIT) -> list[SessionRow]:
        """The newest first: one's own; auditors see everybody's."""
        whose = None if self._rules.audits(by) else by.key
        rows = await self._store.fetch(_LIST, whose, max(1, min(limit, LIST_LIMIT)))
        return [row_of(row) for row in rows]

    async def _one(self, session_id: str, whose: str | None) -> Any:
        if not requests.is_id(session_id):
            return None
        return await self._store.fetchrow(_ONE, session_id, whose)


def row_of(row: Any) -> SessionRow:
    """A row of the store as a session."""
    return SessionRow(
        id=row["id"],
        identity=row["identity"],
        actor=row["actor"],
        connection=row["connection"],
        grant=row["grant_id"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        closed_at=row["closed_at"],
        statements=row["statements"],
        break_glass=row["break_glass"],
    )


def _not_found() -> NotFound:
    return NotFound("There is no such session that you may see.")
