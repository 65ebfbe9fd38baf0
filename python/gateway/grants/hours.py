"""The hours of the week in which a grant is in force, in UTC: "mon-fri 08:00-18:00".

A grant without any is in force at all hours. Refuses what could be read in two ways: other zones,
days that go backwards over Sunday, an end that is not after its beginning (24:00 is midnight).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gateway.errors import InvalidRequest

MAX_WINDOWS = 14
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(_DAYS)
_WINDOW = re.compile(rf"({_DAY})(?:-({_DAY}))? ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_WEEK = 7 * 24 * 60


def checked(hours: object) -> tuple[str, ...]:
    """The windows as they are kept. Raises InvalidRequest."""
    if isinstance(hours, str) or not isinstance(hours, Sequence) or len(hours) > MAX_WINDOWS:
        raise InvalidRequest(f"hours must be a list of at most {MAX_WINDOWS} windows.")
    for window in hours:
        if not isinstance(window, str) or not _minutes(window):
            raise InvalidRequest(
                "hours must hold windows in UTC, each within one day.",
                hint='write "mon-fri 08:00-18:00" or "sat 22:00-24:00"',
            )
    return tuple(dict.fromkeys(hours))


def closes(hours: Sequence[str], now: datetime) -> datetime | None:
    """When the hours that `now` lies in end; None outside of them. For such as are `checked`.

    Windows that touch are one: nothing ends at their seam. Without any, or when they fill the week,
    that is a week from now, at which one looks again.
    """
    if not hours:
        return now + timedelta(minutes=_WEEK)
    moment = now.astimezone(UTC)
    monday = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=moment.weekday())
    open_ = sorted(span for window in hours for span in _minutes(window))
    # A week more, as a window of Sunday night may go on with one of Monday morning.
    spans = [*open_, *((start + _WEEK, end + _WEEK) for start, end in open_)]
    at = (moment - monday) / timedelta(minutes=1)
    until: int | None = None
    for start, end in spans:
        if start <= (at if until is None else until) < end:
            until = end
    if until is None:
        return None
    return monday + timedelta(minutes=min(until, int(at) + _WEEK))


def _minutes(window: str) -> list[tuple[int, int]]:
    """The window's spans, in minutes from Monday; empty if it is none."""
    found = _WINDOW.fullmatch(window)
    if found is None:
        return []
    first = _DAYS.index(found[1])
    last = first if found[2] is None else _DAYS.index(found[2])
    start = int(found[3]) * 60 + int(found[4])
    end = int(found[5]) * 60 + int(found[6])
    if not start < end <= 24 * 60:
        return []
    return [(day * 1440 + start, day * 1440 + end) for day in range(first, last + 1)]
