"""One configured PostgreSQL: a pool of sessions, each checked before it is used.

Refuses servers below the floor of `versions`, databases that are not UTF-8, and sessions whose
settings it could not fix. Nothing survives a statement on a
session: settings are SET LOCAL and every transaction is rolled back.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from gateway.errors import ConfigurationError, LimitExceeded, UpstreamFailed
from gateway.upstream import failures, versions
from gateway.upstream.exchange import Guesses
from gateway.upstream.facts import Facts
from gateway.upstream.messages import quoted
from gateway.upstream.pool import Pool
from gateway.upstream.roles import Login
from gateway.upstream.transaction import Session, Transaction
from gateway.upstream.witness import Witness

_MOMENT = 1.0  # seconds that opening a session has to end by itself when nobody wants it any more
_SESSION_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,63}")


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How one connection is reached and limited. Times are seconds."""

    dsn: str = field(repr=False)
    schemas: tuple[str, ...] = ("public",)
    role: str | None = None  # the statement runs under SET LOCAL ROLE of this
    clear_role: str | None = None  # and of this when no protected column's value comes out of it
    role_before_parse: bool = False  # row security: its quals are those of the role
    quiet_server_log: bool = False  # needs GRANT SET ON PARAMETER log_min_messages
    max_row_bytes: int = 64 * 1024 * 1024  # one row is in memory whole before it is masked
    statement_timeout: float = 300.0
    lock_timeout: float = 5.0
    idle_timeout: float = 60.0
    connect_timeout: float = 10.0
    acquire_timeout: float = 10.0
    max_connections: int = 16


class Database:
    """The pool of one connection of the configuration. Opening it needs no reachable server."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._preamble = _preamble(settings)
        self._pool: Pool | None = None
        self._witness = Witness(self._session_beside)
        self._guesses = Guesses()
        self._facts = Facts()

    async def open(self) -> None:
        """Make the pool; sessions are opened when first needed."""
        self._pool = Pool(self._session_beside, self._settings.max_connections)

    def beside(self, most: int) -> Database:
        """Another pool of the same connection, for what may not wait for agents' statements."""
        return Database(replace(self._settings, max_connections=most))

    async def close(self) -> None:
        """End every session, running ones too."""
        self._witness.close()
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def ping(self) -> str:
        """The server's version; UpstreamFailed says what is missing."""
        async with self._own() as session:
            return str(
                await session.fetchval("SELECT pg_catalog.current_setting('server_version')")
            )

    async def which(self) -> str:
        """Which database this is, whatever its address: the same for a replica, and for no other
        one; empty when the login may not ask. Raises UpstreamFailed."""
        async with self.transaction("which") as transaction:
            return await transaction.database()

    async def login(self) -> Login:
        """Who the statements log in as, and where. Raises UpstreamFailed."""
        async with self._own() as session:
            return Login(*(await session.fetchrow(_LOGIN)))

    async def posture(self, *, provisioned: bool = False) -> tuple[str, ...]:
        """What the database does not enforce for this login: sentences for start-up and records.

        Raises UpstreamFailed.
        """
        found = list(await self.own_rights())
        if self._settings.role is None and not provisioned:
            found = [sentence for sentence in found if sentence != _READS]
            found.append("no role is configured: the database does not enforce the scope")
        return tuple(found)

    async def own_rights(self) -> tuple[str, ...]:
        """What the login may do by itself, whatever role a statement is to run under. Raises
        UpstreamFailed."""
        async with self._own() as session:
            row = await session.fetchrow(_POSTURE)
        found = []
        if row["super"]:
            found.append("the login is a superuser: the database enforces nothing")
        elif row["reads"]:
            found.append(_READS)
        if row["ddl"]:
            found.append("the login may create temporary tables or objects in the schemas")
        return tuple(found)

    async def try_role(self, role: str) -> None:
        """Take `role` as a statement would, and give it back. Raises UpstreamFailed."""
        quoted(role)
        async with self._begun("BEGIN READ ONLY", role=role, role_before_parse=True) as transaction:
            await transaction.begun()

    @contextlib.asynccontextmanager
    async def transaction(
        self, session_id: str, role: str | None = None
    ) -> AsyncIterator[Transaction]:
        """A read-only transaction for one statement; rolled back at the end, whatever happens.

        With `role`, the rows are read under that one, and it has been taken once already and given
        back: RoleRefused comes before anything is asked.
        """
        if not _SESSION_NAME.fullmatch(session_id):
            raise ConfigurationError("a session id has 1 to 63 letters, digits or _.:-")
        async with self._begun(
            f"{self._preamble}SET LOCAL application_name = '{session_id}';{_WATCH}",
            role=role or self._settings.role,
            clear_role=self._settings.clear_role if role is None else None,
            role_before_parse=self._settings.role_before_parse,
            role_tried=role is not None,
        ) as transaction:
            if self._settings.quiet_server_log or role is not None:
                # A statement that met a server without that setting would stand in its log.
                await transaction.begun()
            yield transaction

    @contextlib.asynccontextmanager
    async def _begun(
        self,
        opening: str,
        *,
        role: str | None,
        clear_role: str | None = None,
        role_before_parse: bool = False,
        role_tried: bool = False,
    ) -> AsyncIterator[Transaction]:
        session = await self._acquire()
        transaction = Transaction(
            session,
            opening,
            role=role,
            clear_role=clear_role,
            role_before_parse=role_before_parse,
            role_tried=role_tried,
            terminate=self._terminate,
            grown=self._witness.grown,
            guesses=self._guesses,
            facts=self._facts,
        )
        try:
            transaction.begin()
            yield transaction
        finally:
            if transaction.is_over():
                self._release(session)
            else:
                await asyncio.shield(self._give_back(session, transaction))

    @contextlib.asynccontextmanager
    async def _own(self) -> AsyncIterator[Session]:
        """A session for the gateway's own questions."""
        session = await self._acquire()
        try:
            yield session
        except asyncpg.PostgresError as error:
            raise failures.lost(error) from None
        except BaseException as error:
            session.terminate()  # it may be in the middle of an answer
            if isinstance(error, failures.LOST):
                raise failures.lost(error) from None
            raise
        finally:
            self._release(session)

    async def _acquire(self) -> Session:
        pool = self._pool
        if pool is None:
            raise UpstreamFailed("the connection to the database is not open")
        try:
            return await pool.take(self._settings.acquire_timeout)
        except TimeoutError:
            if pool.full:
                raise LimitExceeded("too many statements run on this connection") from None
            raise UpstreamFailed("the database did not answer in time") from None
        except OSError:
            raise UpstreamFailed("the database cannot be reached", sqlstate_class="08") from None
        except (asyncpg.PostgresError, *failures.LOST) as error:
            raise failures.lost(error) from None

    async def _give_back(self, session: Session, transaction: Transaction) -> None:
        """Roll back, then release; of one that died the error was told."""
        try:
            await transaction.end()
        finally:
            self._release(session)

    def _release(self, session: Session) -> None:
        if self._pool is None:
            session.terminate()
        else:
            self._pool.give_back(session)

    async def _check(self, session: Session) -> None:
        session.meter.limit = self._settings.max_row_bytes
        versions.check(str(session.get_settings().server_version))
        encoding = session.get_settings().server_encoding
        if str(encoding).upper() not in ("UTF8", "UTF-8"):
            raise UpstreamFailed(f"the database's encoding is {encoding}; UTF8 is needed")

    async def _session_beside(self) -> Session:
        """A session outside the pool."""
        session = await self._connect(
            self._settings.dsn, timeout=self._settings.connect_timeout, connection_class=Session
        )
        try:
            await self._check(session)
        except BaseException:
            session.terminate()
            raise
        return session

    async def _connect(self, *address: Any, **options: Any) -> Session:
        """A session as the driver opens it; none once this object is closed.

        Cancelled while its socket opens, the driver leaves an error that nobody can hear. So
        whoever leaves waits a moment for it, and what he does not want any more is ended.
        """
        opening = asyncio.create_task(asyncpg.connect(*address, **options))
        try:
            session: Session = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_unwanted)
            try:
                await asyncio.wait({opening}, timeout=_MOMENT)
            finally:
                opening.cancel()
            raise
        if self._pool is None:
            session.terminate()
            raise UpstreamFailed("the connection to the database is not open")
        return session

    async def _terminate(self, pid: int) -> None:
        """End a backend that did not heed its cancellation, from another session."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                other = await asyncpg.connect(self._settings.dsn, timeout=2)
                try:
                    await other.execute(f"SELECT pg_catalog.pg_terminate_backend({int(pid)})")
                finally:
                    other.terminate()


def _unwanted(opening: asyncio.Task[Session]) -> None:
    """End the session that was opened for somebody who has left."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()


