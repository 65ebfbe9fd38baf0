"""A clinic that never was: a hundred thousand invented patients, the same on every load.

Refuses to load twice what is there, to leave half a clinic behind (one transaction makes it), and
to give the gateway more than it needs: its login has no right on any table and may only step into
`clinic_reader`, which reads the clinic and nothing else.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from gateway.demo import names

DATABASE = "clinic"
CONTROL_DATABASE = "maskgate_control"
READER = "clinic_reader"
LOGIN = "maskgate_login"
CONTROL = "maskgate_control"

#: Rows a patient, as clinic.sql makes them.
ENCOUNTERS_PER_PATIENT = 3
OBSERVATIONS_PER_PATIENT = 10
MEDICATIONS_PER_PATIENT = 2

_HEADING = re.compile(r"^-- == (.+)\n", re.MULTILINE)
_WORDS = {
    "F": names.FEMALE,
    "M": names.MALE,
    "family": names.FAMILY,
    "street": names.STREETS,
    "drug": names.DRUGS,
    "reason": names.REASONS,
    "department": names.DEPARTMENTS,
    "payer": names.PAYERS,
}


@dataclass(frozen=True, slots=True)
class Clinic:
    """A loaded clinic: the addresses for each who may connect, and whether this call made it."""

    superuser_dsn: str  # reads everything: for comparing, never for the gateway
    login_dsn: str  # the gateway's, without table rights
    control_dsn: str  # the gateway's own store
    patients: int
    loaded: bool


async def prepare(
    server_dsn: str, *, patients: int = 100_000, progress: Callable[[str], None] = lambda _: None
) -> Clinic:
    """Make the clinic, its roles and the gateway's control database on a PostgreSQL 17 or later.

    `server_dsn` is a superuser's. A clinic of the same size and version stays as it is; any other
    database of that name is replaced. `progress` is called with the name of each step.
    """
    if patients < 1:
        raise ValueError(f"patients: got {patients}, expected 1 or more")
    clinic_dsn = _address(server_dsn, database=DATABASE)
    version = _version(patients)
    server = await asyncpg.connect(server_dsn)
    try:
        progress("roles")
        passwords = await _make_roles(server)
        await _make_database(server, CONTROL_DATABASE, CONTROL)
        missing = await _loaded_version(server) != version
        if missing:
            await server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            # The built-in locale is the same on every machine: upper('é') must not depend on it.
            await server.execute(
                f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' "
                "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
            )
            await _load(clinic_dsn, patients, version, progress)
    finally:
        await server.close()
    return Clinic(
        superuser_dsn=clinic_dsn,
        login_dsn=_address(server_dsn, LOGIN, passwords[LOGIN], DATABASE),
        control_dsn=_address(server_dsn, CONTROL, passwords[CONTROL], CONTROL_DATABASE),
        patients=patients,
        loaded=missing,
    )


def _version(patients: int) -> str:
    """What the rows depend on, hashed: another program or size is another clinic."""
    digest = hashlib.sha256(_script().encode())
    digest.update(repr((sorted(_WORDS.items()), names.PLACES)).encode())
    return f"clinic {digest.hexdigest()[:16]} patients={patients}"


def _script() -> str:
    return files("gateway.demo").joinpath("clinic.sql").read_text(encoding="utf-8")


def _sections() -> Iterator[tuple[str, str]]:
    """Title and statements of each section of clinic.sql."""
    parts = _HEADING.split(_script())
    yield "functions", parts[0]
    yield from zip(parts[1::2], parts[2::2], strict=True)


async def _loaded_version(server: asyncpg.Connection) -> str | None:
    found: str | None = await server.fetchval(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", DATABASE
    )
    return found


async def _load(dsn: str, patients: int, version: str, progress: Callable[[str], None]) -> None:
    # The time zone decides what `timestamptz + interval '1 day'` is; JIT costs more than it saves.
    settings = {
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "jit": "off",
        "synchronous_commit": "off",
        "work_mem": "64MB",
        "maintenance_work_mem": "256MB",
        "clinic.patients": str(patients),
    }
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        async with connection.transaction():
            await _load_words(connection)
            for title, statements in _sections():
                progress(title)
                await connection.execute(statements)
            progress("rights")
            await connection.execute(_RIGHTS)
            # Last, and in the same transaction: the mark stands if and only if the rows do.
            await connection.execute(f"COMMENT ON DATABASE {DATABASE} IS '{version}'")
    finally:
        await connection.close()


async def _load_words(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "CREATE SCHEMA seed;"
        "CREATE TABLE seed.word (kind text, n integer, word text);"
        "CREATE TABLE seed.place (place_n integer, city text, state text, zip3 text)"
    )
    words = [(kind, n, word) for kind, many in _WORDS.items() for n, word in enumerate(many)]
    places = [(n, *place) for n, place in enumerate(names.PLACES)]
    await connection.copy_records_to_table("word", schema_name="seed", records=words)
    await connection.copy_records_to_table("place", schema_name="seed", records=places)
    await connection.execute("ANALYZE seed.word, seed.place")


# The login can parse (USAGE) and connect; reading is the reader's alone. SET on log_min_messages
# lets the gateway keep query trees, which hold literals, out of the server's log.
_RIGHTS = f"""
REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO {LOGIN};
GRANT USAGE ON SCHEMA public, reporting TO {LOGIN}, {READER};
GRANT SELECT ON ALL TABLES IN SCHEMA public, reporting TO {READER};
"""


async def _make_roles(server: asyncpg.Connection) -> dict[str, str]:
    """The three roles, with new passwords for the two that log in."""
    passwords = {}
    for role, options in (
        (READER, "NOLOGIN"),
        (LOGIN, "LOGIN NOINHERIT"),
        (CONTROL, "LOGIN"),
    ):
        known = await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        await server.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} {options}")
        if role != READER:
            passwords[role] = secrets.token_urlsafe(24)  # letters, digits, - and _: safe to quote
            await server.execute(f"ALTER ROLE {role} PASSWORD '{passwords[role]}'")
    await server.execute(f"GRANT {READER} TO {LOGIN} WITH INHERIT FALSE, SET TRUE")
    await server.execute(f"GRANT SET ON PARAMETER log_min_messages TO {LOGIN}")
    return passwords


async def _make_database(server: asyncpg.Connection, database: str, owner: str) -> None:
    if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await server.execute(f"CREATE DATABASE {database} OWNER {owner}")
        await server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


def _address(
    dsn: str, user: str | None = None, password: str | None = None, database: str | None = None
) -> str:
    """The same server's address for another user or database."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    who = parts.netloc.rpartition("@")[0] if user is None else f"{user}:{quote(password or '')}"
    return urlunsplit(parts._replace(netloc=f"{who}@{place}", path=f"/{database or ''}"))
