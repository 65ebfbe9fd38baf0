"""Roles that may read a set of columns each, made and dropped through the second credential.

Each change is one transaction and holds a lock that all gateways of a database share: a role is
there whole or not at all, whoever is killed. A role's name says what it may read, and what it may
read is held against its name: after it was made, before that is committed, and whenever one looks.
Refuses a credential that could not keep to that, servers before 16, to drop a role without our
mark, and to leave one in use that may do anything else than its name says. Runs no agent's SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from gateway.errors import UpstreamFailed
from gateway.upstream import failures, versions
from gateway.upstream.columns import ColumnSet, Owner, Schema, Table
from gateway.upstream.messages import quoted

#: One lock for all gateways and installations of a database; the number means nothing.
LOCK = 0x6D61736B726F6C65
_CONNECT = 10.0
_COMMAND = 60.0
_PATIENCE = "2s"  # with a lock of somebody else's, while others wait for ours
_IMPATIENCE = "100ms"  # after the first that was not had in that time
_AGAIN = 3  # times a change is tried that met somebody else's
_SETTINGS = {
    "application_name": "maskgate roles",
    "search_path": "pg_catalog",
    "statement_timeout": "30s",
    "lock_timeout": "20s",
    # A gateway that is stopped in the middle does not keep the others from the lock.
    "idle_session_timeout": "60s",
    "idle_in_transaction_session_timeout": "30s",
    "client_min_messages": "error",
    # A thousand roles are a surprise to the planner.
    "enable_nestloop": "off",
    "jit": "off",
}


class Unfit(UpstreamFailed):
    """The second credential cannot do what it is for; nothing but an operator changes that."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who the agents' statements log in as, and where."""

    oid: int
    name: str
    database: int
    started: datetime  # the server


@dataclass(frozen=True, slots=True)
class Role:
    """One of ours as it stands."""

    name: str
    mark: str
    sound: bool  # may be taken by the login, and may do what its name says and nothing else


class Roles:
    """The roles of one connection of the configuration."""

    def __init__(
        self,
        dsn: str,
        installation: str,
        connection: str,
        login: Callable[[], Awaitable[Login]],
    ) -> None:
        self._dsn = dsn
        self._installation = installation
        self._connection = connection
        self._login = login

    async def fits(self) -> frozenset[str]:
        """Tables of which it may not hand on each column. Raises UpstreamFailed, and Unfit."""
        async with self.locked() as desk:
            tables = await desk.tables(None)
        return frozenset(name for name, one in tables.items() if one.kept or one.closed)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[Desk]:
        """Alone with the roles of this database. Raises UpstreamFailed, Unfit for a credential that
        is not good for it."""
        login = await self._login()
        try:
            session = await asyncpg.connect(
                self._dsn, timeout=_CONNECT, command_timeout=_COMMAND, server_settings=_SETTINGS
            )
        except (asyncpg.PostgresError, *failures.LOST) as error:
            raise _lost(error) from None
        try:
            await _check(session, login)
            # What the server is set to give to whoever makes a role, the second credential leaves.
            await session.execute("SET createrole_self_grant = ''")
            await session.execute("SELECT pg_advisory_lock($1)", LOCK)
            await session.execute(f"SET lock_timeout = '{_PATIENCE}'")
            owner = Owner(self._installation, login.database, self._connection)
            yield Desk(session, owner, login)
        except (asyncpg.PostgresError, *failures.LOST) as error:
            raise _lost(error) from None
        finally:
            # The lock goes with the session, whatever it was doing.
            await _left(session)


