"""A segment's bytes as they lie on the disk, plain or packed: read by their place in the plain one.

A packed segment is zstd in frames of about 1 MiB, each of whole batches, and behind them the table
of the frames' sizes, in a skippable frame as zstd's seekable format has it: `zstd -d` unpacks it.

    frame … frame ‖ 5E 2A 4D 18 ‖ u32le(8n + 9) ‖ n × (u32le packed, u32le plain) ‖ u32le(n) ‖ 00
        ‖ B1 EA 92 8F

Refuses a table that does not fit the file to the byte, and a frame that would become more than the
table says or than LARGEST: no more memory is taken than one frame needs. What the bytes are is
believed by nobody before the batches' own checksums have been checked.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from gateway.sessionlog import disk

SUFFIX = ".zst"
FRAME = 1 << 20  # plain bytes after which a frame ends, with the batch that reaches it
LARGEST = 128 << 20  # plain bytes of one frame: a batch of records, and its leaves
_LEVEL = 1  # measured on real records: 4 to 16 times smaller, as level 9, and six times as fast
_SKIPPABLE, _SEEKABLE = 0x184D2A5E, 0x8F92EAB1
_HEAD, _SIZES, _FOOT = struct.Struct("<II"), struct.Struct("<II"), struct.Struct("<IBI")


class DamagedLogError(ValueError):
    """The write-ahead file holds what no crash leaves behind."""


class SegmentBytes(Protocol):
    """The bytes of one segment."""

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes:
        """Fewer than asked for where they end."""
        ...

    def release(self) -> None:
        """Give back what is held for the next read."""
        ...

    def close(self) -> None: ...


class Plain:
    """A segment as it was written, and perhaps still grows."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def release(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._fd)


class Packed:
    """A packed segment; holds one frame unpacked. Raises DamagedLogError for what is none."""

    def __init__(self, path: Path) -> None:
        self._path, self._codec = path, pa.Codec("zstd")
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._begins, self._places = self._table()
        except BaseException:
            os.close(self._fd)
            raise
        self._held, self._frame = -1, b""  # which frame, and its plain bytes

    @property
    def size(self) -> int:
        """Of the plain bytes."""
        return self._begins[-1]

    def read(self, offset: int, length: int) -> bytes:
        found, end = [], min(offset + length, self.size)
        while offset < end:
            number = bisect_right(self._begins, offset) - 1
            at = offset - self._begins[number]
            piece = self._unpacked(number)[at : at + end - offset]
            found.append(piece)
            offset += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def release(self) -> None:
        self._held, self._frame = -1, b""

    def close(self) -> None:
        os.close(self._fd)

    def _unpacked(self, number: int) -> bytes:
        if self._held != number:
            offset, length = self._places[number]
            size = self._begins[number + 1] - self._begins[number]
            raw = os.pread(self._fd, length, offset)
            try:
                frame: bytes = self._codec.decompress(raw, size, asbytes=True)
            except (OSError, ValueError):  # what Arrow raises for bytes that are no zstd
                frame = b""
            if len(raw) != length or len(frame) != size:
                raise DamagedLogError(f"{self._path}: the frame at byte {offset} is damaged")
            self._held, self._frame = number, frame
        return self._frame

    def _table(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Where each frame begins among the plain bytes, and where it is in the file."""
        size = os.fstat(self._fd).st_size
        foot = os.pread(self._fd, _FOOT.size, max(0, size - _FOOT.size))
        count, flags, magic = _FOOT.unpack(foot) if len(foot) == _FOOT.size else (0, 0, 0)
        begin = size - _FOOT.size - count * _SIZES.size - _HEAD.size
        if magic != _SEEKABLE or flags or not count or begin < 0:
            raise DamagedLogError(f"{self._path}: is no packed segment")
        table = os.pread(self._fd, size - begin, begin)
        head = _HEAD.unpack_from(table)
        begins, places, at = [0], [], 0
        for packed, plain in _SIZES.iter_unpack(table[_HEAD.size : -_FOOT.size]):
            if not 0 < plain <= LARGEST:
                raise DamagedLogError(f"{self._path}: a frame of {plain} bytes")
            places.append((at, packed))
            begins.append(begins[-1] + plain)
            at += packed
        if head != (_SKIPPABLE, size - begin - _HEAD.size) or at != begin:
            raise DamagedLogError(f"{self._path}: its table is not that of its frames")
        return begins, places


class Packing:
    """Writes a packed segment, frame by frame, to a file that is open for it."""

    def __init__(self, fd: int) -> None:
        self._fd, self._codec = fd, pa.Codec("zstd", compression_level=_LEVEL)
        self._table, self._count, self._end = bytearray(), 0, 0

    def add(self, plain: bytes) -> None:
        """One frame. Raises ValueError for one that no reader would take."""
        if not 0 < len(plain) <= LARGEST:
            raise ValueError(f"a frame of {len(plain)} bytes")
        frame = self._codec.compress(plain, asbytes=True)
        self._write(frame)
        self._table += _SIZES.pack(len(frame), len(plain))
        self._count += 1

    def finish(self) -> None:
        foot = _FOOT.pack(self._count, 0, _SEEKABLE)
        self._write(_HEAD.pack(_SKIPPABLE, len(self._table) + len(foot)) + self._table + foot)

    def _write(self, data: bytes) -> None:
        disk.write_all(self._fd, data, self._end)
        self._end += len(data)


@contextmanager
def opened(path: Path) -> Iterator[SegmentBytes]:
    """The bytes of this segment, though its plain file be packed this moment."""
    data = reading(path)
    try:
        yield data
    finally:
        data.close()


def reading(path: Path) -> SegmentBytes:
    """As `opened`, for whoever closes it later."""
    if path.suffix == SUFFIX:
        return Packed(path)
    try:
        return Plain(path)
    except FileNotFoundError:
        if not path.with_suffix(SUFFIX).exists():
            raise
        return Packed(path.with_suffix(SUFFIX))


class Shelf:
    """Segments by number, open for reading; only the one that was read last holds a frame."""

    def __init__(self) -> None:
        self._segments: dict[int, SegmentBytes] = {}
        self._last: SegmentBytes | None = None

    def put(self, number: int, path: Path) -> None:
        """Read this segment from that file from now on."""
        before, self._segments[number] = self._segments.get(number), reading(path)
        if before is not None:
            before.close()

    def read(self, number: int, offset: int, length: int) -> bytes:
        found = self._segments[number]
        if self._last is not None and self._last is not found:
            self._last.release()
        self._last = found
        return found.read(offset, length)

    def close(self) -> None:
        for one in self._segments.values():
            one.close()
        self._segments.clear()
