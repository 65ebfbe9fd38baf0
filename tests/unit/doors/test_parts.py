"""Parts of a body leave in uvicorn's frames, without being copied into them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.doors.http.protocol import Joined, Parts

PARTS = (b"first", b"", b"x" * 5000, b"\r\n0\r\n\r\n")


class Wire:
    """A transport that keeps what it is given, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.pieces.extend(pieces)


def a_cycle(wire: Any) -> RequestResponseCycle:
    return RequestResponseCycle(
        scope={"method": "POST", "http_version": "1.1"},  # type: ignore[typeddict-item]
        transport=wire,
        flow=FlowControl(wire),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )


async def begun(wire: Wire, headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    cycle = a_cycle(wire)
    start = {"type": "http.response.start", "status": 200, "headers": headers or []}
    await cycle.send(start)  # type: ignore[arg-type]
    return cycle


async def test_the_bytes_are_uvicorns() -> None:
    theirs, ours = Wire(), Wire()
    one, other = await begun(theirs), await begun(ours)
    parts = Parts(other)
    for part in PARTS:
        await one.send({"type": "http.response.body", "body": part, "more_body": True})
        await parts(part)
    for cycle in (one, other):
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
    assert b"".join(ours.pieces) == b"".join(theirs.pieces)
    assert any(piece is PARTS[2] for piece in ours.pieces)


async def test_a_part_waits_for_room_and_leaves_only_to_a_client_that_is_there() -> None:
    wire = Wire()
    cycle = await begun(wire)
    parts = Parts(cycle)
    head = len(wire.pieces)
    cycle.flow.pause_writing()
    waiting = asyncio.create_task(parts(b"part"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(wire.pieces) == head
    cycle.flow.resume_writing()
    await waiting
    assert wire.pieces[head:] == [b"4\r\n", b"part", b"\r\n"]
    cycle.disconnected = True
    await parts(b"more")
    assert len(wire.pieces) == head + 3


async def test_a_response_that_cannot_have_parts_is_refused() -> None:
    unbegun = a_cycle(Wire())
    with_length = await begun(Wire(), [(b"content-length", b"4")])
    ended = await begun(Wire())
    await ended.send({"type": "http.response.body", "body": b"", "more_body": False})
    for cycle in (unbegun, with_length, ended):
        with pytest.raises(RuntimeError, match="unknown length"):
            await Parts(cycle)(b"part")


class Socket(Wire):
    """A transport that can be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.pieces.append(b"".join(pieces))


async def test_what_is_written_in_one_turn_leaves_in_one_piece_and_in_order() -> None:
    socket = Socket()
    joined: Any = Joined(socket)  # type: ignore[arg-type]
    joined.write(b"head")
    joined.writelines([b"4\r\n", b"part", b"\r\n"])
    joined.write(b"0\r\n\r\n")
    assert socket.pieces == []
    await asyncio.sleep(0)
    assert socket.pieces == [b"head4\r\npart\r\n0\r\n\r\n"]
    joined.write(b"next")
    await asyncio.sleep(0)
    assert socket.pieces[1:] == [b"next"]
    assert not joined.is_closing()


async def test_what_is_large_does_not_wait() -> None:
    socket = Socket()
    joined: Any = Joined(socket)  # type: ignore[arg-type]
    joined.write(b"head")
    joined.write(b"x" * 100_000)
    assert socket.pieces == [b"head" + b"x" * 100_000]
    await asyncio.sleep(0)
    assert len(socket.pieces) == 1


async def test_a_connection_that_is_closed_has_got_everything_that_was_written_before() -> None:
    socket = Socket()
    joined: Any = Joined(socket)  # type: ignore[arg-type]
    joined.write(b"last words")
    joined.close()
    assert (socket.pieces, socket.closing) == ([b"last words"], True)
    joined.write(b"too late")
    await asyncio.sleep(0)
    assert socket.pieces == [b"last words"]


async def test_who_waits_for_the_client_s_end_is_told_once() -> None:
    cycle = await begun(Wire())
    parts, gone = Parts(cycle), []
    parts.when_gone(lambda: gone.append("gone"))
    parts.lost()
    parts.lost()
    assert gone == ["gone"]
    parts.when_gone(lambda: gone.append("again"))
    parts.when_gone(None)
    parts.lost()
    cycle.disconnected = True
    parts.when_gone(lambda: gone.append("at once"))
    assert gone == ["gone", "at once"]


async def test_a_client_that_leaves_after_the_answer_ends_nothing() -> None:
    cycle = await begun(Wire())
    parts, gone = Parts(cycle), []
    parts.when_gone(lambda: gone.append("gone"))
    await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
    parts.lost()
    assert gone == []
