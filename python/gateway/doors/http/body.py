"""A request's JSON body in one reading: what is decided, recorded and run cannot differ.

Refuses what two programs may read in two ways (repeated members, encodings other than UTF-8, NaN
and Infinity) and what is too large to be a request about a grant or a session.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from gateway.errors import InvalidRequest

#: The largest body but a query's, which has its own limit.
BODY_BYTES = 64 * 1024
_EXAMPLE = 'send an object such as {"connection": "clinic"}'


def read_json(raw: bytes, example: str = _EXAMPLE) -> Any:
    """The document. Raises InvalidRequest with the reason."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"the body is not JSON: {example}") from None


class StrictRoute(APIRoute):
    """A route that reads its body with `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            read = bytearray()
            async for part in self.stream():
                read += part
                if len(read) > BODY_BYTES:
                    raise HTTPException(413, f"the body is larger than {BODY_BYTES} bytes")
            self._body = bytes(read)
        return self._body

    async def json(self) -> Any:
        return read_json(await self.body())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise InvalidRequest(f"the member {repeated[:100]!r} stands twice in the body")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(name)
