"""The log's durable records in their order, for one reader that keeps its place over crashes.

Segments of the write-ahead file are held by a second name (a hard link in `siem/`) from before the
start that would drop them until the reader has said that it is past them: what was not delivered
when the gateway was killed is still there. The place is kept in `siem/cursor.json`; it moves after
a delivery, never before. A record is given when its batch is durable, and not earlier: a crash
leaves no delivered record that the log does not hold.

Refuses nothing that the writer wants: it only reads, and adds names; what the log has dropped loses
the zeros behind its last frame, and what it has packed is held packed. A cursor that is lost,
unreadable or ahead of the log begins with the oldest segment there is, so that records come twice
rather than never.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError
from gateway.model import DurableRecord, LogPlace
from gateway.sessionlog import canonical, chain, disk, merkle, wal
from gateway.sessionlog.packed import SUFFIX, SegmentBytes, opened
from gateway.sessionlog.session import SessionStore

_LOG = logging.getLogger("maskgate")
_FOLDER = "siem"
_MOST = 1 << 53  # no place is beyond: what the canonical spelling has


class Tail:
    """One reader of one log's directory. For one thread; `adopt` once before the log is opened."""

    def __init__(self, directory: Path) -> None:
        self._wal = directory / "wal"
        self._held = directory / _FOLDER
        self._store = SessionStore(directory / "sessions")
        self._place = LogPlace(0, 0, 0)

    def adopt(self) -> None:
        """Hold every segment that is there, and read where the reader was. Raises
        ConfigurationError when the file system has no hard links."""
        try:
            disk.make_directory(self._held)
            self._place = self._stored()
            self._disown()
            self._hold()
            self._trim()
        except OSError as error:
            raise ConfigurationError(
                f"{self._held}: cannot hold the log's segments: {error.strerror}"
            ) from None

    @property
    def place(self) -> LogPlace:
        """Behind the last record that was delivered, and behind frames after it that hold none."""
        return self._place

    def records(self, synced: Callable[[], int]) -> Iterator[DurableRecord]:
        """Each record behind `place` whose batch is below `synced()`; ends where there is no more
        now. Raises OSError, and DamagedLogError where a frame that was durable cannot be read."""
        self._hold()
        held = self._segments()
        first = self._place.segment
        if first and held and held[0] > first:
            _LOG.warning("siem: the log begins at batch %d, the reader was at %d", held[0], first)
        given = False
        for segment, following in zip(held, [*held[1:], None], strict=True):
            if segment < first:
                continue
            here = segment == first
            offset, line = (self._place.offset, self._place.line) if here else (0, 0)
            try:
                for frame in self._frames(segment, offset, following, synced):
                    for found in _records(segment, frame, line):
                        given = True
                        yield found
                    line = 0
                    if not given:
                        # Heartbeats alone, perhaps of weeks: not read again at each look. Kept in
                        # memory only, for nothing was delivered that a restart could repeat.
                        self._place = LogPlace(segment, frame.end, 0)
            except wal.DamagedLogError:
                if not given:
                    raise
                return  # first what stands before it is delivered

    def delivered(self, place: LogPlace) -> None:
        """All records up to `place` have arrived; durable on return. Lets go of what is before."""
        stored = {"line": place.line, "offset": place.offset, "segment": place.segment, "v": 1}
        disk.replace(self._held / "cursor.json", canonical.encode(stored))
        self._place = place
        for path in self._files():
            if int(path.stem) < place.segment:
                disk.remove(path)

    def opening(self, sid: str) -> dict[str, Any] | None:
        """The `open` record of a session that has ended, if it is still there."""
        try:
            with (self._store.directory / f"{sid}.jsonl").open("rb") as file:
                found = json.loads(file.readline())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _disown(self) -> None:
        """What is beyond the newest segment of the log is of another history: an older copy was put
        back since. The reader begins anew; what it held of the other stays, under another name."""
        newest = max((int(path.stem) for path in wal.segments(self._wal)), default=0)
        if self._place.segment > newest:
            _LOG.warning(
                "siem: an older log was put back: it ends with segment %d, its reader was at %d; "
                "delivered anew from the oldest segment",
                newest,
                self._place.segment,
            )
            self._place = LogPlace(0, 0, 0)
        for path in self._files():
            if int(path.stem) > newest:
                disk.rename(path, path.with_suffix(".astray"))

    def _hold(self) -> None:
        """Give each segment from the reader's on a second name. One that never became whole may
        leave its number to the next boot's: then the newer file takes the name."""
        added, spare = False, []
        for path in wal.segments(self._wal):
            if int(path.stem) < self._place.segment:
                continue
            # Packed meanwhile: then it has that name by now. Neither: a start has folded it, and
            # had it held before.
            for source in (path, path.with_suffix(SUFFIX)):
                try:
                    added |= self._link(source)
                except FileNotFoundError:
                    continue
                if source.suffix == SUFFIX:
                    spare.append(self._held / f"{path.stem}.wal")
                break
        if added:
            disk.sync_directory(self._held)
        for plain in spare:
            plain.unlink(missing_ok=True)

    def _link(self, path: Path) -> bool:
        """Whether this segment's file is held only from now on."""
        name = self._held / path.name
        if not name.exists():
            os.link(path, name)
        elif not name.samefile(path):
            spare = name.with_suffix(".new")
            spare.unlink(missing_ok=True)
            os.link(path, spare)
            spare.rename(name)
        else:
            return False
        return True

    def _trim(self) -> None:
        """Give back the zeros that a segment had grown by, where the log has none of it any more:
        a start leaves megabytes of them, and there may be many before the target is back."""
        kept = {path.name for path in wal.segments(self._wal)}
        for path in self._files():
            if path.suffix == SUFFIX or path.name in kept or path.stat().st_nlink > 1:
                continue
            with opened(path) as data:
                end, size = _end(data), data.size
                zeros = size > end and not data.read(end, size - end).strip(b"\0")
            if zeros:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    disk.cut(fd, end)
                finally:
                    os.close(fd)

    def _files(self) -> list[Path]:
        found = self._held.iterdir()
        return sorted(path for path in found if path.suffix in (".wal", SUFFIX))

    def _segments(self) -> list[int]:
        return sorted({int(path.stem) for path in self._files()})

    def _path(self, segment: int) -> Path:
        return self._held / f"{segment:020d}.wal"

    def _stored(self) -> LogPlace:
        try:
            stored = json.loads((self._held / "cursor.json").read_bytes())
            found = LogPlace(stored["segment"], stored["offset"], stored["line"])
            if all(type(part) is int and 0 <= part < _MOST for part in found):
                return found
        except FileNotFoundError:
            return LogPlace(0, 0, 0)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        _LOG.warning("siem: %s cannot be read; the oldest segment is delivered anew", self._held)
        return LogPlace(0, 0, 0)

    def _frames(
        self, segment: int, offset: int, following: int | None, synced: Callable[[], int]
    ) -> Iterator[wal.Frame]:
        path = self._path(segment)
        with opened(path) as data:
            while True:
                # Asked before the read: what is below it was whole by then. A torn frame's number
                # is the next segment's, for it is given again.
                whole = synced() if following is None else following
                frame = wal.read_frame(data, offset)
                if frame is None and _begun(data, offset) < whole:
                    raise wal.DamagedLogError(f"{path}: the frame at byte {offset} is bad")
                if frame is None or frame.batch >= synced():
                    return
                yield frame
                offset = frame.end


