"""The demo's output: nothing unmet is shown as met, and data cannot write markup."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from rich.console import Console

from gateway.demo.screen import Screen, UnexpectedError


def screen() -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=100, highlight=False)), out


def test_an_expectation_that_is_not_met_ends_the_demo() -> None:
    shown, out = screen()
    with pytest.raises(UnexpectedError, match=r"the grant is revoked \(got pending\)"):
        shown.expect(False, "the grant is revoked", "pending")
    assert shown.met == []
    assert "✓" not in out.getvalue()


def test_what_was_met_is_counted_and_shown() -> None:
    shown, out = screen()
    shown.expect(True, "all rows came")
    assert shown.met == ["all rows came"]
    assert "✓ all rows came" in out.getvalue()


def test_scenes_are_numbered() -> None:
    shown, out = screen()
    shown.scene("first")
    shown.scene("second")
    assert "1. first" in out.getvalue()
    assert "2. second" in out.getvalue()


def test_data_is_shown_as_it_is() -> None:
    shown, out = screen()
    shown.rows(pa.table({"a": ["[REDACTED]", "[bold]x[/]", None], "b": [1, 2, 3]}), 3)
    shown.answers("[red]said[/]")
    assert "[REDACTED]" in out.getvalue()
    assert "[bold]x[/]" in out.getvalue()
    assert "NULL" in out.getvalue()
    assert "[red]said[/]" in out.getvalue()
