"""The whole suite, or some of it, in one run on one machine: one table, two plots, one record.

    make bench
    make bench BENCH="scan token"     some measures only; nothing is recorded

Each step is a program of its own: criterion benchmarks in Rust, pytest-benchmark files, and scripts
that start PostgreSQL and the gateway. A step that fails is said in the table and in the exit code;
the others go on. Ours and theirs run one after the other, never at the same time.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data
import plots
from record import Record, circumstances
from results import ABSENT, Absent, Measure, Result, ratio

TREE = Path(__file__).parents[1]
HERE = TREE / "benchmarks"

#: In the order of the table. The figures asked for stand beside what is measured.
MEASURES = [
    Measure("copy", "Memory: the notes' bytes copied", "the limit of what follows", reference=""),
    Measure(
        "scan",
        "Scan: 1,000,000 notes of 109 bytes, 30 % with an identifier, labels written, one thread; "
        "ours with every detector, and with the ten that are equal in kind to the patterns",
        "≥ 8 × the best peer and ≥ 0.2 × memcpy for ten detectors, ≥ 4 × for every detector, "
        "two threads ≥ 1.7 × one",
        reference="maskgate, every detector",
        summed=True,
        also="maskgate, ten detectors",
    ),
    Measure("redact", "Constant redaction of a text column", "O(1) a batch"),
    Measure("token", "Token: keyed BLAKE3 of 16-byte values, one thread", "≥ 10 M values/s"),
    Measure("decode", "COPY BINARY → Arrow: eleven mixed types, one thread", "≥ 1,000 MB/s"),
    Measure(
        "end-to-end",
        "End to end: 1,000,000 rows, ten columns, masked, over HTTP into pyarrow; theirs unmasked",
        "≤ 1.15 × the COPY floor's time; faster than ADBC",
        summed=True,
    ),
    Measure(
        "first-batch",
        "First batch of a million rows, time to it",
        "≤ 50 ms more than the COPY",
        reference="",
    ),
    Measure(
        "small-query",
        "One row by its key over HTTP, log durable; 32 sessions at 64 queries a second in all",
        "added p50 ≤ 3 ms, p99 ≤ 10 ms at 32 sessions",
        reference="",
    ),
    Measure("analysis", "A join of ten tables analysed", "does not grow with the catalog"),
    Measure(
        "log",
        "Log records, 32 sessions, durable",
        "≥ 10,000/s, p99 < 10 ms",
        reference="maskgate, records",
    ),
    Measure(
        "chain",
        "An evidence bundle verified, one thread",
        "≥ 200 MB/s",
        reference="maskgate, the chain",
    ),
    Measure("memory", "Resident memory while 10 GB stream", "flat, ≤ 16 MB over the idle gateway"),
    Measure("sessions", "1,000 sessions, a statement a second each", "all served, on two cores"),
]


@dataclass(frozen=True, slots=True)
class Step:
    """A program, the measures it contributes to, and how what it leaves is read."""

    name: str
    measures: tuple[str, ...]
    run: Callable[[Sequence[str]], list[Result]]
    long: bool = False


def call(*command: str | Path) -> None:
    """Run a program, its output on ours. Raises CalledProcessError."""
    print("·", " ".join(str(part).replace(str(TREE) + "/", "") for part in command), flush=True)
    subprocess.run([str(part) for part in command], cwd=TREE, check=True)


def script(name: str, *arguments: str) -> list[Result]:
    """One of the scripts beside this one, which writes its results to a file."""
    with tempfile.TemporaryDirectory(prefix="mg-results-") as folder:
        out = Path(folder) / "results.json"
        call(sys.executable, HERE / name, *arguments, "--results", out)
        return [Result(**one) for one in json.loads(out.read_text())]


def criterion(package: str, bench: str, groups: Sequence[str]) -> list[Result]:
    """The criterion benchmarks whose group is one of these: medians."""
    begun = time.time()
    pattern = "^(" + "|".join(groups) + ")/"
    call(
        "cargo", "bench", "--locked", "-q", "-p", package, "--bench", bench, "--",
        "--warm-up-time", "1", "--measurement-time", "3", "--noplot", pattern,
    )  # fmt: skip
    found = []
    for about in (TREE / "target" / "criterion").glob("**/new/benchmark.json"):
        if about.stat().st_mtime < begun:
            continue
        named = json.loads(about.read_text())
        estimates = json.loads((about.parent / "estimates.json").read_text())
        seconds = estimates["median"]["point_estimate"] / 1e9
        ((kind, amount),) = named["throughput"].items()
        found.append(
            of_amount(
                named["group_id"], named["function_id"], int(named["value_str"]), seconds,
                amount, "B" if kind == "Bytes" else "values",
            )
        )  # fmt: skip
    return found


def of_amount(
    measure: str, engine: str, size: int, seconds: float, amount: float, unit: str, note: str = ""
) -> Result:
    """A rate in the unit that suits: MB/s or millions of values a second."""
    millions = amount / 1e6 / seconds
    return Result(
        measure, engine, size, millions, "MB/s" if unit == "B" else f"M {unit}/s", seconds, note
    )


def python(measures: Sequence[str]) -> list[Result]:
    """The pytest-benchmark files of these measures: medians."""
    out = data.FOLDER / "python.json"
    out.unlink(missing_ok=True)
    files = [HERE / "suite" / f"bench_{measure}.py" for measure in measures]
    call(
        sys.executable, "-m", "pytest", "-c", HERE / "pytest.ini", "--rootdir", HERE,
        f"--benchmark-json={out}", *(file for file in files if file.exists()),
    )  # fmt: skip
    found = []
    for one in json.loads(out.read_text())["benchmarks"]:
        about: dict[str, Any] = one["extra_info"]
        found.append(
            of_amount(
                about["measure"], about["engine"], about["size"], one["stats"]["median"],
                about["amount"], about["unit"], about["note"],
            )
        )  # fmt: skip
    return found


IN_PYTHON = ("scan", "redact", "token", "chain")
KERNEL = ("copy", "scan", "redact", "token")

STEPS = [
    Step("kernel", KERNEL, lambda wanted: criterion("mask", "kernel", wanted)),
    Step("decoder", ("decode",), lambda wanted: criterion("pgcopy", "decoder", wanted)),
    Step("python", IN_PYTHON, python),
    Step(
        "end to end",
        ("end-to-end", "first-batch"),
        lambda _: script("end_to_end.py", "--growth"),
    ),
    Step("log", ("log",), lambda _: script("log_records.py")),
    Step("small query", ("small-query",), lambda _: script("printed.py", "small_query")),
    Step("analysis", ("analysis",), lambda _: script("printed.py", "analysis")),
    Step("memory", ("memory",), lambda _: script("memory.py"), long=True),
    Step("sessions", ("sessions",), lambda _: script("many_sessions.py"), long=True),
]


def measured(wanted: Sequence[str]) -> tuple[list[Result], list[Absent], list[str]]:
    """What every step gives, what is not installed, and which steps failed."""
    results: list[Result] = []
    failed = []
    ABSENT.unlink(missing_ok=True)
    for step in STEPS:
        mine = [measure for measure in step.measures if measure in wanted]
        if not mine:
            continue
        begun = time.monotonic()
        try:
            results += [result for result in step.run(mine) if result.measure in wanted]
        except (subprocess.CalledProcessError, OSError, ValueError) as failure:
            failed.append(f"{step.name}: FAILED: {failure}".replace(str(TREE) + "/", ""))
        print(f"· {step.name}: {time.monotonic() - begun:.0f} s", flush=True)
    lines = ABSENT.read_text("utf-8").splitlines() if ABSENT.exists() else []
    return results, [Absent(**json.loads(line)) for line in lines], failed


HEADINGS = ["measure", "engine", "size", "value", "unit", "seconds", "ours is times", "note"]


def table(results: Sequence[Result], absent: Sequence[Absent]) -> list[list[str]]:
    """The rows of the CSV."""
    out = [HEADINGS]
    for result in results:
        ours = next(
            (
                one for one in results
                if one.ours and (one.measure, one.size) == (result.measure, result.size)
            ),
            None,
        )  # fmt: skip
        times = ratio(ours, result)
        out.append([
            result.measure, result.engine, str(result.size), f"{result.value:.6g}", result.unit,
            f"{result.seconds:.6g}", "" if times is None else f"{times:.3g}", result.note,
        ])  # fmt: skip
    out += [[one.measure, one.engine, "", "", "", "", "", one.reason] for one in absent]
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = [measure.key for measure in MEASURES]
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(known))
    parser.add_argument("--long", action="store_true", help="the long measures instead")
    options = parser.parse_args()
    if unknown := set(options.measures) - set(known):
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    usual = [key for step in STEPS if step.long == options.long for key in step.measures]
    wanted = options.measures or list(dict.fromkeys(usual))
    data.FOLDER.mkdir(parents=True, exist_ok=True)
    data.prepare()
    kept = Record("long" if options.long else "speed")
    results, absent, failed = measured(wanted)
    lines = [
        line
        for measure in MEASURES
        if measure.key in wanted
        for line in measure.table(with_limits(results, measure.key), absent)
    ]
    shown = "\n".join([*lines, *failed])
    print(f"\n{circumstances().splitlines()[1]}\n{kept.busy}\n\n{shown}")
    if not options.measures and not failed:
        kept.write(table(results, absent), shown)
        if not options.long:
            plots.throughput(results, kept.path("-throughput.png"))
            plots.growth(results, kept.path("-growth.png"))
    elif not failed:
        plots.throughput(results, data.FOLDER / "throughput.png")
        plots.growth(results, data.FOLDER / "growth.png")
        with (data.FOLDER / "results.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table(results, absent))
        print("not recorded: only some measures ran (target/bench/ has the plots and the CSV)")
    return 1 if failed else 0


def with_limits(results: Sequence[Result], measure: str) -> list[Result]:
    """The scan has the memory's limit beside it."""
    if measure != "scan":
        return list(results)
    limits = [
        Result("scan", one.engine, one.size, one.value, one.unit, one.seconds, one.note)
        for one in results
        if one.measure == "copy"
    ]
    return [*results, *limits]


if __name__ == "__main__":
    sys.exit(main())
