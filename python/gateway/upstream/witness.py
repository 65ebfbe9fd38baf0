"""What has come to the tables of a statement since it was analysed, seen from another session.

Parse's lock on a table does not keep a partition from being attached to it or a table from
inheriting from it, and COPY plans anew. When COPY sends its first byte its plan stands, and every
table in that plan is locked by its backend. So two things are asked: whether there is a child that
is not known; and whether the backend holds a table that it did not hold before and that is not
known. The second sees the child that left while COPY waited for its lock: the server, which had
read its name before, plans it all the same. Refuses to answer when the server does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import asyncpg

from gateway.upstream import failures

_GROWN = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_inherits i
  WHERE i.inhparent = ANY($1::pg_catalog.oid[]) AND NOT i.inhrelid = ANY($1::pg_catalog.oid[])
) OR EXISTS (
  SELECT FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'f')
  WHERE l.pid = $2 AND l.locktype = 'relation' AND l.relation >= 16384
    AND NOT l.relation = ANY($1::pg_catalog.oid[]) AND NOT l.relation = ANY($3::pg_catalog.oid[])
)
"""
_TIME = 5.0


class Witness:
    """One session beside the pool, which the statements that ask may hold wholly."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._session: Any = None
        self._turn = asyncio.Lock()

    async def grown(self, relations: Collection[int], pid: int, held: Collection[int]) -> bool:
        """Whether one of `relations` has a child that is not among them, or the backend `pid` holds
        a table that is neither one of them nor one of `held`. Raises UpstreamFailed.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(_TIME):
                    if self._session is None or self._session.is_closed():
                        self._session = await self._connect()
                    found = await self._session.fetchval(
                        _GROWN, sorted(relations), pid, sorted(held)
                    )
            except (asyncpg.PostgresError, *failures.LOST) as error:
                self.close()
                raise failures.lost(error) from None
            except BaseException:
                self.close()  # cancelled in the middle of an answer
                raise
            return found is not False

    def close(self) -> None:
        """End the session; the next question opens another."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(asyncpg.InterfaceError, OSError):
                session.terminate()
