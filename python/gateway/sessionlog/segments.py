"""The segments of one boot: one is written, those before it are read, and packed in the background.

A segment that is full is given to a thread that packs it beside the plain one, reads back what it
wrote, and only then removes the plain one. Nobody waits for that, and nothing rests on it: while it
runs, and when it fails, the plain file is what it was. A failure is told and not tried again; the
segments then stay plain until the next start, which drops them.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from pathlib import Path

from gateway.sessionlog import disk, wal
from gateway.sessionlog.packed import FRAME, SUFFIX, Packing, Shelf, opened

_LOG = logging.getLogger("maskgate")


class _Stopped(Exception):
    """The log is being closed."""


class Segments:
    """Made for one boot, closed with it. `read` from any thread, the rest from the writer's."""

    def __init__(self, folder: Path, batch: int) -> None:
        self.newest = wal.SegmentWriter(folder, batch)
        self._shelf, self._reading = Shelf(), threading.Lock()
        self._shelf.put(batch, self.newest.path)
        self._full: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """The bytes at this place of the segment that begins with this batch."""
        with self._reading:
            return self._shelf.read(segment, offset, length)

    def turn(self) -> None:
        """Begin the next segment; the full one may be packed."""
        full = self.newest
        self.newest = wal.SegmentWriter(full.path.parent, full.batch)
        full.close()
        with self._reading:
            self._shelf.put(self.newest.number, self.newest.path)
        self._put(full.path)

    def close(self) -> None:
        """What is not packed by now stays as it is."""
        self._stopping.set()
        self._full.put(None)
        if self._thread is not None:
            self._thread.join()
        self.newest.close()
        self._shelf.close()

    def _put(self, full: Path) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="packing", daemon=True)
            self._thread.start()
        self._full.put(full)

    def _run(self) -> None:
        while (path := self._full.get()) is not None:
            if not self._packed(path):
                return

    def _packed(self, path: Path) -> bool:
        """Whether to go on with the next."""
        try:
            target = pack(path, self._stopping)
            with self._reading:
                self._shelf.put(int(path.stem), target)
            disk.remove(path)
        except _Stopped:
            return False
        except Exception as error:
            _LOG.warning(
                "%s is not packed: %s; segments stay plain until the next start",
                path, type(error).__name__,
            )  # fmt: skip
            return False
        return True


def pack(path: Path, stopping: threading.Event) -> Path:
    """The same segment packed, durable on return, with the plain one beside it.

    Raises DamagedLogError for a bad frame, OSError, and ValueError for a batch that is too large;
    then there is no packed one.
    """
    target = path.with_suffix(SUFFIX)
    try:
        with disk.replacing(target) as fd, opened(path) as plain:
            packing, begin, end = Packing(fd), 0, 0
            while (frame := wal.read_frame(plain, end)) is not None:
                end = frame.end
                if end - begin >= FRAME:
                    packing.add(plain.read(begin, end - begin))
                    begin = end
                if stopping.is_set():
                    raise _Stopped
            if end > begin:
                packing.add(plain.read(begin, end - begin))
            if plain.read(end, wal.HEADER.size).strip(b"\0"):
                raise wal.DamagedLogError(f"{path}: the frame at byte {end} is bad")
            packing.finish()
        _compare(path, target, end)
    except BaseException:
        for left in (target, target.with_name(f".{target.name}.new")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
        raise
    return target


def _compare(path: Path, target: Path, end: int) -> None:
    with opened(path) as plain, opened(target) as packed:
        same = packed.size == end and all(
            plain.read(at, min(FRAME, end - at)) == packed.read(at, min(FRAME, end - at))
            for at in range(0, end, FRAME)
        )
    if not same:
        raise wal.DamagedLogError(f"{target}: is not what {path} is")
