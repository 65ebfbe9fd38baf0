"""A million rows of ten columns, masked, over HTTP into pyarrow, beside the fastest way without.

    python benchmarks/end_to_end.py                 three repetitions, medians, one table
    python benchmarks/end_to_end.py --growth        and at a tenth and a hundredth of the rows

Starts what it measures: PostgreSQL 18, the development issuer, the gateway, each its own process.
The floor is what asyncpg needs to receive the same rows as COPY BINARY and throw them away. Refuses
to compare unequal work: every answer must have every row, and the masked columns must be masked.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from engines.direct import PEERS
from gateway.demo.agent import Caller, token
from gateway.demo.backstage import free_port, running, wait_until_ready
from gateway.upstream.embedded import EmbeddedPostgres
from memory import Sampler
from results import Result, say_absent, write

ROWS = 1_000_000
CURSOR_ROWS = 100_000
#: Copies of the table in the long stream: more than any run reads.
COPIES = 10_000

SETUP = """
CREATE ROLE bench_reader NOLOGIN;
CREATE ROLE bench_login LOGIN NOINHERIT PASSWORD 'bench';
GRANT bench_reader TO bench_login WITH INHERIT FALSE, SET TRUE;
GRANT SET ON PARAMETER log_min_messages TO bench_login;
CREATE SCHEMA bench;
CREATE TABLE bench.wide AS
SELECT n AS id,
       (ARRAY['Cardiology', 'Neurology', 'Paediatrics', 'Surgery'])[1 + n % 4] AS department,
       'Given' || hashint8(n) % 1000 || ' Family' || hashint8(n + 1) % 10000 AS full_name,
       lpad((n * 61803397 % 100000000)::text, 8, '0') AS mrn,
       CASE WHEN abs(hashint8(n)) % 10 < 3
            THEN 'Seen today, MRN ' || lpad((n * 61803397 % 100000000)::text, 8, '0')
                 || ', call (555) 0' || lpad((n % 100)::text, 2, '0') || '-'
                 || lpad((n % 10000)::text, 4, '0')
                 || ' before 05/30/22 about the results. BP 120/80.'
            ELSE 'Lungs clear, heart regular, no oedema. Continue current medication and review '
                 || 'in twelve weeks; patient agrees.' END AS note,
       date '2020-01-01' + (n % 1000)::integer AS seen_on,
       timestamptz '2020-01-01 00:00+00' + interval '1 second' * n AS taken_at,
       (n % 100000)::numeric(10, 2) / 7 AS value,
       n / 3.0::double precision AS score,
       n % 2 = 0 AS active
