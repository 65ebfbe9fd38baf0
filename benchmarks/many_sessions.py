"""A thousand sessions open at once, each asking for one row a second, the log durable every time.

    python benchmarks/many_sessions.py [--sessions N] [--seconds N]

Sessions begin spread over a second and keep their own connection. A statement that is due waits for
the one before it, so a gateway that cannot keep up serves fewer; what it refuses is counted. The
client shares the cores with the gateway and PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import uvloop

from end_to_end import House, house
from memory import resident
from processor import Spent
from results import Result, write
from small_query import ROWS, Agent


async def measure(built: House, sessions: int, seconds: int) -> list[Result]:
    admin = await asyncpg.connect(built.dsn)
    await admin.execute("ALTER TABLE bench.wide ADD PRIMARY KEY (id); ANALYZE bench.wide")
    await admin.close()
    idle = resident(built.gateway_pid)
    asked = {"connection": "bench"}
    agents = [
        Agent(built, str(built.agent.post("/v1/sessions", asked)["id"])) for _ in range(sessions)
    ]
    taken: list[float] = []
    served = [0] * sessions
    refused = 0
    spent = Spent(built.gateway_pid, built.postmaster)
    begin = time.perf_counter() + 1

    async def one(place: int, agent: Agent) -> None:
        nonlocal refused
        for turn in range(seconds):
            due = begin + turn + place / sessions
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            started = time.perf_counter()
            if started > begin + seconds:
                break
            try:
                await agent.ask((place + turn) % ROWS + 1)
            except RuntimeError as failure:
                refused += 1
                if refused == 1:
                    print(f"the first refusal: {str(failure)[:300]}")
            else:
                served[place] += 1
                taken.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(one(place, agent) for place, agent in enumerate(agents)))
    lasted = time.perf_counter() - begin
    cost = spent.each(max(1, len(taken) + refused))
    grown = (resident(built.gateway_pid) - idle) / 1e6
    for agent in agents:
        agent.close()
    offered = sessions * seconds
    note = f"{len(taken):,} of {offered:,} statements served, {refused:,} refused"
    rate = len(taken) / lasted
    print(
        f"{sessions:,} sessions, {seconds} s: {note}; {rate:,.0f}/s; {grown:.0f} MB more resident"
    )
    print(f"each session was served {min(served)} to {max(served)} times")
    print(f"processor time of a statement: {cost}")
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[-1]
    return [
        Result("sessions", "maskgate, statements", sessions, rate, "statements/s", note=note),
        Result("sessions", "maskgate, p50", sessions, p50, "ms"),
        Result("sessions", "maskgate, p99", sessions, p99, "ms"),
        Result("sessions", "maskgate, memory for the sessions", sessions, grown, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    folder = tempfile.TemporaryDirectory(prefix="mg-bench-")
    with folder as path, house(Path(path), ROWS) as built:
        results = uvloop.run(measure(built, options.sessions, options.seconds))
    for result in results:
        print(f"{result.engine}: {result.value:,.1f} {result.unit}")
    if options.results:
        write(results, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
