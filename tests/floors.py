"""A database with the two logins of docs/database-floor.md, and gateways' parts in its floor."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

import servers
from control import Desk
from gateway.errors import MaskgateError
from gateway.flows.covered import Covered
from gateway.flows.provisioned import Provisioned
from gateway.grants import Needs
from gateway.policy import Policy
from gateway.sql import Settings
from gateway.upstream import Database, Roles, UpstreamSettings

PAGE = Path(__file__).parents[1] / "docs" / "database-floor.md"
LOGIN, SECOND = "floor_login", "floor_roles"
TABLES = """
create table patient (id int primary key, full_name text, city text, notes text, ssn text);
insert into patient values (1, 'Nadia Planted', 'Salem', 'seen', '900-11-1234');
create table encounter (id int primary key, patient_id int, status text);
insert into encounter values (1, 1, 'planned');
create table payroll (id int primary key, salary int);
insert into payroll values (1, 100);
create view visits as select e.id, p.full_name, e.status
    from encounter e join patient p on p.id = e.patient_id;
create table event (id int, day date not null, note text) partition by range (day);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
insert into event values (1, '2026-02-02', 'plain');
create table "Odd ""table" ("a ""b" int, "c,d" int);
insert into "Odd ""table" values (1, 2);
"""
#: Provisioned roles, whoever made them, but those that say of themselves that they are of another
#: database: a grant that another test has left in force keeps its role on the same server.
OURS = """
select rolname::text from pg_roles
where rolname ~ '^maskgate_[0-9a-f]{8}_'
  and split_part(coalesce(shobj_description(oid, 'pg_authid'), ''), ' ', 3)
      in ('', (select oid::text from pg_database where datname = current_database()))
order by 1
"""


def logins(database: str, login: str = LOGIN) -> str:
    """The SQL of the page, for this database; its logins may be there from another."""
    (block,) = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    made: str = re.sub(
        r"^CREATE ROLE (\w+) (.*);$",
        r"DO $do$ BEGIN CREATE ROLE \1 \2; EXCEPTION WHEN duplicate_object THEN NULL; END $do$;",
        block,
        flags=re.M,
    )
    for name, ours in (
        ("maskgate_login", login),
        ("maskgate_roles", SECOND),
        ("clinic", f'"{database}"'),
    ):
        assert name in made
        made = made.replace(name, ours)
    return made


@dataclass
class Ground:
    """One database, and a superuser in it."""

    server: servers.Server
    name: str
    admin: asyncpg.Connection
    policy: Policy
    opened: list[Database] = field(default_factory=list)

    @property
    def login(self) -> str:
        return self.server.dsn(LOGIN, self.name)

    @property
    def second(self) -> str:
        return self.server.dsn(SECOND, self.name)

    async def roles(self) -> list[str]:
        """Every provisioned role here, whoever made it."""
        return [row["rolname"] for row in await self.admin.fetch(OURS)]

    async def floor(
        self, desk: Desk, connection: str = "clinic", second: str | None = None
    ) -> Provisioned:
        """A gateway's part in it."""
        database = Database(UpstreamSettings(self.login, max_connections=4))
        await database.open()
        self.opened.append(database)
        needs = Needs(desk.store)
        installation = await needs.installation()
        roles = Roles(second or self.second, installation, connection, database.login)
        covered = Covered(database, Settings(), self.policy)
        return Provisioned(connection, database, roles, needs, covered, desk.clock)

    async def readable(self, role: str) -> set[str]:
        """What a connection of the login under this role gets, by asking for every column."""
        session = await asyncpg.connect(self.login)
        found = set()
        try:
            await session.execute(f'set role "{role}"')
            for table, columns in (await self.columns()).items():
                for column in columns:
                    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                        await session.fetch(f"select {column} from {table}")
                        found.add(f"{table}.{column}")
        finally:
            await session.close()
        return found

    async def columns(self) -> dict[str, list[str]]:
        rows = await self.admin.fetch(
            "select c.oid::regclass::text as name, array_agg(quote_ident(attname) order by attnum) "
            "as columns from pg_class c join pg_attribute a on attrelid = c.oid and attnum > 0 "
            "and not attisdropped where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'p', 'v', 'm') group by c.oid"
        )
        return {row["name"]: row["columns"] for row in rows}


@contextlib.asynccontextmanager
async def ground(
    server: servers.Server, columns: dict[str, Any] | None = None
) -> AsyncIterator[Ground]:
    name = f"floor_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(server.dsn())
    await admin.execute(f'create database "{name}"')
    await admin.close()
    admin = await asyncpg.connect(server.dsn(database=name))
    await admin.execute(TABLES)
    await admin.execute(logins(name))
    made = Ground(server, name, admin, Policy("clinic", columns or {"*.*.*": "clear"}))
    try:
        yield made
    finally:
        for database in made.opened:
            await database.close()
        await clear(admin)
        await admin.close()


async def drop_by_hand(admin: asyncpg.Connection, role: str) -> None:
    """As a DBA would: what the second credential has granted is its own to take away."""
    await admin.execute(
        f'drop owned by "{role}"; set role {SECOND};'
        f'revoke all on all tables in schema public from "{role}";'
        f'reset role; drop role "{role}"'
    )


async def clear(admin: asyncpg.Connection) -> None:
    """What a test left of roles, in this database."""
    await admin.execute(
        "reset role; drop schema if exists inner_ward cascade;"
        f"grant select on all tables in schema public to {SECOND} with grant option"
    )
    for row in await admin.fetch(OURS):
        await drop_by_hand(admin, row[0])


async def refused(floor: Provisioned, grant: Any) -> str:
    """Why a statement under this grant does not begin."""
    try:
        async with floor.transaction("test", grant):
            return ""
    except MaskgateError as error:
        return error.detail


def of(table: str, *columns: str) -> set[str]:
    return {f"{table}.{column}" for column in columns}


def union(sets: Iterable[set[str]]) -> set[str]:
    return set().union(*sets)
