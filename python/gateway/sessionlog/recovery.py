"""What the disk says at a start: every byte of the write-ahead file read, none believed unchecked.

This path runs at every start, after a crash and after a clean stop alike. It recomputes each chain,
rebuilds the ledger beyond its last sync, and checks every checkpoint's signature and root. It
refuses to go on over a bad frame that is not at the tail, a gap in the batches, a chain or a tree
that does not fit, and files of the ledger that know more than the write-ahead file (a rollback).
What it read may have been in the system's cache alone, so the last frame is made durable before
anything is built on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, InvalidRequest
from gateway.sessionlog import disk, wal
from gateway.sessionlog.merkle import Frontier, leaf_hash
from gateway.sessionlog.note import Checkpoint, LogKey, Private
from gateway.sessionlog.packed import Shelf
from gateway.sessionlog.session import BrokenChainError, Session, SessionStore
from gateway.sessionlog.tiles import LedgerError, Tiles
from gateway.sessionlog.wal import DamagedLogError


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A torn tail: bytes that were never acknowledged, kept and named."""

    name: str
    size: int
    sha256: str

    def body(self) -> dict[str, Any]:
        """As the recovery event names it."""
        return {"bytes": self.size, "name": self.name, "sha256": self.sha256}


@dataclass(slots=True)
class State:
    """Where the log stands after its bytes have been read."""

    tree: Frontier = field(default_factory=Frontier)
    checkpoint: Checkpoint | None = None
    synced: int = 0  # leaves that the ledger's files hold for certain
    next_batch: int = 1
    next_session: int = 1
    boot_leaf: int = 0
    sessions: dict[str, Session] = field(default_factory=dict)
    segments: list[Path] = field(default_factory=list)
    previous: str = ""  # the name of the newest segment, and where it ends
    previous_end: int = 0
    quarantined: list[Quarantine] = field(default_factory=list)

    def interrupted(self) -> list[Session]:
        """The sessions that a crash left open."""
        return [session for session in self.sessions.values() if not session.ended]

    def event(self) -> dict[str, Any]:
        """The body of the event that names what was interrupted and what was set aside."""
        return {
            "kind": "recovery",
            "quarantined": [torn.body() for torn in self.quarantined],
            "sessions": [
                {"head": session.head.hex(), "n": session.n, "sid": session.sid}
                for session in self.interrupted()
            ],
        }


def long_term_key(directory: Path, origin: str, held: Private | None) -> LogKey:
    """The log's key: the one that is held elsewhere, or the file's, which is made at the first
    start and never again."""
    path = directory / "key"
    if held is not None:
        if path.exists():
            # Of no use any more, or the copy that a token is there to rule out.
            raise ConfigurationError(
                f"log key {path}: there is a file beside the key in a token; destroy it, "
                "or leave out log.key"
            )
        return LogKey(origin, held)
    if path.exists():
        return LogKey.load(path, origin)
    if wal.segments(directory / "wal") or (directory / "ledger" / "tile").exists():
        raise ConfigurationError(
            f"log key {path}: missing beside a log; restore it, name its token as log.key, "
            "or move the log"
        )
    return LogKey.create(path, origin)


def recover(directory: Path, key: LogKey, tiles: Tiles) -> State:
    """Read everything; raises ConfigurationError, with the reason, rather than go on in doubt."""
    try:
        state = _replay(directory / "wal", key, tiles)
        stored = tiles.stored()
        if stored > state.tree.size:
            raise LedgerError(
                f"the ledger holds {stored} leaves and the write-ahead file {state.tree.size}: "
                "it was cut or restored from an old copy"
            )
        _restore(state, tiles)
    except (ValueError, KeyError, TypeError, InvalidRequest) as reason:
        # Each of this room's errors is a ValueError; the others come from lines that nobody wrote.
        raise ConfigurationError(f"session log {directory}: {reason}; not started") from reason
    return state


def fold(state: State, store: SessionStore, tiles: Tiles, folder: Path) -> None:
    """Earlier boots' sessions become files and their segments go; `folder` is this boot's.

    A crash here repeats it.
    """
    with contextlib.closing(Shelf()) as shelf:
        for path in state.segments:
            shelf.put(int(path.stem), path)
        for session in state.sessions.values():
            store.cut(session, shelf.read, durable=True)
    tiles.sync()
    wal.drop(folder.parent, folder)


def _replay(directory: Path, key: LogKey, tiles: Tiles) -> State:
    state = State()
    ends: dict[str, int] = {}
    last: wal.SegmentReader | None = None
    for path in wal.segments(directory):
        if path.stem != f"{state.next_batch:020d}" and state.segments:
            raise DamagedLogError(f"{path}: expected the segment of batch {state.next_batch}")
        reader = wal.SegmentReader(path)
        replay = _Segment(state, key, tiles, path, ends)
        for frame in reader.frames():
            replay.frame(frame)
        torn = [_set_aside(directory.parent, path, reader)] if reader.torn else []
        if reader.end == 0:
            # Its first frame never became whole: the start that made it acknowledged nothing.
            disk.remove(path)
            state.quarantined += torn
            continue
        state.segments.append(path)
        last = reader
        # Packed or not, heads call it by its first name.
        state.previous, state.previous_end = f"{path.stem}.wal", reader.end
        ends[state.previous] = reader.end
        # What earlier segments left behind was named by the start that followed them.
        state.quarantined = torn
    if last is not None and last.last is not None:
        # Before anything is made of it. Those before it were synced, each before the next.
        wal.settle(last.path, last.last)
    return state


