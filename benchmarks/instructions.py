"""Counts the instructions of fixed work and compares them with the recorded ones: no timing.

    make bench-check                what has become more than the tolerance allows: exit code 1
    make bench-check UPDATE=1       record what is counted now

Callgrind runs a small program for each; what is counted is one call of the kernel or the decoder on
rows that are always the same. Another compiler or processor counts differently: both are recorded,
and a difference is said. Refuses to pass when valgrind is missing (exit code 2).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

TREE = Path(__file__).parents[1]
BASELINE = TREE / "benchmarks" / "instructions.toml"
#: Name -> (package, argument of its example `instructions`).
WORK = {
    "scan": ("mask", "scan"),
    "scan-clean": ("mask", "scan-clean"),
    "scan-phi": ("mask", "scan-phi"),
    "token": ("mask", "token"),
    "redact": ("mask", "redact"),
    "decode": ("pgcopy", ""),
}
TOLERANCE = 0.03


def build() -> None:
    for package in dict.fromkeys(package for package, _ in WORK.values()):
        command = ["cargo", "build", "--locked", "--release", "-q", "-p", package]
        subprocess.run([*command, "--example", "instructions"], cwd=TREE, check=True)
        made = TREE / "target" / "release" / "examples" / "instructions"
        shutil.copy2(made, made.with_name(f"instructions-{package}"))


def counted(package: str, argument: str) -> int:
    """Instructions of the function `counted` and what it calls."""
    program = TREE / "target" / "release" / "examples" / f"instructions-{package}"
    with tempfile.TemporaryDirectory(prefix="mg-count-") as folder:
        out = Path(folder) / "callgrind.out"
        command = [
            "valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out}",
            "--toggle-collect=instructions::counted", str(program), *filter(None, [argument]),
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        total = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    if total is None or int(total[1]) == 0:
        raise ValueError(f"{package} {argument}: callgrind counted nothing")
    return int(total[1])


def circumstances() -> dict[str, str]:
    """What a count depends on besides the source."""
    said = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True)
    cpuinfo = Path("/proc/cpuinfo")
    wide = " avx2 " in cpuinfo.read_text() if cpuinfo.exists() else False
    machine = subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True)
    return {
        "compiler": " ".join(said.stdout.split()[:2]),
        "processor": machine.stdout.strip() + (" with AVX2" if wide else ""),
    }


def record(counts: dict[str, int], now: dict[str, str], tolerance: float) -> None:
    lines = [
        "# Instructions of fixed work, as callgrind counts them: `make bench-check` compares,",
        "# `make bench-check UPDATE=1` writes. A count may grow by the tolerance, a share.",
        f"tolerance = {tolerance}",
        *(f'{key} = "{value}"' for key, value in now.items()),
        "",
        "[instructions]",
        *(f"{name} = {count:_}" for name, count in counts.items()),
    ]
    BASELINE.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record what is counted now")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("bench-check needs valgrind, which is not installed: apt-get install valgrind")
        return 2
    known = tomllib.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    build()
    counts = {name: counted(*work) for name, work in WORK.items()}
    now = circumstances()
    tolerance = float(known.get("tolerance", TOLERANCE))
    before = known.get("instructions", {})
    grown = []
    print(f"{'':<12}{'recorded':>14}{'now':>14}{'change':>9}")
    for name, count in counts.items():
        recorded = before.get(name)
        change = count / recorded - 1 if recorded else 0.0
        was = f"{recorded:,}" if recorded else "–"
        print(f"{name:<12}{was:>14}{count:>14,}{change:>9.1%}")
        if recorded is None or change > tolerance:
            grown.append(name)
    if options.update:
        record(counts, now, tolerance)
        print("recorded: benchmarks/instructions.toml")
        return 0
    for key, value in now.items():
        if known.get(key) != value:
            print(f"{key}: recorded with {known.get(key)}, now {value}: counts may differ for it")
    if grown:
        print(f"more than {tolerance:.0%} above the record, or not in it: {', '.join(grown)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
