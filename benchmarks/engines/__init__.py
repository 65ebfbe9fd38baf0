"""The engines beside ours, one a file.

Each file that rewrites notes has classes with the interface of `Rewriter`. A file whose package is
not installed raises ImportError, which the tables print as "not installed".
"""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa


class Rewriter(Protocol):
    """Puts labels in the place of what the ten patterns find in a column of notes."""

    name: str

    def prepare(self, notes: pa.Table) -> None:
        """Take the notes in the engine's own form; not timed."""

    def run(self) -> Any:
        """Rewrite all of them on one thread; timed."""

    def changed(self, result: Any) -> int:
        """How many notes the result of `run` changed; not timed."""


def altered(before: pa.ChunkedArray, after: pa.ChunkedArray) -> int:
    """How many values differ."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.not_equal(before, after.cast(before.type))).as_py())
