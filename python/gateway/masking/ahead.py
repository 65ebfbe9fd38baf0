"""The kernel beside the event loop: it masks the next bytes while the last ones are sent.

Refuses to run far ahead: little waits before the kernel and little behind it, so a client that does
not read stops the database, and memory stays what it is.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from gateway._kernel import Chunk, CopyReader, MaskedStream

#: Bytes below which going to another thread costs more than masking here.
_SMALL = 16 * 1024
#: Bytes that may wait before the kernel, and how many the thread takes before it says so.
_BEFORE = 2 << 20
_TOLD = 1 << 19
#: Answers of the kernel that may wait to be recorded.
_BEHIND = 2


async def masked(
    kernel: MaskedStream, copy: AsyncIterator[bytes | CopyReader]
) -> AsyncGenerator[Chunk, None]:
    """The chunks that COPY bytes become, in order, until the bytes or the row limit end.

    The kernel works in a thread of its own, which goes from one piece to the next without asking
    the event loop (it holds no lock of Python meanwhile), and reads what it is lent itself. The
    kernel is at rest when the generator has ended by itself. Raises what the kernel or the upstream
    raises.
    """
    beside = _Beside(kernel)
    feeding = asyncio.create_task(beside.feed(copy))
    feeding.add_done_callback(lambda _: beside.came.set())
    try:
        while True:
            while beside.ready:
                chunks, truncated = beside.take()
                for chunk in chunks:
                    yield chunk
                if truncated:
                    return
            if feeding.done() or beside.failed():
                break
            beside.came.clear()
            await beside.came.wait()
        if not beside.failed():
            await feeding  # raises what stopped it
        await beside.rest()
    finally:
        feeding.cancel()
        cancelled = await _end(feeding)
        if beside.thread is not None:
            cancelled = await _end(beside.thread) or cancelled
        if cancelled is not None:
            raise cancelled


class _Beside:
    """The kernel, its thread, and what waits before it and behind it."""

    def __init__(self, kernel: MaskedStream) -> None:
        self._kernel = kernel
        self._loop = asyncio.get_running_loop()
        self._pieces: SimpleQueue[bytes | CopyReader | None] = SimpleQueue()
        self._reader: CopyReader | None = None
        self._read = asyncio.Event()  # the reader gives no more
        self._answers = 0  # that were not taken yet
        self._room = threading.Condition()
        self._before = 0  # bytes given to the thread that it has not spoken of
        self._stopping = False
        self.thread: asyncio.Future[None] | None = None
        #: What became of some pieces, and whether the row limit is reached.
        self.ready: deque[tuple[list[Chunk], bool]] = deque()
        self.came = asyncio.Event()
        self.room = asyncio.Event()

    async def feed(self, copy: AsyncIterator[bytes | CopyReader]) -> None:
        """Every piece of `copy`; at rest on return. Cancelled, it leaves out what waits."""
        try:
            async for piece in copy:
                if not isinstance(piece, bytes):
                    await self._beside(piece)
                elif self.thread is None and len(piece) < _SMALL:
                    chunks, truncated = self._kernel.feed(piece), self._kernel.truncated
                    self._count(chunks, truncated)
                    self._deliver(0, chunks, truncated)
                else:
                    self._before += len(piece)
                    self._pieces.put(piece)
                    self.thread = self.thread or self._start()
                while self._before > _BEFORE or len(self.ready) >= _BEHIND:
                    self.room.clear()
                    await self.room.wait()
        except asyncio.CancelledError:
            self._stop()
            raise
        finally:
            self._pieces.put(None)
            await self.rest()

    async def _beside(self, reader: CopyReader) -> None:
        self._reader = reader
        self._pieces.put(reader)
        self.thread = self.thread or self._start()
        await self._read.wait()

    def _stop(self) -> None:
        self._stopping = True
        with self._room:
            self._room.notify()
        if self._reader is not None:
            self._reader.stop()

    def take(self) -> tuple[list[Chunk], bool]:
        """The next of `ready`."""
        with self._room:
            self._answers -= 1
            self._room.notify()
        self.room.set()
        return self.ready.popleft()

    async def rest(self) -> None:
        """Wait for the thread, which has been told to end. Raises what the kernel raised."""
        if self.thread is not None:
            await asyncio.shield(self.thread)

    def failed(self) -> bool:
        """Whether the kernel has raised something."""
        thread = self.thread
        return thread is not None and thread.done() and thread.exception() is not None

    def _start(self) -> asyncio.Future[None]:
        threads = ThreadPoolExecutor(1, thread_name_prefix="kernel")
        thread = self._loop.run_in_executor(threads, self._work)
        thread.add_done_callback(lambda _: self.came.set())
        threads.shutdown(wait=False)
        return thread

    def _work(self) -> None:
        """In the thread. The loop is woken for chunks, and to make room, and not for each piece."""
        taken = 0
        while pieces := self._waiting():
            chunks = self._kernel.feed_all(pieces)
            taken += sum(map(len, pieces))
            truncated = self._kernel.truncated
            if chunks or truncated or taken >= _TOLD:
                self._answer(taken, chunks, truncated)
                taken = 0
        if self._reader is not None:
            self._read_on(self._reader)
        if not self._stopping:
            self._kernel.feed_all(())  # raises an error that full chunks went out ahead of

    def _read_on(self, reader: CopyReader) -> None:
        """In the thread: all that the reader gives."""
        try:
            while chunks := self._kernel.feed_from(reader):
                self._answer(0, chunks, False)
                with self._room:
                    while self._answers >= _BEHIND and not self._stopping:
                        self._room.wait()
            if self._kernel.truncated:
                self._answer(0, [], True)
        finally:
            self._loop.call_soon_threadsafe(self._read.set)

    def _waiting(self) -> list[bytes]:
        """The next piece and what waits behind it, not much at once; nothing at the end."""
        pieces: list[bytes] = []
        size = 0
        while size < _TOLD and not (pieces and self._pieces.empty()):
            piece = self._pieces.get()
            if not isinstance(piece, bytes) or self._stopping:
                self._pieces.put(None)  # the end is found again behind these
                break
            pieces.append(piece)
            size += len(piece)
        return [] if self._stopping else pieces

    def _answer(self, taken: int, chunks: list[Chunk], truncated: bool) -> None:
        """In the thread: tell the loop."""
        self._count(chunks, truncated)
        self._loop.call_soon_threadsafe(self._deliver, taken, chunks, truncated)

    def _count(self, chunks: list[Chunk], truncated: bool) -> None:
        if chunks or truncated:
            with self._room:
                self._answers += 1

    def _deliver(self, taken: int, chunks: list[Chunk], truncated: bool) -> None:
        self._before -= taken
        self.room.set()
        if chunks or truncated:
            self.ready.append((chunks, truncated))
            self.came.set()


async def _end(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until it is over, which may take its time to stop the database.

    A cancellation of the caller in the meantime is given back: it may be a revocation.
    """
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as again:
            cancelled = again
    if not future.cancelled():
        future.exception()  # told to the caller already, or the caller has gone
    return cancelled
