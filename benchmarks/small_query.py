"""One row by its key: through the gateway over HTTP in an open session, beside a direct connection.

Alone, one after the other; then 32 sessions, each with its own connection, at a rate that leaves
the machine time to spare: what waits for a core is no property of the gateway. The log is durable
before every answer. Refuses to compare unequal work: every answer must be masked and end properly.

    python benchmarks/small_query.py [--queries N] [--rate N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import uvloop

from end_to_end import House, house
from processor import Spent

ROWS = 10_000
SESSIONS = 32
QUERY = "SELECT id, department, full_name, seen_on FROM bench.wide WHERE id = {key}"

Ask = Callable[[int], Awaitable[None]]


class Agent:
    """One keep-alive connection to the gateway and one session."""

    def __init__(self, built: House, session: str) -> None:
        self._host, _, port = built.gateway.rpartition(":")
        self._port = int(port)
        self._head = (
            f"POST /v1/sessions/{session}/query HTTP/1.1\r\nHost: {built.gateway}\r\n"
            f"Authorization: Bearer {built.agent.bearer}\r\n"
            "Content-Type: application/json\r\nAccept: application/x-ndjson\r\n"
        )
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, key: int) -> None:
        # The gateway closes a connection that is idle for long.
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        body = json.dumps({"sql": QUERY.format(key=key)}).encode()
        self._writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"refused: {head!r} {await self._reader.read(500)!r}")
        answer = await self._reader.readuntil(b"0\r\n\r\n")  # the end of the chunks
        if b"[REDACTED]" not in answer:
            raise RuntimeError(f"not masked: {answer!r}")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Direct:
    """One connection to the database, the same text."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def ask(self, key: int) -> None:
        if await self._connection.fetchrow(QUERY.format(key=key)) is None:
            raise RuntimeError("no such row")


async def alone(ask: Ask, queries: int) -> list[float]:
    """Milliseconds of each of `queries`, one after the other."""
    taken = []
    for number in range(queries):
        start = time.perf_counter()
        await ask(number % ROWS + 1)
        taken.append((time.perf_counter() - start) * 1000)
    return taken


async def together(asks: list[Ask], queries: int, rate: float) -> list[float]:
    """The same of all `asks` at once, `rate` a second in all, each in its turn."""
    begin = time.perf_counter()
    taken: list[float] = []

    async def one(place: int, ask: Ask) -> None:
        for number in range(queries // len(asks)):
            due = begin + (number * len(asks) + place) / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            taken.extend(await alone(ask, 1))

    await asyncio.gather(*(one(place, ask) for place, ask in enumerate(asks)))
    return taken


async def measure(built: House, queries: int, rate: float) -> None:
    admin = await asyncpg.connect(built.dsn)
    await admin.execute("ALTER TABLE bench.wide ADD PRIMARY KEY (id); ANALYZE bench.wide")
    await admin.close()
    opened = [built.agent.post("/v1/sessions", {"connection": "bench"}) for _ in range(SESSIONS)]
    agents = [Agent(built, str(session["id"])) for session in opened]
    connections = [
        await asyncpg.connect(built.dsn, statement_cache_size=0) for _ in range(SESSIONS)
    ]
    directs = [Direct(connection) for connection in connections]
    for several in (agents, directs):
        for one in several:
            await alone(one.ask, 5)
    print(f"one row by its key, {queries} queries, milliseconds")
    print(f"{'':>28}{'p50':>8}{'p99':>8}{'direct p50':>12}{'p99':>8}{'added p50':>12}{'p99':>8}")
    spent = Spent(built.gateway_pid, built.postmaster)
    ours = await alone(agents[0].ask, queries)
    alone_ms = spent.each(queries)
    line("1 session", ours, await alone(directs[0].ask, queries))
    for agent in agents:
        await alone(agent.ask, 1)  # the gateway closes a connection that is idle for long
    spent = Spent(built.gateway_pid, built.postmaster)
    ours = await together([agent.ask for agent in agents], queries, rate)
    together_ms = spent.each(queries)
    theirs = await together([direct.ask for direct in directs], queries, rate)
    line(f"{SESSIONS} sessions, {rate:g} a second", ours, theirs)
    print(f"processor time of a query, 1 session: {alone_ms}; {SESSIONS} sessions: {together_ms}")
    for agent in agents:
        agent.close()
    for connection in connections:
        await connection.close()


def line(name: str, ours: list[float], theirs: list[float]) -> None:
    places = [(statistics.median(t), statistics.quantiles(t, n=100)[-1]) for t in (ours, theirs)]
    (p50, p99), (direct50, direct99) = places
    print(
        f"{name:>28}{p50:>8.2f}{p99:>8.2f}{direct50:>12.2f}{direct99:>8.2f}"
        f"{p50 - direct50:>12.2f}{p99 - direct99:>8.2f}"
    )


def show(queries: int = 640, rate: float = 64.0) -> None:
    """Start PostgreSQL, issuer and gateway, measure, print."""
    with tempfile.TemporaryDirectory(prefix="mg-bench-") as folder, house(Path(folder), ROWS) as up:
        uvloop.run(measure(up, queries, rate))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--queries", type=int, default=640)
    parser.add_argument("--rate", type=float, default=64.0, help="a second, of all sessions")
    options = parser.parse_args()
    show(options.queries, options.rate)


if __name__ == "__main__":
    main()
