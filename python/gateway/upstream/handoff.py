"""Bytes on their way from the driver to the reader: few at a time, none lost.

The driver's side waits while more than a little is not yet taken, and so holds the server back.
"""

from __future__ import annotations

import asyncio
from collections import deque

_LIMIT = 1 << 20  # bytes that may wait; one piece more can be on top


class Handoff:
    """One writer, one reader, one event loop."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()  # something came, or the writer has ended
        self._room = asyncio.Event()
        self._ended = False

    async def put(self, piece: bytes) -> None:
        """Hand `piece` over; waits while the reader is behind."""
        while self._size >= _LIMIT:
            self._room.clear()
            await self._room.wait()
        self._pieces.append(piece)
        self._size += len(piece)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come; what came stays to be taken."""
        self._ended = True
        self._changed.set()

    async def take(self) -> bytes | None:
        """The next piece, or None when everything has been taken and the writer has ended."""
        while not self._pieces:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        self._room.set()
        return piece