FROM generate_series(1::bigint, @rows) AS n;
ALTER TABLE bench.wide ALTER COLUMN value TYPE numeric(10, 2);
CREATE TABLE bench.copy AS SELECT n FROM generate_series(1, @copies) AS n;
GRANT USAGE ON SCHEMA bench TO bench_login, bench_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA bench TO bench_reader;
VACUUM ANALYZE bench.wide;
"""

COLUMNS = "id, department, full_name, mrn, note, seen_on, taken_at, value, score, active"
QUERY = f"SELECT {COLUMNS} FROM bench.wide"
FEWER = QUERY + " WHERE id <= {rows}"
LONG_QUERY = (
    "SELECT w.id, w.department, w.full_name, w.mrn, w.note, w.seen_on, w.taken_at, w.value, "
    "w.score, w.active FROM bench.copy AS c, bench.wide AS w"
)

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "department": pa.string(),
        "full_name": pa.string(),
        "mrn": pa.string(),
        "note": pa.string(),
        "seen_on": pa.date32(),
        "taken_at": pa.timestamp("us", "UTC"),
        "value": pa.decimal128(10, 2),
        "score": pa.float64(),
        "active": pa.bool_(),
    }
)

CONFIG = """
[server]
listen = "{listen}"
allow_development_issuer = true
[state]
control = "env:BENCH_CONTROL_DSN"
log = "state/log"
[limits]
statement_time = "2h"
concurrent_statements = 1000
[[issuers]]
issuer = "{issuer}"
development = true
[access]
approvers = ["group:data-stewards"]
[connections.bench]
dsn = "env:BENCH_DSN"
role = "bench_reader"
search_path = ["bench"]
[connections.bench.columns]
"bench.copy.n" = "clear"
"bench.wide.*" = "clear"
"bench.wide.full_name" = "redact"
"bench.wide.mrn" = "token"
"bench.wide.note" = "scan"
"""


@dataclass(frozen=True, slots=True)
class House:
    """What is measured."""

    dsn: str  # a superuser's
    agent: Caller
    session: str
    gateway: str  # host:port
    gateway_pid: int
    postmaster: int  # its children are the data's and the control store's sessions


@dataclass(slots=True)
class Measure:
    """One line of the table; the lists have one entry a repetition."""

    name: str
    rows: int
    seconds: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


@contextmanager
def house(folder: Path, rows: int = ROWS) -> Iterator[House]:
    """PostgreSQL with the table of so many rows, issuer, gateway, an agent with a session."""
    with ExitStack() as stack:
        server = EmbeddedPostgres(folder / "postgres")
        stack.callback(server.stop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dsn = server.start()
        asyncio.run(load(dsn, rows))
        command = ["-m", "gateway.demo.issuer", "--port", "0", "--state", str(folder / "issuer")]
        child = stack.enter_context(running(command, folder / "issuer.log", {}))
        issuer = str(child.said["issuer"])
        secrets = json.loads((folder / "issuer" / "clients.json").read_text())
        listen = f"127.0.0.1:{free_port()}"
        config = folder / "maskgate.toml"
        config.write_text(CONFIG.format(listen=listen, issuer=issuer))
        addresses = {
            "BENCH_DSN": dsn.replace("postgres:@", "bench_login:bench@", 1),
            "BENCH_CONTROL_DSN": dsn.replace("/postgres?", "/bench_control?", 1),
        }
        command = ["-m", "gateway", "serve", "-c", str(config)]
        gateway = stack.enter_context(running(command, folder / "gateway.log", addresses))
        wait_until_ready(f"http://{listen}", folder / "gateway.log")
        agent, steward = (
            Caller(f"http://{listen}", name, token(issuer, name, secrets[name]))
            for name in ("agent-reporting", "steward-dana")
        )
        stack.callback(agent.close)
        stack.callback(steward.close)
        wanted = {
            "connection": "bench",
            "tables": ["bench.wide", "bench.copy"],
            "purpose": "benchmark",
            "duration_s": 7200,
        }
        grant = agent.post("/v1/grants", wanted)["id"]
        steward.post(f"/v1/grants/{grant}/approve", {"reason": "benchmark"})
        session = agent.post("/v1/sessions", {"connection": "bench", "grant": grant})["id"]
        postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        yield House(dsn, agent, session, listen, gateway.pid, postmaster)


async def load(dsn: str, rows: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        setup = SETUP.replace("@rows", str(rows)).replace("@copies", str(COPIES))
        for statement in setup.split(";\n"):
            if statement.strip():
                await connection.execute(statement)
        await connection.execute("CREATE DATABASE bench_control")
    finally:
        await connection.close()


def floor(built: House, measure: Measure) -> None:
    """The same rows as COPY BINARY into asyncpg, bytes counted and dropped."""

    async def run() -> None:
        connection = await asyncpg.connect(built.dsn)
        first: list[float] = []
        size = 0

        async def sink(data: bytes) -> None:
            nonlocal size
            if not first:
                first.append(time.perf_counter())
            size += len(data)

        try:
            started = time.perf_counter()
            status = await connection.copy_from_query(QUERY, output=sink, format="binary")
            ended = time.perf_counter()
        finally:
            await connection.close()
        if status != f"COPY {ROWS}":
            raise RuntimeError(f"the floor got {status!r}")
        measure.seconds.append(ended - started)
        measure.bytes.append(size)
        measure.first_s.append(first[0] - started)

    asyncio.run(run())


def through_gateway(built: House, measure: Measure) -> None:
    """The same statement through the gateway with httpx, every batch read and kept."""
    answer = built.agent.query(built.session, QUERY)
    check(answer.table, ROWS)
    measure.seconds.append(answer.seconds)
    measure.bytes.append(answer.wire_bytes)
    measure.first_s.append(answer.first_batch_s)


def through_gateway_plainly(built: House, measure: Measure) -> None:
    """The same with the standard library's client, which costs the client's core less."""
    connection = http.client.HTTPConnection(built.gateway)
    headers = {
        "Authorization": f"Bearer {built.agent.bearer}",
        "Content-Type": "application/json",
    }
    query = QUERY if measure.rows == ROWS else FEWER.format(rows=measure.rows)
    started = time.perf_counter()
    try:
        path = f"/v1/sessions/{built.session}/query"
        connection.request("POST", path, json.dumps({"sql": query}), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the gateway said {answer.status}: {answer.read()[:500]!r}")
        reader = pa.ipc.open_stream(answer)
        batches = [reader.read_next_batch()]
        first = time.perf_counter()
        batches += list(reader)
        answer.read()
    finally:
        connection.close()
    ended = time.perf_counter()
    table = pa.Table.from_batches(batches, reader.schema)
    check(table, measure.rows)
    measure.seconds.append(ended - started)
    measure.bytes.append(table.nbytes)
    measure.first_s.append(first - started)


def unmasked(peer: Any, built: House, measure: Measure) -> None:
    """The same statement by a way without the gateway."""
    started = time.perf_counter()
    table = peer.table(address(built.dsn), QUERY)
    measure.seconds.append(time.perf_counter() - started)
    measure.bytes.append(table.nbytes)
    if table.num_rows != ROWS or table.num_columns != 10:
        raise RuntimeError(f"{peer.name} gave {table.num_rows} rows")


def address(dsn: str) -> str:
    """The server's address in the form that every driver knows: it listens on a socket only."""
    parts = urlsplit(dsn)
    asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
    user = parts.username or "postgres"
    host = quote(asked.pop("host", parts.hostname or ""), safe="")
    return f"postgresql://{user}@{host}:{parts.port or asked.pop('port', 5432)}{parts.path}"


