"""The control store: a PostgreSQL that several gateways may share.

Whatever goes wrong here becomes StoreUnavailable, so that nothing runs on a guess; when the
database is back, the next call works without a restart. Refuses to wait for ever: connects,
statements, locks and open transactions all have limits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg

from gateway.errors import StoreUnavailable
from gateway.grants.migrations import migrate, packaged

CHANNEL = "maskgate_grants"  # agrees with migrations/0001, function tell_grant
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
LISTENER = "maskgate control listener"

_SETTINGS = {
    "application_name": "maskgate control",
    "search_path": "pg_catalog",  # nothing of ours is named without its schema
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "default_transaction_isolation": "read committed",  # the compare-and-swap updates rely on it
}
# What every statement asks is planned once, to look rows up by their keys: to plan it takes three
# times as long as to answer it, and a plan made while the tables were small is kept.
_BY_KEYS = {
    **_SETTINGS,
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class ControlStore:
    """A pool of connections to the control database; made by `connect`, ended by `close`."""

    def __init__(self, dsn: str, pool: Any) -> None:
        self._dsn = dsn
        self._pool = pool
        self._asking: Any = None

    @classmethod
    async def connect(cls, dsn: str, *, max_connections: int = 8) -> ControlStore:
        """Connect and bring the schema up to date; StoreUnavailable or ConfigurationError."""
        with _unavailable():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=max_connections,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_SETTINGS,
                reset=_settled,
            )
        try:
            with _unavailable():
                async with pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                    await migrate(connection, packaged())
        except BaseException:
            pool.terminate()
            raise
        return cls(dsn, pool)

    @staticmethod
    async def reach(dsn: str) -> None:
        """Connect and change nothing; StoreUnavailable when that cannot be done."""
        with _unavailable():
            connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
            await connection.close()

    async def close(self) -> None:
        """Close the connections; one that hangs is cut off."""
        self._stop_asking()
        try:
            with _unavailable():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._pool.close()
        except StoreUnavailable:
            self._pool.terminate()

    async def __aenter__(self) -> ControlStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside a transaction: committed at the end, rolled back on any exception."""
        with _unavailable():
            async with (
                self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                yield connection

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        with _unavailable():
            rows: list[Any] = await self._pool.fetch(sql, *arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        with _unavailable():
            return await self._pool.fetchrow(sql, *arguments)

    async def ask(self, sql: str, *arguments: Any) -> list[Any]:
        """`fetch` on a connection beside the pool, for one caller at a time; for rows by keys."""
        with _unavailable():
            if self._pool.is_closing():
                raise asyncpg.InterfaceError("the store is closed")
            try:
                if self._asking is None or self._asking.is_closed():
                    self._asking = await asyncpg.connect(
                        self._dsn,
                        timeout=CONNECT_TIMEOUT_S,
                        command_timeout=COMMAND_TIMEOUT_S,
                        server_settings=_BY_KEYS,
                    )
                rows: list[Any] = await self._asking.fetch(sql, *arguments)
            except BaseException:
                self._stop_asking()  # lost, late, or left in the middle of an answer
                raise
        return rows

    def _stop_asking(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            with contextlib.suppress(asyncpg.InterfaceError, OSError):
                asking.terminate()

    async def check(self) -> None:
        """For `/readyz`: raises StoreUnavailable while the store does not answer."""
        await self.fetch("SELECT 1")

    @contextlib.asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[asyncio.Event]:
        """A connection of its own that hears every change of a grant; yields its end.

        `heard` gets "ID STATE"; the event is set when the connection is lost.
        """
        lost = asyncio.Event()
        with _unavailable():
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={**_SETTINGS, "application_name": LISTENER},
            )
            try:
                connection.add_termination_listener(lambda _: lost.set())
                await connection.add_listener(CHANNEL, lambda *told: heard(told[3]))
                yield lost
            finally:
                connection.terminate()


async def _settled(connection: Any) -> None:
    """Nothing here outlives a transaction (no setting, no lock, no cursor, no listener), so there
    is nothing to reset unless one was left open: that spares each question a second round trip."""
    if connection.is_in_transaction():
        await connection.reset()


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    """Every failure of the driver or the server, in one word; never the server's own text."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise StoreUnavailable(
            f"The control store refused or was lost (SQLSTATE {error.sqlstate}).",
            hint="Try again in a few seconds.",
        ) from error
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(
            f"The control store cannot be reached ({type(error).__name__}).",
            hint="Try again in a few seconds.",
        ) from error
