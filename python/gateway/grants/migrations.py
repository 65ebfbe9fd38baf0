"""Brings the control store's schema to this version, once, whoever of several gateways comes first.

Refuses a store that a newer version has changed, and a migration file that differs from what was
applied: both mean that this program would not know what it reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import blake3

from gateway.errors import ConfigurationError

# One lock for all gateways of a database; the number is "maskgate" cut to 63 bits, nothing more.
LOCK = 0x6D61736B67617465
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return blake3.blake3(self.sql.encode()).hexdigest()


def packaged() -> list[Migration]:
    """The migrations of this version, in order, numbered without a gap."""
    found = []
    for file in resources.files("gateway.grants").joinpath("migrations").iterdir():
        if named := _NAME.fullmatch(file.name):
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(version=int(named[1]), name=file.name, sql=sql))
    found.sort(key=lambda migration: migration.version)
    if [one.version for one in found] != list(range(1, len(found) + 1)) or not found:
        raise ConfigurationError("the installation is damaged: migrations are missing")
    return found


async def migrate(connection: Any, migrations: list[Migration]) -> int:
    """Apply what is missing, all or nothing; returns how many were applied."""
    async with connection.transaction():
        await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", LOCK)
        if await connection.fetchval("SELECT pg_catalog.to_regnamespace('maskgate') IS NULL"):
            await connection.execute("CREATE SCHEMA maskgate")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS maskgate.schema_migrations ("
            " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT pg_catalog.now())"
        )
        applied = await connection.fetch(
            "SELECT version, name, checksum FROM maskgate.schema_migrations ORDER BY version"
        )
        _compare(applied, migrations)
        missing = migrations[len(applied) :]
        for migration in missing:
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO maskgate.schema_migrations (version, name, checksum)"
                " VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    return len(missing)


def _compare(applied: list[Any], migrations: list[Migration]) -> None:
    if len(applied) > len(migrations):
        raise ConfigurationError(
            f"state.control: a newer version has changed this store (migration {len(applied)}, "
            f"this version knows {len(migrations)})"
        )
    for row, known in zip(applied, migrations, strict=False):
        if (row["version"], row["checksum"]) != (known.version, known.checksum):
            raise ConfigurationError(
                f"state.control: migration {known.name} was applied with other contents "
                f"(checksum {row['checksum'][:12]}…, expected {known.checksum[:12]}…)"
            )
