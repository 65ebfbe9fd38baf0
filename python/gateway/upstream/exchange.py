"""One Parse, and a question about the relations in its tree, in the protocol's own messages.

The driver asks about result types that it has not met in the middle of a Parse, and those queries
print trees like any other; here nothing is asked in between, and the order of the messages says
whose a tree is: what comes before ParseComplete was printed for the text. The question is answered
after it, in the locks that it took. Nothing else is run. Reads and writes no socket. Refuses every
message that has no place here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from struct import Struct, error, pack

from gateway import _kernel
from gateway.errors import NotUnderstood
from gateway.latest import Latest
from gateway.model import Question
from gateway.upstream import messages
from gateway.upstream.messages import Unexpected, written

_HEADER = Struct("!BI")  # the kind of a message, then its length without the kind
_LENGTH = Struct("!i")
_COUNT = Struct("!H")
_COLUMN = Struct("!6xI8x")  # of a RowDescription, after the name: the type
_FLUSH = b"H\0\0\0\4"
_ASYNCHRONOUS = b"SA"  # ParameterStatus, NotificationResponse: the driver's at any time


class Exchange:
    """Begin it between two messages of a session that is idle; it ends with ReadyForQuery."""

    def __init__(
        self,
        text: str,
        question: Question | None = None,
        *,
        prepared: bool = False,
        guess: Collection[int] = (),
    ) -> None:
        """`prepared`: the session knows the question. `guess`: what the tree probably names, so
        that the question is asked along with the Parse; a wrong guess answers nothing."""
        self._question = question
        self._prepared = prepared
        self._pieces: list[bytes] = []  # of a message that is not whole
        self._size = 0
        self._wanted = _HEADER.size  # bytes until there is something to read
        self.guess = frozenset(guess) if question is not None else frozenset[int]()
        self._asked_for = self.guess
        self._synced = False
        self.trees: list[bytes] = []
        self.named: frozenset[int] = frozenset()  # in the first tree
        self.parsed = False  # ParseComplete came
        self.known = False  # and that of the question
        self.names: tuple[str, ...] = ()
        self.type_oids: tuple[int, ...] = ()
        self.parameters: tuple[int, ...] = ()
        self.rows: list[tuple[bytes, bytes]] = []
        self.error: Mapping[str, str] | None = None  # the first, by the letters of its fields
        self.finished = False
        self.others = bytearray()  # messages for the driver
        self._tree: str | None = None
        parse = written(b"P", b"\0" + text.encode() + b"\0" + pack("!h", 0))
        self.opening = parse + written(b"D", b"S\0") + self._next()

    @property
    def asked(self) -> frozenset[int]:
        """The relations that `rows` tell of: an answer for each that the catalog knows."""
        return self._asked_for if self.known and self.error is None else frozenset()

    def tree(self) -> str:
        """The first tree, always the same object. Raises NotUnderstood if it is no text."""
        if self._tree is None:
            try:
                self._tree = self.trees[0].decode()
            except UnicodeDecodeError:  # a character was cut in two where a line was wrapped
                raise NotUnderstood(
                    "the statement holds a name that cannot be read back with certainty",
                    hint="use plain names",
                ) from None
        return self._tree

    def _next(self) -> bytes:
        """What is sent along with the Parse: the question if there is a guess for it; otherwise the
        question follows the tree."""
        if self._asked_for or self._question is None:
            return self._ask()
        return _FLUSH

    def _ask(self) -> bytes:
        self._synced = True
        question = self._question
        if question is None or not self._asked_for:
            return messages.SYNC
        self.known = self._prepared
        return messages.asked(question, self._asked_for, prepared=self._prepared) + messages.SYNC

    def receive(self, data: bytes) -> bytes:
        """Read what has come; gives what is to be sent. Raises Unexpected."""
        if self._size or len(data) < self._wanted:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return b""
            data = b"".join(self._pieces)
            self._pieces, self._size = [], 0
        reply = b""
        at, size = 0, len(data)
        self._wanted = _HEADER.size
        while not self.finished and size - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, at)
            end = at + 1 + length
            if length < _LENGTH.size:
                raise Unexpected
            if end > size:
                self._wanted = end - at
                break
            try:
                reply += self._message(kind, data, at + _HEADER.size, end)
            except (IndexError, ValueError, error):  # torn fields, or text that is none
                raise Unexpected from None
            at = end
        if self.finished:
            self.others += data[at:]
        elif at < size:
            self._pieces, self._size = [data[at:]], size - at
        return reply

    def _message(self, kind: int, data: bytes, at: int, end: int) -> bytes:
        """Read the message whose body is data[at:end]; gives what is to be sent."""
        match chr(kind):
            case "D":
                self.rows.append(_two_texts(data[at:end]))
            case "N":
                return self._notice(data, at, end)
            case "1":
                if self.parsed:
                    self.known = True
                self.parsed = True
            case "t":
                (count,) = _COUNT.unpack_from(data[at:end])
                self.parameters = Struct(f"!{count}I").unpack_from(data[at:end], _COUNT.size)
            case "T":
                described = tuple(_columns(data[at:end]))
                self.names = tuple(name for name, _ in described)
                self.type_oids = tuple(oid for _, oid in described)
                return self._sync()
            case "n":
                return self._sync()
            case "2" | "3" | "C":
                pass
            case "E":
                self.error = self.error or messages.error(data, at, end)
                return self._sync()
            case "Z":
                self.finished = True
            case "S" | "A":
                self.others += written(bytes([kind]), data[at:end])
            case _:
                raise Unexpected
        return b""

    def _sync(self) -> bytes:
        """The end of what is asked, unless it has been sent: no tree came that asks for more."""
        if self._synced:
            return b""
        self._synced = True
        return messages.SYNC

    def _notice(self, data: bytes, at: int, end: int) -> bytes:
        if self.parsed:
            return b""
        tree = messages.tree(data, at, end)
        if tree is None:
            return b""
        self.trees.append(tree)
        if len(self.trees) > 1:
            return b""
        self.named = frozenset(_kernel.relations_named(self.trees[0]))
        if self._synced:
            return b""
        if self._question is not None and len(self.named) <= self._question.most:
            self._asked_for = self.named
        return self._ask()


class Guesses:
    """Which relations the texts that were parsed last named. Says nothing that is believed.

    Texts that differ in numbers and plain strings only are taken for one; neither are kept.
    """

    _MOST = 512
    _LONGEST = 4 * 1024  # characters of a text
    _STRING = re.compile("'[^']*'")

    def __init__(self) -> None:
        self._known: Latest[bytes, frozenset[int]] = Latest(self._MOST)

    def of(self, text: str) -> frozenset[int]:
        if len(text) > self._LONGEST:
            return frozenset()
        return self._known.get(self._without_literals(text)) or frozenset()

    def learn(self, text: str, named: frozenset[int]) -> None:
        if len(text) <= self._LONGEST and named:
            self._known.put(self._without_literals(text), named)

    def _without_literals(self, text: str) -> bytes:
        return self._STRING.sub("''", text).encode().translate(None, b"0123456789")


def _columns(body: bytes) -> Iterator[tuple[str, int]]:
    """Name and type of each column of a RowDescription."""
    (count,) = _COUNT.unpack_from(body)
    at = _COUNT.size
    for _ in range(count):
        end = body.index(0, at)
        (oid,) = _COLUMN.unpack_from(body, end + 1)
        yield body[at:end].decode(), oid
        at = end + 1 + _COLUMN.size


def _two_texts(body: bytes) -> tuple[bytes, bytes]:
    """The first two columns of a DataRow, neither of them NULL."""
    first = _COUNT.size + _LENGTH.size
    (length,) = _LENGTH.unpack_from(body, _COUNT.size)
    second = first + length + _LENGTH.size
    (rest,) = _LENGTH.unpack_from(body, first + length)
    if length < 0 or rest < 0 or second + rest > len(body):
        raise ValueError
    return body[first : first + length], body[second : second + rest]
