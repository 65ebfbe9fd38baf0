"""The session log: nothing is asked of the database, and nothing leaves, before its record is safe.

Every call that returns has made its record durable; after the first failed write or sync every call
raises LogUnavailable. Refuses a second process on one directory, a key that others may read, and a
directory whose bytes do not add up.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, Conflict, InvalidRequest, LogUnavailable, NotFound
from gateway.model import LedgerLeaf, RecordRef, SessionFiles
from gateway.sessionlog import canonical, disk, merkle, recovery, wal
from gateway.sessionlog.archive import Archive
from gateway.sessionlog.note import Checkpoint, LogKey, check_origin
from gateway.sessionlog.session import (
    KIND,
    SESSION_TYPES,
    BrokenChainError,
    Genesis,
    Session,
    SessionStore,
    now,
    parse_id,
)
from gateway.sessionlog.tiles import LedgerError, Tiles
from gateway.sessionlog.writer import Entry, GroupCommit

COMMIT_INTERVAL = 1.0  # seconds between commit leaves of a session that grows
# First parts of the kinds that the ledger names too, under a checkpoint of their own.
LEAF_EVENTS = frozenset({"export", "grant", "policy", "review"})


class SessionLog:
    """One origin's log in one directory. Make it with `open`, end it with `aclose`."""

    def __init__(self, directory: Path, key: LogKey, version: str, lock: int) -> None:
        self._directory, self._key, self._version, self._lock_fd = directory, key, version, lock
        self._tiles = Tiles(directory / "ledger")
        self._store = SessionStore(directory / "sessions")
        self._reading = threading.Lock()  # places, leaves and tiles against the commit thread
        state = recovery.recover(directory, key, self._tiles)
        self._tree, self._checkpoint = state.tree, state.checkpoint
        self._next_session = state.next_session
        self._written_sessions = state.next_session - 1
        self._boot, self._boot_leaf = os.urandom(16), state.tree.size
        self._sessions: dict[str, Session] = {}  # open, and ended ones until their file is cut
        folder = wal.boot_folder(directory / "wal", state.next_batch)
        disk.make_directory(folder)
        self._segment = wal.SegmentWriter(folder, state.next_batch)
        self._segments = {self._segment.number: self._segment}
        self._gateway = self._begin(state)
        self._fold(state, folder)
        self._commits = GroupCommit(self._commit, self._tick, COMMIT_INTERVAL)

    @classmethod
    def open(cls, directory: Path, *, origin: str, version: str) -> SessionLog:
        """Take the directory, recover what is in it, and write this boot's first leaf.

        Blocks while it reads. Raises ConfigurationError when the directory is another process's,
        another origin's, or not as a log or a crash leaves it.
        """
        check_origin(origin)
        lock = -1
        try:
            for part in ("wal", "sessions", "ledger", "quarantine"):
                disk.make_directory(directory / part)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(directory, _key(directory, origin), version, lock)
        except BaseException as reason:
            if lock >= 0:
                os.close(lock)
            if isinstance(reason, BlockingIOError):
                raise ConfigurationError(
                    f"session log {directory}: another process is writing it"
                ) from None
            if isinstance(reason, OSError):
                raise ConfigurationError(f"session log {directory}: {reason}") from reason
            raise

    # What callers use.

    @property
    def healthy(self) -> bool:
        """False once a write or sync has failed, and after `aclose`."""
        return self._commits.healthy

    def trust_file(self) -> dict[str, Any]:
        """What an auditor keeps, from outside any bundle: the origin and its keys."""
        return {"keys": [self._key.vkey], "origin": self._key.origin, "type": "trust", "v": 1}

    def sign_manifest(self, unsigned: bytes) -> bytes:
        """The log's signature over a bundle's canonical manifest without its signature."""
        return self._key.sign_manifest(unsigned)

    async def open_session(self, session_id: str, body: dict[str, Any]) -> RecordRef:
        """Begin a session: its number, its `open` record and its leaf are durable on return."""
        parse_id(session_id)
        with self._commits.lock:
            self._accepting()
            if session_id in self._sessions or self._store.holds(session_id):
                raise Conflict(f"session {session_id} exists")
            session = self._new_session(session_id, "agent")
            entry = self._opening(session, body)
            waiter = self._commits.put(entry)
        return _ref(await waiter)

    async def append(self, session_id: str, type: str, body: dict[str, Any]) -> RecordRef:
        """Add a record to an open session; durable on return."""
        return _ref(await self.put(session_id, type, body))

    def put(
        self, session_id: str, type: str, body: dict[str, Any]
    ) -> asyncio.Future[RecordRef | None]:
        """Add a record to an open session, behind all that were put before. It is durable when the
        future is done; whoever stops waiting shields it, for the record is written all the same."""
        if type not in SESSION_TYPES:
            raise InvalidRequest(
                f"{type!r} is not a type of record; one of {sorted(SESSION_TYPES)}"
            )
        with self._commits.lock:
            self._accepting()
            return self._commits.put(_recorded(self._live(session_id), type, body))

    async def close_session(self, session_id: str, body: dict[str, Any]) -> RecordRef:
        """End a session: `close` record, its leaf and a checkpoint are durable on return."""
        with self._commits.lock:
            self._commits.check()
            session = self._live(session_id)
            entry = _recorded(session, "close", body)
            entry.leaves = (("close", session.leaf("close", self._boot, now())),)
            entry.checkpoint = True
            waiter = self._commits.put(entry)
        ref = _ref(await waiter)
        await asyncio.to_thread(self._file, session)
        return ref

    async def event(self, type: str, body: dict[str, Any], **stated: Any) -> RecordRef:
        """Record what belongs to no session: a failed log-in, a grant's decision, a policy load.

        `type` is the kind, like `login.failed` or `grant.approved`. Kinds that begin as LEAF_EVENTS
        say become leaves of the ledger too, which hold `stated` as well.
        """
        if not KIND.fullmatch(type):
            raise InvalidRequest(f"{type!r} is not a kind of event (lower-case words and dots)")
        with self._commits.lock:
            self._accepting()
            entry = _recorded(self._gateway, "event", {**body, "kind": type})
            family = type.split(".")[0].split("_")[0]
            if family in LEAF_EVENTS:
                leaf = self._gateway.leaf(family, self._boot, now(), kind=type, **stated)
                entry.leaves = ((family, leaf),)
                entry.checkpoint = True
            waiter = self._commits.put(entry)
        return replace(_ref(await waiter), leaf=next(iter(entry.indices), None))

    def archive(self) -> Archive:
        """What there is of all sessions, for whoever looks for some of them."""
        return Archive(
            self._store, self._tiles, self._reading, lambda: self._checkpoint, self._record
        )

    def ended(self, session_id: str) -> bool:
        """Whether this log holds the session and nothing will be added to it."""
        with self._commits.lock:
            session = self._sessions.get(session_id)
            return session.ended if session is not None else self._store.holds(session_id)

    async def session_bytes(self, session_id: str) -> SessionFiles:
        """What proves one session, as of now: an open session is committed to the ledger first."""
        with self._commits.lock:
            self._commits.check()
            session = self._sessions.get(session_id)
            # An entry without content only waits for what stands before it in the queue.
            entry = Entry(None, None, (), checkpoint=False)
            if session is not None and not session.ended:
                entry = self._committed(session)
            count = session.n if session else 0
            waiter = self._commits.put(entry)
        await waiter
        if session is None:
            return await asyncio.to_thread(self._from_file, session_id)
        commit = entry.indices[0] if entry.leaves else None
        return await asyncio.to_thread(self._from_memory, session, count, commit)

    async def aclose(self) -> None:
        """Close every session and the boot's own, and give the directory free."""
        if self._commits.healthy:
            for session in [s for s in self._sessions.values() if s.kind == "agent"]:
                if session.ended:
                    continue
                reason = {"reason": "gateway_stopped", "statements": session.statements}
                await self.close_session(session.sid, reason)
            with self._commits.lock:
                self._commits.check()
                entry = _recorded(self._gateway, "close", {"reason": "gateway_stopped"})
                entry.leaves = (("close", self._gateway.leaf("close", self._boot, now())),)
                entry.checkpoint = True
                waiter = self._commits.put(entry)
            await waiter
        await asyncio.to_thread(self._commits.stop)
        for segment in self._segments.values():
            segment.close()
        os.close(self._lock_fd)

    # Sessions and their files.

    def _accepting(self) -> None:
        """Raise LogUnavailable when nothing more can be recorded, or when `aclose` has begun."""
        self._commits.check()
        if self._gateway.ended:
            raise LogUnavailable("the session log is being closed")

    def _live(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None or session is self._gateway:
            raise NotFound(f"no session {session_id} is open")
        if session.ended:
            raise Conflict(f"session {session_id} is closed")
        return session

    def _new_session(self, sid: str, kind: str) -> Session:
        parse_id(sid)
        newest = self._checkpoint
        size, root = (newest.size, newest.root) if newest else (0, merkle.EMPTY_ROOT)
        genesis = Genesis(self._key.origin, self._boot, self._next_session, size, root)
        session = Session(sid, genesis, kind)
        session.named("boot", self._boot_leaf)
        return session

    def _opening(self, session: Session, body: dict[str, Any]) -> Entry:
        """The entry that opens a session. Its number is taken when its record could be built."""
        if (body.get("kind") == "gateway") != (session.kind == "gateway"):
            raise InvalidRequest("only the gateway's own session is of kind gateway")
        entry = _recorded(session, "open", body)
        entry.leaves = (("open", session.leaf("open", self._boot, now())),)
        self._next_session += 1
        self._sessions[session.sid] = session
        return entry

    def _read(self, segment: int, offset: int, length: int) -> bytes:
        return self._segments[segment].read(offset, length)

    def _record(self, sid: str, number: int) -> bytes | None:
        """A durable record of a session that has no file yet."""
        with self._commits.lock:
            session = self._sessions.get(sid)
        if session is None:
            return None
        with self._reading:
            return session.line(number, self._read)

    def _file(self, session: Session) -> None:
        """Cut an ended session's file. Not synced: the segments hold it until the next start."""
        try:
            self._store.cut(session, self._read, durable=False)
        except (OSError, BrokenChainError) as reason:
            self._commits.fail(reason)
            raise LogUnavailable(f"the session log stopped: {reason}") from reason
        self._sessions.pop(session.sid, None)

    def _from_file(self, sid: str) -> SessionFiles:
        parse_id(sid)
        try:
            stored = self._store.load(sid)
        except (OSError, ValueError) as reason:
            raise LogUnavailable(f"session {sid} cannot be read: {reason}") from reason
        if stored is None:
            raise NotFound(f"no session {sid}")
        records, about = stored
        return self._assemble(sid, records, about["leaves"], about["cp_size"], about["closed"])

    def _from_memory(self, session: Session, count: int, commit: int | None) -> SessionFiles:
        with self._reading:
            leaves = dict(session.leaves)
        if commit is not None:
            leaves = {**leaves, "commit": commit}
            leaves.pop("close", None)
        records = b"".join(session.lines(count, self._read))
        closed = "close" in leaves
        return self._assemble(session.sid, records, leaves, session.genesis.cp_size, closed)

    def _assemble(
        self, sid: str, records: bytes, leaves: dict[str, int], cp_size: int, closed: bool
    ) -> SessionFiles:
        """Leaves and proofs under the newest checkpoint."""
        last = next(leaves[type_] for type_ in ("close", "recovery", "commit") if type_ in leaves)
        wanted = (leaves["boot"], leaves["open"], last)
        checkpoint = self._checkpoint
        if checkpoint is None or checkpoint.size <= max(wanted):
            raise LogUnavailable(f"session {sid} is not under a checkpoint yet")
        node, size = self._tiles.node, checkpoint.size
        try:
            with self._reading:
                proven = tuple(
                    LedgerLeaf(
                        index, self._tiles.leaf(index), merkle.inclusion_proof(node, index, size)
                    )
                    for index in sorted(wanted)
                )
                consistency = merkle.consistency_proof(node, cp_size, size)
        except (OSError, LedgerError) as reason:
            raise LogUnavailable(f"the ledger cannot be read: {reason}") from reason
        return SessionFiles(
            sid, self._key.origin, self._key.vkey, records, proven, consistency,
            checkpoint.note, closed,
        )  # fmt: skip

    # What a start does, before anybody else can call.

    def _begin(self, state: recovery.State) -> Session:
        """Head, boot leaf, recovery leaves and this boot's own session, in one durable frame."""
        ts = now()
        boot = {
            "boot": self._boot.hex(),
            "key": self._key.vkey,
            "origin": self._key.origin,
            "ts": ts,
            "type": "boot",
            "v": 1,
            "version": self._version,
        }
        entries = [Entry(None, None, (("boot", canonical.encode(boot)),), checkpoint=False)]
        interrupted = [session for session in state.sessions.values() if not session.ended]
        for session in interrupted:
            leaf = session.leaf("recovery", self._boot, ts)
            entries.append(Entry(session, None, (("recovery", leaf),), checkpoint=False))
        previous = state.segments[-1].name if state.segments else ""
        head = self._head(previous, state.previous_end)
        gateway = self._new_session(str(uuid.uuid4()), "gateway")
        entries.append(
            self._opening(gateway, {"gateway_version": self._version, "kind": "gateway"})
        )
        if state.quarantined or interrupted:
            body = {
                "kind": "recovery",
                "quarantined": [torn.body() for torn in state.quarantined],
                "sessions": [
                    {"head": session.head.hex(), "n": session.n, "sid": session.sid}
                    for session in interrupted
                ],
            }
            entries.append(_recorded(gateway, "event", body))
        entries[-1].checkpoint = True
        self._write(entries, head)
        return gateway

    def _fold(self, state: recovery.State, folder: Path) -> None:
        """Earlier boots' sessions become files and their segments go. A crash here repeats it."""
        files: dict[int, int] = {}
        try:
            for path in state.segments:
                files[int(path.stem)] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            for session in state.sessions.values():
                self._store.cut(
                    session, lambda s, offset, n: os.pread(files[s], n, offset), durable=True
                )
        finally:
            for fd in files.values():
                os.close(fd)
        self._tiles.sync()
        wal.drop(self._directory / "wal", folder)

    def _head(self, previous: str, end: int) -> bytes:
        """The first line of a segment: where the ledger and the numbers stand at its beginning."""
        fields = {
            "boot": self._boot.hex(),
            "leaves": self._tree.size,
            "origin": self._key.origin,
            "previous": {"end": end, "name": previous} if previous else None,
            "root": self._tree.root().hex(),
            "session_no": self._written_sessions + 1,
            "v": 1,
        }
        return b"h " + canonical.encode(fields) + b"\n"

    # The writer's side: called by the commit thread alone (and by `_begin`, before there is one).

    def _tick(self) -> list[Entry]:
        """A commit leaf for each session that has grown; called with the lock held."""
        entries = []
        for session in self._sessions.values():
            if not session.ended and session.n > session.committed:
                entries.append(self._committed(session))
        return entries

    def _committed(self, session: Session) -> Entry:
        leaf = session.leaf("commit", self._boot, now())
        return Entry(session, None, (("commit", leaf),), checkpoint=True)

    def _commit(self, entries: list[Entry]) -> None:
        head = b""
        if self._segment.full:
            full = self._segment
            head = self._head(full.path.name, full.end)
            self._segment = wal.SegmentWriter(full.path.parent, full.batch)
            self._segments[self._segment.number] = self._segment
        self._write(entries, head)

    def _write(self, entries: list[Entry], head: bytes) -> None:
        """One frame: each entry's record, then its leaves; a checkpoint over all. Then durable."""
        parts, at = [head], len(head)
        places: list[tuple[Session, int, int]] = []
        leaves: list[bytes] = []
        for entry in entries:
            if entry.record is not None and entry.session is not None:
                line = b"r %b %b\n" % (entry.session.sid.encode(), entry.record)
                places.append((entry.session, at + wal.RECORD_PREFIX, len(entry.record)))
                parts.append(line)
                at += len(line)
            for type_, leaf in entry.leaves:
                self._written_sessions += type_ == "open"
                entry.indices.append(self._tree.size)
                self._tree.append(merkle.leaf_hash(leaf))
                leaves.append(leaf)
                parts.append(b"l %b\n" % leaf)
                at += len(leaf) + 3
        checkpoint: Checkpoint | None = None
        if any(entry.checkpoint for entry in entries):
            # Signed before it is durable, but in one frame with its leaves: no crash leaves a
            # signature that anybody saw over leaves that are gone.
            checkpoint = self._key.sign_checkpoint(self._tree.size, self._tree.root())
            parts.append(b"c %b\n" % canonical.encode({"note": checkpoint.note.decode()}))
        payload = b"".join(parts)
        if not payload:
            return
        offset = self._segment.append(payload)
        with self._reading:
            for session, position, length in places:
                session.placed(self._segment.number, offset + position, length)
            for entry in entries:
                for (type_, _), index in zip(entry.leaves, entry.indices, strict=True):
                    if entry.session is not None:
                        entry.session.named(type_, index)
            self._tiles.extend(leaves)
        if checkpoint is not None:
            self._checkpoint = checkpoint
            disk.replace(self._directory / "ledger" / "checkpoint", checkpoint.note, durable=False)


def _recorded(session: Session, type_: str, body: dict[str, Any]) -> Entry:
    """The entry of the session's next record."""
    raw, ts = session.record(type_, body)
    ref = RecordRef(session.n - 1, session.head.hex(), ts)
    return Entry(session, raw, (), checkpoint=False, ref=ref)


def _ref(ref: RecordRef | None) -> RecordRef:
    if ref is None:
        raise LogUnavailable("the session log gave no place to a record")
    return ref


def _key(directory: Path, origin: str) -> LogKey:
    """The long-term key, made at the first start and never again."""
    path = directory / "key"
    if path.exists():
        return LogKey.load(path, origin)
    if wal.segments(directory / "wal") or (directory / "ledger" / "tile").exists():
        raise ConfigurationError(
            f"log key {path}: missing beside a log; restore it, or move the log"
        )
    return LogKey.create(path, origin)
