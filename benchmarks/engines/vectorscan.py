"""Hyperscan by its Python binding: found only, nothing is rewritten.

All notes are scanned as one text with a line between them, because a call for each from Python
would be what is measured, and while it is timed nothing is told to Python, for the same reason.
"""

from __future__ import annotations

from typing import Any

import hyperscan
import pyarrow as pa

from engines.patterns import PATTERNS


class Places:
    name = "hyperscan, found and not told"

    def prepare(self, notes: pa.Table) -> None:
        texts = notes["note"].to_pylist()
        self._text = "\n".join(texts).encode()
        self._database = hyperscan.Database()
        patterns = [pattern.encode() for pattern in PATTERNS.values()]
        flags = [hyperscan.HS_FLAG_SOM_LEFTMOST] * len(patterns)
        self._database.compile(
            expressions=patterns,
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=flags,
        )

    def run(self) -> Any:
        self._database.scan(self._text, match_event_handler=None)

    def changed(self, result: Any) -> int:
        starts: set[int] = set()

        def found(_: int, start: int, __: int, ___: int, ____: Any) -> None:
            starts.add(start)

        self._database.scan(self._text, match_event_handler=found)
        lines = 0
        place = -1
        for start in sorted(starts):
            if start > place:
                lines += 1
                place = self._text.find(b"\n", start)
                place = len(self._text) if place < 0 else place
        return lines