# Printing is switched on last: from then on every statement of the transaction prints its tree.
_WATCH = "SET LOCAL client_min_messages = log;SET LOCAL debug_print_rewritten = on"

_LOGIN = """
SELECT r.oid, r.rolname,
  (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()),
  pg_catalog.pg_postmaster_start_time()
FROM pg_catalog.pg_roles r WHERE r.rolname = session_user
"""
_READS = "the login itself may read tables: the role is no floor"
_POSTURE = """
SELECT r.rolsuper AS super,
       EXISTS (SELECT FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_'
                 AND n.nspname <> 'information_schema'
                 AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')) AS reads,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP')
       OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'
                  AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')) AS ddl
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def _preamble(settings: UpstreamSettings) -> str:
    """BEGIN and the settings under which the tree of a text means what runs later."""
    for role in (settings.role, settings.clear_role):
        if role is not None:
            quoted(role)
    if settings.clear_role is not None and settings.role_before_parse:
        raise ConfigurationError("clear_role: with row security a statement has one role")
    path = ", ".join(quoted(schema) for schema in (*settings.schemas, "pg_temp"))
    fixed = {
        "search_path": path,
        "debug_pretty_print": "off",  # with it on, a column name can forge a field of the tree
        "standard_conforming_strings": "on",
        "backslash_quote": "safe_encoding",
        "row_security": "on",  # filtered, never an error that tells of rows
        "statement_timeout": _milliseconds(settings.statement_timeout),
        "lock_timeout": _milliseconds(settings.lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(settings.idle_timeout),
        "extra_float_digits": "1",
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "timezone": "'UTC'",
        # The look-ups are planned once a session, and are far shorter than a compilation.
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
        "bytea_output": "hex",
        "xmloption": "content",
    }
    if settings.quiet_server_log:
        fixed["log_min_messages"] = "fatal"
    sets = "".join(f"SET LOCAL {name} = {value};" for name, value in fixed.items())
    return f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;{sets}"


def _milliseconds(seconds: float) -> str:
    if not 0 < seconds < 2_000_000:
        raise ConfigurationError(f"a time limit is between 0 and 2,000,000 seconds, got {seconds}")
    return str(max(1, int(seconds * 1000)))
