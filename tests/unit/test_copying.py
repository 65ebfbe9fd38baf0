"""A COPY's messages: what is rows, what is not, when it is over, and who reads the socket."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from copybytes import TOKEN_KEY, column, copy, int4, plan, row
from gateway._kernel import CopyMessages, CopyReader, MaskedStream
from gateway.errors import InvalidRequest, MaskgateError
from gateway.upstream.copying import Copying
from gateway.upstream.messages import Unexpected


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + pack("!I", len(body) + 4) + body


def notice(tree: str, function: str = "elog_node_display") -> bytes:
    said = b"".join(
        f"{k}{v}\0".encode()
        for k, v in zip("SVMDR", ("LOG", "LOG", "rewritten", tree, function), strict=True)
    )
    return message(b"N", said + b"\0")


BEGUN = message(b"H", b"\1\0\0")
DONE = message(b"c") + message(b"C", b"COPY 2\0") + message(b"Z", b"T")
ROWS = [b"first", b"", b"second" * 50]
NOISE = message(b"N", b"SNOTICE\0VNOTICE\0Ma word\0\0")
WHOLE = b"".join(
    (
        notice("utility"),
        notice("query"),
        BEGUN,
        notice("a function's"),
        message(b"d", ROWS[0]),
        NOISE,
        message(b"d", ROWS[1]),
        message(b"d", ROWS[2]),
        DONE,
    )
)
FAILED = message(b"E", b"VERROR\0C22012\0Mdivision by zero\0\0") + message(b"Z", b"E")


class Transport:
    """Writes and rests, and says that it does."""

    def __init__(self, peer: socket.socket | None = None, *, tls: bool = False) -> None:
        self.written = b""
        self.reading = True
        self.aborted = False
        self._extra = {"socket": peer, "ssl_object": object() if tls else None}

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> Any:
        return self._extra[name]


def begun(transport: Transport, text: str = "select 1 -- one") -> Copying:
    copying = Copying(text, most_of_a_row=1000, most_of_a_tree=1000)
    copying.begin(transport)
    return copying


async def pieces(copying: Copying) -> bytes:
    taken = b""
    while (piece := await copying.take()) is not None:
        taken += piece
    return taken


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 50, 10_000])
async def test_rows_are_apart_from_all_else_however_it_is_cut(size: int) -> None:
    transport = Transport()
    copying = begun(transport)
    assert b"\0COPY (\nselect 1 -- one\n) TO STDOUT (FORMAT binary)\0" in transport.written
    assert transport.written.endswith(message(b"S"))
    reading = asyncio.create_task(pieces(copying))
    await asyncio.sleep(0)
    for at in range(0, len(WHOLE), size):
        copying.receive(WHOLE[at : at + size])
    assert await reading == b"".join(ROWS)
    assert copying.whole
    assert copying.trees == [b"utility", b"query"]
    assert transport.reading


async def test_a_failure_is_told_after_the_rows_before_it() -> None:
    copying = begun(Transport())
    copying.receive(BEGUN + message(b"d", b"row") + FAILED)
    assert await pieces(copying) == b"row"
    assert copying.error is not None
    assert copying.error["C"] == "22012"
    assert copying.finished
    assert not copying.whole


async def test_what_is_asked_behind_goes_along_and_is_told_apart_from_the_rows() -> None:
    transport = Transport()
    copying = Copying("select 1", b"a question", most_of_a_row=1000, most_of_a_tree=1000)
    copying.begin(transport)
    assert transport.written.endswith(b"a question" + message(b"S"))
    done, ready = DONE[:-6], DONE[-6:]
    answer = message(b"2") + message(b"D", b"an answer") + message(b"C", b"SELECT 1\0")
    copying.receive(message(b"1") + message(b"2") + BEGUN + message(b"d", b"row"))
    copying.receive(done + answer)
    assert not copying.finished
    copying.receive(ready)
    assert copying.told == [b"an answer"]
    assert await pieces(copying) == b"row"
    assert copying.whole


async def test_what_is_the_driver_s_goes_to_the_driver() -> None:
    copying = begun(Transport())
    status, after = message(b"S", b"TimeZone\0UTC\0"), message(b"A", b"\0\0\0\1here\0\0")
    copying.receive(status + BEGUN + DONE + after)
    assert bytes(copying.others) == status + after


async def test_a_session_that_ends_before_its_copy_does() -> None:
    copying = begun(Transport())
    waiting = asyncio.create_task(pieces(copying))
    copying.receive(BEGUN + message(b"d", b"row"))
    await asyncio.sleep(0)
    copying.lose()
    assert await waiting == b"row"
    assert copying.over
    assert not copying.whole


@pytest.mark.parametrize(
    "sent",
    [
        message(b"d", b"row"),
        message(b"H", b"\0\0\0"),  # text
        BEGUN + BEGUN,
        BEGUN + message(b"c") + message(b"d", b"row"),
        message(b"D", b"\0\0"),
        BEGUN + message(b"D", b"\0\0"),
        BEGUN + message(b"c") + message(b"D", b"\0\0"),
        message(b"G", b"\1\0\0"),
        message(b"E", b"C220"),
        message(b"N", b"\0" * 1001),
        BEGUN + b"d\0\0\0\3",
        b"R\xff\xff\xff\xff",
    ],
)
async def test_what_has_no_place_in_a_copy(sent: bytes) -> None:
    with pytest.raises(Unexpected):
        begun(Transport()).receive(sent)


async def test_a_row_is_too_long_before_it_has_come() -> None:
    copying = begun(Transport())
    with pytest.raises(Unexpected):
        copying.receive(BEGUN + b"d" + pack("!I", 1005))
    assert copying.row_too_long


def test_a_text_with_an_end_in_it() -> None:
    with pytest.raises(InvalidRequest):
        Copying("select 1\0", most_of_a_row=1, most_of_a_tree=1)


async def test_the_socket_rests_while_much_waits() -> None:
    transport = Transport()
    copying = Copying("select 1", most_of_a_row=1 << 20, most_of_a_tree=1000)
    copying.begin(transport)
    copying.receive(BEGUN)
    for _ in range(3):
        assert transport.reading
        copying.receive(message(b"d", bytes(400_000)))
    assert not transport.reading
    assert len(await copying.take() or b"") == 400_000
    assert transport.reading


async def test_what_is_dropped_holds_nobody_back() -> None:
    transport = Transport()
    copying = Copying("select 1", most_of_a_row=1 << 20, most_of_a_tree=1000)
    copying.begin(transport)
    copying.receive(BEGUN + 3 * message(b"d", bytes(500_000)))
    assert not transport.reading
    copying.drop()
    assert transport.reading
    copying.receive(3 * message(b"d", bytes(500_000)) + DONE)
    assert await copying.take() is None


# ------------------------------------------------------------------ a lent socket

ENOUGH = [message(b"d", bytes(1 << 18))]


async def lent(ours: socket.socket, *, tls: bool = False) -> tuple[Copying, Transport, Any]:
    ours.setblocking(False)
    transport = Transport(ours, tls=tls)
    copying = Copying("select 1", most_of_a_row=1 << 20, most_of_a_tree=1000)
    copying.begin(transport)
    copying.receive(BEGUN + b"".join(ENOUGH))
    assert copying.lend() is None  # something waits to be taken
    await copying.take()
    return copying, transport, copying.lend()


def kernel() -> MaskedStream:
    stream = MaskedStream(plan([column("id", "int4")]), TOKEN_KEY)
    stream.head()
    return stream


@pytest.mark.parametrize("seed", range(8))
async def test_a_reader_gives_what_feeding_gives(seed: int) -> None:
    """The same chunks, whatever the socket's pieces; then the loop has the socket again."""
    chance = random.Random(seed)
    body = copy(*(row(int4(n)) for n in range(300_000)))
    frames, at = [], 0
    while at < len(body):
        size = chance.choice((1, 5, 100, 8192, 200_000))
        frames.append(message(b"d", body[at : at + size]))
        at += size
        if chance.random() < 0.01:
            frames.append(NOISE)
    plainly = kernel()
    expected = [chunk.data for chunk in plainly.feed(body) + plainly.finish()]
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        sender = threading.Thread(target=theirs.sendall, args=(b"".join(frames) + DONE,))
        sender.start()
        stream = kernel()
        chunks = []
        while some := await asyncio.to_thread(stream.feed_from, reader):
            chunks += some
        await copying.take_back()
        sender.join()
        assert [chunk.data for chunk in chunks + stream.finish()] == expected
        assert copying.whole
        assert transport.reading
        assert not ours.getblocking()
        assert await copying.take() is None