def check(table: pa.Table, rows: int) -> None:
    """Every row, every column, masked. Raises RuntimeError."""
    if table.num_rows != rows or table.num_columns != 10:
        raise RuntimeError(f"the gateway gave {table.num_rows} rows of {table.num_columns} columns")
    names = set(table["full_name"].slice(0, 1000).to_pylist())
    if names != {"[REDACTED]"} or table["mrn"][0].as_py() == "61803397":
        raise RuntimeError("the answer is not masked")


def cursor_rows(built: House, measure: Measure) -> None:
    """asyncpg's rows turned into Arrow, as a script without the gateway does it; unmasked."""

    async def run() -> pa.Table:
        connection = await asyncpg.connect(built.dsn)
        batches = []
        try:
            async with connection.transaction():
                cursor = await connection.cursor(f"{QUERY} LIMIT {CURSOR_ROWS}")
                while rows := await cursor.fetch(10_000):
                    found = [dict(row) for row in rows]
                    batches.append(pa.RecordBatch.from_pylist(found, SCHEMA))
        finally:
            await connection.close()
        return pa.Table.from_batches(batches)

    started = time.perf_counter()
    table = asyncio.run(run())
    seconds = time.perf_counter() - started
    if table.num_rows != CURSOR_ROWS:
        raise RuntimeError(f"the cursor gave {table.num_rows} rows")
    measure.seconds.append(seconds * ROWS / CURSOR_ROWS)
    measure.bytes.append(table.nbytes * ROWS // CURSOR_ROWS)


def speed(built: House, repetitions: int, console: Console, growth: bool) -> list[Result]:
    measures: list[tuple[Measure, Callable[[House, Measure], None]]] = [
        (Measure("asyncpg COPY binary, discarded (floor)", ROWS), floor),
        (Measure("maskgate → http.client → pyarrow, masked", ROWS), through_gateway_plainly),
        (Measure("maskgate → httpx → pyarrow, masked", ROWS), through_gateway),
        (
            Measure(
                "asyncpg cursor → pyarrow, unmasked",
                ROWS,
                note=f"{CURSOR_ROWS:,} rows, scaled",
            ),
            cursor_rows,
        ),
    ]
    for peer in PEERS:
        try:
            made = peer()
        except (ImportError, OSError) as failure:
            say_absent("end-to-end", peer.name, f"not installed: {failure}")
        else:
            measures.append((Measure(made.name, ROWS), partial(unmasked, made)))
    floor(built, Measure("warm-up", ROWS))
    with Sampler(built.gateway_pid) as memory:
        for repetition in range(repetitions):
            for measure, run in measures:
                console.print(f"{repetition + 1}/{repetitions} {measure.name}", style="dim")
                run(built, measure)
    base = measures[0][0].median_s
    show(console, [line(measure, base) for measure, _ in measures])
    console.print(
        f"gateway resident: {memory.before / 1e6:.0f} MB before, {memory.peak / 1e6:.0f} MB at most"
    )
    results = [one for measure, _ in measures for one in figures(measure)]
    added = statistics.median(measures[1][0].first_s) - statistics.median(measures[0][0].first_s)
    name = "maskgate, added to the COPY's first bytes"
    results.append(Result("first-batch", name, ROWS, added * 1000, "ms"))
    return results + (growing(built, repetitions) if growth else [])


def figures(measure: Measure) -> list[Result]:
    """What the suite's table shows of it."""
    seconds = measure.median_s
    name = measure.name.removesuffix(" (floor)")
    found = [Result("end-to-end", name, measure.rows, seconds, "s", seconds, measure.note)]
    if measure.first_s:
        first = statistics.median(measure.first_s) * 1000
        found.append(Result("first-batch", name, measure.rows, first, "ms"))
    return found


def growing(built: House, repetitions: int) -> list[Result]:
    """The gateway with fewer rows."""
    found = []
    for rows in (ROWS // 100, ROWS // 10):
        measure = Measure("maskgate → http.client → pyarrow, masked", rows)
        for _ in range(repetitions):
            through_gateway_plainly(built, measure)
        seconds = measure.median_s
        found.append(Result("end-to-end", measure.name, rows, seconds, "s", seconds))
    return found


HEADINGS = ["measure", "wall s", "of the floor", "rows/s", "MB/s", "first batch ms", "note"]


def line(measure: Measure, base: float) -> list[str]:
    seconds = measure.median_s
    megabytes = statistics.median(measure.bytes) / 1e6
    first = f"{statistics.median(measure.first_s) * 1000:.0f}" if measure.first_s else ""
    return [
        measure.name,
        f"{seconds:.2f}",
        f"{seconds / base:.2f} ×",
        f"{measure.rows / seconds:,.0f}",
        f"{megabytes / seconds:,.0f}",
        first,
        measure.note,
    ]


def show(console: Console, lines: list[list[str]]) -> None:
    table = Table(title=f"{ROWS:,} rows × 10 columns, medians", box=None, padding=(0, 2, 0, 0))
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number in (0, 6) else "right", no_wrap=True)
    for values in lines:
        table.add_row(*values)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="fewer rows too")
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    with tempfile.TemporaryDirectory(prefix="mg-bench-") as folder, house(Path(folder)) as built:
        results = speed(built, options.repetitions, console, options.growth)
    if options.results:
        write(results, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
