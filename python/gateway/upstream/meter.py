"""Between the socket and the driver: what comes is counted, and at times is not the driver's.

While an `Exchange` runs, messages are its own; while a COPY runs, notices between rows are taken
out. Refuses more bytes than a row, or a tree, may have: the connection is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from gateway.errors import NotUnderstood
from gateway.upstream.errand import Errand
from gateway.upstream.exchange import Exchange
from gateway.upstream.frames import Frames
from gateway.upstream.messages import Unexpected


class Meter(asyncio.Protocol):
    """Counts what has come since the driver last gave rows on, or since an exchange began.

    The driver holds a row until all of it is there, and a row can have a gigabyte. Past `limit`
    bytes the connection is cut.
    """

    def __init__(self, driver: Any, transport: Any) -> None:
        self._driver = driver
        self._transport = transport
        self.limit: int | None = None
        self.held = 0
        self.exceeded = False
        self.frames: Frames | None = None  # while a COPY runs during which the server may speak
        self._kept: list[bytes] | None = None
        self._errands: deque[Errand] = deque()
        self._unsent = b""
        self._run: asyncio.Future[None] | None = None  # done when there is no errand left
        self._exchange: Exchange | None = None
        self._over: asyncio.Future[None] | None = None  # done when the exchange has ended
        self._meanwhile: Callable[[str], None] | None = None

    def send(self, query: str) -> Errand:
        """A statement of ours that goes along with whatever is sent next, or is sent by `flush`;
        its answer is read first. Raises ConnectionError if there is no session any more."""
        if self._exchange is not None or self._transport.is_closing():
            raise ConnectionError
        errand = Errand(query)
        if not self._errands:
            self._run = asyncio.get_running_loop().create_future()
        self._errands.append(errand)
        self._unsent += errand.opening
        return errand

    def flush(self) -> None:
        """Send what waits for something to go along with. Before the driver is used."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            self._transport.write(unsent)

    async def answered(self, seconds: float) -> bool:
        """Whether everything that was sent by `send` has its answer within `seconds`."""
        self.flush()
        if self._run is not None and not self._run.done():
            await asyncio.wait({self._run}, timeout=seconds)
        return self._run is None or (self._run.done() and not self._errands)

    async def converse(
        self, exchange: Exchange, meanwhile: Callable[[str], None] | None = None
    ) -> None:
        """Run `exchange`; it is left to its end if the caller leaves. The driver must be idle.

        `meanwhile` is given the tree once what follows from it has been sent. Raises
        ConnectionError when the session ends before.
        """
        if self._exchange is not None or self._transport.is_closing():
            raise ConnectionError
        over = asyncio.get_running_loop().create_future()
        self._exchange, self._over, self._meanwhile = exchange, over, meanwhile
        unsent, self._unsent = self._unsent, b""
        self._transport.write(unsent + exchange.opening)
        await asyncio.shield(over)
        if not exchange.finished:
            raise ConnectionError

    async def settled(self, seconds: float) -> bool:
        """Whether an exchange that was left has ended within `seconds`."""
        if self._over is None:
            return True
        await asyncio.wait({self._over}, timeout=seconds)
        return self._over.done()

    def _end_exchange(self) -> None:
        self._exchange = self._meanwhile = None
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """What comes meanwhile is given to the driver afterwards."""
        self._kept = []
        try:
            yield
        finally:
            kept, self._kept = self._kept, None
            for data in kept or ():
                self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._kept is not None:
            self._kept.append(data)
            return
        if self._errands:
            data = self._errand_answers(data)
            if not data:
                return
        if self.frames is not None:
            data = self.frames.without_notices(data)
            if self.frames.finished:
                self.frames = None
            if not data:
                return
        self.held += len(data)
        if self.limit is not None and self.held > self.limit:
            self.exceeded = True
            self._transport.abort()
        elif self._exchange is not None:
            self._converse(self._exchange, data)
        else:
            self._driver.data_received(data)

    def _errand_answers(self, data: bytes) -> bytes:
        """Read what has come; gives what is not an errand's."""
        while self._errands and data:
            errand = self._errands[0]
            try:
                data = errand.receive(data)
            except Unexpected:
                self._transport.abort()
                return b""
            if errand.finished:
                self._errands.popleft()
            if errand.others:
                others, errand.others = bytes(errand.others), bytearray()
                self._driver.data_received(others)
        if not self._errands:
            self._end_errands()
        return data

    def _end_errands(self) -> None:
        if self._run is not None and not self._run.done():
            self._run.set_result(None)

    def _converse(self, exchange: Exchange, data: bytes) -> None:
        try:
            reply = exchange.receive(data)
        except Unexpected:
            self._transport.abort()
            return
        if reply:
            self._transport.write(reply)
        if exchange.finished:
            self._end_exchange()
        elif exchange.trees and self._meanwhile is not None:
            # The loop may send what was written at the end of its turn.
            asyncio.get_running_loop().call_soon(_early, exchange, self._meanwhile)
            self._meanwhile = None
        if exchange.others:
            others, exchange.others = bytes(exchange.others), bytearray()
            self._driver.data_received(others)

    def eof_received(self) -> Any:
        return self._driver.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._kept = None
        self._end_exchange()
        self._end_errands()
        self._driver.connection_lost(error)

    def pause_writing(self) -> None:
        self._driver.pause_writing()

    def resume_writing(self) -> None:
        self._driver.resume_writing()


def _early(exchange: Exchange, meanwhile: Callable[[str], None]) -> None:
    with contextlib.suppress(NotUnderstood):  # told when the exchange has ended
        meanwhile(exchange.tree())
