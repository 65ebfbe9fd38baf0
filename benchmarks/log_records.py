"""Records of the session log in 32 sessions at once, each durable before the next of its session.

    python benchmarks/log_records.py

Every session appends what a statement does, an intent and a result, as fast as the log lets it. The
files are in a temporary folder; on a disk that is memory (tmpfs) a sync costs nothing, so the kind
of file system is said.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import uvloop

from gateway.sessionlog import SessionLog
from results import Result, number, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tampering"))

from bundles import intent, opened, result

SESSIONS = 32
SIZES = (1_000, 10_000, 100_000)
RECORD = 1_000  # bytes, about


async def measure(folder: Path, records: int) -> tuple[float, list[float]]:
    """Seconds for so many records, and the milliseconds of each."""
    log = SessionLog.open(folder, origin="log.example.org/bench", version="0")
    sessions = [str(uuid.uuid4()) for _ in range(SESSIONS)]
    for session in sessions:
        await log.open_session(session, opened())
    taken: list[float] = []

    async def one(session: str) -> None:
        for turn in range(records // SESSIONS):
            statement = turn // 2 + 1
            kind, body = (
                ("result", result(statement, 0, 5, 5))
                if turn % 2
                else ("intent", intent(statement))
            )
            began = time.perf_counter()
            await log.append(session, kind, body)
            taken.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*map(one, sessions))
    seconds = time.perf_counter() - began
    await log.aclose()
    return seconds, taken


def syncs(folder: str, size: int, rounds: int = 200) -> float:
    """Records a second if a sync of all sessions' next records were all that had to be done."""
    with (Path(folder) / "limit").open("wb") as file:
        began = time.perf_counter()
        for _ in range(rounds):
            file.write(bytes(size))
            file.flush()
            os.fdatasync(file.fileno())
    return rounds * SESSIONS / (time.perf_counter() - began)


def file_system(folder: str) -> str:
    """Its kind, as the system calls it."""
    asked = ["stat", "-f", "-c", "%T", folder]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    results = []
    for records in SIZES:
        with tempfile.TemporaryDirectory(prefix="mg-log-") as folder:
            kind = file_system(folder)
            limit = syncs(folder, SESSIONS * RECORD)
            seconds, taken = uvloop.run(measure(Path(folder), records))
        rate = len(taken) / seconds
        results.append(
            Result("log", "maskgate, records", records, rate, "records/s", seconds, kind)
        )
        print(f"{len(taken):,} records in {SESSIONS} sessions: {rate:,.0f}/s on {kind}", end=", ")
        median, worst = statistics.median(taken), statistics.quantiles(taken, n=100)[-1]
        print(f"p50 {number(median)} ms, p99 {number(worst)} ms")
    name = f"fdatasync, {SESSIONS} records at once and nothing else"
    results.append(Result("log", name, SIZES[-1], limit, "records/s", note=kind))
    results.append(Result("log", "maskgate, p50 of a record", SIZES[-1], median, "ms"))
    results.append(Result("log", "maskgate, p99 of a record", SIZES[-1], worst, "ms"))
    if options.results:
        write(results, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
