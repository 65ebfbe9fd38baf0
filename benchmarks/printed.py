"""Figures of the scripts that print tables for people: the small query, and the analysis.

    python benchmarks/printed.py small_query | analysis

Runs the script as it is and reads what it prints. Refuses (ValueError) to go on when that has
another form than it knows.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from results import Result, write

HERE = Path(__file__).parent
QUERIES = 640
#: Tables in the catalog: the script compares each with a catalog of ten.
CATALOGS = (100, 1_000, 10_000)


def said(*command: str) -> str:
    """What a script beside this one prints, which is printed here as well."""
    done = subprocess.run(
        [sys.executable, str(HERE / command[0]), *command[1:]],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(done.stdout, end="")
    return done.stdout


def numbers(line: str) -> list[float]:
    return [float(word.replace(",", "")) for word in re.findall(r"(?<![\w.])-?[\d,]+\.?\d*", line)]


def small_query() -> list[Result]:
    """p50 and p99 through the gateway, direct, and what is added, alone and in 32 sessions."""
    found = []
    for line in said("small_query.py", "--queries", str(QUERIES)).splitlines():
        named = re.match(r"\s*(\d+ sessions?)(?:, [\d.]+ a second)?((?:\s+-?[\d.]+){6})$", line)
        if named is None:
            continue
        values = numbers(named[2])
        names = ("p50", "p99", "direct p50", "direct p99", "added p50", "added p99")
        for name, value in zip(names, values, strict=True):
            ours = "" if name.startswith("direct") else "maskgate, "
            theirs = "direct asyncpg, " if name.startswith("direct") else ""
            engine = f"{ours}{theirs}{name.removeprefix('direct ')}, {named[1]}"
            found.append(Result("small-query", engine, QUERIES, value, "ms"))
    if len(found) != 12:
        raise ValueError("small_query.py prints another table than is read here")
    return found


def columns(heading: str) -> list[str]:
    """The names of the columns of the analysis' table, each with the group that it belongs to."""
    found, group = [], ""
    for part in re.finditer(r"(?:(\w+): )?(p\d+|median|ratio)|tables in|BEGIN to", heading):
        group = part[1] or group
        found.append(f"{group} {part[2]}" if part[2] else part[0])
    return found


def analysis() -> list[Result]:
    """The median of analysing and of preparing the join, for several catalogs."""
    found = []
    for tables in CATALOGS:
        told = said("analysis.py", "--no-small-query", "--rounds", "100", "--tables", str(tables))
        lines = told.splitlines()
        heading = next((columns(line) for line in lines if "tables in the catalog" in line), [])
        rows = [numbers(line) for line in lines if re.match(r"\s*[\d,]+ {3,}", line)]
        row = next((row for row in rows if row[0] == tables and len(row) == len(heading)), None)
        if row is None:
            raise ValueError("analysis.py prints another table than is read here")
        values = dict(zip(heading, row, strict=True))
        for engine, name in (
            ("maskgate", "analyse median"),
            ("maskgate, a statement never seen", "new median"),
            ("direct asyncpg, a prepare", "prepare median"),
        ):
            if name in values:
                ms = values[name]
                found.append(Result("analysis", engine, tables, ms, "ms", ms / 1000))
    if len(found) < 2 * len(CATALOGS):
        raise ValueError("analysis.py prints another table than is read here")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("script", choices=["small_query", "analysis"])
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    results = {"small_query": small_query, "analysis": analysis}[options.script]()
    if options.results:
        write(results, options.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
