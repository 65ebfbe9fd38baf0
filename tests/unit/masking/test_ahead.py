"""The kernel beside the event loop: order, errors, cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway._kernel import MaskedStream
from gateway.masking import masked

SMALL, LARGE = 100, 50_000


class Kernel:
    """Gives each piece's number back. `feed` fails when two threads are in it."""

    def __init__(self, *, fails_at: int = 0, full_at: int = 0) -> None:
        self._inside = threading.Lock()
        self._fails_at = fails_at
        self._full_at = full_at
        self._broken: ValueError | None = None
        self.fed = 0
        self.truncated = False

    def feed(self, piece: bytes) -> list[Any]:
        if not self._inside.acquire(blocking=False):
            raise RuntimeError("two threads in one kernel")
        try:
            self.fed += 1
            if self.fed == self._fails_at:
                raise ValueError("a piece that the kernel refuses")
            self.truncated = self.fed == self._full_at or self.truncated
            return [SimpleNamespace(data=piece[:4])]
        finally:
            self._inside.release()

    def feed_all(self, pieces: Iterable[bytes]) -> list[Any]:
        """As the kernel: what came before an error comes, and with the next call the error."""
        if self._broken is not None:
            raise self._broken
        chunks: list[Any] = []
        for piece in pieces:
            try:
                chunks += [] if self.truncated else self.feed(piece)
            except ValueError as error:
                self._broken = error
                break
        if self._broken is not None and not chunks:
            raise self._broken
        return chunks

    @property
    def stream(self) -> MaskedStream:
        """As the corridor takes it; of the compiled class nobody can make a double."""
        return cast(MaskedStream, self)


class Copy:
    """Pieces of the given sizes, each with its number; counts how often it has been closed."""

    def __init__(self, sizes: Iterable[int], *, slow_to_close: bool = False) -> None:
        self._sizes = list(sizes)
        self._slow_to_close = slow_to_close
        self.closing = asyncio.Event()
        self.closed = 0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for number, size in enumerate(self._sizes):
                await asyncio.sleep(0)
                yield number.to_bytes(4) + bytes(size)
            if self._slow_to_close:
                await asyncio.Event().wait()
        finally:
            self.closing.set()
            if self._slow_to_close:
                await asyncio.sleep(0.05)
            self.closed += 1


async def numbers(kernel: Kernel, copy: Copy) -> list[int]:
    """As the corridor drives it."""
    seen: list[int] = []
    async with (
        aclosing(copy.pieces()) as pieces,
        aclosing(masked(kernel.stream, pieces)) as chunks,
    ):
        async for chunk in chunks:
            seen.append(int.from_bytes(chunk.data))
            await asyncio.sleep(0)
    return seen


def kernel_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("kernel")]


@pytest.mark.parametrize("seed", range(20))
async def test_chunks_keep_their_order_whatever_the_sizes(seed: int) -> None:
    chance = random.Random(seed)
    sizes = [chance.choice((0, 1, 16_379, 16_380, 16_384, LARGE)) for _ in range(60)]
    copy = Copy(sizes)
    assert await numbers(Kernel(), copy) == list(range(60))
    assert copy.closed == 1


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("at", [1, 2, 7, 20])
async def test_what_came_before_an_error_of_the_kernel_comes(size: int, at: int) -> None:
    seen: list[int] = []
    copy = Copy([size] * 20)
    with pytest.raises(ValueError, match="the kernel refuses"):
        async with aclosing(copy.pieces()) as pieces:
            async for chunk in masked(Kernel(fails_at=at).stream, pieces):
                seen.append(int.from_bytes(chunk.data))
    assert seen == list(range(at - 1))
    assert copy.closed == 1


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_row_limit_ends_it_with_the_kernel_at_rest(size: int) -> None:
    kernel, copy = Kernel(full_at=3), Copy([size] * 100)
    # Pieces that were on their way when the limit was reached have been fed: the kernel ignores
    # them, and is not inside one of them any more.
    assert (await numbers(kernel, copy))[:3] == [0, 1, 2]
    fed = kernel.fed
    await asyncio.sleep(0.01)
    assert kernel.fed == fed < 10
    assert copy.closed == 1


@pytest.mark.parametrize("turns", range(40))
async def test_cancelled_anywhere_it_ends_cancelled_and_closes_the_copy(turns: int) -> None:
    copy = Copy([LARGE, SMALL] * 1000)
    driver = asyncio.create_task(numbers(Kernel(), copy))
    for _ in range(turns + 1):
        await asyncio.sleep(0)
    driver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driver
    assert copy.closed == 1 or turns < 4  # before the first piece is asked for there is no copy


async def test_a_cancellation_while_the_copy_is_being_closed_is_not_lost() -> None:
    copy = Copy([SMALL], slow_to_close=True)
    driver = asyncio.create_task(numbers(Kernel(full_at=1), copy))
    await copy.closing.wait()
    driver.cancel()
    await asyncio.sleep(0)
    driver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driver
    assert copy.closed == 1


async def test_two_hundred_streams_leave_no_thread_behind() -> None:
    ends = await asyncio.gather(*(numbers(Kernel(), Copy([LARGE] * 10)) for _ in range(200)))
    assert ends == [list(range(10))] * 200
    for thread in kernel_threads():
        await asyncio.to_thread(thread.join, 10)
    assert not kernel_threads()
