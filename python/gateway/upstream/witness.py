"""What has come to the tables of a statement since it was analysed, seen from another session.

Parse's lock on a table does not keep a partition from being attached to it or a table from
inheriting from it, and COPY plans anew. When COPY sends its first byte its plan stands, and every
child in that plan is locked: none can have left since. So a child that is not known by then, and
only such a one, may be in the plan unapproved. Refuses to answer when the server does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import asyncpg

from gateway.upstream import failures

_CHILDREN = """
SELECT true FROM pg_catalog.pg_inherits i
WHERE i.inhparent = ANY($1::pg_catalog.oid[]) AND NOT i.inhrelid = ANY($1::pg_catalog.oid[])
LIMIT 1
"""
_TIME = 5.0


class Witness:
    """One session beside the pool, which the statements that ask may hold wholly."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._session: Any = None
        self._turn = asyncio.Lock()

    async def grown(self, relations: Collection[int]) -> bool:
        """Whether one of `relations` has a child that is not among them. Raises UpstreamFailed."""
        async with self._turn:
            try:
                async with asyncio.timeout(_TIME):
                    if self._session is None or self._session.is_closed():
                        self._session = await self._connect()
                    found = await self._session.fetchval(_CHILDREN, sorted(relations))
            except (asyncpg.PostgresError, *failures.LOST) as error:
                self.close()
                raise failures.lost(error) from None
            except BaseException:
                self.close()  # cancelled in the middle of an answer
                raise
            return found is not None

    def close(self) -> None:
        """End the session; the next question opens another."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(asyncpg.InterfaceError, OSError):
                session.terminate()