async def test_a_reader_that_is_stopped_leaves_the_rest_in_the_socket() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        waiting = asyncio.create_task(asyncio.to_thread(kernel().feed_from, reader))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        reader.stop()
        assert await waiting == []
        await copying.take_back()
        await copying.take_back()  # as often as one likes
        theirs.sendall(DONE)
        assert ours.recv(1000) == DONE
        assert transport.reading
        assert not copying.over
        with pytest.raises(MaskgateError, match="joined before"):
            reader.join()


class Slow:
    """A reader that goes on reading until it is let go."""

    def __init__(self, descriptor: int, messages: CopyMessages) -> None:
        os.close(descriptor)
        self._messages = messages
        self.joining, self.go = threading.Event(), threading.Event()

    def stop(self) -> None: ...

    def join(self) -> tuple[list[tuple[int, bytes]], bytes, bool]:
        self.joining.set()
        assert self.go.wait(30)
        _, others, _ = self._messages.receive(DONE)
        return others, b"", False


async def test_who_leaves_while_a_reader_ends_leaves_it_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two who read one socket would tear its messages, and what is left would look like others."""
    monkeypatch.setattr("gateway.upstream.copying.CopyReader", Slow)
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        leaving = asyncio.create_task(copying.take_back())
        await asyncio.to_thread(reader.joining.wait)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        copying.drop()
        reading = transport.reading
        reader.go.set()
        await copying.take_back()
        assert not reading
        assert transport.reading
        assert copying.whole  # what the reader found is not lost


async def test_a_failure_that_a_reader_finds() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        theirs.sendall(FAILED)
        assert await asyncio.to_thread(kernel().feed_from, reader) == []
        await copying.take_back()
        assert copying.error is not None
        assert copying.finished
        assert not copying.whole
        assert transport.reading


TOO_LONG = b"d" + pack("!I", (1 << 20) + 5)


@pytest.mark.parametrize("sent", [BEGUN, message(b"D"), message(b"E", b"torn"), TOO_LONG, b""])
async def test_no_copy_any_more_ends_the_session(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        assert await asyncio.to_thread(kernel().feed_from, reader) == []
        await copying.take_back()
        assert transport.aborted
        assert copying.row_too_long == (sent is TOO_LONG)
        copying.lose()
        assert await copying.take() is None
        assert not copying.whole


async def test_a_session_that_is_ended_meanwhile() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        copying, transport, reader = await lent(ours)
        waiting = asyncio.create_task(asyncio.to_thread(kernel().feed_from, reader))
        transport.abort()
        copying.lose()
        assert await asyncio.wait_for(waiting, 30) == []
        await copying.take_back()
        assert not copying.whole


async def test_an_encrypted_socket_is_not_lent() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        _, transport, reader = await lent(ours, tls=True)
        assert reader is None
        assert transport.reading


@contextmanager
def reading() -> Iterator[tuple[socket.socket, CopyMessages, CopyReader]]:
    """The server's end of a socket, and who reads what comes out of the other."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.setblocking(False)
        messages = CopyMessages(1 << 20, 1000)
        messages.receive(BEGUN)
        yield theirs, messages, CopyReader(os.dup(ours.fileno()), messages)


def test_a_reader_does_not_run_far_ahead_and_ends_when_forgotten() -> None:
    with reading() as (theirs, messages, reader):
        theirs.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                theirs.sendall(message(b"d", bytes(10_000)))
                sent += 10_000
        assert 3 << 20 < sent < 6 << 20  # what may wait, and what fits into the socket
        del reader
        theirs.close()
    assert not messages.ended


def test_rows_that_come_one_by_one_are_not_given_a_piece_each() -> None:
    def held() -> int:
        said = Path("/proc/self/status").read_text()
        return int(said.split("VmData:")[1].split()[0])  # kB

    with reading() as (theirs, _, reader):
        theirs.sendall(message(b"d", b"row"))
        time.sleep(0.05)
        before = held()
        for _ in range(60):
            theirs.sendall(message(b"d", b"row"))
            time.sleep(0.025)  # the reader has looked whether more comes
        assert held() - before < 4 << 10
        reader.stop()


def test_a_descriptor_that_is_none() -> None:
    with pytest.raises(ValueError, match="not negative"):
        CopyReader(-1, CopyMessages(1, 1))