def _end(data: SegmentBytes) -> int:
    """Where the last frame ends, as the headers say."""
    end, size = 0, data.size
    while end < size and (stated := wal.header(data, end)) is not None:
        end += wal.HEADER.size + stated[1] + wal.CHECKSUM
    return min(end, size)


def _begun(data: SegmentBytes, offset: int) -> float:
    """The batch whose header stands here; infinity where none does."""
    stated = wal.header(data, offset)
    return math.inf if stated is None else stated[0]


def _records(segment: int, frame: wal.Frame, done: int) -> Iterator[DurableRecord]:
    """The records of a frame behind its first `done` lines. A record's leaf stands behind it."""
    lines = frame.payload.split(b"\n")[:-1]
    places = [at for at, line in enumerate(lines) if line[:2] == b"r "]
    for at in places:
        if at < done:
            continue
        sid, raw = lines[at][2:38].decode("ascii"), lines[at][39:]
        following = lines[at + 1] if at + 1 < len(lines) else b""
        leaf = merkle.leaf_hash(following[2:]).hex() if following[:2] == b"l " else None
        if leaf is not None and json.loads(following[2:]).get("sid") != sid:
            leaf = None
        record = json.loads(raw)
        last = at == places[-1]
        place = LogPlace(segment, frame.end, 0) if last else LogPlace(segment, frame.start, at + 1)
        digest = chain.link(bytes.fromhex(record["prev"]), record["i"], raw).hex()
        yield DurableRecord(place, sid, record, digest, leaf)
