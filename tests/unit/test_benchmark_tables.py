"""The benchmarks' tables compare what can be compared, in the right direction."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from results import Absent, Measure, Result, growth, largest, ratio, slope

OURS = Result("scan", "maskgate, every detector", 100, 800.0, "MB/s", 2.0)
PEER = Result("scan", "a peer", 100, 200.0, "MB/s", 8.0)
LIMIT = Result("scan", "memcpy, warm", 100, 8000.0, "MB/s", 0.2)


def test_a_rate_is_better_when_higher_and_a_time_when_lower() -> None:
    assert ratio(OURS, PEER) == 4.0
    slow = Result("end-to-end", "a peer", 1, 6.0, "s")
    assert ratio(Result("end-to-end", "maskgate", 1, 2.0, "s"), slow) == 3.0


def test_different_units_are_not_compared() -> None:
    assert ratio(OURS, Result("scan", "a peer", 100, 1.0, "ms")) is None
    assert ratio(None, PEER) is None


@pytest.mark.parametrize(("power", "expected"), [(0, 0.0), (1, 1.0), (2, 2.0)])
def test_the_slope_is_the_power_of_the_growth(power: int, expected: float) -> None:
    points = [(size, 0.5 * size**power) for size in (10, 100, 1000)]
    assert slope(points) == pytest.approx(expected)


def test_only_ours_at_several_sizes_has_a_growth() -> None:
    more = Result("scan", "maskgate, every detector", 1000, 800.0, "MB/s", 20.0)
    (line,) = growth("scan", [OURS, more, PEER])
    assert "slope 1.00" in line
    assert growth("scan", [OURS, PEER]) == []


def test_an_engine_is_shown_once_at_its_largest_and_the_limit_last() -> None:
    small = Result("scan", "a peer", 10, 999.0, "MB/s")
    assert largest([LIMIT, small, PEER, OURS]) == [OURS, PEER, LIMIT]


def test_what_is_not_installed_stays_in_the_table() -> None:
    measure = Measure("scan", "Scan", "fast", reference="maskgate, every", summed=True)
    told = "\n".join(measure.table([PEER, OURS, LIMIT], [Absent("scan", "another", "no wheel")]))
    assert "another" in told and "no wheel" in told
    assert "4.00 × the best peer (a peer), 0.10 × memcpy, warm" in told


def test_two_of_ours_are_summed_up() -> None:
    ten = Result("scan", "maskgate, ten detectors", 100, 1600.0, "MB/s", 1.0)
    measure = Measure(
        "scan", "Scan", "fast", reference="maskgate, every", summed=True, also="maskgate, ten"
    )
    told = "\n".join(measure.table([PEER, OURS, ten, LIMIT], []))
    assert "ten detectors is 8.00 × the best peer (a peer), 0.20 × memcpy, warm" in told
    assert "every detector is 4.00 × the best peer" in told


def test_a_measure_without_figures_has_no_table() -> None:
    assert Measure("token", "Token", "fast").table([OURS], []) == []
