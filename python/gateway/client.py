"""The other side of the wire: what the author of an agent writes, with httpx and pyarrow.

Refuses to take a broken stream for a short result: an answer counts when the HTTP body ended as
promised and, for Arrow, its end-of-stream marker was the last word; anything else raises
BrokenStreamError. Used by the command line, the demo and the benchmarks.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import pyarrow as pa

from gateway.proof_key import ProofKey
from gateway.values import is_loopback

#: What the last eight bytes of a complete Arrow stream are (continuation marker, length zero):
#: pyarrow alone takes a cut stream for a complete one.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
ARROW = "application/vnd.apache.arrow.stream"

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class ClientError(Exception):
    """What a caller has to deal with: refused, broken or unreachable. The text is for people."""


class RefusedError(ClientError):
    """The gateway answered no: a problem document of RFC 9457."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.hint = str(problem.get("hint") or "")
        super().__init__(f"{status} {self.code}: {self.detail}")


class BrokenStreamError(ClientError):
    """The stream ended before it was complete; the `rows` that came so far are no result."""

    def __init__(self, why: str, rows: int = 0) -> None:
        super().__init__(why)
        self.rows = rows


class UnreachableError(ClientError):
    """Nobody answered, or not as a gateway does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete result."""

    table: pa.Table
    statement: str  # its number in the session
    seconds: float
    first_batch_s: float
    wire: bytes  # as received; empty unless asked for
    wire_bytes: int


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token, with the key it is bound to if it is; `renew` gives the one to use from now on,
    where there is a sign-in that can."""

    token: str = field(repr=False)
    key: ProofKey | None = None
    renew: Callable[[], Bearer] | None = field(default=None, repr=False, compare=False)


class _Token(httpx.Auth):
    """A token that whoever has it can use (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _Possession(httpx.Auth):
    """A bound token with a new proof in each request (RFC 9449, section 7.1)."""

    def __init__(self, token: str, key: ProofKey) -> None:
        self._token, self._key = token, key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"DPoP {self._token}"
        request.headers["DPoP"] = self._key.proof(request.method, request.url, self._token)
        yield request


def _authorization(given: Bearer) -> httpx.Auth:
    return _Token(given.token) if given.key is None else _Possession(given.token, given.key)


class Client:
    """One identity talking to one gateway. Use from one thread at a time.

    `url` is http:// or https://; `token` in printable ASCII, which goes into a header, alone or
    with the key it is bound to. Raises ValueError for anything else.
    """

    def __init__(self, url: str, token: str | Bearer) -> None:
        check_url(url)
        given = token if isinstance(token, Bearer) else Bearer(token)
        self.bearer = check_token(given.token)
        self._renew = given.renew
        host = httpx.URL(url).host
        # What is for this machine goes by no proxy: it would read the token.
        direct = f"all://{f'[{host}]' if ':' in host else host}"
        self._http = httpx.Client(
            base_url=url,
            auth=_authorization(given),
            timeout=_TIMEOUT,
            mounts={direct: httpx.HTTPTransport()} if is_loopback(host) else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def renew(self) -> None:
        """Before a request that comes long after the last one: with a token that is about to end
        comes another. Raises SignInError; the old one is used until then."""
        if self._renew is not None:
            given = self._renew()
            self.bearer = check_token(given.token)
            self._http.auth = _authorization(given)

    def get(self, path: str) -> Any:
        return _document(self._send("GET", path))

    def items(self, path: str) -> list[dict[str, Any]]:
        """The elements of a list, which the gateway answers as `{"items": […]}`."""
        document = self.get(path)
        if not isinstance(document, dict) or not isinstance(document.get("items"), list):
            raise UnreachableError(f"{path}: the answer is no list; is this a gateway?")
        return list(document["items"])

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return _document(self._send("POST", path, body))

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def download(self, path: str) -> bytes:
        return self._send("GET", path).content

    @contextmanager
    def collected(self, selection: dict[str, Any]) -> Iterator[tuple[int, Iterator[bytes]]]:
        """An export of several sessions: how many they are, and the file in parts. The whole log is
        gone through before the first part, which takes its time. After the last part comes the end
        of the iteration or BrokenStreamError."""
        patient = httpx.Timeout(60.0, connect=5.0, read=None)
        request = self._http.build_request("POST", "/v1/evidence", json=selection, timeout=patient)
        answer = self._answered(request, stream=True)
        told = answer.headers.get("Maskgate-Sessions", "")
        try:
            if not (told.isascii() and told.isdigit() and len(told) < 10):
                raise UnreachableError(f"{request.url.host} tells no number; is this a gateway?")
            yield int(told), _unbroken(answer)
        finally:
            answer.close()

    def query(
        self,
        session: str | None,
        sql: str,
        *,
        connection: str | None = None,
        params: list[Any] | None = None,
        max_rows: int | None = None,
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
        asked = {"connection": connection, "params": params, "max_rows": max_rows}
        body = {"sql": sql, **{key: value for key, value in asked.items() if value is not None}}
        with self._streamed(path, body, ARROW) as answer:
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
            except (httpx.RequestError, pa.ArrowInvalid, OSError) as error:
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

    def parts(
        self, session: str, sql: str, params: list[Any], max_rows: int | None, accept: str
    ) -> Iterator[bytes]:
        """One statement's answer in a text format, as it comes. The last part is followed by the
        end of the iteration or by BrokenStreamError: then the parts so far are no result."""
        body: dict[str, Any] = {"sql": sql, "params": params}
        if max_rows is not None:
            body["max_rows"] = max_rows
        with self._streamed(f"/v1/sessions/{session}/query", body, accept) as answer:
            yield from _unbroken(answer)

    @contextmanager
    def _streamed(self, path: str, body: dict[str, Any], accept: str) -> Iterator[httpx.Response]:
        answer = self._send("POST", path, body, accept=accept)
        try:
            yield answer
        finally:
            answer.close()

    def _send(
        self, method: str, path: str, body: Any = None, *, accept: str | None = None
    ) -> httpx.Response:
        """An accepted response; its body still to be read when `accept` names a format."""
        headers = {} if accept is None else {"Accept": accept}
        request = self._http.build_request(method, path, json=body, headers=headers)
        return self._answered(request, stream=accept is not None)

    def _answered(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        try:
            answer = self._http.send(request, stream=stream)
            if not answer.is_success:
                answer.read()
        except (httpx.RequestError, httpx.InvalidURL, UnicodeError) as error:
            # The last two are of a redirect: httpx reads one that it does not follow.
            raise UnreachableError(f"{request.url.host}: {error}") from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
        except (ValueError, RecursionError):
            problem = {"detail": answer.text[:200]}
        told = {
            name: str(value).replace(self.bearer, "…")  # no message repeats a token
            for name, value in (problem.items() if isinstance(problem, dict) else ())
            if value is not None
        }
        raise RefusedError(answer.status_code, told)


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


def _unbroken(answer: httpx.Response) -> Iterator[bytes]:
    """The parts of a body; BrokenStreamError when it does not end as promised."""
    try:
        yield from answer.iter_bytes()
    except httpx.RequestError as error:
        raise BrokenStreamError(f"the stream broke off: {error}") from error


def check_url(url: str) -> str:
    """The address of a gateway. Raises ValueError with the reason, never with credentials."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as wrong:
        raise ValueError(f"not an address: {wrong}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("an address begins with http:// or https:// and a host")
    if parsed.query or parsed.fragment or parsed.userinfo:
        raise ValueError("an address has no credentials, no query and no fragment")
    return url


def check_token(token: str) -> str:
    """A token as a header can carry it. Raises ValueError; never repeats the token."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("a token is printable ASCII without spaces; was it copied whole?")
    return token


def _document(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise UnreachableError(
            f"{answer.url.host} answered {answer.status_code}, but not JSON; is this a gateway?"
        ) from None
