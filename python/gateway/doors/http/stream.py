"""One query over HTTP: the corridor driven by the request's own task.

The response begins when the corridor gives its head. After that an error closes the connection
without the chunked terminator, so that it never looks like a short result. A client that goes away
cancels the task, and with it the database.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.doors.http.body import read_json
from gateway.doors.http.caller import caller
from gateway.doors.http.challenge import challenges
from gateway.doors.http.formats import MEDIA_TYPES, negotiate
from gateway.doors.http.metrics import OUTCOMES
from gateway.doors.http.problem import gateway_failed, problem
from gateway.doors.http.protocol import PARTS, Parts
from gateway.errors import InvalidRequest, MaskgateError, NotAcceptable
from gateway.flows.house import House
from gateway.flows.query import Ask, Head, walk

_LOG = logging.getLogger("maskgate.http")
#: What may stand around a statement in a request body: parameters, JSON escapes.
_BODY_SLACK = 4 << 20
_BODY_SECONDS = 60.0


class QueryAnswer(Response):
    """Runs the corridor for one request when the server calls it."""

    def __init__(self, house: House, request: Request, session: str | None) -> None:
        self._house = house
        self._request = request
        self._session = session
        self._gone = False
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        driver = asyncio.current_task()
        if driver is None:
            raise RuntimeError("a request is served by a task")
        try:
            ask = await self._read()
        except ClientDisconnect:
            OUTCOMES.labels("client_gone").inc()
            return
        except MaskgateError as error:
            OUTCOMES.labels(error.code).inc()
            await problem(error)(scope, receive, send)
            return
        # Any server will do; ours takes parts as they are, and says when its client has gone.
        parts = scope.get("extensions", {}).get(PARTS, {}).get("send")
        listener = None
        if parts is not None:
            parts.when_gone(lambda: self._leave(driver))
        else:
            listener = asyncio.create_task(self._listen(receive, driver))
        try:
            await self._drive(ask, scope, receive, send, parts)
        except asyncio.CancelledError:
            if not self._gone:
                raise
            driver.uncancel()
            OUTCOMES.labels("client_gone").inc()
        finally:
            if parts is not None:
                parts.when_gone(None)
            if listener is not None:
                listener.cancel()
                with suppress(asyncio.CancelledError):
                    await listener

    async def _drive(
        self, ask: Ask, scope: Scope, receive: Receive, send: Send, parts: Parts | None
    ) -> None:
        started = False
        try:
            async with aclosing(walk(self._house, ask)) as corridor:
                async for item in corridor:
                    if isinstance(item, Head):
                        await send(_start(item, ask))
                        started = True
                    elif parts is not None:
                        await parts(item)
                    else:
                        await send(_body(item, more=True))
            await send(_body(b"", more=False))
            OUTCOMES.labels("released").inc()
        except MaskgateError as error:
            OUTCOMES.labels(error.code).inc()
            if not started:
                told = challenges(self._house, self._request, error)
                await problem(error, challenges=told)(scope, receive, send)
                return
            _LOG.info("stream broken: %s", error.code)
        except OSError:
            OUTCOMES.labels("client_gone").inc()
        except Exception as error:
            OUTCOMES.labels(MaskgateError.code).inc()
            if not started:
                await problem(gateway_failed(error))(scope, receive, send)
            raise  # to be written to the server's own log

    async def _listen(self, receive: Receive, driver: asyncio.Task[Any]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._leave(driver)

    def _leave(self, driver: asyncio.Task[Any]) -> None:
        self._gone = True
        driver.cancel()

    async def _read(self) -> Ask:
        request = self._request
        encoding = negotiate(request.headers.get("accept"))
        if request.scope.get("http_version") == "1.0":
            raise NotAcceptable(
                "a stream needs HTTP/1.1: without its terminator a failure would look like an end"
            )
        credential, client = caller(request)
        fields: dict[str, Any] = {
            "credential": credential,
            "client": client,
            "encoding": encoding,
            "session": self._session,
        }
        raw = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for part in request.stream():
                    raw += part
                    if len(raw) > self._house.limits.statement_bytes + _BODY_SLACK:
                        fields["malformed"] = "the request body is too large"
                        break
        except TimeoutError:
            fields["malformed"] = f"the request body took longer than {_BODY_SECONDS:g} s"
        try:
            body = None if "malformed" in fields else _parse(bytes(raw))
        except InvalidRequest as error:
            fields["malformed"] = error.detail
            body = None
        if body is None:
            return Ask(**fields, raw=bytes(raw) or b"\x00")
        return Ask(
            **fields,
            connection=body.get("connection"),
            sql=body["sql"],
            params=tuple(body.get("params") or ()),
            max_rows=body.get("max_rows"),
        )


def _parse(raw: bytes) -> dict[str, Any]:
    """The JSON body of a query. Raises InvalidRequest with the reason."""
    body = read_json(raw, 'send {"sql": "select …"}')
    if not isinstance(body, dict) or not isinstance(body.get("sql"), str):
        raise InvalidRequest('the body needs a string "sql"')
    unknown = sorted(set(body) - {"sql", "params", "max_rows", "connection"})
    if unknown:
        raise InvalidRequest(f"unknown member {unknown[0]!r} in the body")
    if not isinstance(body.get("params", []), list):
        raise InvalidRequest('"params" is a list: $1 is its first element')
    rows = body.get("max_rows")
    if rows is not None and (type(rows) is not int or not 0 < rows < 2**53):
        raise InvalidRequest('"max_rows" is a positive integer')
    if not isinstance(body.get("connection", ""), str):
        raise InvalidRequest('"connection" is a name')
    return body


def _start(head: Head, ask: Ask) -> dict[str, Any]:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", MEDIA_TYPES[ask.encoding].encode()),
            (b"maskgate-session", head.session.encode()),
            (b"maskgate-statement", str(head.statement).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ],
    }


def _body(data: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}
