"""`make fuzz`: hundreds of thousands of statements on both sides, from seeds nobody has tried.

    PYTHONPATH=tests python -m noninterference

NONINTERFERENCE_CASES says how many (200,000), NONINTERFERENCE_SEED where to begin (the clock). It
uses two processes, tells how far it is, ends by itself, and with status 1 when it found something.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import sys
import time

import servers
from noninterference import campaign

#: Statements of one pair, mode and version in a row.
_BLOCK = 2000
_WORKERS = 2


def _work(worker: int, first: int, cases: int) -> None:
    """This worker's share of the seeds, on a server of its own version."""
    sys.exit(asyncio.run(_share(worker, first, cases)))


async def _share(worker: int, first: int, cases: int) -> int:
    major = servers.majors()[-1 - worker % 2]
    began = time.monotonic()
    with servers.running(major, campaign.SETTINGS) as server:
        await campaign.build(server)
        kinds = itertools.cycle(itertools.product(("still", "still", "stirred"), campaign.modes()))
        for start in range(first, first + cases, _BLOCK):
            seeds = range(start, min(start + _BLOCK, first + cases))
            kind, expressions = next(kinds)
            async with campaign.opened(server, kind, expressions) as pair:
                report = await pair.run(seeds, major)
            done = seeds.stop - first
            took = time.monotonic() - began
            print(
                f"pg{major} {kind} {expressions}, seeds {seeds.start} to {seeds.stop - 1}: {report}"
                f" | {done} of {cases} in {took:.0f} s",
                flush=True,
            )
            for found in report.found:
                print(found, flush=True)
            if report.found:
                return 1
    return 0


def main() -> int:
    cases = int(os.environ.get("NONINTERFERENCE_CASES", "200000"))
    first = int(os.environ.get("NONINTERFERENCE_SEED", str(int(time.time()) * 1_000_000)))
    print(f"{cases} statements from seed {first}", flush=True)
    share = -(-cases // _WORKERS)
    workers = [
        multiprocessing.Process(target=_work, args=(n, first + n * share, share))
        for n in range(_WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(abs(worker.exitcode or 0) for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
