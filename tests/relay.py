"""A TCP relay in front of a server, which passes bytes on, swallows them, or cuts the line."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Relay:
    """`port` leads to the server's. Its loop runs in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._swallowing = False
        self._refusing = False
        self._lines: dict[asyncio.StreamWriter, bool] = {}  # and whether it swallows for good
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def swallow(self) -> None:
        """From now on no byte arrives, on no line, and nobody is told."""
        self._swallowing = True

    def swallow_open_lines(self) -> None:
        """The lines that are open are dead and do not know it; new ones work."""
        self._do(lambda: self._lines.update(dict.fromkeys(self._lines, True)))

    def cut(self) -> None:
        """Every line is reset, and no new one taken."""
        self._refusing = True
        self._do(self._reset)

    def heal(self) -> None:
        """New lines work; what was swallowed is lost, and with it the lines that it was on."""
        if self._swallowing:
            self.swallow_open_lines()
        self._swallowing = self._refusing = False

    def stop(self) -> None:
        self._do(self._server.close)
        self._do(self._reset)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: object) -> None:
        async def run() -> None:
            what()  # type: ignore[operator]
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _reset(self) -> None:
        for line in list(self._lines):
            line.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self._lines[writer] = False
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            self._lines.pop(writer)
            writer.transport.abort()
            return
        passing = [
            asyncio.create_task(self._pass(reader, onward, writer)),
            asyncio.create_task(self._pass(there, writer, writer)),
        ]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        if self._lines.pop(writer, False) or self._swallowing:
            await passing[0]  # the server's end is not passed on either
        for one in (onward, writer):
            one.transport.abort()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, line: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._swallowing or self._lines.get(line, False):
                    continue
                to.write(data)
                await to.drain()


@contextlib.contextmanager
def relaying(port: int) -> Iterator[Relay]:
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.stop()
