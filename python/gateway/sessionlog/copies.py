"""The log's evidence copied to where its own operator cannot take it back.

    PREFIX/ledger/tile/…   PREFIX/sessions/SID.jsonl SID.json   PREFIX/pending/SIZE
    PREFIX/checkpoints/SIZE   PREFIX/timestamps/SIZE.…   PREFIX/log

`log` names the key of the log whose copies these are, and is there before them: two logs under one
prefix would be a copy of neither.

One batch: the files of sessions that have ended, the new tiles (as C2SP tlog-tiles names them: a
partial one is `N.p/W`), the ids of ended sessions whose files are not cut yet, and last of all the
checkpoint: where that is, everything under it is. Time stamps come when they are there. Whatever is
put again is put with the same bytes, `pending` aside.

At least once: how far the copies are is kept in `copies/state.json` and moves behind the objects. A
crash in between puts some again. Nothing waits for a copy, and the sessions that are still open are
in the next batch after their end; of those an operator who loses the disk loses the records, and
the ledger keeps what their leaves said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ConfigurationError
from gateway.sessionlog import canonical, disk, timestamps
from gateway.sessionlog.errand import FailedError
from gateway.sessionlog.note import Checkpoint
from gateway.sessionlog.session import SessionStore, parse_id
from gateway.sessionlog.tiles import WIDTH, Tiles, continues, tile_path

_LOG = logging.getLogger("maskgate")
FOLDER = "copies"
_ENDS = (b'"type":"close"', b'"type":"recovery"')


class Store(Protocol):
    """Where objects go; `objects.Bucket`."""

    def claim(self, name: str, mark: bytes) -> bytes: ...

    def put(self, name: str, source: bytes | Path) -> None: ...


@dataclass(frozen=True, slots=True)
class State:
    """How far the copies at one place are."""

    target: str
    size: int = 0  # of the newest checkpoint that is there, with all that is under it
    root: str = ""  # of that
    sessions: int = 0  # leaves below which each ended session's files are there, or pending
    pending: tuple[str, ...] = ()  # ended, and without a file when their leaf was come to
    at: str = ""  # when `size` was reached
    stamps: Mapping[str, int] = field(default_factory=dict)  # by authority, the newest there

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "at": self.at,
                "pending": list(self.pending),
                "root": self.root,
                "sessions": self.sessions,
                "size": self.size,
                "stamps": dict(self.stamps),
                "target": self.target,
                "v": 1,
            }
        )


def state(directory: Path) -> State | None:
    """What is kept in a log's directory; None when nothing was copied. ConfigurationError."""
    path = directory / FOLDER / "state.json"
    try:
        stored = json.loads(path.read_bytes())
        found = State(
            str(stored["target"]), stored["size"], str(stored["root"]), stored["sessions"],
            tuple(stored["pending"]), str(stored["at"]), stored.get("stamps", {}),
        )  # fmt: skip
        counts = (found.size, found.sessions, *found.stamps.values())
        if not all(type(one) is int and one >= 0 for one in counts):
            raise ValueError("a count")
        bytes.fromhex(found.root)
        for sid in found.pending:
            parse_id(sid)
    except FileNotFoundError:
        return None
    except Exception as reason:
        raise ConfigurationError(f"{path}: {type(reason).__name__}: not what was written") from None
    return found


