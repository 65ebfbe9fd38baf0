"""The rows of one COPY: pulled by their reader, pushed by the socket, in the protocol's messages;
and the answer to what is asked behind it, in the same flight.

The driver cuts a COPY into its rows and joins them again, which takes it longer than receiving
them, and forgets rows when a notice stands among them; here both are done by the kernel. The socket
rests while more than a little waits to be taken. Refuses a row that is longer than its limit before
it has come, and every message that has no place in a COPY.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any

from gateway._kernel import CopyMessages, CopyReader
from gateway.errors import InvalidRequest, MaskgateError, UpstreamFailed
from gateway.upstream import messages
from gateway.upstream.messages import Unexpected

_MOST_WAITING = 1 << 20
_WORTH_LENDING = 1 << 18  # bytes after which the rest is taken to be many
_TREES_KEPT = 2  # COPY's own, a utility, and the one of the rows it will send
_TORN = (Unexpected, IndexError, ValueError)  # what the fields of a message can be
_BINARY = b"\x01"


class Copying:
    """Begin it between two messages of a session that is idle; it ends with ReadyForQuery."""

    def __init__(
        self, text: str, behind: bytes = b"", *, most_of_a_row: int, most_of_a_tree: int
    ) -> None:
        """`text` is a query without parameters; `behind` what is asked when its rows have come.
        Raises InvalidRequest for a NUL in the text."""
        if "\0" in text:
            raise InvalidRequest("the statement holds a NUL character")
        # On lines of its own: a comment at the end of the text ends there.
        query = f"COPY (\n{text}\n) TO STDOUT (FORMAT binary)".encode()
        # One flight: what fails leaves all that stands behind it undone.
        self.opening = (
            messages.written(b"P", b"\0" + query + b"\0" + pack("!h", 0))
            + messages.written(b"B", b"\0\0" + pack("!hhh", 0, 0, 0))
            + messages.written(b"E", b"\0" + pack("!i", 0))
            + behind
            + messages.SYNC
        )
        self.trees: list[bytes] = []
        self.told: list[bytes] = []  # the rows of what was asked behind
        self.error: Mapping[str, str] | None = None  # the first, by the letters of its fields
        self.finished = False
        self.lost = False  # the session ended before
        self.others = bytearray()  # messages for the driver
        self._messages = CopyMessages(most_of_a_row, most_of_a_tree)
        self._transport: Any = None
        self._begun = False
        self._complete = False
        self._dropping = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._come = 0
        self._reader: CopyReader | None = None  # whose the socket is
        self._returning: asyncio.Future[None] | None = None  # done when it is the loop's again
        self._paused = False
        self._changed = asyncio.Event()

    @property
    def over(self) -> bool:
        return self.finished or self.lost

    @property
    def row_too_long(self) -> bool:
        return self._messages.row_too_long

    def begin(self, transport: Any) -> None:
        """Send the query."""
        self._transport = transport
        transport.write(self.opening)

    async def begun(self) -> None:
        """Wait until the first row can come, or none will."""
        while not (self._begun or self.over):
            await self._change()

    async def take(self) -> bytes | None:
        """The next piece, or None when everything has been taken and the COPY is over."""
        while not self._pieces:
            if self.over:
                return None
            await self._change()
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        self._flow()
        return piece

    @property
    def whole(self) -> bool:
        """Whether the server said that it sent every row."""
        return self.finished and self._complete and self.error is None

    def drop(self) -> None:
        """What has come, and what still comes, is nobody's."""
        self._dropping = True
        self._pieces.clear()
        self._waiting = 0
        self._flow()

    async def end(self, seconds: float) -> None:
        """Wait that long for the end of what was dropped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.over:
                    await self._change()

    def lend(self) -> CopyReader | None:
        """A reader of all that comes next, beside the loop, or None where that cannot or need not
        be. Nothing comes to `take` before `take_back`."""
        if self._pieces or self.over or self._come < _WORTH_LENDING:
            return None
        if self._transport.is_closing() or self._transport.get_extra_info("ssl_object"):
            return None
        self._paused = True
        self._transport.pause_reading()
        socket = self._transport.get_extra_info("socket")
        self._reader = CopyReader(os.dup(socket.fileno()), self._messages)
        return self._reader

    async def take_back(self) -> None:
        """Stop the reader, if there is one; the loop reads again. What was read and not taken is
        gone. Ends the session if it has ended, or if what came was no COPY. Who leaves meanwhile
        does not stop it, and whoever asks next waits for the same end."""
        if self._reader is not None and self._returning is None:
            self._returning = asyncio.ensure_future(self._return(self._reader))
        if self._returning is not None:
            await asyncio.shield(self._returning)

    async def _return(self, reader: CopyReader) -> None:
        whole = False
        try:
            with contextlib.suppress(MaskgateError, *_TORN):
                others, rest, lost = await asyncio.to_thread(reader.join)
                self._others(others, rest)
                whole = not lost
        finally:
            self._reader = self._returning = None
            if not whole:
                self._transport.abort()
            self._flow()
            self._changed.set()

    def receive(self, data: bytes) -> None:
        """Read what has come. Raises Unexpected."""
        try:
            rows, others, read = self._messages.receive(data)
            self._others(others, data[read:])
        except (UpstreamFailed, *_TORN):
            raise Unexpected from None
        if rows and not self._dropping:
            self._pieces.append(rows)
            self._waiting += len(rows)
            self._come += len(rows)
        self._flow()
        self._changed.set()

    def _others(self, others: Sequence[tuple[int, bytes]], rest: bytes) -> None:
        for kind, body in others:
            self._message(chr(kind), body)
        if self._messages.ended:
            self.finished = True
            self.others += rest

    def lose(self) -> None:
        """The session has ended."""
        if self._reader is not None:
            self._reader.stop()
        self.lost = not self.finished
        self._changed.set()

    def _message(self, kind: str, body: bytes) -> None:
        match kind:
            case "N":
                if len(self.trees) < _TREES_KEPT and not self._begun:
                    tree = messages.tree(body, 0, len(body))
                    if tree is not None:
                        self.trees.append(tree)
            case "H":
                if body[:1] != _BINARY:
                    raise Unexpected
                self._begun = True
            case "C":
                self._complete = self._begun
            case "E":
                self.error = self.error or messages.error(body, 0, len(body))
            case "D" if self._complete:
                self.told.append(body)
            case "c" | "Z" | "1" | "2" | "3":
                pass
            case "S" | "A":
                self.others += messages.written(kind.encode(), body)
            case _:
                raise Unexpected

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _flow(self) -> None:
        """The socket rests while enough waits or somebody else reads it, and only then."""
        # Two who read one socket would tear its messages.
        lent = self._reader is not None
        paused = lent or (self._waiting >= _MOST_WAITING and not self.over)
        if paused != self._paused:
            self._paused = paused
            if paused:
                self._transport.pause_reading()
            elif not self._transport.is_closing():
                self._transport.resume_reading()
