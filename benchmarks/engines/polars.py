"""polars: `str.replace_all` with one alternation, and one after the other.

The number of its threads is read when it is first imported: POLARS_MAX_THREADS=1.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from engines import altered
from engines.patterns import ALTERNATION, PATTERNS, ascii_only


class _Polars:
    def prepare(self, notes: pa.Table) -> None:
        self._before = notes["note"]
        self._frame = pl.from_arrow(notes).rechunk()

    def changed(self, result: Any) -> int:
        return altered(self._before, pa.chunked_array([result["note"].to_arrow()]))


class Alternation(_Polars):
    """One pass; one label for everything."""

    name = "polars, one alternation"

    def run(self) -> Any:
        return self._frame.select(
            pl.col("note").str.replace_all(ascii_only(ALTERNATION), "[REDACTED]")
        )


class TenPasses(_Polars):
    """Ten passes; ten labels."""

    name = "polars, ten replace_all"

    def run(self) -> Any:
        note = pl.col("note")
        for label, pattern in PATTERNS.items():
            note = note.str.replace_all(ascii_only(pattern), label)
        return self._frame.select(note)
