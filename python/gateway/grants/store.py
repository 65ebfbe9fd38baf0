"""The control store: a PostgreSQL that several gateways may share.

Whatever goes wrong here becomes StoreUnavailable, so that nothing runs on a guess; when the
database is back, the next call works without a restart. Refuses to wait for ever: connects,
statements, locks and open transactions all have limits, as a server that hangs and a line that is
dead say nothing. Refuses a server that follows another, which may not know yet what was revoked,
and one that has become another store (continuity.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg

from gateway.errors import StoreUnavailable
from gateway.grants.continuity import Continuity
from gateway.grants.migrations import migrate, packaged

CHANNEL = "maskgate_grants"  # agrees with migrations/0001, function tell_grant
CONNECT_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 6.0  # more than a lock is waited for
QUESTION_S = 1.5  # for what every statement asks, on a connection that was there, then on a new one
PROOF_S = 2.0  # in which the listening connection answers, or is replaced
LISTENER = "maskgate control listener"

_WRITES = "read-write"  # of several addresses, and of a single one: no server that follows another
_SETTINGS = {
    "application_name": "maskgate control",
    "search_path": "pg_catalog",  # nothing of ours is named without its schema
    "statement_timeout": "6s",
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


# How a connection ends that does not refuse.
_LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError,
         asyncpg.InternalClientError, asyncpg.OperatorInterventionError)  # fmt: skip


class ControlStore:
    """A pool of connections to the control database; made by `connect`, ended by `close`."""

    def __init__(self, dsn: str, pool: Any, continuity: Continuity) -> None:
        self._dsn = dsn
        self._pool = pool
        self._continuity = continuity
        self._asking: Any = None

    @classmethod
    async def connect(cls, dsn: str, *, max_connections: int = 8) -> ControlStore:
        """Connect and bring the schema up to date; StoreUnavailable or ConfigurationError."""
        migrations = packaged()
        continuity = Continuity(migrations[-1].version)
        migrated = False

        async def begun(connection: Any) -> None:
            if migrated:
                await continuity.look(connection)

        with _unavailable():
            pool = await asyncpg.create_pool(
                dsn,
                target_session_attrs=_WRITES,
                init=begun,
                min_size=0,
                max_size=max_connections,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_SETTINGS,
                reset=_settled,
            )
        try:
            with _unavailable():
                async with pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                    await migrate(connection, migrations)
                    await continuity.look(connection)
        except BaseException:
            pool.terminate()
            raise
        migrated = True
        return cls(dsn, pool, continuity)

    @staticmethod
    async def reach(dsn: str) -> None:
        """Connect and change nothing; StoreUnavailable when that cannot be done."""
        with _unavailable():
            connection = await asyncpg.connect(
                dsn, timeout=CONNECT_TIMEOUT_S, target_session_attrs=_WRITES
            )
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
        async with self._lent() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[Any]:
        """`transaction` for a change of a grant, which must not be lost once it was answered."""
        async with self._lent() as connection:
            async with connection.transaction():
                yield connection
            with contextlib.suppress(StoreUnavailable), _unavailable():  # it is done all the same
                await self._continuity.look(connection)

    async def look(self) -> None:
        """Once a second: is it the same store?"""
        async with self._lent() as connection:
            await self._continuity.look(connection)

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async with self._lent() as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        async with self._lent() as connection:
            return await connection.fetchrow(sql, *arguments)

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        """A connection of the pool."""
        with _unavailable():
            async with self._others_doubted(), self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as one:
                self._continuity.check()
                yield one

    @contextlib.asynccontextmanager
    async def _others_doubted(self) -> AsyncIterator[None]:
        """Where one connection is dead the others are, each of which would take as long to tell."""
        try:
            yield
        except TimeoutError:
            for holder in self._pool._holders:
                if holder.is_connected() and holder.is_idle():
                    holder.terminate()  # to close it politely waits for an answer
            await self._pool.expire_connections()
            raise

    async def ask(self, sql: str, *arguments: Any) -> list[Any]:
        """`fetch` on a connection beside the pool, for one caller at a time; for rows by keys. A
        connection that has died meanwhile is no reason to refuse: another one is asked."""
        with _unavailable():
            if self._pool.is_closing():
                raise asyncpg.InterfaceError("the store is closed")
            if self._asking is not None and not self._asking.is_closed():
                with contextlib.suppress(*_LOST):
                    return await self._asked(sql, *arguments)
            return await self._asked(sql, *arguments)

    async def _asked(self, sql: str, *arguments: Any) -> list[Any]:
        try:
            async with self._others_doubted(), asyncio.timeout(QUESTION_S):
                if self._asking is None:
                    self._asking = await asyncpg.connect(
                        self._dsn, server_settings=_BY_KEYS, target_session_attrs=_WRITES
                    )
                    await self._continuity.look(self._asking)
                self._continuity.check()
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
    async def listening(self, heard: Callable[[str], None] | None) -> AsyncIterator[Line]:
        """A connection of its own that hears every change of a grant, as "ID STATE", from the
        moment it is here; without `heard` one that is asked alone."""
        with _unavailable():
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=PROOF_S,
                server_settings={**_SETTINGS, "application_name": LISTENER},
                target_session_attrs=_WRITES,
            )
            try:
                await self._continuity.look(connection)  # what ends is heard in any case
                line = Line(connection, self._others_doubted)
                if heard is not None:
                    await connection.add_listener(CHANNEL, lambda *told: heard(told[3]))
                yield line
            finally:
                connection.terminate()


class Line:
    """A listening connection. `lost` is set when it is known to be; an answer proves that it is
    not, and a question without one in time has lost it."""

    def __init__(
        self, connection: Any, doubting: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self.lost = asyncio.Event()
        self._connection = connection
        self._doubting = doubting
        connection.add_termination_listener(lambda _: self.lost.set())

    async def ask(self, sql: str, *arguments: Any) -> list[Any]:
        with _unavailable():
            async with self._doubting():
                rows: list[Any] = await self._connection.fetch(sql, *arguments)
        return rows

    async def until_lost(self, proven_every_s: float = 1.0) -> None:
        """Return or raise StoreUnavailable when it is, also one that is dead without a word."""
        while not self.lost.is_set():
            await self.ask("SELECT 1")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(proven_every_s):
                    await self.lost.wait()


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
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreUnavailable(
            f"The control store cannot be reached ({type(error).__name__}).",
            hint="Try again in a few seconds.",
        ) from error
