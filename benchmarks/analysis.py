"""What analysing a statement costs beside a direct prepare of it, and whether the catalog's size
matters.

A join of ten tables is analysed by the gateway's `analyse` (Parse, the server's tree, the catalog's
look-ups) and prepared by a plain asyncpg connection, turn and turn about in one run, over a catalog
of ten tables and over one of ten thousand. Only ratios travel to another machine.

    python benchmarks/analysis.py [--tables N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import servers
from gateway.sql import Settings, analyse
from gateway.upstream import Database, UpstreamSettings

JOINED = 10
TABLE = (
    "create table t{n} (id bigint primary key, parent bigint, name text, code varchar(20),"
    " day date, at timestamptz, amount numeric(10, 2), score float8, open boolean, note text)"
)
STATEMENT = (
    "select "
    + ", ".join(f"a{n}.name as name{n}, a{n}.amount as amount{n}" for n in range(JOINED))
    + " from t0 a0 "
    + " ".join(f"join t{n} a{n} on a{n}.parent = a{n - 1}.id" for n in range(1, JOINED))
    + " where a0.day > date '2026-01-01' and a1.open order by a0.id limit 100"
)
CHUNK = 500  # tables made in one transaction


async def build(dsn: str, tables: int) -> None:
    connection = await asyncpg.connect(dsn)
    for start in range(0, tables, CHUNK):
        several = range(start, min(start + CHUNK, tables))
        await connection.execute(";".join(TABLE.format(n=n) for n in several))
    await connection.execute("vacuum analyze pg_catalog.pg_class")
    await connection.execute("vacuum analyze pg_catalog.pg_attribute")
    await connection.close()


async def timed(run: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await run()
    return (time.perf_counter() - start) * 1000


async def measure(dsn: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round, the first few left out: they fill the caches of a session."""
    database = Database(UpstreamSettings(dsn, max_connections=1))
    await database.open()
    direct = await asyncpg.connect(dsn, statement_cache_size=0)
    settings = Settings()
    found: dict[str, list[float]] = {"analyse": [], "prepare": [], "whole transaction": []}

    async def analysed() -> None:
        nonlocal inside
        async with database.transaction("benchmark") as transaction:
            start = time.perf_counter()
            await analyse(STATEMENT, (), transaction, settings)
            inside = (time.perf_counter() - start) * 1000

    inside = 0.0
    for number in range(rounds + 10):
        whole = await timed(analysed)
        prepared = await timed(lambda: direct.prepare(STATEMENT))
        if number >= 10:
            found["analyse"].append(inside)
            found["prepare"].append(prepared)
            found["whole transaction"].append(whole)
    await direct.close()
    await database.close()
    return found


async def run(server: servers.Server, sizes: list[int], rounds: int) -> None:
    print(f"a join of {JOINED} tables, median of {rounds} rounds, milliseconds")
    print(
        f"{'tables in the catalog':>22}{'analyse':>10}{'least':>8}{'p95':>8}"
        f"{'prepare':>10}{'ratio':>8}",
        end="",
    )
    print(f"{'BEGIN to ROLLBACK':>20}")
    for size in sizes:
        admin = await asyncpg.connect(server.dsn())
        await admin.execute(f'create database "tables_{size}"')
        await admin.close()
        dsn = server.dsn(database=f"tables_{size}")
        await build(dsn, size)
        found = await measure(dsn, rounds)
        analysed, prepared = (statistics.median(found[name]) for name in ("analyse", "prepare"))
        late = statistics.quantiles(found["analyse"], n=20)[-1]
        whole = statistics.median(found["whole transaction"])
        print(
            f"{size:>22,}{analysed:>10.2f}{min(found['analyse']):>8.2f}{late:>8.2f}"
            f"{prepared:>10.2f}{analysed / prepared:>8.2f}{whole:>20.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with servers.running(18, {"max_locks_per_transaction": "4096"}) as server:
        asyncio.run(run(server, [JOINED, options.tables], options.rounds))


if __name__ == "__main__":
    main()