class Copies:
    """The copies of one log at one place. For one thread; `copy` is an errand. `vkey` names the
    log's key."""

    def __init__(
        self,
        directory: Path,
        store: Store,
        target: str,
        newest: Callable[[], Checkpoint | None],
        vkey: str,
    ) -> None:
        self._directory, self._store, self._newest = directory, store, newest
        self._mark, self._claimed = f"{vkey}\n".encode(), False
        self._sessions = SessionStore(directory / "sessions")
        self._tiles = Tiles(directory / "ledger")
        self._state = State(target)
        try:
            kept = state(directory)
        except ConfigurationError as reason:
            _LOG.warning("copies: %s; everything is copied once more", reason.detail)
        else:
            # Another place begins with nothing.
            self._state = kept if kept is not None and kept.target == target else self._state

    def copy(self) -> None:
        """Everything under the newest checkpoint is there on return, but what is pending.

        Raises FailedError, and LedgerError or OSError for what cannot be read.
        """
        checkpoint = self._newest()
        if checkpoint is None:
            return
        size, root = self._state.size, self._state.root
        if size and not continues(self._tiles, checkpoint.size, size, bytes.fromhex(root)):
            raise FailedError(
                f"the copies hold a ledger of {size} leaves that this one does not continue"
            )
        self._claim()
        self._pending()
        if checkpoint.size > size:
            self._grown(size, checkpoint)
        self._stamps()

    def _grown(self, size: int, checkpoint: Checkpoint) -> None:
        """What this checkpoint covers and one of `size` leaves does not; it itself at last."""
        self._ended(checkpoint.size)
        for name, data in tiles(self._tiles, size, checkpoint.size):
            self._store.put(f"ledger/{name}", data)
        name = f"{checkpoint.size:016d}"
        self._store.put(f"pending/{name}", canonical.encode(list(self._state.pending)))
        self._store.put(f"checkpoints/{name}", checkpoint.note)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        root = checkpoint.root.hex()
        self._keep(replace(self._state, size=checkpoint.size, root=root, at=at))

    def _claim(self) -> None:
        if not self._claimed and self._store.claim("log", self._mark) != self._mark:
            raise FailedError("another log's copies are there: give each log a prefix of its own")
        self._claimed = True

    def _pending(self) -> None:
        """Sessions whose files were not there the last time."""
        left = tuple(sid for sid in self._state.pending if not self._file(sid))
        if left != self._state.pending:
            self._keep(replace(self._state, pending=left))

    def _stamps(self) -> None:
        """Each time stamp with its checkpoint, which need not be one of those that were copied."""
        for size, authority, token in timestamps.tokens(self._directory):
            if size <= self._state.stamps.get(authority, 0):
                continue
            for path in (timestamps.note_of(token, size), token):
                self._store.put(f"{timestamps.FOLDER}/{path.name}", path)
            self._keep(replace(self._state, stamps={**self._state.stamps, authority: size}))

    def _ended(self, size: int) -> None:
        """The sessions that end among the leaves up to `size`; kept after each tile of leaves."""
        while self._state.sessions < size:
            begin = self._state.sessions
            end = min(size, (begin // WIDTH + 1) * WIDTH)
            missing = [
                sid
                for data in self._tiles.some(begin, end)
                if (sid := _ending(data)) is not None and not self._file(sid)
            ]
            pending = (*self._state.pending, *missing)
            self._keep(replace(self._state, sessions=end, pending=pending))

    def _file(self, sid: str) -> bool:
        """Whether the session's files are there now, or nothing is left to copy."""
        about = self._sessions.directory / f"{sid}.json"
        records = about.with_suffix(".jsonl")
        if not about.exists():
            return False
        if records.exists():  # else they are no longer kept, and a leaf says so
            self._store.put(f"sessions/{records.name}", records)
            self._store.put(f"sessions/{about.name}", about)
        return True

    def _keep(self, found: State) -> None:
        disk.make_directory(self._directory / FOLDER)
        disk.replace(self._directory / FOLDER / "state.json", found.encode())
        self._state = found


def _ending(data: bytes) -> str | None:
    """The session that this leaf ends."""
    if not any(mark in data for mark in _ENDS):
        return None
    leaf: dict[str, Any] = json.loads(data)
    if leaf["type"] not in ("close", "recovery"):
        return None
    sid = str(leaf["sid"])
    parse_id(sid)
    return sid


def tiles(stored: Tiles, old: int, new: int) -> Iterator[tuple[str, bytes]]:
    """The tiles of a tree of `new` leaves that one of `old` has not: by name, their bytes."""
    level = 0
    while new >> 8 * level > old >> 8 * level:
        first, full = old >> 8 * (level + 1), new >> 8 * (level + 1)
        width = (new >> 8 * level) % WIDTH
        for number in range(first, full + bool(width)):
            count = WIDTH if number < full else width
            name = published(number, count)
            yield f"tile/{level}/{name}", stored.hashes(level, number, count)
            if level == 0:
                yield f"tile/entries/{name}", stored.entries(number, count)
        level += 1


def published(number: int, count: int) -> str:
    """The name of a tile, or of the partial one with so many of its entries."""
    path = tile_path(number)
    return path if count == WIDTH else f"{path}.p/{count}"


class Published(Tiles):
    """The tiles of one size as they are copied; reads only."""

    def __init__(self, directory: Path, size: int) -> None:
        super().__init__(directory)
        self._of = size

    def _path(self, level: int | str, number: int) -> Path:
        depth = 0 if level == "entries" else int(level)
        full = number < self._of >> 8 * (depth + 1)
        count = WIDTH if full else (self._of >> 8 * depth) % WIDTH
        return self._home / str(level) / published(number, count)
