"""The other side of the wire: what the author of an agent writes, with httpx and pyarrow alone.

Refuses to take a broken stream for a short result: an answer counts when the HTTP body ended as
promised and Arrow's end-of-stream marker was its last word; anything else raises BrokenStreamError.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa

#: What the last eight bytes of a complete Arrow stream are (continuation marker, length zero).
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class RefusedError(Exception):
    """The gateway answered no: a problem document of RFC 9457."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.hint = str(problem.get("hint") or "")
        super().__init__(f"{status} {self.code}: {self.detail}")


class BrokenStreamError(Exception):
    """The stream ended before it was complete; the `rows` that came so far are no result."""

    def __init__(self, why: str, rows: int) -> None:
        super().__init__(why)
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete result."""

    table: pa.Table
    statement: str  # its number in the session
    seconds: float
    first_batch_s: float
    wire: bytes  # as received; empty unless asked for
    wire_bytes: int


def token(issuer: str, client_id: str, secret: str) -> str:
    """Log in as a machine does: the client-credentials grant at the issuer's token endpoint."""
    with httpx.Client(timeout=_TIMEOUT) as http:
        found = http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        found.raise_for_status()
        answer = http.post(
            found.json()["token_endpoint"],
            data={"grant_type": "client_credentials", "audience": "maskgate"},
            auth=(client_id, secret),
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])


class Caller:
    """One identity talking to one gateway. Use from one thread at a time."""

    def __init__(self, gateway: str, name: str, bearer: str) -> None:
        self.name = name
        self.bearer = bearer
        self._http = httpx.Client(
            base_url=gateway, headers={"Authorization": f"Bearer {bearer}"}, timeout=_TIMEOUT
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return _accepted(self._http.get(path)).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return _accepted(self._http.post(path, json=body)).json()

    def delete(self, path: str) -> None:
        _accepted(self._http.delete(path))

    def download(self, path: str) -> bytes:
        return _accepted(self._http.get(path)).content

    def query(
        self,
        session: str | None,
        sql: str,
        *,
        connection: str | None = None,
        watch: Callable[[int], None] = lambda rows: None,
        keep_wire: bool = False,
        keep_rows: bool = True,
    ) -> Answer:
        """Run one statement and read its whole stream: in a session, or in one of its own on a
        connection.

        `watch` is called with the rows so far after each batch. Raises RefusedError before the
        first byte, BrokenStreamError after it.
        """
        started = time.monotonic()
        first: float | None = None
        batches: list[pa.RecordBatch] = []
        rows = 0
        path = f"/v1/sessions/{session}/query" if session else "/v1/query"
        body: dict[str, Any] = {"sql": sql}
        if connection is not None:
            body["connection"] = connection
        accept = {"Accept": "application/vnd.apache.arrow.stream"}
        request = self._http.build_request("POST", path, json=body, headers=accept)
        with closing(self._http.send(request, stream=True)) as answer:
            if not answer.is_success:
                answer.read()
                _accepted(answer)
            received = _Body(answer.iter_raw(), keep_wire)
            try:
                with pa.ipc.open_stream(io.BufferedReader(received, 1 << 20)) as reader:
                    for batch in reader:
                        first = first or time.monotonic()
                        rows += batch.num_rows
                        if keep_rows:
                            batches.append(batch)
                        watch(rows)
                    schema = reader.schema
                received.drain()
            except (httpx.TransportError, pa.ArrowInvalid, OSError) as error:
                raise BrokenStreamError(str(error), rows) from error
            if received.tail != END_OF_STREAM:
                raise BrokenStreamError("the stream ended without its end marker", rows)
        ended = time.monotonic()
        return Answer(
            table=pa.Table.from_batches(batches, schema),
            statement=answer.headers.get("Maskgate-Statement", ""),
            seconds=ended - started,
            first_batch_s=(first or ended) - started,
            wire=b"".join(received.kept),
            wire_bytes=received.size,
        )


class _Body(io.RawIOBase):
    """The streamed body as a file that pyarrow reads; remembers its size and its last bytes."""

    def __init__(self, parts: Iterator[bytes], keep: bool) -> None:
        self._parts = parts
        self._left = memoryview(b"")
        self._keep = keep
        self.kept: list[bytes] = []
        self.size = 0
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._take(part)
        count = min(len(into), len(self._left))
        into[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def drain(self) -> None:
        """Read to the end of the HTTP body: only then is it known to be complete."""
        for part in self._parts:
            self._take(part)

    def _take(self, part: bytes) -> None:
        self._left = memoryview(part)
        self.size += len(part)
        self.tail = (self.tail + part[-8:])[-8:]
        if self._keep:
            self.kept.append(part)


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": answer.text[:200]}
    raise RefusedError(answer.status_code, problem if isinstance(problem, dict) else {})
