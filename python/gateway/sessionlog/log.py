"""The session log: nothing is asked of the database, and nothing leaves, before its record is safe.

Every call that returns has made its record durable; after the first failed write or sync every call
raises LogUnavailable. Refuses a second process on one directory, a key that others may read, and a
directory whose bytes do not add up.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.errors import Conflict, InvalidRequest, LogUnavailable, NotFound
from gateway.model import RecordRef, SessionFiles
from gateway.sessionlog import disk, epochs, leaves, merkle, recovery, retention
from gateway.sessionlog.anchors import Anchoring, Anchors
from gateway.sessionlog.archive import Archive
from gateway.sessionlog.journal import Journal
from gateway.sessionlog.note import Checkpoint, LogKey, Private, check_origin
from gateway.sessionlog.proofs import Found, prove, receipt
from gateway.sessionlog.session import (
    KIND,
    SESSION_TYPES,
    BrokenChainError,
    Genesis,
    Seal,
    Session,
    SessionStore,
    now,
    parse_id,
)
from gateway.sessionlog.tiles import LedgerError, Tiles
from gateway.sessionlog.writer import Entry, GroupCommit, recorded, ref_of

COMMIT_INTERVAL = 1.0  # seconds between commit leaves of a session that grows
HEARTBEAT_INTERVAL = 60.0  # seconds between leaves that say that nothing else was written
WITNESS_SECONDS = 5.0  # an export, and the end of the log, wait so long for cosignatures
# First parts of the kinds that the ledger names too, under a checkpoint of their own.
LEAF_EVENTS = frozenset({"export", "grant", "policy", "review"})


class SessionLog:
    """One origin's log in one directory. Make it with `open`, end it with `aclose`."""

    def __init__(
        self,
        directory: Path,
        key: LogKey,
        version: str,
        lock: int,
        anchoring: Anchoring,
        seal: Seal | None,
    ) -> None:
        self._key, self._version, self._lock_fd = key, version, lock
        self._anchoring, self._seal = anchoring, seal
        self._tiles = Tiles(directory / "ledger")
        self._store = SessionStore(directory / "sessions")
        state = recovery.recover(directory, key, self._tiles)
        self._next_session = state.next_session
        self._anchors = Anchors(self, anchoring, directory / "ledger" / "cosigned")
        self._anchors.recall(key.verifier, self._tiles, state.tree.size)
        self._boot, self._boot_leaf = os.urandom(16), state.tree.size
        self._sessions: dict[str, Session] = {}  # open, and ended ones until their file is cut
        self._journal = Journal(directory, key, self._boot, self._tiles, state, self._anchors)
        self._gateway = self._begin(state)
        recovery.fold(state, self._store, self._tiles, self._journal.folder)
        self._beat = time.monotonic()
        self._commits = GroupCommit(self._journal.commit, self._tick, COMMIT_INTERVAL)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        origin: str,
        version: str,
        anchoring: Anchoring | None = None,
        seal: Seal | None = None,
        held: Private | None = None,
    ) -> SessionLog:
        """Take the directory, recover what is in it, and write this boot's first leaf.

        Every body of a record goes through `seal`; what that raises, the caller gets. `held` is the
        long-term key where no file has it; it signs in threads and may block. Blocks while it
        reads; no witness is asked before `anchor`. Raises ConfigurationError when the directory is
        another process's, another origin's, or not as a log or a crash leaves it.
        """
        check_origin(origin)
        with disk.taking(directory, "session log") as lock:
            for part in ("wal", "sessions", "ledger", "quarantine"):
                disk.make_directory(directory / part)
            key = recovery.long_term_key(directory, origin, held)
            return cls(directory, key, version, lock, anchoring or Anchoring(), seal)

    # What callers use.

    @property
    def healthy(self) -> bool:
        """False once a write or sync has failed, and after `aclose`."""
        return self._commits.healthy

    @property
    def trouble(self) -> str:
        """Why no statement would be recorded now; empty when one would."""
        try:
            self._commits.check()
            self._anchors.check()
        except LogUnavailable as reason:
            return reason.detail
        return ""

    def anchor(self) -> None:
        """Begin to ask the witnesses, in the running event loop."""
        self._anchors.start()

    @property
    def synced(self) -> int:
        """The first batch that may not be durable yet: whatever stands before it is."""
        return self._journal.batch

    @property
    def vkey(self) -> str:
        """The log's key, as a C2SP note names it."""
        return self._key.vkey

    def trust_file(self) -> dict[str, Any]:
        """What an auditor keeps, from outside any bundle: the origin, its keys, the size from
        which on an epoch's key must have signed too, its witnesses."""
        own = {"keys": [self.vkey], "origin": self._key.origin, "type": "trust", "v": 1}
        return own | {"epochs": self._journal.epochs.first} | self._anchoring.trusted()

    def sign_manifest(self, unsigned: bytes) -> bytes:
        """The log's signature over a bundle's canonical manifest without its signature. Blocks
        where a token signs, and raises LogUnavailable where it does not."""
        return self._key.sign_manifest(unsigned)

    async def open_session(self, session_id: str, body: dict[str, Any]) -> RecordRef:
        """Begin a session: its number, its `open` record and its leaf are durable on return."""
        parse_id(session_id)
        self._anchors.check()
        with self._commits.lock:
            self._accepting()
            if session_id in self._sessions or self._store.holds(session_id):
                raise Conflict(f"session {session_id} exists")
            session = self._new_session(session_id, "agent")
            entry = self._opening(session, body)
            waiter = self._commits.put(entry)
        return ref_of(await waiter)

    async def append(self, session_id: str, type: str, body: dict[str, Any]) -> RecordRef:
        """Add a record to an open session; durable on return."""
        return ref_of(await self.put(session_id, type, body))

    def put(
        self, session_id: str, type: str, body: dict[str, Any]
    ) -> asyncio.Future[RecordRef | None]:
        """Add a record to an open session, behind all that were put before. It is durable when the
        future is done; whoever stops waiting shields it, for the record is written all the same."""
        if type not in SESSION_TYPES:
            raise InvalidRequest(
                f"{type!r} is not a type of record; one of {sorted(SESSION_TYPES)}"
            )
        if type == "intent":
            self._anchors.check()
        with self._commits.lock:
            self._accepting()
            return self._commits.put(recorded(self._live(session_id), type, body))

    async def close_session(self, session_id: str, body: dict[str, Any]) -> RecordRef:
        """End a session: `close` record, its leaf and a checkpoint are durable on return."""
        with self._commits.lock:
            self._commits.check()
            session = self._live(session_id)
            entry = recorded(session, "close", body)
            entry.leaves = (("close", session.leaf("close", self._boot, now())),)
            entry.checkpoint = True
            waiter = self._commits.put(entry)
        ref = ref_of(await waiter)
        await asyncio.to_thread(self._file, session)
        return ref

    async def event(self, type: str, body: dict[str, Any], **stated: Any) -> RecordRef:
        """Record what belongs to no session: a failed log-in, a grant's decision, a policy load.

        `type` is the kind, like `login.failed` or `grant.approved`. Kinds that begin as LEAF_EVENTS
        say become leaves of the ledger too, which hold `stated` as well.
        """
        if not KIND.fullmatch(type):
            raise InvalidRequest(f"{type!r} is no kind of event (lower-case words and dots)")
        with self._commits.lock:
            self._accepting()
            entry = recorded(self._gateway, "event", {**body, "kind": type})
            family = type.split(".")[0].split("_")[0]
            if family in LEAF_EVENTS:
                leaf = self._gateway.leaf(family, self._boot, now(), kind=type, **stated)
                entry.leaves = ((family, leaf),)
                entry.checkpoint = True
            waiter = self._commits.put(entry)
        return replace(ref_of(await waiter), leaf=next(iter(entry.indices), None))

    def archive(self) -> Archive:
        """What there is of all sessions, for whoever looks for some of them."""
        return Archive(self, self._store, self._tiles, self._journal.reading)

    async def anchored(self, size: int) -> Checkpoint | None:
        """A checkpoint over so many leaves, cosigned when that takes no more than some seconds."""
        await self._anchors.covering(size, WITNESS_SECONDS)
        return self._anchors.over(size) or self._journal.checkpoint

    def signers(self, size: int) -> list[tuple[int, bytes]]:
        """The leaves that say which epoch signs a checkpoint of this size, each with its index."""
        tiles = self._journal.tiles
        try:
            with self._journal.reading:
                return [(at, tiles.leaf(at)) for at in epochs.in_force(tiles, size)]
        except (OSError, LedgerError) as reason:
            raise LogUnavailable(f"the ledger cannot be read: {reason}") from reason

    def ended(self, session_id: str) -> bool:
        """Whether this log holds the session and nothing will be added to it."""
        with self._commits.lock:
            session = self._sessions.get(session_id)
            return session.ended if session is not None else self._store.holds(session_id)

    def signed_receipt(self, stated: dict[str, Any]) -> dict[str, Any]:
        """A statement's receipt with the log's key and signature, for its client to keep. Blocks
        where a token signs, and raises LogUnavailable where it does not."""
        return receipt(stated, self._key)

    async def session_bytes(
        self, session_id: str, since: int | None = None, *, wait: float = WITNESS_SECONDS
    ) -> SessionFiles:
        """What proves one session, as of now: an open session is committed to the ledger first.

        Waits at most so many seconds for cosignatures. With `since`, a size that an auditor
        remembers, the proof from there as well; Conflict when the ledger is smaller than that.
        """
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
            found = await asyncio.to_thread(self._from_file, session_id)
        else:
            commit = entry.indices[0] if entry.leaves else None
            found = await asyncio.to_thread(self._from_memory, session, count, commit)
        await self._anchors.covering(max(found.needed, since or 0), wait)
        return await asyncio.to_thread(self._assemble, found, since)

    def record(self, sid: str, number: int) -> bytes | None:
        """A durable record of a session that has no file yet, without its LF."""
        with self._commits.lock:
            session = self._sessions.get(sid)
        with self._journal.reading:
            return None if session is None else session.line(number, self._journal.read)

    # What witnesses are asked about.

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint; it and all leaves below it are durable."""
        return self._journal.checkpoint

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that a tree of `old` leaves is the beginning of one of `new`."""
        return self._journal.consistency(old, new)

    def stop(self, reason: BaseException) -> None:
        """End the log for good, as a failed write does."""
        self._commits.fail(reason)

    async def prune(self, before: str) -> list[str]:
        """Remove the records of sessions that ended before this time (RFC 3339, UTC).

        A leaf for each of them names what it was, and an event says how many; both are durable
        before a file goes. The leaves and hashes of a removed session stay in the ledger.
        """
        ended = await asyncio.to_thread(retention.ended_before, self._store, self._tiles, before)
        for some in retention.steps(ended):
            await self.event("log.pruned", {"before": before, "sessions": len(some)})
            gone = tuple(("pruned", leaf.pruned(self._boot, now())) for leaf in some)
            with self._commits.lock:
                self._accepting()
                waiter = self._commits.put(Entry(None, None, gone, checkpoint=True))
            await waiter
            await asyncio.to_thread(self._store.drop, [leaf.sid for leaf in some])
        return [leaf.sid for leaf in ended]

    async def aclose(self) -> None:
        """Close every session and the boot's own, and give the directory free, whatever fails."""
        async with AsyncExitStack() as ending:  # from its last line up
            ending.callback(os.close, self._lock_fd)
            ending.push_async_callback(asyncio.to_thread, self._journal.close)
            ending.push_async_callback(asyncio.to_thread, self._commits.stop)
            ending.push_async_callback(self._anchors.aclose)
            if self._commits.healthy:
                await self._close_all()

    async def _close_all(self) -> None:
        for session in [s for s in self._sessions.values() if s.kind == "agent"]:
            if session.ended:
                continue
            reason = {"reason": "gateway_stopped", "statements": session.statements}
            await self.close_session(session.sid, reason)
        with self._commits.lock:
            self._commits.check()
            entry = recorded(self._gateway, "close", {"reason": "gateway_stopped"})
            entry.leaves = (("close", self._gateway.leaf("close", self._boot, now())),)
            entry.checkpoint = True
            waiter = self._commits.put(entry)
        await waiter
        if self._journal.checkpoint is not None:
            await self._anchors.covering(self._journal.checkpoint.size, WITNESS_SECONDS)

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
        newest = self._journal.checkpoint
        size, root = (newest.size, newest.root) if newest else (0, merkle.EMPTY_ROOT)
        genesis = Genesis(self._key.origin, self._boot, self._next_session, size, root)
        session = Session(sid, genesis, kind, self._seal)
        session.named("boot", self._boot_leaf)
        return session

    def _opening(self, session: Session, body: dict[str, Any]) -> Entry:
        """The entry that opens a session. Its number is taken when its record could be built."""
        if (body.get("kind") == "gateway") != (session.kind == "gateway"):
            raise InvalidRequest("only the gateway's own session is of kind gateway")
        entry = recorded(session, "open", body)
        entry.leaves = (("open", session.leaf("open", self._boot, now())),)
        self._next_session += 1
        self._sessions[session.sid] = session
        return entry

    def _file(self, session: Session) -> None:
        """Cut an ended session's file. Not synced: the segments hold it until the next start."""
        try:
            self._store.cut(session, self._journal.read, durable=False)
        except (OSError, BrokenChainError) as reason:
            self._commits.fail(reason)
            raise LogUnavailable(f"the session log stopped: {reason}") from reason
        self._sessions.pop(session.sid, None)

    def _from_file(self, sid: str) -> Found:
        parse_id(sid)
        try:
            stored = self._store.load(sid)
        except (OSError, ValueError) as reason:
            raise LogUnavailable(f"session {sid} cannot be read: {reason}") from reason
        if stored is None:
            gone = f"the records of session {sid} are no longer kept; the ledger has its leaves"
            raise NotFound(gone if self._store.holds(sid) else f"no session {sid}")
        records, about = stored
        return Found(sid, records, about["leaves"], about["cp_size"], about["closed"])

    def _from_memory(self, session: Session, count: int, commit: int | None) -> Found:
        with self._journal.reading:
            leaves = dict(session.leaves)
        if commit is not None:
            leaves = {**leaves, "commit": commit}
            leaves.pop("close", None)
        records = b"".join(session.lines(count, self._journal.read))
        return Found(session.sid, records, leaves, session.genesis.cp_size, "close" in leaves)

    def _assemble(self, found: Found, since: int | None) -> SessionFiles:
        """Leaves and proofs under the newest checkpoint that is cosigned, or else the newest."""
        checkpoint = self._anchors.over(max(found.needed, since or 0)) or self._journal.checkpoint
        if checkpoint is None or checkpoint.size < found.needed:
            raise LogUnavailable(f"session {found.sid} is not under a checkpoint yet")
        if since is not None and since > checkpoint.size:
            raise Conflict(f"this ledger has {checkpoint.size} leaves, and never had {since}")
        try:
            with self._journal.reading:
                return prove(found, checkpoint, self._key, self._tiles, since)
        except (OSError, LedgerError) as reason:
            raise LogUnavailable(f"the ledger cannot be read: {reason}") from reason

    # What a start does, before anybody else can call.

    def _begin(self, state: recovery.State) -> Session:
        """Head, boot leaf, recovery leaves and this boot's own session, in one durable frame."""
        ts = now()
        boot = leaves.boot(self._boot, ts, self._key, self._version, self._journal.epochs.next)
        entries = [Entry(None, None, (("boot", boot),), checkpoint=False)]
        interrupted = state.interrupted()
        for session in interrupted:
            leaf = session.leaf("recovery", self._boot, ts)
            entries.append(Entry(session, None, (("recovery", leaf),), checkpoint=False))
        gateway = self._new_session(str(uuid.uuid4()), "gateway")
        opened = {"gateway_version": self._version, "kind": "gateway"}
        entries.append(self._opening(gateway, opened))
        if state.quarantined or interrupted:
            entries.append(recorded(gateway, "event", state.event()))
        entries[-1].checkpoint = True
        self._journal.begin(entries, state.previous, state.previous_end)
        return gateway

    # The writer's side: called by the commit thread alone (and by `_begin`, before there is one).

    def _tick(self) -> list[Entry]:
        """A commit leaf for each session that has grown; called with the lock held.

        Beside them a heartbeat each minute, so that a pause shows.
        """
        grown = [one for one in self._sessions.values() if not one.ended and one.n > one.committed]
        entries = [self._committed(session) for session in grown]
        if time.monotonic() - self._beat >= HEARTBEAT_INTERVAL:
            self._beat = time.monotonic()
            leaf = leaves.heartbeat(self._boot, now(), self._next_session - 1)
            entries.append(Entry(None, None, (("heartbeat", leaf),), checkpoint=True))
        return entries

    def _committed(self, session: Session) -> Entry:
        leaves = (("commit", session.leaf("commit", self._boot, now())),)
        return Entry(session, None, leaves, checkpoint=True)
