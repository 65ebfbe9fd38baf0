"""What a server says of itself, asked once for all sessions: its own types, functions, operators.

They came with the server and are the same in each of its sessions; to ask and to read them takes a
hundred times as long as a small statement. Kept for one server since one start of it, and asked
again after `FRESH_S`, for a superuser can change even those. Refuses to mix two servers that stand
behind one address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")
FRESH_S = 300.0
_MOST = 64  # facts; one address leads to few servers

#: Which server this is, and since when.
WHO = """
SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(),
  pg_catalog.inet_server_addr(), pg_catalog.inet_server_port(), pg_catalog.current_database(),
  pg_catalog.version()) AS server
"""
#: Which database, whatever its address: by what initdb and CREATE DATABASE made. A failing question
#: would end the transaction, so whether it may be put is asked first.
MAY_ASK = """
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may
"""
WHICH = """
SELECT pg_catalog.concat(c.system_identifier, '/', d.oid) AS which
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
"""


class Facts:
    """The facts of the servers of one connection of the configuration."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._loading: dict[Hashable, asyncio.Lock] = {}

    async def once(self, server: str, load: Callable[[Any], Awaitable[T]], transaction: Any) -> T:
        """What `load` finds out about `server`, by `transaction` if nobody has lately. Whoever asks
        while it is being found out waits for that, and asks himself if it fails."""
        key = (server, load)
        found = self._fresh(key)
        if found is None:
            lock = self._loading.setdefault(key, asyncio.Lock())
            async with lock:
                found = self._fresh(key)
                if found is None:
                    asked = self._clock()
                    found = (asked, await load(transaction))
                    self._keep(key, found)
        return cast(T, found[1])

    def _fresh(self, key: Hashable) -> tuple[float, Any] | None:
        found = self._known.get(key)
        return found if found is not None and self._clock() - found[0] < FRESH_S else None

    def _keep(self, key: Hashable, found: tuple[float, Any]) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
            self._loading.clear()
        self._known[key] = found
