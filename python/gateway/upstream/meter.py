"""Between the socket and the driver: what comes is counted, and at times is not the driver's.

While an `Exchange` or a `Copying` runs, messages are its own. Refuses more bytes than a row, or a
tree, may have: the connection is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.errors import NotUnderstood
from gateway.upstream.copying import Copying
from gateway.upstream.errand import Errand
from gateway.upstream.exchange import Exchange
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
        self._exchange: Exchange | None = None
        self._over: asyncio.Future[None] | None = None  # done when the exchange has ended
        self._copying: Copying | None = None
        self._meanwhile: Callable[[str], None] | None = None
        self._errands: deque[Errand] = deque()
        self._unsent = b""
        self._run: asyncio.Future[None] | None = None  # done when there is no errand left

    def send(self, errand: Errand) -> Errand:
        """It goes along with whatever is sent next, or is sent by `flush`; its answer is read
        first. Raises ConnectionError if there is no session any more."""
        self._check_idle()
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
        self._check_idle()
        over = asyncio.get_running_loop().create_future()
        self._exchange, self._over, self._meanwhile = exchange, over, meanwhile
        unsent, self._unsent = self._unsent, b""
        self._transport.write(unsent + exchange.opening)
        await asyncio.shield(over)
        if not exchange.finished:
            raise ConnectionError

    def copy(self, copying: Copying) -> None:
        """Begin `copying`; the driver must be idle. Raises ConnectionError if there is no session
        any more; a session that ends later is told to `copying`."""
        self._check_idle()
        self._copying = copying
        copying.opening, self._unsent = self._unsent + copying.opening, b""
        copying.begin(self._transport)

    async def take_back(self) -> None:
        """The socket of the COPY that runs, if it was lent, is the loop's again."""
        if (copying := self._copying) is not None:
            await copying.take_back()
            self._copied(copying)

    def _check_idle(self) -> None:
        if self._exchange is not None or self._copying is not None or self._transport.is_closing():
            raise ConnectionError

    async def settled(self, seconds: float) -> bool:
        """Whether what was left before its end has ended within `seconds`."""
        if self._copying is not None:
            await self._copying.end(seconds)
        if self._over is not None:
            await asyncio.wait({self._over}, timeout=seconds)
        return self._copying is None and (self._over is None or self._over.done())

    def _end_exchange(self) -> None:
        self._exchange = self._meanwhile = None
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._errands:
            data = self._errand_answers(data)
            if not data:
                return
        if self._copying is not None:
            self._copy(self._copying, data)
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
            self._give_driver(errand)
        if not self._errands:
            self._end_errands()
        return data

    def _end_errands(self) -> None:
        if self._run is not None and not self._run.done():
            self._run.set_result(None)

    def _copy(self, copying: Copying, data: bytes) -> None:
        try:
            copying.receive(data)
        except Unexpected:
            self._transport.abort()
            return
        self._copied(copying)

    def _copied(self, copying: Copying) -> None:
        if copying.finished:
            self._copying = None
        self._give_driver(copying)

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
        self._give_driver(exchange)

    def _give_driver(self, run: Exchange | Copying | Errand) -> None:
        if run.others:
            others, run.others = bytes(run.others), bytearray()
            self._driver.data_received(others)

    def eof_received(self) -> Any:
        return self._driver.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._end_exchange()
        self._end_errands()
        if self._copying is not None:
            self._copying.lose()
            self._copying = None
        self._driver.connection_lost(error)

    def pause_writing(self) -> None:
        self._driver.pause_writing()

    def resume_writing(self) -> None:
        self._driver.resume_writing()


def _early(exchange: Exchange, meanwhile: Callable[[str], None]) -> None:
    with contextlib.suppress(NotUnderstood):  # told when the exchange has ended
        meanwhile(exchange.tree())
