"""What masked values look like, without the values: a sample for a report that travels.

A masked row may still tell who it is: a clear city, a year, what a detector overlooked. So nothing
here is a value of the data. Words become `x`, numbers `0`, runs of words `x…`; the labels that the
kernel and the policy write stay, and so does punctuation. The shapes of a column are a set: which
of them stood in one row, in which order and how often is not told.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from gateway._kernel import LABELS

#: Rows that are looked at, and what is kept of them.
_ROWS = 256
_SHAPES = 5
_LENGTH = 96

_WORD = re.compile(r"[^\W_]+")
_WORDS = re.compile(r"x(?:[ ,;:'-]*x)+")
_KEPT = frozenset(string.punctuation + " x0…")


class Sample:
    """Shapes of the first rows, column by column. `labels`: what the policy writes itself."""

    def __init__(self, labels: Collection[str] = ()) -> None:
        known = sorted({*LABELS, *labels}, key=len, reverse=True)
        self._labels = re.compile("|".join(re.escape(label) for label in known if label))
        self._left = _ROWS
        self._shapes: dict[str, set[str]] = {}

    def look(self, batch: pa.RecordBatch) -> None:
        """Take what is still wanted of a masked batch."""
        rows = batch.slice(0, self._left)
        self._left -= rows.num_rows
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            shapes = self._shapes.setdefault(name, set())
            for value in column:
                if len(shapes) >= _SHAPES:
                    break
                shapes.add(self._of_type(column.type, value))

    def shapes(self) -> dict[str, list[str]]:
        """For each column at most five shapes, sorted."""
        return {name: sorted(shapes) for name, shapes in self._shapes.items()}

    def _of_type(self, kind: pa.DataType, value: Any) -> str:
        if not value.is_valid:
            return "NULL"
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if _is_text(kind):
            return self.shape(value.as_py())
        return str(kind) if not pa.types.is_nested(kind) else "nested"

    def shape(self, text: str) -> str:
        """One text without its words and numbers."""
        parts: list[str] = []
        end = 0
        for found in self._labels.finditer(text):
            parts += [_blurred(text[end : found.start()]), found[0]]
            end = found.end()
        parts.append(_blurred(text[end:]))
        whole = "".join(parts)
        return whole if len(whole) <= _LENGTH else whole[: _LENGTH - 1] + "…"


def _blurred(text: str) -> str:
    words = _WORD.sub(lambda found: "0" if found[0].isdecimal() else "x", text)
    # What is neither ASCII punctuation nor one of our own signs could spell something, too.
    plain = "".join(sign if sign in _KEPT else " " for sign in words)
    return re.sub(r" {2,}", " ", _WORDS.sub("x…", plain))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
