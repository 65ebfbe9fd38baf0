"""A small ward for the tests of this folder: a database, its policy, the corridor without a log.

`Ward.answer` walks steps 3, 4, 6 and 7 as flows/query.py does and gives the rows that would leave.
`Ward.bypass` runs a text with nothing but the walls below the analysis in its way.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

import servers
from gateway import _kernel
from gateway.masking import open_stream
from gateway.masking.plan import TokenKey
from gateway.model import Analysis, Decision, Grant, GrantState
from gateway.policy import Policy, decide
from gateway.sql import Settings, analyse
from gateway.upstream import Database, Transaction, UpstreamSettings

LOGIN, READER, CLEAR = "ward_login", "ward_reader", "ward_clear"

#: In every protected value, in no other.
PLANTED = "Zanthe"

SCHEMA = """
create schema archive;
create schema early;
create type ward_mood as enum ('calm', 'upset');
create type ward_pair as (a text, b text);
create domain ward_code as text check (value ~ '^[a-z0-9]+$');
create table patient (
    id int primary key, city text, ssn text, full_name text, dob date, mood ward_mood,
    code ward_code, pair ward_pair,
    badge text generated always as (left(full_name, 6)) stored
);
insert into patient (id, city, ssn, full_name, dob, mood, code, pair)
select n, 'Salem', 'Zanthe-' || n, 'Zanthe Name' || n, '1980-01-01', 'calm', 'c1',
    row('x', 'y')::ward_pair
from generate_series(1, 20) n;
create table stay (id int primary key, patient_id int, kind text, cost int);
insert into stay select n, 1 + n % 20, 'visit', n from generate_series(1, 40) n;
create table event (id int, day date not null, note text) partition by range (day);
create table event_2024 partition of event for values from ('2024-01-01') to ('2025-01-01');
insert into event values (1, '2024-05-05', 'plain');
create table archive.event_2023 (id int, day date not null, note text);
insert into archive.event_2023 values (2, '2023-05-05', 'Zanthe old note');
create table person (id int, remark text);
insert into person values (1, 'plain');
create table archive.member (id int, remark text);
insert into archive.member values (2, 'Zanthe member');
create view roster as select id, city from patient;
create view labels as select id, full_name as label from patient;
create materialized view copied as select id, full_name as label from patient;
create table closed (id int, note text);
insert into closed values (1, 'Zanthe closed');
alter table closed enable row level security;
create function shout(text) returns text language plpgsql immutable as
    $$ begin raise notice 'heard %', $1; return 'said'; end $$;
create function fail_on(text) returns text language plpgsql immutable as
    $$ begin raise exception 'failed on %', $1 using detail = $1, hint = $1; end $$;
create function write_down(text) returns text language plpgsql as
    $$ begin insert into public.stay values (999, 1, $1, 1); return 'done'; end $$;
create function peek(int) returns text language sql security definer stable as
    'select ssn from public.patient where id = $1';
