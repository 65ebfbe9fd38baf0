"""HTTP/1.1 within bounds: a request's head has a size and a time, and none overtakes another.

Refuses bytes that are no request, heads over 64 KiB, heads that do not come within seconds, and a
request that is sent before the last one was answered: a pipelined request would hide that its
client has gone away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.doors.http.problem import problem
from gateway.errors import InvalidRequest

#: The extension of a request's scope that holds its `Parts`, as "send".
PARTS = "maskgate.parts"
HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 15.0
BODY_SECONDS = 90.0
_SMALL = 16 * 1024  # bytes


class Joined:
    """A transport whose small writes of one turn of the event loop leave in one piece.

    The head of an answer, its only part and its end are written one after the other; each piece
    would wake the client, and take as long to send as all of them.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self.writelines((data,))

    def writelines(self, pieces: Sequence[bytes]) -> None:
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        if self._size > _SMALL:
            self.flush()

    def flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.writelines(pieces)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Parts:
    """Sends parts of a body as uvicorn does, without first copying each into one piece with its
    frame: a part can have megabytes. For a response that has begun and has no length."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._gone: Callable[[], None] | None = None

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Call once when the client has gone before the end of the answer; at once if it has."""
        self._gone = call
        if self._cycle.disconnected:
            self.lost()
        elif call is not None:
            # A socket that rests, because a body is larger than it may be, tells of no end.
            self._cycle.flow.resume_reading()

    def lost(self) -> None:
        """The connection has ended, or what runs is not waited for any more."""
        gone, self._gone = self._gone, None
        if gone is not None and not self._cycle.response_complete:
            gone()

    async def __call__(self, part: bytes) -> None:
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected or not part:
            return
        if not cycle.chunked_encoding or cycle.response_complete:
            raise RuntimeError("parts belong to a response of unknown length that has begun")
        cycle.transport.writelines((b"%x\r\n" % len(part), part, b"\r\n"))


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol; one object a connection."""

    # asyncio's own takes any transport; a server's is always this one, as uvicorn has it, too.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # As far as uvicorn uses one, this is a transport.
        super().connection_made(cast(asyncio.Transport, Joined(transport)))
        self._parts: Parts | None = None  # of the newest request
        self._head = 0  # bytes of an unfinished head
        self._in_head = True
        self._turned = False  # a head or a body has ended in what came last
        self._late = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.transport.close)

    def _within(self, seconds: float) -> None:
        """Close the connection unless what is being waited for comes in time."""
        self._late.cancel()
        self._late = asyncio.get_running_loop().call_later(seconds, self.transport.close)

    def data_received(self, data: bytes) -> None:
        self._turned = False
        super().data_received(data)
        if self._in_head and not self._turned:
            self._head += len(data)
            if self._head > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("the head of the request is too large")

    def send_400_response(self, msg: str) -> None:
        """The answer to bytes that are no request, as a problem document; the connection ends."""
        begun = self.cycle is not None and self.cycle.response_started
        if self._give_up() and begun:  # bytes in the middle of an answer would look like its own
            self.transport.close()
            return
        refusal = problem(InvalidRequest(msg), status=400)
        head = [b"HTTP/1.1 400 Bad Request\r\n", b"connection: close\r\n"]
        head += [b"%b: %b\r\n" % field for field in refusal.raw_headers]
        self.transport.write(b"".join([*head, b"\r\n", refusal.body]))
        self.transport.close()

    def _give_up(self) -> bool:
        """Whether a request was being answered; what runs for it is told that its client has gone.

        uvicorn tells the newest request only, and the next one's head makes it another.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        if self._parts is not None:
            self._parts.lost()
        return True

    def on_message_begin(self) -> None:
        if self._give_up():
            self.transport.close()
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head, self._turned = False, 0, True
        self._within(BODY_SECONDS)
        super().on_headers_complete()
        if self.cycle is not None:  # its task has not begun to run
            self._parts = Parts(self.cycle)
            self.cycle.scope["extensions"] = {PARTS: {"send": self._parts}}

    def on_message_complete(self) -> None:
        self._late.cancel()
        self._in_head, self._head, self._turned = True, 0, True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)
        if self._parts is not None:
            self._parts.lost()

    def on_response_complete(self) -> Any:
        self._within(HEAD_SECONDS)
        return super().on_response_complete()
