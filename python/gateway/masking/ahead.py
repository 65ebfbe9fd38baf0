"""The kernel beside the event loop: it masks the next bytes while the last ones are sent.

Refuses to run far ahead: at most a few chunks wait, so a client that does not read stops the
database, and memory stays what it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from gateway._kernel import Chunk, MaskedStream

#: Bytes below which going to another thread costs more than masking here.
_SMALL = 16 * 1024
#: Lists of chunks that may wait to be recorded.
_AHEAD = 2


async def masked(kernel: MaskedStream, copy: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
    """The chunks that COPY bytes become, in order, until the bytes or the row limit end.

    The kernel works in a thread (it holds no lock of Python) and one step at a time. Closing the
    generator stops it. Raises what the kernel or the upstream raises.
    """
    waiting: asyncio.Queue[list[Chunk] | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)

    async def work() -> None:
        async for raw in copy:
            if len(raw) < _SMALL:
                ready = kernel.feed(raw)
            else:
                ready = await asyncio.to_thread(kernel.feed, raw)
            if ready:
                await room.acquire()
                waiting.put_nowait(ready)
            if kernel.truncated:
                break

    worker = asyncio.create_task(work())
    worker.add_done_callback(lambda _: waiting.put_nowait(None))
    try:
        while (ready := await waiting.get()) is not None:
            for chunk in ready:
                yield chunk
            room.release()
        await worker  # raises what stopped it
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await worker
