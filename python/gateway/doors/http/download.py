"""An export of several sessions on its way: sent as it is made, broken off when it cannot be.

A collection that ends without its terminator, or without its signed index, is none. Refuses to wait
longer than its limit for a client that takes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.doors.http.problem import problem
from gateway.errors import MaskgateError, NotAcceptable
from gateway.flows.evidence import Collected

_LOG = logging.getLogger("maskgate")


class Download(Response):
    """The file of a collection."""

    def __init__(self, made: Collected, stall: float) -> None:
        super().__init__(
            media_type="application/x-tar",
            headers={
                "Content-Disposition": 'attachment; filename="maskgate-evidence.tar"',
                "Cache-Control": "no-store",
                "Maskgate-Sessions": str(made.sessions),
            },
        )
        del self.headers["content-length"]
        self._made, self._stall = made, stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope.get("http_version") == "1.0":
                refusal = NotAcceptable(
                    "an export needs HTTP/1.1: without its terminator a failure would look like "
                    "an end"
                )
                await problem(refusal)(scope, receive, send)
                return
            await self._send(receive, send)
        finally:
            await self._made.aclose()

    async def _send(self, receive: Receive, send: Send) -> None:
        driver = asyncio.current_task()
        gone = asyncio.create_task(_gone(receive, driver))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for part in self._made:
                async with asyncio.timeout(self._stall):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (MaskgateError, TimeoutError, OSError) as error:
            # Without its terminator: the server closes the connection.
            _LOG.info("export broken off: %s", type(error).__name__)
        except asyncio.CancelledError:
            if not gone.done() or driver is None:
                raise
            driver.uncancel()
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone


async def _gone(receive: Receive, driver: asyncio.Task[object] | None) -> None:
    """Ends the export when its client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if driver is not None:
        driver.cancel()
