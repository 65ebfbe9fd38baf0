"""An export on its way: whole with its terminator, or broken off without one; always given free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.doors.http.download import Download
from gateway.errors import LogUnavailable

SCOPE = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/evidence"}


class Made:
    """Parts as given; an exception among them is raised."""

    sessions = 3

    def __init__(self, *parts: bytes | BaseException) -> None:
        self._parts = parts
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, BaseException):
                raise part
            yield part

    async def aclose(self) -> None:
        self.closed = True


async def sent(
    made: Any, *, receive: Any = None, send: Any = None, stall: float = 30, version: str = "1.1"
) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    async def stays() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def takes(message: dict[str, Any]) -> None:
        messages.append(message)

    answer = Download(made, stall)
    await answer({**SCOPE, "http_version": version}, receive or stays, send or takes)
    return messages


async def test_a_whole_export_has_its_terminator() -> None:
    made = Made(b"one", b"two")
    start, *bodies = await sent(made)
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/x-tar"
    assert headers[b"maskgate-sessions"] == b"3"
    assert headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in headers
    assert b"".join(body["body"] for body in bodies) == b"onetwo"
    assert [body["more_body"] for body in bodies] == [True, True, False]
    assert made.closed


@pytest.mark.parametrize("error", [LogUnavailable("stopped"), OSError("gone")])
async def test_a_failure_ends_it_without_a_terminator(error: Exception) -> None:
    made = Made(b"one", error)
    messages = await sent(made)
    assert [message.get("more_body") for message in messages] == [None, True]
    assert made.closed


async def test_a_client_that_leaves_ends_it() -> None:
    made = Made(b"one", b"two")
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            left.set()
            await asyncio.Event().wait()

    await sent(made, receive=receive, send=send)
    assert made.closed
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_client_that_takes_nothing_ends_it() -> None:
    made = Made(b"one", b"two")

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await sent(made, send=send, stall=0.01)
    assert made.closed


async def test_http_1_0_has_no_terminator_and_so_no_export() -> None:
    made = Made(b"one")
    start, _ = await sent(made, version="1.0")
    assert (start["status"], made.closed) == (406, True)
