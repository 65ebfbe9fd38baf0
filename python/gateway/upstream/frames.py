"""Notices are taken out of a COPY's bytes once rows flow: none of the rows is lost on the way.

asyncpg 0.32 forgets the rows it holds when a notice stands between them in what it has read. The
server speaks between rows when a function in SQL prints its tree, or a text search warns of a word.
The messages before the first row, which carry the tree that is compared, pass as they are.
"""

from __future__ import annotations

from struct import Struct

_ROW, _NOTICE, _READY = ord("d"), ord("N"), ord("Z")
_HEADER = Struct("!BI")  # the kind of a message, then its length without the kind


class Frames:
    """The messages of one COPY, cut anywhere. Begin it between two messages."""

    def __init__(self) -> None:
        self._header = b""  # of a message whose length is not known yet
        self._left = 0  # bytes of a message that are still to come
        self._dropping = False
        self._rows = False
        self.finished = False  # the server is ready for the next query: nothing follows unasked

    def without_notices(self, data: bytes) -> bytes:
        """`data` for the driver; at most the four first bytes of a message wait for the next."""
        data = self._header + data
        self._header = b""
        kept: list[bytes] = []
        at, size = 0, len(data)
        start = 0  # of what is kept and not in `kept` yet
        if self._left:
            at = min(self._left, size)
            self._left -= at
            start = at if self._dropping else 0
        whole = size - _HEADER.size
        while at <= whole:
            kind, length = _HEADER.unpack_from(data, at)
            end = at + 1 + length
            if kind == _ROW:
                self._rows = True
            elif kind == _READY:
                self.finished = True  # what follows is the driver's own to cut
                return b"".join((*kept, data[start:]))
            self._dropping = kind == _NOTICE and self._rows
            if self._dropping:
                kept.append(data[start:at])
                start = min(end, size)
            at = end
        if at > size:
            self._left, at = at - size, size
        self._header = data[at:]
        kept.append(data[start:at])
        return b"".join(kept) if len(kept) > 1 else kept[0]
