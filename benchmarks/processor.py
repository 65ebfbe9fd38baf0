"""Processor time by kind of process: the gateway, the servers' backends, this client.

A figure of wall clock belongs to everything that runs on a machine; processor time belongs to the
process. Refuses nothing; a process that ended takes its time with it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

_PROC = Path("/proc")


def seconds(pid: int) -> float:
    """Processor time of a process so far, of all its threads."""
    total = 0
    for task in (_PROC / str(pid) / "task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def descendants(pid: int) -> list[int]:
    """The processes below one, as of now."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


class Spent:
    """Processor seconds since it was made, of this process, the gateway, and the PostgreSQL server
    that the postmaster's pid names (control store and data, where both are there)."""

    def __init__(self, gateway: int, postmaster: int) -> None:
        self._gateway, self._postmaster = gateway, postmaster
        self._before = self._now()

    def _now(self) -> dict[tuple[str, int], float]:
        now = {("client", os.getpid()): seconds(os.getpid())}
        now["gateway", self._gateway] = seconds(self._gateway)
        for pid in (self._postmaster, *descendants(self._postmaster)):
            try:
                now["PostgreSQL", pid] = seconds(pid)
            except OSError:
                continue
        return now

    def so_far(self) -> dict[str, float]:
        """By kind."""
        found: Counter[str] = Counter()
        for (kind, pid), spent in self._now().items():
            found[kind] += spent - self._before.get((kind, pid), 0.0)
        return dict(found)

    def each(self, times: int) -> str:
        """Milliseconds for one of so many, in words."""
        return ", ".join(f"{kind} {s / times * 1000:.2f} ms" for kind, s in self.so_far().items())