create function same(text, text) returns bool language sql immutable as 'select $1 = $2';
create operator public.=== (function = public.same, leftarg = text, rightarg = text);
analyze;
"""

RIGHTS = f"""
revoke all on database "{{database}}" from public;
revoke create on schema public from public;
revoke execute on function peek(int) from public;
grant connect on database "{{database}}" to {LOGIN};
grant usage on schema public, archive, early to {LOGIN}, {READER}, {CLEAR};
grant select (id, city, ssn, full_name, dob, mood, code, pair, badge) on patient to {READER};
grant select on stay, event, event_2024, person, roster, labels, copied to {READER};
grant select (id, city, mood, code, pair) on patient to {CLEAR};
grant select on stay, event, person, roster to {CLEAR};
"""

COLUMNS: Mapping[str, Any] = {
    **{
        f"public.patient.{column}": "clear"
        for column in ("id", "city", "mood", "code", "pair", "badge")
    },
    "public.patient.ssn": "token",
    "public.patient.full_name": "redact",
    "public.patient.dob": "year",
    "public.stay.*": "clear",
    "public.event.*": "clear",
    "public.event_2024.*": "clear",
    "archive.event_2023.id": "clear",
    "archive.event_2023.day": "clear",
    "archive.event_2023.note": "redact",
    "public.person.*": "clear",
    "archive.member.remark": "redact",
    "public.copied.*": "clear",
    "public.closed.*": "clear",
}


@dataclass
class Ward:
    """A gateway's side of one database, and its administrator's."""

    dsn: str
    admin: asyncpg.Connection
    database: Database
    policy: Policy
    settings: Settings = field(default_factory=Settings)

    async def analysis(self, sql: str, *params: object) -> Analysis:
        async with self.database.transaction("walls") as transaction:
            return await analyse(sql, params, transaction, self.settings)

    def decide(self, analysis: Analysis) -> Decision:
        return decide(GRANT, analysis, self.policy)

    async def answer(self, sql: str, *params: object) -> list[dict[str, Any]]:
        """The masked rows. Raises what the corridor would."""
        async with self.database.transaction("walls") as transaction:
            analysis = await analyse(sql, params, transaction, self.settings)
            return await self.released(transaction, analysis)

    async def released(self, transaction: Transaction, analysis: Analysis) -> list[dict[str, Any]]:
        decision = self.decide(analysis)
        kernel = open_stream(
            analysis,
            decision,
            TokenKey(b"k" * 32, "k1"),
            encoding="ndjson",
            metadata={},
            limit_rows=None,
            infinity="error",
            token_domain="walls",
        )
        out = io.BytesIO(kernel.head().data)
        out.seek(0, io.SEEK_END)
        async with contextlib.aclosing(
            transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations, raw=decision.raw
            )
        ) as copy:
            async for piece in copy:
                for chunk in kernel.feed(piece):
                    out.write(chunk.data)
        for chunk in kernel.finish():
            out.write(chunk.data)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    async def bypass(self, transaction: Transaction, text: str, *, raw: bool = True) -> bytes:
        """Run `text` as if it had been analysed and approved."""
        parsed = await transaction.parse(text)
        found = json.loads(_kernel.lineage(parsed.tree, transaction.server_major))
        relations = [relation["oid"] for relation in found["relations"]]
        pieces = transaction.stream(text, found["digest"], relations, raw=raw)
        return b"".join([piece async for piece in pieces])


def copied(transaction: Transaction, analysis: Analysis) -> AsyncGenerator[bytes, None]:
    """What the server sends for what was analysed; nobody has decided over it."""
    return transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)


GRANT = Grant(
    id="g1",
    identity="issuer#agent",
    connection="ward",
    tables=("*",),
    purpose="walls",
    state=GrantState.ACTIVE,
    requested_at=datetime(2026, 1, 1, tzinfo=UTC),
    duration_s=600,
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    max_rows=None,
)


async def build(server: servers.Server, name: str) -> None:
    """A fresh database `name`; the roles are made once a server."""
    admin = await asyncpg.connect(server.dsn())
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        if not await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", LOGIN):
            await admin.execute(
                f"CREATE ROLE {READER}; CREATE ROLE {CLEAR};"
                f"CREATE ROLE {LOGIN} LOGIN NOINHERIT IN ROLE {READER}, {CLEAR}"
            )
        await admin.execute(f'CREATE DATABASE "{name}"')
    finally:
        await admin.close()
    inside = await asyncpg.connect(server.dsn(database=name))
    try:
        await inside.execute(SCHEMA)
        await inside.execute(RIGHTS.format(database=name))
    finally:
        await inside.close()


@contextlib.asynccontextmanager
async def opened(
    server: servers.Server, name: str, *, user: str = LOGIN, **settings: Any
) -> AsyncIterator[Ward]:
    """The ward `name` through the login `user`."""
    dsn = server.dsn(user=user, database=name)
    upstream = UpstreamSettings(dsn, **settings)
    if user == LOGIN:
        upstream = replace(upstream, role=READER, clear_role=CLEAR)
    admin = await asyncpg.connect(server.dsn(database=name))
    database = Database(upstream)
    await database.open()
    try:
        yield Ward(dsn, admin, database, Policy("ward", COLUMNS, text="clear"))
    finally:
        await database.close()
        await admin.close()
