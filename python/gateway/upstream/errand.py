"""A statement of ours that is sent along with what follows it, without waiting for its answer.

The server does what it is sent in the order in which it was sent. When an errand fails inside a
transaction, so does everything behind it; whoever sends one looks at `error` before believing what
came after. Reads and writes no socket. Refuses rows, and every message that has no place here.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.upstream import messages
from gateway.upstream.messages import Unexpected

_HEAD = 5  # the kind of a message, then its length without the kind


class Errand:
    """One simple query that gives no rows; it ends with ReadyForQuery."""

    def __init__(self, query: str) -> None:
        self.opening = messages.written(b"Q", query.encode() + b"\0")
        self.error: Mapping[str, str] | None = None  # the first, by the letters of its fields
        self.finished = False
        self.others = bytearray()  # messages for the driver
        self._piece = b""  # of a message that is not whole

    def receive(self, data: bytes) -> bytes:
        """Read what has come; gives what belongs to whatever was sent next. Raises Unexpected."""
        data = self._piece + data
        at, size = 0, len(data)
        while not self.finished and size - at >= _HEAD:
            end = at + 1 + int.from_bytes(data[at + 1 : at + _HEAD])
            if end < at + _HEAD:
                raise Unexpected
            if end > size:
                break
            self._message(data[at], data, at, end)
            at = end
        if self.finished:
            self._piece = b""
            return data[at:]
        self._piece = data[at:]
        return b""

    def _message(self, kind: int, data: bytes, at: int, end: int) -> None:
        match chr(kind):
            case "C" | "N":
                pass
            case "E":
                try:
                    self.error = self.error or messages.error(data, at + _HEAD, end)
                except (IndexError, ValueError):
                    raise Unexpected from None
            case "S" | "A":
                self.others += data[at:end]
            case "Z":
                self.finished = True
            case _:
                raise Unexpected
