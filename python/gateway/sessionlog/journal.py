"""The log's growing end: frames of the write-ahead file, the ledger's leaves, its checkpoints.

Written by one thread alone. A frame is durable before anything in it has a place; a write or sync
that fails is raised, and whoever writes must stop for good.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from gateway.errors import ConfigurationError
from gateway.sessionlog import canonical, disk, leaves, merkle, recovery, wal
from gateway.sessionlog.epochs import Epochs, newest
from gateway.sessionlog.note import Checkpoint, LogKey
from gateway.sessionlog.segments import Segments
from gateway.sessionlog.session import Session
from gateway.sessionlog.tiles import LedgerError, Tiles
from gateway.sessionlog.writer import Entry


class Heard(Protocol):
    """Who is told of each newer checkpoint."""

    def notify(self) -> None: ...


class Journal:
    """One boot's segments, and the tree that they make grow."""

    def __init__(
        self,
        directory: Path,
        key: LogKey,
        boot: bytes,
        tiles: Tiles,
        state: recovery.State,
        heard: Heard,
    ) -> None:
        self._key, self._boot, self._heard = key, boot, heard
        try:
            self.epochs = Epochs(key, boot, newest(tiles, state.tree.size, key.verifier))
        except LedgerError as reason:
            raise ConfigurationError(f"session log {directory}: {reason}; not started") from None
        self._checkpoint_file = directory / "ledger" / "checkpoint"
        self.tiles, self.tree, self.checkpoint = tiles, state.tree, state.checkpoint
        #: Places, leaves and tiles, against the thread that writes them.
        self.reading = threading.Lock()
        self._written_sessions = state.next_session - 1
        self.folder = wal.boot_folder(directory / "wal", state.next_batch)
        disk.make_directory(self.folder)
        self.segments = Segments(self.folder, state.next_batch)

    @property
    def batch(self) -> int:
        """The first batch that may not be durable yet."""
        return self.segments.newest.batch

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """The bytes at this place of a segment of this boot."""
        return self.segments.read(segment, offset, length)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that a tree of `old` leaves is the beginning of one of `new`."""
        with self.reading:
            return merkle.consistency_proof(self.tiles.node, old, new)

    def begin(self, entries: list[Entry], previous: str, end: int) -> None:
        """The boot's first frame, behind the segment before it."""
        self._write(entries, self._head(previous, end))

    def commit(self, entries: list[Entry]) -> None:
        """One frame, in a new segment when this one is full."""
        head = b""
        full = self.segments.newest
        if full.full:
            head = self._head(full.path.name, full.end)
            self.segments.turn()
        self._write(entries, head)

    def close(self) -> None:
        self.segments.close()

    def _head(self, previous: str, end: int) -> bytes:
        """The first line of a segment: where the ledger and the numbers stand at its beginning."""
        number = self._written_sessions + 1
        return leaves.head(self._boot, self._key, self.tree, number, previous, end)

    def _write(self, entries: list[Entry], head: bytes) -> None:
        """One frame: each entry's record, then its leaves; a checkpoint over all, behind the leaf
        that names its epoch. Then durable."""
        parts, at = [head], len(head)
        places: list[tuple[Session, int, int]] = []
        written: list[bytes] = []
        for entry in entries:
            if entry.record is not None and entry.session is not None:
                line = b"r %b %b\n" % (entry.session.sid.encode(), entry.record)
                places.append((entry.session, at + wal.RECORD_PREFIX, len(entry.record)))
                parts.append(line)
                at += len(line)
            for type_, leaf in entry.leaves:
                self._written_sessions += type_ == "open"
                entry.indices.append(self.tree.size)
                parts.append(self._grown(leaf, written))
                at += len(parts[-1])
        checkpoint: Checkpoint | None = None
        if any(entry.checkpoint for entry in entries):
            # Signed before it is durable, but in one frame with its leaves: no crash leaves a
            # signature that anybody saw over leaves that are gone.
            parts += [self._grown(leaf, written) for leaf in self.epochs.leaves(self.tree.size)]
            checkpoint = self.epochs.sign(self.tree.size, self.tree.root())
            parts.append(b"c %b\n" % canonical.encode({"note": checkpoint.note.decode()}))
        payload = b"".join(parts)
        if not payload:
            return
        segment = self.segments.newest
        offset = segment.append(payload)
        with self.reading:
            for session, position, length in places:
                session.placed(segment.number, offset + position, length)
            for entry in entries:
                for (type_, _), index in zip(entry.leaves, entry.indices, strict=True):
                    if entry.session is not None:
                        entry.session.named(type_, index)
            self.tiles.extend(written)
        if checkpoint is not None:
            self.checkpoint = checkpoint
            disk.replace(self._checkpoint_file, checkpoint.note, durable=False)
            self._heard.notify()

    def _grown(self, leaf: bytes, written: list[bytes]) -> bytes:
        """The line of one more leaf."""
        self.tree.append(merkle.leaf_hash(leaf))
        written.append(leaf)
        return b"l %b\n" % leaf