class Desk:
    """What is done while one has the lock."""

    def __init__(self, session: Any, owner: Owner, login: Login) -> None:
        self._session = session
        self.owner = owner
        self._login = login

    async def tables(self, names: Collection[str] | None) -> dict[str, Table]:
        """The tables and views of these full names, or all. A full name that two have, by a dot in
        it, is neither's."""
        rows = await self._session.fetch(_TABLES, None if names is None else sorted(names))
        often = Counter(f"{row['schema']}.{row['name']}" for row in rows)
        return {
            f"{row['schema']}.{row['name']}": Table(
                row["oid"],
                row["schema"],
                row["name"],
                dict(zip(row["columns"], row["numbers"], strict=True)),
                frozenset(row["kept"]),
                row["closed"],
            )
            for row in rows
            if often[f"{row['schema']}.{row['name']}"] == 1
        }

    async def schemas(self) -> list[Schema]:
        """Those that the login may use and not everybody may."""
        rows = await self._session.fetch(_SCHEMAS, self._login.oid)
        return [Schema(row["oid"], row["name"]) for row in rows]

    async def standing(self) -> dict[str, Role]:
        """Every role of this installation in this database."""
        return {role.name: role for role in await self._standing(None)}

    async def make(self, columns: ColumnSet) -> str:
        """The role of these columns, which is not there. Raises UpstreamFailed."""
        name = self.owner.name(columns)
        await self._changed(lambda: self._make(name, columns), f"the role {name} was not made")
        return name

    async def drop(self, name: str) -> None:
        """One of `standing`. Raises UpstreamFailed when something of somebody else's hangs on it;
        the login cannot take it then all the same."""
        try:
            await self._changed(lambda: self._drop(name), f"the role {name} was not dropped")
        except UpstreamFailed:
            with contextlib.suppress(asyncpg.PostgresError):
                await self._session.execute(
                    f"REVOKE {quoted(name)} FROM {quoted(self._login.name)}"
                )
            raise

    async def _make(self, name: str, columns: ColumnSet) -> None:
        role = quoted(name)
        await self._session.execute(
            ";".join(
                [
                    f"CREATE ROLE {role} NOLOGIN NOINHERIT",
                    f"COMMENT ON ROLE {role} IS '{self.owner.mark}'",
                    *(
                        f"GRANT USAGE ON SCHEMA {quoted(schema.name)} TO {role}"
                        for schema in columns.schemas
                    ),
                    *(
                        f"GRANT SELECT ({', '.join(map(quoted, names))}) "
                        f"ON TABLE {quoted(table.schema)}.{quoted(table.name)} TO {role}"
                        for table, names in columns.columns
                    ),
                    f"GRANT {role} TO {quoted(self._login.name)} WITH INHERIT FALSE, SET TRUE",
                ]
            )
        )
        found = await self._standing(name)
        if not found or not found[0].sound:
            # Where the grant option is missing, GRANT warns and does less.
            raise UpstreamFailed(
                f"the role {name} did not get the rights that it was to have; "
                "the second credential lacks a grant option, or a table was changed meanwhile"
            )

    async def _drop(self, name: str) -> None:
        role = quoted(name)
        held = await self._session.fetch(_HELD, name)
        await self._session.execute(
            ";".join(
                [
                    *(f"REVOKE ALL ON {row['kind']} {row['name']} FROM {role}" for row in held),
                    f"DROP ROLE {role}",
                ]
            )
        )

    async def _changed(self, change: Callable[[], Awaitable[None]], failed: str) -> None:
        """One change as one transaction, again when it met another's."""
        for attempt in range(1, _AGAIN + 1):
            try:
                async with self._session.transaction():
                    await change()
            except asyncpg.PostgresError as error:
                state = error.sqlstate or "??"
                # XX000: "tuple concurrently updated"; 40: a deadlock
                if attempt < _AGAIN and (state == "XX000" or state[:2] == "40"):
                    await asyncio.sleep(0.05 * attempt)
                    continue
                if state[:2] in ("08", "57"):
                    raise
                if state == "55P03":
                    await self._session.execute(f"SET lock_timeout = '{_IMPATIENCE}'")
                raise UpstreamFailed(
                    f"{failed}: {_WHY.get(state, f'the database refused it (SQLSTATE {state})')}",
                    sqlstate_class=state[:2],
                ) from None
            return

    async def _standing(self, name: str | None) -> list[Role]:
        owner = self.owner
        rows = await self._session.fetch(
            _STANDING, owner.stem, owner.marks, name, self._login.oid, len(owner.stem)
        )
        return [Role(row["name"], row["mark"], row["sound"]) for row in rows]


_WHY = {
    "2BP01": "something of somebody else's depends on it; SELECT * FROM pg_shdepend names it",
    "42501": "the second credential lacks the right; it did not make the role, or lost its own",
    "55P03": "somebody is changing one of its tables and has not committed",
    "42710": "there is a role of that name without our mark",
}

_WHO = """
SELECT r.rolname AS name, r.oid, r.rolsuper AS super, r.rolcreaterole AS makes,
  (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database,
  pg_postmaster_start_time() AS started, current_setting('server_version') AS version
FROM pg_roles r WHERE r.rolname = session_user
"""

# $1: full names, or NULL for all
_TABLES = """
SELECT c.oid, n.nspname AS schema, c.relname AS name,
  array_agg(a.attname::text ORDER BY a.attnum) AS columns,
  array_agg(a.attnum::int ORDER BY a.attnum) AS numbers,
  array_remove(array_agg(CASE WHEN NOT has_column_privilege(c.oid, a.attnum,
    'SELECT WITH GRANT OPTION') THEN a.attname::text END), NULL) AS kept,
  NOT (has_schema_privilege('public', n.oid, 'USAGE')
       OR has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')) AS closed
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND ($1::text[] IS NULL OR n.nspname || '.' || c.relname = ANY ($1::text[]))
GROUP BY c.oid, n.nspname, c.relname, n.oid
"""

