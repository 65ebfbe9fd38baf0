"""COPY BINARY streams made by hand, and a `MaskedStream` run over bytes in one call."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from gateway._kernel import Chunk, MaskedStream

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = struct.pack(">h", -1)
TOKEN_KEY = bytes(range(32))
CLEAR = {"name": "clear", "scan": False}


def row(*cells: bytes | None) -> bytes:
    """One tuple; None is NULL."""
    parts = [struct.pack(">h", len(cells))]
    for cell in cells:
        parts.append(struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell)
    return b"".join(parts)


def copy(*rows: bytes) -> bytes:
    """A whole stream of these tuples."""
    return HEADER + b"".join(rows) + TRAILER


def int4(value: int) -> bytes:
    return struct.pack(">i", value)


def int8(value: int) -> bytes:
    return struct.pack(">q", value)


def column(
    name: str, kind: str | dict[str, Any] = "text", treatment: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One column of a plan."""
    column_type = {"kind": kind} if isinstance(kind, str) else kind
    return {"name": name, "type": column_type, "treatment": treatment or CLEAR}


def plan(columns: Sequence[dict[str, Any]], form: str = "arrow", **options: Any) -> str:
    return json.dumps({"format": form, "metadata": {}, "columns": list(columns), **options})


def opened(columns: Sequence[dict[str, Any]], form: str = "arrow", **options: Any) -> MaskedStream:
    """A stream; its head has not been taken."""
    return MaskedStream(plan(columns, form, **options), TOKEN_KEY)


def run(stream: MaskedStream, pieces: Iterable[bytes | bytearray | memoryview]) -> list[Chunk]:
    """Every chunk of the stream, the head first."""
    chunks = [stream.head()]
    for piece in pieces:
        chunks += stream.feed(piece)
    return chunks + stream.finish()


def joined(chunks: Iterable[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)
