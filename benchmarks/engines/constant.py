"""What replaces a column by one value elsewhere."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class PolarsLit:
    """`with_columns(lit(…))`."""

    name = "polars, lit"
    note = ""

    def __init__(self) -> None:
        import polars

        self._polars = polars

    def prepare(self, notes: pa.Table) -> None:
        self._frame = self._polars.from_arrow(notes)

    def run(self) -> Any:
        return self._frame.with_columns(self._polars.lit("[REDACTED]").alias("note"))


class ArrowRepeat:
    """A new string array of the same value."""

    name = "pyarrow, repeat"
    note = ""

    def prepare(self, notes: pa.Table) -> None:
        self._notes = notes

    def run(self) -> Any:
        constant = pa.repeat(pa.scalar("[REDACTED]"), self._notes.num_rows)
        return self._notes.set_column(0, "note", constant)
