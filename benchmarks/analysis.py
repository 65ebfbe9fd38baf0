"""What analysing a statement costs beside a direct prepare of it, and whether the catalog's size
matters; then what a small query costs through the gateway.

A join of ten tables is analysed by the gateway's `analyse` (Parse, the server's tree, the catalog's
look-ups) and prepared by a plain asyncpg connection, over a catalog of ten tables and over one of
ten thousand in the same server: the same statement again and again, and one that was never seen,
whose literal is new. They take turns, so that the machine's noise meets them alike. The event loop
is the gateway's own. Only ratios travel to another machine.

    python benchmarks/analysis.py [--tables N] [--rounds N] [--quiet-log] [--no-small-query]
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from pathlib import Path

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import servers
import small_query
from gateway.sql import Settings, analyse
from gateway.upstream import Database, UpstreamSettings

JOINED = 10
TABLE = (
    "create table t{n} (id bigint primary key, parent bigint, name text, code varchar(20),"
    " day date, at timestamptz, amount numeric(10, 2), score float8, open boolean, note text)"
)
DAY = "2026-01-01"
STATEMENT = (
    "select "
    + ", ".join(f"a{n}.name as name{n}, a{n}.amount as amount{n}" for n in range(JOINED))
    + " from t0 a0 "
    + " ".join(f"join t{n} a{n} on a{n}.parent = a{n - 1}.id" for n in range(1, JOINED))
    + f" where a0.day > date '{DAY}' and a1.open order by a0.id limit 100"
)
CHUNK = 500  # tables made in one transaction
WARM_UP = 10  # rounds that fill the caches of a session


class Catalog:
    """One database, the gateway's pool for it and a direct connection; milliseconds of each."""

    def __init__(self, tables: int, dsn: str, *, quiet: bool) -> None:
        self.tables = tables
        self._dsn = dsn
        self._database = Database(UpstreamSettings(dsn, max_connections=1, quiet_server_log=quiet))
        self._settings = Settings()
        self._direct: asyncpg.Connection | None = None
        self.analysed: list[float] = []
        self.new: list[float] = []
        self.prepared: list[float] = []
        self.whole: list[float] = []

    async def build(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        for start in range(0, self.tables, CHUNK):
            several = range(start, min(start + CHUNK, self.tables))
            await connection.execute(";".join(TABLE.format(n=n) for n in several))
        await connection.execute("vacuum analyze pg_catalog.pg_class")
        await connection.execute("vacuum analyze pg_catalog.pg_attribute")
        await connection.close()

    async def open(self) -> None:
        await self._database.open()
        self._direct = await asyncpg.connect(self._dsn, statement_cache_size=0)

    async def close(self) -> None:
        await self._database.close()
        if self._direct is not None:
            await self._direct.close()

    async def round(self) -> None:
        """One analysis, one of a new statement, and one direct prepare."""
        if self._direct is None:
            raise RuntimeError("open() first")
        day = datetime.date(1800, 1, 1) + datetime.timedelta(days=len(self.new))
        analysed, whole = await self._analysed(STATEMENT)
        new, _ = await self._analysed(STATEMENT.replace(DAY, day.isoformat()))
        start = time.perf_counter()
        await self._direct.prepare(STATEMENT)
        self.prepared.append((time.perf_counter() - start) * 1000)
        self.analysed.append(analysed)
        self.new.append(new)
        self.whole.append(whole)

    async def _analysed(self, text: str) -> tuple[float, float]:
        """The analysis, and the whole transaction around it."""
        begun = time.perf_counter()
        async with self._database.transaction("benchmark") as transaction:
            start = time.perf_counter()
            await analyse(text, (), transaction, self._settings)
            analysed = time.perf_counter() - start
        return analysed * 1000, (time.perf_counter() - begun) * 1000


async def run(server: servers.Server, sizes: list[int], rounds: int, *, quiet: bool) -> None:
    catalogs = []
    for size in sizes:
        admin = await asyncpg.connect(server.dsn())
        await admin.execute(f'create database "tables_{size}"')
        await admin.close()
        catalog = Catalog(size, server.dsn(database=f"tables_{size}"), quiet=quiet)
        await catalog.build()
        await catalog.open()
        catalogs.append(catalog)
    for number in range(WARM_UP + rounds):
        # The one that comes second finds the server's caches warmer: they change places.
        for catalog in catalogs if number % 2 else reversed(catalogs):
            await catalog.round()
    for catalog in catalogs:
        await catalog.close()
    print(f"a join of {JOINED} tables, {rounds} rounds in turn, milliseconds")
    print(
        f"{'tables in the catalog':>22}{'analyse: p10':>14}{'median':>8}{'p95':>8}"
        f"{'new: p10':>12}{'median':>8}"
        f"{'prepare: p10':>14}{'median':>8}{'ratio':>8}{'BEGIN to ROLLBACK':>20}"
    )
    for catalog in catalogs:
        analysed, new, prepared, whole = (
            taken[WARM_UP:]
            for taken in (catalog.analysed, catalog.new, catalog.prepared, catalog.whole)
        )
        tenths = statistics.quantiles(analysed, n=20)
        print(
            f"{catalog.tables:>22,}{tenths[1]:>14.2f}{statistics.median(analysed):>8.2f}"
            f"{tenths[-1]:>8.2f}"
            f"{statistics.quantiles(new, n=20)[1]:>12.2f}{statistics.median(new):>8.2f}"
            f"{statistics.quantiles(prepared, n=20)[1]:>14.2f}"
            f"{statistics.median(prepared):>8.2f}"
            f"{statistics.median(analysed) / statistics.median(prepared):>8.1f}"
            f"{statistics.median(whole):>20.2f}"
        )
    first, last = catalogs[0].analysed[WARM_UP:], catalogs[-1].analysed[WARM_UP:]
    growth = statistics.median(b / a for a, b in zip(first, last, strict=True))
    print(
        f"{catalogs[-1].tables:,} tables beside {catalogs[0].tables:,}: {growth:.3f} ×, "
        "median of the rounds' ratios"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument(
        "--quiet-log", action="store_true", help="as a connection with quiet_server_log"
    )
    parser.add_argument("--no-small-query", action="store_true")
    options = parser.parse_args()
    with servers.running(18, {"max_locks_per_transaction": "4096"}) as server:
        sizes = [JOINED, options.tables]
        uvloop.run(run(server, sizes, options.rounds, quiet=options.quiet_log))
    if not options.no_small_query:
        small_query.show()


if __name__ == "__main__":
    main()
