"""A statement of ours that is sent along with what follows it, without waiting for its answer.

The server does what it is sent in the order in which it was sent. When an errand fails inside a
transaction, so does everything behind it; whoever sends one looks at `error` before believing what
came after. Reads and writes no socket. Refuses rows, and every message that has no place here.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway._kernel import CopyMessages
from gateway.errors import UpstreamFailed
from gateway.upstream import messages
from gateway.upstream.messages import Unexpected

_MOST_SAID = 1 << 20  # bytes of one message


class Errand:
    """One simple query that gives no rows; it ends with ReadyForQuery."""

    def __init__(self, query: str) -> None:
        self.opening = messages.written(b"Q", query.encode() + b"\0")
        self.error: Mapping[str, str] | None = None  # the first, by the letters of its fields
        self.finished = False
        self.others = bytearray()  # messages for the driver
        self._messages = CopyMessages(0, _MOST_SAID)  # of a COPY that has not begun

    def receive(self, data: bytes) -> bytes:
        """Read what has come; gives what belongs to whatever was sent next. Raises Unexpected."""
        try:
            _, said, read = self._messages.receive(data)
            for kind, body in said:
                self._message(chr(kind), body)
        except (UpstreamFailed, IndexError, ValueError):
            raise Unexpected from None
        self.finished = self._messages.ended
        return data[read:]

    def _message(self, kind: str, body: bytes) -> None:
        match kind:
            case "C" | "N" | "Z":
                pass
            case "E":
                self.error = self.error or messages.error(body, 0, len(body))
            case "S" | "A":
                self.others += messages.written(kind.encode(), body)
            case _:
                raise Unexpected
