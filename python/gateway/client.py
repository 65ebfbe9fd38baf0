"""A small client of the gateway's HTTP API, for the command line and for scripts.

Refuses to hand over a short result: a stream without its end-of-stream marker raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pyarrow as pa

from gateway.errors import MaskgateError

#: The last bytes of a complete Arrow stream: pyarrow alone takes a cut one for complete.
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class GatewayAnswer(MaskgateError):
    """The gateway's own refusal, as it said it."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("detail", f"HTTP {status}")), hint=body.get("hint"))
        self.answer_code = str(body.get("code", status))


class Client:
    """One identity's view of one gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60.0
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One JSON call. Raises GatewayAnswer for anything but success."""
        answer = self._send(self._http.build_request(method, path, json=body))
        return answer.json() if answer.content else None

    def download(self, path: str) -> bytes:
        return self._send(self._http.build_request("GET", path)).content

    def query(self, session: str, sql: str, params: list[Any], max_rows: int | None) -> pa.Table:
        """Run one statement and read its whole Arrow stream."""
        with self.stream(f"/v1/sessions/{session}/query", sql, params, max_rows) as answer:
            parts = answer.iter_bytes()
            try:
                body = b"".join(parts)  # raises unless the body's own end has come
            except httpx.TransportError as error:
                raise MaskgateError(f"the stream broke off: {error}") from error
        if not body.endswith(_END_OF_STREAM):
            raise MaskgateError("the stream ended without its end marker")
        return pa.ipc.open_stream(body).read_all()

    @contextmanager
    def stream(
        self,
        path: str,
        sql: str,
        params: list[Any],
        max_rows: int | None,
        accept: str = "application/vnd.apache.arrow.stream",
    ) -> Iterator[httpx.Response]:
        """The response of a query, its body not yet read."""
        body: dict[str, Any] = {"sql": sql, "params": params}
        if max_rows is not None:
            body["max_rows"] = max_rows
        request = self._http.build_request("POST", path, json=body, headers={"Accept": accept})
        answer = self._send(request, stream=True)
        try:
            yield answer
        finally:
            answer.close()

    def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            answer = self._http.send(request, stream=stream)
        except httpx.TransportError as error:
            raise MaskgateError(f"{request.url.host}: {error}") from error
        if answer.is_success:
            return answer
        answer.read()
        try:
            body = answer.json()
        except ValueError:
            body = {}
        raise GatewayAnswer(answer.status_code, body)
