"""pyarrow's compute functions (RE2): one alternation, and ten passes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engines import altered
from engines.patterns import ALTERNATION, PATTERNS


class _Arrow:
    def prepare(self, notes: pa.Table) -> None:
        pa.set_cpu_count(1)
        self._notes = notes["note"]

    def changed(self, result: Any) -> int:
        return altered(self._notes, result)


class Alternation(_Arrow):
    """One pass; one label for everything."""

    name = "pyarrow, one alternation"

    def run(self) -> Any:
        return pc.replace_substring_regex(
            self._notes, pattern=ALTERNATION, replacement="[REDACTED]"
        )


class TenPasses(_Arrow):
    """Ten passes; ten labels."""

    name = "pyarrow, ten passes"

    def run(self) -> Any:
        notes = self._notes
        for label, pattern in PATTERNS.items():
            notes = pc.replace_substring_regex(notes, pattern=pattern, replacement=label)
        return notes
