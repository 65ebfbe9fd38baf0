"""Resident memory of the gateway while it serves one long stream.

    python benchmarks/memory.py                     10 GB
    python benchmarks/memory.py --gigabytes 1

Starts what `end_to_end.py` starts. The idle it is compared with is that of a gateway that has
served streams before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from results import Result, write

if TYPE_CHECKING:
    from end_to_end import House


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """Resident memory of the gateway over time, every 50 ms, from a thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.before = resident(pid)
        self.samples: list[tuple[float, int]] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self.samples.append((time.perf_counter(), resident(self._pid)))

    @property
    def peak(self) -> int:
        return max((size for _, size in self.samples), default=self.before)


class _EnoughError(Exception):
    """As many bytes as were asked for have come."""


def long_stream(built: House, gigabytes: float, console: Console) -> list[Result]:
    """One stream of at least so many gigabytes; resident memory in ten equal parts of it."""
    from end_to_end import LONG_QUERY, QUERY, ROWS

    # Streams first: what a gateway that has served some holds is the idle it is compared with.
    built.agent.query(built.session, QUERY + " WHERE id <= 100000")
    time.sleep(1.0)
    goal = int(gigabytes * 1e9)
    row_bytes = built.agent.query(built.session, QUERY, keep_rows=False).wire_bytes / ROWS
    time.sleep(1.0)
    started = time.perf_counter()
    rows_seen = 0

    def watch(rows: int) -> None:
        nonlocal rows_seen
        rows_seen = rows
        if rows * row_bytes >= goal:
            raise _EnoughError

    with Sampler(built.gateway_pid) as memory:
        try:
            built.agent.query(built.session, LONG_QUERY, keep_rows=False, watch=watch)
        except _EnoughError:
            pass
        else:
            raise RuntimeError("the long statement ended before its goal")
    seconds = time.perf_counter() - started
    table = Table(title="gateway resident memory", box=None, padding=(0, 2, 0, 0))
    table.add_column("part of the stream")
    table.add_column("MB at most", justify="right")
    table.add_row("idle", f"{memory.before / 1e6:.1f}")
    parts = 10
    for part in range(parts):
        sizes = [
            size
            for when, size in memory.samples
            if part <= (when - started) / seconds * parts < part + 1
        ]
        if sizes:
            table.add_row(f"{part * 10}–{part * 10 + 10} %", f"{max(sizes) / 1e6:.1f}")
    console.print(table)
    console.print(
        f"{rows_seen * row_bytes / 1e9:.1f} GB, {rows_seen:,} rows in {seconds:.0f} s "
        f"({rows_seen * row_bytes / 1e6 / seconds:.0f} MB/s); "
        f"{(memory.peak - memory.before) / 1e6:.1f} MB over idle at most"
    )
    over = (memory.peak - memory.before) / 1e6
    note = f"{rows_seen * row_bytes / 1e9:.1f} GB in {seconds:.0f} s"
    return [Result("memory", "maskgate, over idle at most", rows_seen, over, "MB", note=note)]


def main() -> int:
    import end_to_end

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    folder = tempfile.TemporaryDirectory(prefix="mg-bench-")
    with folder as path, end_to_end.house(Path(path)) as built:
        results = long_stream(built, options.gigabytes, console)
    if options.results:
        write(results, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
