"""One measured figure, and the tables that many of them make."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

#: What counts as ours in a table.
OURS = "maskgate"
#: The machine's own limits: compared with, but no peers.
LIMITS = ("memcpy", "asyncpg COPY", "sha256", "direct asyncpg", "fdatasync")


@dataclass(frozen=True, slots=True)
class Result:
    """`value` is in `unit`; `size`: the rows, records or tables it was measured with."""

    measure: str
    engine: str
    size: int
    value: float
    unit: str
    #: Seconds of one run over `size`, for the growth; not a number where it says nothing.
    seconds: float = math.nan
    note: str = ""

    @property
    def more_is_better(self) -> bool:
        return "/s" in self.unit

    @property
    def ours(self) -> bool:
        return self.engine.startswith(OURS)

    @property
    def limit(self) -> bool:
        return self.engine.startswith(LIMITS)


def write(results: Sequence[Result], path: Path) -> None:
    """For `run.py`, which reads them."""
    path.write_text(json.dumps([asdict(result) for result in results]))


@dataclass(frozen=True, slots=True)
class Absent:
    """What could not be measured, and why."""

    measure: str
    engine: str
    reason: str


#: Where a step says what it could not measure.
ABSENT = Path(__file__).parents[1] / "target" / "bench" / "absent.jsonl"


def say_absent(measure: str, engine: str, reason: str) -> None:
    """For the table: this engine has no figure there."""
    ABSENT.parent.mkdir(parents=True, exist_ok=True)
    with ABSENT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(Absent(measure, engine, reason))) + "\n")


@dataclass(frozen=True, slots=True)
class Measure:
    """A heading of the table."""

    key: str
    title: str
    asked: str  # what is asked of it
    #: The engine of ours that every other is compared with, by the beginning of its name; none for
    #: figures that say nothing divided by each other.
    reference: str = OURS
    #: Whether a line takes together how ours stands beside the best peer and the limits.
    summed: bool = False
    #: Another one of ours of which the same is told.
    also: str = ""

    def table(self, results: Sequence[Result], absent: Sequence[Absent]) -> list[str]:
        """The lines of this measure at its largest size, best first within ours and theirs."""
        mine = [result for result in results if result.measure == self.key]
        missing = [one for one in absent if one.measure == self.key]
        if not mine and not missing:
            return []
        shown = largest(mine, self.reference)
        begins = self.reference or "\0"
        reference = next((one for one in shown if one.engine.startswith(begins)), None)
        out = [f"{self.title}", f"    asked: {self.asked}"]
        for result in shown:
            times = ratio(reference, result)
            compared = ""
            if times is not None and reference is not result:
                compared = f"{1 / times:>10.2f} of it" if result.ours else f"{times:>10.2f} ×"
            out.append(
                f"    {result.engine:<48}{number(result.value):>12} {result.unit:<12}"
                f"{compared:<18}{_sized(result, shown)}{result.note}".rstrip()
            )
        out += [f"    {one.engine:<48}{'–':>12} {one.reason}" for one in missing]
        other = next((one for one in shown if self.also and one.engine.startswith(self.also)), None)
        sums = [*self._summary(reference, shown), *self._summary(other, shown)]
        return [*out, *sums, *growth(self.key, mine), ""]

    def _summary(self, reference: Result | None, shown: Sequence[Result]) -> list[str]:
        """Ours beside the best peer and beside the limits, for measures that are asked that."""
        if not self.summed or reference is None:
            return []
        others = [(ratio(reference, one), one.engine) for one in shown if not one.ours]
        known = [(times, engine) for times, engine in others if times is not None]
        peers = [one for one in known if not one[1].startswith(LIMITS)]
        told = [f"{times:.2f} × {engine}" for times, engine in known if engine.startswith(LIMITS)]
        if peers:
            times, engine = min(peers)
            told.insert(0, f"{times:.2f} × the best peer ({engine})")
        return [f"    here: {reference.engine} is {', '.join(told)}"] if told else []


def ratio(ours: Result | None, other: Result) -> float | None:
    """How many times as good ours is; None where the two have no common measure."""
    if ours is None or ours.unit != other.unit or not other.value or not ours.value:
        return None
    return ours.value / other.value if ours.more_is_better else other.value / ours.value


def largest(results: Sequence[Result], reference: str = OURS) -> list[Result]:
    """Each engine once, at its largest size: the reference, ours, the others, the limits."""
    last: dict[tuple[str, str], Result] = {}
    for result in sorted(results, key=lambda result: result.size):
        last[result.engine, result.unit] = result
    order = list(dict.fromkeys((result.engine, result.unit) for result in results))
    return sorted(
        last.values(),
        key=lambda result: (
            result.limit,
            not result.ours,
            not result.engine.startswith(reference or OURS),
            order.index((result.engine, result.unit)) if result.ours else 0,
            -result.value if result.more_is_better else result.value,
        ),
    )


def _sized(result: Result, shown: Sequence[Result]) -> str:
    """The size, where it is not everybody's."""
    if result.note or result.size == max(one.size for one in shown):
        return ""
    return f"at {result.size:,} "


def growth(measure: str, results: Sequence[Result]) -> list[str]:
    """A line for each engine of ours with several sizes: seconds, the slope of their logarithms."""
    out = []
    for engine, points in sizes(results).items():
        if len(points) > 1:
            times = ", ".join(f"{size:,}: {duration(seconds)}" for size, seconds in points)
            out.append(f"    growth of {engine}: {times}; slope {slope(points):.2f}")
    return out


def sizes(results: Sequence[Result]) -> dict[str, list[tuple[int, float]]]:
    """Engine -> (size, seconds) of ours, for engines with seconds."""
    found: dict[str, dict[int, float]] = {}
    for result in results:
        if result.ours and not math.isnan(result.seconds):
            found.setdefault(result.engine, {})[result.size] = result.seconds
    return {engine: sorted(points.items()) for engine, points in found.items()}


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Of the least squares line through the logarithms: 1 is linear, 0 does not grow."""
    x = [math.log(size) for size, _ in points]
    y = [math.log(seconds) for _, seconds in points]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - middle_x) ** 2 for a in x)


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """In the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
