"""What a request may say; each wrong value is named in the refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from control import START
from gateway.errors import InvalidRequest
from gateway.grants.requests import checked, checked_reason, is_id

GOOD: dict[str, Any] = {
    "connection": "clinic",
    "tables": ["public.patient"],
    "purpose": "fix the report",
    "duration_s": 60,
    "max_rows": None,
    "max_duration_s": 3600,
    "now": START,
}


def test_a_good_request_is_tidied() -> None:
    wanted = checked(**{**GOOD, "tables": ["a.b", "a.c", "a.b"], "purpose": "  two\nlines "})
    assert wanted.tables == ("a.b", "a.c")
    assert wanted.purpose == "two\nlines"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connection", ""),
        ("connection", None),
        ("connection", "clinic\x00"),
        ("tables", []),
        ("tables", "public.patient"),
        ("tables", None),
        ("tables", [""]),
        ("tables", [1]),
        ("tables", [["a"]]),
        ("tables", ["a\x00b"]),
        ("tables", ["a\ud800"]),
        ("tables", ["*", "a.b"]),
        ("tables", ["x" * 201]),
        ("tables", ["a"] * 1001),
        ("purpose", ""),
        ("purpose", " \n "),
        ("purpose", None),
        ("purpose", "x" * 1001),
        ("purpose", "see\x1b[31m"),
        ("purpose", "right\u202eleft"),
        ("duration_s", 0),
        ("duration_s", -1),
        ("duration_s", 3601),
        ("duration_s", True),
        ("duration_s", 60.0),
        ("duration_s", "60"),
        ("max_rows", 0),
        ("max_rows", -5),
        ("max_rows", 2**53),
        ("max_rows", False),
        ("max_rows", 1.5),
    ],
)
def test_wrong_values_are_named(key: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=key):
        checked(**{**GOOD, key: value})


def test_the_edges_are_inside() -> None:
    wanted = checked(**{**GOOD, "purpose": "x" * 1000, "duration_s": 3600, "max_rows": 2**53 - 1})
    assert (len(wanted.purpose), wanted.duration_s) == (1000, 3600)
    assert checked(**{**GOOD, "tables": ["*"], "duration_s": 1}).tables == ("*",)


def test_a_reason_says_something() -> None:
    assert checked_reason(" ticket 4711 ") == "ticket 4711"
    for wrong in ("", " ", None, 4711, "x" * 1001, "a\x00"):
        with pytest.raises(InvalidRequest, match="reason"):
            checked_reason(wrong)


@pytest.mark.parametrize("value", ["", None, 7, "g 1", "g\x00", "g-1\n", "é", "x" * 65])
def test_what_cannot_be_an_id(value: Any) -> None:
    assert not is_id(value)
    assert is_id("g-0123456789abcdef")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ticket", ""),
        ("ticket", 4711),
        ("ticket", "T-1\n"),
        ("ticket", "x" * 201),
        ("not_before", "tomorrow"),
        ("not_before", "2026-11-30T08:00:00"),
        ("not_before", 1795000000),
        ("not_before", START + timedelta(days=367)),
        ("hours", "mon 08:00-18:00"),
        ("hours", ["mon 8:00-18:00"]),
        ("hours", ["mon 18:00-08:00"]),
        ("hours", ["sun-mon 08:00-18:00"]),
        ("hours", ["mon 08:00-24:01"]),
        ("hours", ["mon 08:00-18:00 CET"]),
        ("hours", [7]),
        ("hours", ["mon 08:00-18:00"] * 15),
    ],
)
def test_what_a_request_may_not_say_of_when_and_why(key: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=key):
        checked(**{**GOOD, key: value})


def test_a_beginning_is_kept_in_utc() -> None:
    wanted = checked(**{**GOOD, "not_before": "2026-11-30T08:00:00+01:00", "ticket": " T-1 "})
    assert wanted.begins_at is not None
    assert wanted.begins_at.isoformat() == "2026-11-30T07:00:00+00:00"
    assert wanted.ticket == "T-1"