_SCHEMAS = """
SELECT n.oid, n.nspname AS name FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege($1::oid, n.oid, 'USAGE')
  AND NOT has_schema_privilege('public', n.oid, 'USAGE')
  AND has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')
"""

# A role is sound when its name is made of what it may read: $1 the stem of our names, $2 of our
# marks, $3 one name or NULL for all, $4 the login, $5 the length of $1. Each right that is not
# SELECT on a column or USAGE of a schema, and whatever else hangs on the role, makes it another.
_STANDING = """
WITH ours AS MATERIALIZED (
  SELECT r.*, shobj_description(r.oid, 'pg_authid') AS mark
  FROM pg_roles r
  WHERE left(r.rolname, $5) = $1 AND ($3::text IS NULL OR r.rolname = $3)
    AND starts_with(shobj_description(r.oid, 'pg_authid'), $2)
), rights AS (
  SELECT x.grantee, CASE WHEN x.privilege_type = 'SELECT' AND NOT x.is_grantable
      THEN 'c' ELSE '!' END AS kind, a.attrelid AS object, a.attnum::int AS part
  FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attacl IS NOT NULL
  UNION ALL
  SELECT x.grantee, '!', c.oid, 0 FROM pg_class c, aclexplode(c.relacl) x
  WHERE c.relacl IS NOT NULL
  UNION ALL
  SELECT x.grantee, CASE WHEN x.privilege_type = 'USAGE' AND NOT x.is_grantable
      THEN 'n' ELSE '!' END, n.oid, 0
  FROM pg_namespace n, aclexplode(n.nspacl) x WHERE n.nspacl IS NOT NULL
), told AS MATERIALIZED (
  SELECT grantee, string_agg(
    CASE WHEN kind = 'c' THEN 'c' || object || '.' || part ELSE kind || object END, ','
    ORDER BY kind COLLATE "C", object, part) AS items
  FROM rights WHERE grantee IN (SELECT oid FROM ours) GROUP BY grantee
)
SELECT o.rolname::text AS name, o.mark,
  o.rolname = $1 || left(encode(sha256(convert_to(
    o.mark || E'\\n' || coalesce(t.items, ''), 'UTF8')), 'hex'), 32)
  AND NOT (o.rolsuper OR o.rolcreaterole OR o.rolcreatedb OR o.rolcanlogin OR o.rolreplication
           OR o.rolbypassrls)
  AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.member = o.oid)
  AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = o.oid
    AND (m.inherit_option OR (m.member = $4 AND m.admin_option)
         OR (m.member <> $4 AND m.set_option)))
  AND EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = o.oid AND m.member = $4
    AND m.set_option)
  AND NOT EXISTS (SELECT FROM pg_shdepend d
    WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = o.oid
      AND NOT (d.deptype = 'a' AND d.classid IN ('pg_class'::regclass, 'pg_namespace'::regclass)
               AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND d.classid <> 'pg_auth_members'::regclass) AS sound
FROM ours o LEFT JOIN told t ON t.grantee = o.oid
"""

_HELD = """
SELECT DISTINCT CASE WHEN d.classid = 'pg_class'::regclass THEN 'TABLE' ELSE 'SCHEMA' END AS kind,
  CASE WHEN d.classid = 'pg_class'::regclass
    THEN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = d.objid)
    ELSE (SELECT format('%I', n.nspname) FROM pg_namespace n WHERE n.oid = d.objid) END AS name
FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid AND r.rolname = $1
WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'a'
  AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND d.classid IN ('pg_class'::regclass, 'pg_namespace'::regclass)
"""


async def _check(session: Any, login: Login) -> None:
    """Raises Unfit."""
    row = await session.fetchrow(_WHO)
    major, _ = versions.check(row["version"])
    if major < 16:
        raise Unfit(
            "on PostgreSQL 15 whoever may make roles can make himself a reader of everything: "
            "leave admin_dsn out and name a pre-made role"
        )
    if (row["database"], row["started"]) != (login.database, login.started):
        raise Unfit("admin_dsn leads to another server or database than dsn")
    if row["oid"] == login.oid:
        raise Unfit("admin_dsn is the login of dsn: agents' statements need one of their own")
    if not row["super"] and not row["makes"]:
        # Its name is not said: agents hear this, and whoever asks for /readyz.
        raise Unfit("the second credential may not make roles: ALTER ROLE … CREATEROLE")


async def _left(session: Any) -> None:
    with contextlib.suppress(Exception):
        await session.close(timeout=2)
    if not session.is_closed():
        session.terminate()


def _lost(error: BaseException) -> UpstreamFailed:
    state = (error.sqlstate or "??") if isinstance(error, asyncpg.PostgresError) else "08"
    return UpstreamFailed(
        f"the roles of the database floor cannot be looked after: {failures.lost(error).detail}",
        hint="try again; an operator should look at admin_dsn if it stays",
        sqlstate_class=state[:2],
    )