def _restore(state: State, tiles: Tiles) -> None:
    """Write the ledger's files again beyond their last sync, now that all of it has been checked.

    Not while reading: over a rolled-back write-ahead file that would destroy the newer leaves.
    """
    tiles.open_at(state.synced)
    for path in state.segments:
        for frame in wal.SegmentReader(path).frames():
            lines = frame.payload.split(b"\n")
            tiles.extend([line[2:] for line in lines if line[:2] == b"l "])


def _set_aside(directory: Path, path: Path, reader: wal.SegmentReader) -> Quarantine:
    """Copy a torn tail to quarantine; named by place and hash: doing it twice is harmless."""
    digest = hashlib.sha256(reader.torn).hexdigest()
    name = f"{path.stem}-{reader.end}-{digest[:16]}.torn"
    disk.make_directory(directory / "quarantine")
    disk.replace(directory / "quarantine" / name, reader.torn)
    return Quarantine(name, len(reader.torn), digest)


class _Segment:
    """Takes one segment's frames into the state."""

    def __init__(
        self, state: State, key: LogKey, tiles: Tiles, path: Path, ends: dict[str, int]
    ) -> None:
        self._state, self._key, self._tiles, self._path = state, key, tiles, path
        self._ends = ends
        self._number = int(path.stem)
        self._begun = False

    def frame(self, frame: wal.Frame) -> None:
        state = self._state
        if self._begun and frame.batch != state.next_batch:
            raise DamagedLogError(
                f"{self._path}: expected batch {state.next_batch}, got {frame.batch}"
            )
        offset = frame.offset
        for index, line in enumerate(frame.payload.split(b"\n")[:-1]):
            tag, content = line[:2], line[2:]
            if index == 0 and not self._begun:
                if tag != b"h ":
                    raise DamagedLogError(f"{self._path}: does not begin with its head")
                self._head(_parse(content, self._path), frame)
            elif tag == b"r ":
                self._record(content, offset)
            elif tag == b"l ":
                self._leaf(content)
            elif tag == b"c ":
                self._checkpoint(content)
            else:
                raise DamagedLogError(f"{self._path}: batch {frame.batch} has an unknown line")
            offset += len(line) + 1
        state.next_batch += 1

    def _head(self, head: dict[str, Any], frame: wal.Frame) -> None:
        state = self._state
        if head["origin"] != self._key.origin:
            raise DamagedLogError(
                f"it belongs to origin {head['origin']!r}, not {self._key.origin!r}"
            )
        if not state.segments:
            # The oldest segment left: the leaves before it are in the synced ledger alone.
            state.synced = head["leaves"]
            state.tree = Frontier.read(self._tiles.node, head["leaves"])
            state.next_batch = self._number
            state.next_session = head["session_no"]
        previous = head["previous"]
        if previous and state.segments and self._ends.get(previous["name"]) != previous["end"]:
            raise DamagedLogError(f"{self._path}: the segment before it does not end where it did")
        found = (state.tree.size, state.tree.root().hex(), state.next_session)
        expected = (head["leaves"], head["root"], head["session_no"])
        if found != expected:
            raise LedgerError(f"{self._path} begins with ledger state {expected}, found {found}")
        if frame.batch != state.next_batch:
            raise DamagedLogError(f"{self._path}: begins with batch {frame.batch}")
        self._begun = True

    def _record(self, content: bytes, offset: int) -> None:
        state = self._state
        sid, raw = content[:36].decode("ascii", "replace"), content[37:]
        session = state.sessions.get(sid)
        if session is None:
            session = state.sessions[sid] = Session.reopened(sid, raw)
            if session.genesis.session_no != state.next_session:
                raise BrokenChainError(
                    f"session {sid}: expected number {state.next_session}, "
                    f"got {session.genesis.session_no}"
                )
            state.next_session += 1
            session.named("boot", state.boot_leaf)
        else:
            session.accept(raw)
        session.placed(self._number, offset + wal.RECORD_PREFIX, len(raw))

    def _leaf(self, data: bytes) -> None:
        state = self._state
        leaf = _parse(data, self._path)
        session = state.sessions.get(leaf.get("sid", ""))
        if session is not None:
            if (leaf["head"], leaf["n"]) != (session.head.hex(), session.n):
                raise BrokenChainError(f"session {session.sid}: a leaf names another head")
            session.named(leaf["type"], state.tree.size)
            session.committed = session.n
            session.ended |= leaf["type"] in ("close", "recovery")
        elif leaf["type"] == "boot":
            state.boot_leaf = state.tree.size
        state.tree.append(leaf_hash(data))

    def _checkpoint(self, content: bytes) -> None:
        state = self._state
        checkpoint = self._key.open_checkpoint(json.loads(content)["note"].encode())
        if (checkpoint.size, checkpoint.root) != (state.tree.size, state.tree.root()):
            raise LedgerError(
                f"the checkpoint of size {checkpoint.size} does not match the leaves before it"
            )
        state.checkpoint = checkpoint


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedLogError(f"{path}: a line is not JSON") from None
    if not isinstance(parsed, dict):
        raise DamagedLogError(f"{path}: a line is not an object")
    return parsed
