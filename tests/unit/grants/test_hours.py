"""Weekly hours: what is inside, when it ends, and no end where two windows touch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.grants.hours import checked, closes

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
OFFICE = ("mon-fri 08:00-18:00",)


def at(days: int, hours: float) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours)


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (OFFICE, at(0, 8), at(0, 18)),
        (OFFICE, at(4, 17.99), at(4, 18)),
        (OFFICE, at(0, 7.99), None),
        (OFFICE, at(0, 18), None),
        (OFFICE, at(5, 12), None),
        (("mon 08:00-12:00", "mon 12:00-18:00"), at(0, 9), at(0, 18)),
        (("mon 12:00-18:00", "mon 08:00-13:00"), at(0, 9), at(0, 18)),
        (("sun 22:00-24:00", "mon 00:00-02:00"), at(6, 23), at(7, 2)),
        (("sun 22:00-24:00", "mon 00:00-02:00"), at(0, 1), at(0, 2)),
        ((), at(3, 3), at(10, 3)),
        (("mon-sun 00:00-24:00",), at(3, 3), at(10, 3)),
    ],
)
def test_when_hours_end(hours: tuple[str, ...], now: datetime, until: datetime | None) -> None:
    assert closes(checked(hours), now) == until


def test_another_zone_s_clock_is_read_in_utc() -> None:
    east = timezone(timedelta(hours=10))
    assert closes(OFFICE, at(0, 8).astimezone(east)) == at(0, 18)
    assert closes(OFFICE, at(0, 7).astimezone(east)) is None


@given(
    day=st.integers(0, 6),
    start=st.integers(0, 22),
    length=st.integers(1, 23),
    minute=st.integers(0, 7 * 1440 - 1),
)
def test_one_window_is_open_exactly_inside(day: int, start: int, length: int, minute: int) -> None:
    end = min(24, start + length)
    name = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day]
    hours = checked([f"{name} {start:02}:00-{end:02}:00"])
    now = MONDAY + timedelta(minutes=minute)
    inside = day * 1440 + start * 60 <= minute < day * 1440 + end * 60
    assert closes(hours, now) == (at(day, end) if inside else None)
