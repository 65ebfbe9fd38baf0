"""Statements of ours that are sent along with what follows them, without waiting for an answer.

The server does what it is sent in the order in which it was sent. When an errand fails inside a
transaction, so does everything behind it; whoever sends one looks at `error` before believing what
came after. Reads and writes no socket. Refuses rows, and every message that has no place here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from blake3 import blake3

from gateway._kernel import CopyMessages
from gateway.errors import UpstreamFailed
from gateway.model import Question
from gateway.upstream import messages
from gateway.upstream.messages import Unexpected

_MOST_SAID = 1 << 20  # bytes of one message


class Errand:
    """It gives no rows, and ends with ReadyForQuery."""

    def __init__(
        self, opening: bytes, questions: Sequence[Question] = (), known: set[Question] | None = None
    ) -> None:
        """`questions` are those that the session knows when this has been done, in `known`."""
        self.opening = opening
        self._questions, self._known = questions, known
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
        if self.finished and self.error is None and self._known is not None:
            self._known.update(self._questions)
        return data[read:]

    def _message(self, kind: str, body: bytes) -> None:
        match kind:
            case "C" | "N" | "Z" | "1" | "2" | "3":
                pass
            case "E":
                self.error = self.error or messages.error(body, 0, len(body))
            case "S" | "A":
                self.others += messages.written(kind.encode(), body)
            case _:
                raise Unexpected


def simple(query: str) -> Errand:
    """One simple query, which may be several statements."""
    return Errand(messages.written(b"Q", query.encode() + b"\0"))


def often(statements: Sequence[str], known: set[Question]) -> Errand:
    """Statements that the session prepares once: it reads and prints them once. `known`: what it
    has prepared."""
    questions = [_question(statement) for statement in statements]
    asked = b"".join(messages.asked(one, prepared=one in known) for one in questions)
    return Errand(asked + messages.SYNC, questions, known)


@lru_cache(maxsize=256)
def _question(statement: str) -> Question:
    return Question(f"maskgate_{blake3(statement.encode()).hexdigest(8)}", statement, 0)
