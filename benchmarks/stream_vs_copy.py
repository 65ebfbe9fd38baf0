"""What decoding, masking, encoding and sealing add to a COPY whose bytes are thrown away.

One million rows of ten columns come from a real PostgreSQL over loopback through
`asyncpg.copy_from_query`, into a sink that discards them and into `MaskedStream`, turn and turn
about; the best of each is compared, so that only ratios travel to another machine.

    python benchmarks/stream_vs_copy.py [--rows N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers
from gateway._kernel import MaskedStream

TABLE = """
CREATE UNLOGGED TABLE visit AS SELECT
    i::int4 AS id, i::int8 * 1000003 AS account, 'Patient ' || i AS name,
    'MRN' || lpad(i::text, 8, '0') AS mrn, DATE '1930-01-01' + (i % 30000) AS born,
    timestamptz '2024-01-01' + i * interval '1 second' AS seen, (i % 97)::float8 / 7 AS score,
    (i % 100000)::numeric(12, 2) / 4 AS charge, i % 3 = 0 AS active,
    'a note of middling length about visit ' || i AS note
FROM generate_series(1, $rows$) AS i
"""
QUERY = (
    "SELECT id, account, name, mrn, born, seen, score, charge::numeric(12, 2), active, note"
    " FROM visit"
)
CLEAR = {"name": "clear", "scan": False}
COLUMNS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("id", {"kind": "int4"}, CLEAR),
    ("account", {"kind": "int8"}, CLEAR),
    ("name", {"kind": "text"}, {"name": "redact", "label": "[REDACTED]"}),
    ("mrn", {"kind": "text"}, {"name": "token", "domain": "mrn", "key_id": "k1"}),
    ("born", {"kind": "date"}, {"name": "year"}),
    ("seen", {"kind": "timestamptz"}, CLEAR),
    ("score", {"kind": "float8"}, CLEAR),
    ("charge", {"kind": "numeric", "precision": 12, "scale": 2}, CLEAR),
    ("active", {"kind": "bool"}, CLEAR),
    ("note", {"kind": "text"}, CLEAR),
]


def plan(form: str, masked: bool) -> str:
    columns = [
        {"name": name, "type": kind, "treatment": treatment if masked else CLEAR}
        for name, kind, treatment in COLUMNS
    ]
    return json.dumps({"format": form, "metadata": {}, "columns": columns})


async def discarded(connection: asyncpg.Connection) -> tuple[float, int]:
    """Seconds and bytes of the COPY alone."""
    total = 0

    async def sink(data: bytes) -> None:
        nonlocal total
        total += len(data)

    start = time.perf_counter()
    await connection.copy_from_query(QUERY, output=sink, format="binary")
    return time.perf_counter() - start, total


async def streamed(connection: asyncpg.Connection, form: str, masked: bool) -> tuple[float, int]:
    """Seconds and bytes given out of the COPY through the kernel."""
    total = 0
    stream = MaskedStream(plan(form, masked), bytes(32))

    async def sink(data: bytes) -> None:
        nonlocal total
        total += sum(len(chunk.data) for chunk in stream.feed(data))

    start = time.perf_counter()
    total += len(stream.head().data)
    await connection.copy_from_query(QUERY, output=sink, format="binary")
    total += sum(len(chunk.data) for chunk in stream.finish())
    return time.perf_counter() - start, total


async def kernel_alone(connection: asyncpg.Connection, form: str, rounds: int) -> tuple[float, int]:
    """Seconds of the kernel over the same bytes held in memory, and how many they are."""
    pieces: list[bytes] = []

    async def sink(data: bytes) -> None:
        pieces.append(bytes(data))

    await connection.copy_from_query(QUERY, output=sink, format="binary")
    best = float("inf")
    for _ in range(rounds):
        stream = MaskedStream(plan(form, masked=True), bytes(32))
        start = time.perf_counter()
        stream.head()
        for piece in pieces:
            stream.feed(piece)
        stream.finish()
        best = min(best, time.perf_counter() - start)
    return best, sum(map(len, pieces))


async def measure(dsn: str, rows: int, rounds: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLE.replace("$rows$", str(rows)))
    await connection.execute("ANALYZE visit")
    runs = {
        "COPY, bytes discarded": lambda: discarded(connection),
        "arrow, nothing masked": lambda: streamed(connection, "arrow", False),
        "arrow, masked": lambda: streamed(connection, "arrow", True),
        "ndjson, masked": lambda: streamed(connection, "ndjson", True),
        "csv, masked": lambda: streamed(connection, "csv", True),
    }
    best: dict[str, tuple[float, int]] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best.get(name, (float("inf"), 0)), await run())
    floor = best["COPY, bytes discarded"][0]
    print(f"{rows:,} rows of {len(COLUMNS)} columns, best of {rounds}")
    print(f"{'':24}{'seconds':>9}{'MB':>9}{'x COPY':>9}")
    for name, (seconds, size) in best.items():
        print(f"{name:24}{seconds:9.3f}{size / 1e6:9.1f}{seconds / floor:9.2f}")
    seconds, size = await kernel_alone(connection, "arrow", rounds)
    print(f"kernel alone, arrow, masked: {seconds:.3f} s, {size / 1e6 / seconds:.0f} MB/s in")
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with servers.running(18, {"shared_buffers": "512MB"}) as server:
        asyncio.run(measure(server.dsn(), options.rows, options.rounds))


if __name__ == "__main__":
    main()
