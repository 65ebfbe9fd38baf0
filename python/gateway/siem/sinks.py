"""Where events go: a file, standard output, an HTTP endpoint. Each takes a batch whole or raises.

`send` returns when the batch has arrived as surely as the place can say: synced, written, answered
with 2xx. Refuses to follow a redirect, to speak HTTP without TLS to another machine, to read more
of an answer than its status.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Protocol

import httpx

_CONNECT, _ANSWER = 5.0, 15.0  # seconds


class RefusedError(Exception):
    """The endpoint answered, and not with success. `status` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


class Sink(Protocol):
    """Takes lines of NDJSON."""

    def send(self, lines: bytes) -> None:
        """Raises when it is not certain that all of them arrived."""

    def close(self) -> None:
        """Give back what is held."""


class FileSink:
    """Appends to a file of mode 0600; opened anew for each batch, so that it may be rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, lines: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            data = b"\n" + lines if torn else lines  # what a crash has cut stays a line of its own
            try:
                if os.write(fd, data) != len(data):
                    raise OSError(f"{self._path}: a short write")
                os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)

    def close(self) -> None:
        pass


class StdoutSink:
    """Writes to standard output; what reads it may be slow, and only this thread waits.

    Not through `sys.stdout`: its lock, held by a thread that waits, would abort the process's end.
    """

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._torn = False  # the last batch broke off, perhaps inside a line

    def send(self, lines: bytes) -> None:
        rest = memoryview(b"\n" + lines if self._torn else lines)
        self._torn = True
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._torn = False

    def close(self) -> None:
        pass


class HttpSink:
    """POSTs a batch as application/x-ndjson; any answer but 2xx means that it did not arrive."""

    def __init__(self, url: str, authorization: str | None, ca: Path | None) -> None:
        headers = {"Content-Type": "application/x-ndjson"}
        if authorization is not None:
            headers["Authorization"] = authorization
        verify: ssl.SSLContext | bool = True
        if ca is not None:
            verify = ssl.create_default_context(cafile=str(ca))
        self._url = url
        self._client = httpx.Client(
            headers=headers,
            verify=verify,
            timeout=httpx.Timeout(_ANSWER, connect=_CONNECT),
            follow_redirects=False,
            trust_env=False,
        )

    def send(self, lines: bytes) -> None:
        with self._client.stream("POST", self._url, content=lines) as answer:
            if not 200 <= answer.status_code < 300:
                raise RefusedError(answer.status_code)

    def close(self) -> None:
        self._client.close()
