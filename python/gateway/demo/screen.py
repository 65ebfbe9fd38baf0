"""What the reader of the demo sees: numbered scenes, who asks what, what the boundary answered.

Refuses to show an expectation as met that was not: `expect` raises, and the demo ends there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.syntax import Syntax
from rich.table import Table

_WIDEST_CELL = 22
#: Where nobody's terminal says how wide it is.
_FILE_WIDTH = 100


class UnexpectedError(Exception):
    """Something did not happen as told."""


class Screen:
    """One run's output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if console is None and not self.console.is_terminal:
            self.console = Console(highlight=False, width=_FILE_WIDTH)
        self._scene = 0
        self.met: list[str] = []

    def title(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left")

    def scene(self, title: str) -> None:
        self._scene += 1
        self.title(f"{self._scene}. {title}")

    def tell(self, text: str) -> None:
        self.console.print(Padding(escape(text), (0, 0, 0, 2)))

    def asks(self, who: str, what: str) -> None:
        self._line("cyan", "→", f"[bold]{escape(who)}[/] {escape(what)}")

    def answers(self, what: str) -> None:
        self._line("green", "←", escape(what))

    def refuses(self, what: str, hint: str = "") -> None:
        self._line("red", "←", escape(what))
        if hint:
            self._line("dim", " ", f"[dim]hint: {escape(hint)}[/]")

    def expect(self, met: bool, told: str, got: str = "") -> None:
        """Check one thing the demo told. Raises UnexpectedError."""
        if not met:
            raise UnexpectedError(f"{told}" + (f" (got {got})" if got else ""))
        self.met.append(told)
        self._line("green", "✓", escape(told))

    def sql(self, statement: str) -> None:
        code = Syntax(statement, "sql", theme="ansi_dark", background_color="default")
        self.console.print(Padding(code, (0, 0, 0, 6)))

    def text(self, text: str) -> None:
        self.console.print(Padding(escape(text), (0, 0, 0, 6)), style="dim")

    def rows(self, table: pa.Table, limit: int, columns: Sequence[str] | None = None) -> None:
        """The first rows of an answer, or some columns of them."""
        shown = table.slice(0, limit).select(columns or table.column_names)
        self.grid(shown.column_names, [list(row.values()) for row in shown.to_pylist()])
        if table.num_rows > limit:
            self.text(f"… {table.num_rows - limit:,} more")

    def grid(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A small table, each cell on one line."""
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in names:
            grid.add_column(name, no_wrap=True, overflow="ellipsis")
        for row in rows:
            grid.add_row(*(escape(_short(value)) for value in row))
        self.console.print(Padding(grid, (0, 0, 0, 6)))

    def side_by_side(self, left: str, right: str, rows: Sequence[tuple[str, Any, Any]]) -> None:
        """One row seen from two sides, column under column, nothing cut off."""
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("", left, right):
            grid.add_column(name, overflow="fold")
        for name, ours, theirs in rows:
            grid.add_row(name, escape(_text(ours)), escape(_text(theirs)))
        self.console.print(Padding(grid, (0, 0, 0, 6)))

    @contextmanager
    def working(self, what: str) -> Iterator[Progress]:
        """A spinner; call `say(progress, text)` to change its words."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with self._progress(*columns) as progress:
            progress.add_task(escape(what))
            yield progress

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Progress]:
        """A bar over a known number of rows."""
        columns = (
            TextColumn("      {task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,} rows"),
            TimeElapsedColumn(),
        )
        with self._progress(*columns) as progress:
            progress.add_task(escape(what), total=total)
            yield progress

    def _progress(self, *columns: ProgressColumn) -> Progress:
        quiet = not self.console.is_terminal
        return Progress(*columns, console=self.console, transient=True, disable=quiet)

    def _line(self, colour: str, mark: str, text: str) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=4, justify="right")
        grid.add_column(overflow="fold")
        grid.add_row(f"[{colour}]{mark}[/]", text)
        self.console.print(grid)


def say(progress: Progress, text: str) -> None:
    """New words for the one task of a progress display."""
    progress.update(progress.task_ids[0], description=escape(text))


def reached(progress: Progress, done: int) -> None:
    """The count of the one task of a progress display."""
    progress.update(progress.task_ids[0], completed=done)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return "NULL" if value is None else str(value)


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _WIDEST_CELL else f"{text[: _WIDEST_CELL - 1]}…"
