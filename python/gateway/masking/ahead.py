"""The kernel beside the event loop: it masks the next bytes while the last ones are sent.

Refuses to run far ahead: at most a few pieces wait, so a client that does not read stops the
database, and memory stays what it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gateway._kernel import Chunk, MaskedStream

#: Bytes below which going to another thread costs more than masking here.
_SMALL = 16 * 1024
#: Pieces that may be with the kernel or wait to be recorded.
_AHEAD = 3

_Masked = tuple[list[Chunk], bool]  # what became of a piece, and whether the row limit is reached


async def masked(kernel: MaskedStream, copy: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
    """The chunks that COPY bytes become, in order, until the bytes or the row limit end.

    The kernel works in a thread of its own, which goes from one piece to the next without asking
    the event loop (it holds no lock of Python meanwhile). The kernel is at rest when the generator
    has ended by itself. Raises what the kernel or the upstream raises.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="kernel")
    waiting: asyncio.Queue[asyncio.Future[_Masked] | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)

    def step(piece: bytes) -> _Masked:
        return kernel.feed(piece), kernel.truncated

    async def work() -> None:
        last: asyncio.Future[_Masked] | None = None
        async for piece in copy:
            if len(piece) < _SMALL and (last is None or last.done()):
                last = loop.create_future()
                last.set_result(step(piece))
            else:
                last = loop.run_in_executor(thread, step, piece)
            waiting.put_nowait(last)
            await room.acquire()

    worker = asyncio.create_task(work())
    worker.add_done_callback(lambda _: waiting.put_nowait(None))
    try:
        while (piece := await waiting.get()) is not None:
            chunks, truncated = await piece
            for chunk in chunks:
                yield chunk
            room.release()
            if truncated:
                break
        else:
            await worker  # raises what stopped it
    finally:
        cancelled = await _stop(worker)
        thread.shutdown(wait=False)
        await _rest(waiting)
        if cancelled is not None:
            raise cancelled


async def _stop(worker: asyncio.Task[None]) -> asyncio.CancelledError | None:
    """End the worker, which has the copy until then and may take its time to stop the database.

    A cancellation of the caller in the meantime is given back: it may be a revocation.
    """
    cancelled = None
    worker.cancel()
    while not worker.done():
        try:
            await asyncio.wait({worker})
        except asyncio.CancelledError as again:
            cancelled = again
    if not worker.cancelled():
        worker.exception()  # told to the caller already, or the caller has gone
    return cancelled


async def _rest(waiting: asyncio.Queue[asyncio.Future[_Masked] | None]) -> None:
    """Wait for the pieces that nobody wants any more: a few, and each is a matter of moments."""
    while not waiting.empty():
        piece = waiting.get_nowait()
        if piece is not None:
            with suppress(Exception):
                await piece
