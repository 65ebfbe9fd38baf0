"""Group commit: one thread, one write and one sync for all who wait, and one failure for ever.

Whoever puts an entry waits until the frame that holds it is durable. While one sync runs the next
batch gathers, so the rate grows with the number of waiting sessions and the delay does not. The
first failed write or sync ends the log: every waiter and every later caller gets LogUnavailable.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import LogUnavailable
from gateway.model import RecordRef
from gateway.sessionlog.session import Session

BATCH_LIMIT = 32 << 20


@dataclass(slots=True)
class Entry:
    """What must become durable together: at most one record, then its leaves."""

    session: Session | None
    record: bytes | None
    leaves: tuple[tuple[str, bytes], ...]  # (type, data)
    checkpoint: bool  # sign the ledger behind these leaves
    ref: RecordRef | None = None
    waiter: asyncio.Future[RecordRef | None] | None = None
    indices: list[int] = field(default_factory=list)  # of the leaves, once written


def recorded(session: Session, type_: str, body: dict[str, Any]) -> Entry:
    """The entry of the session's next record."""
    raw, ts = session.record(type_, body)
    ref = RecordRef(session.n - 1, session.head.hex(), ts)
    return Entry(session, raw, (), checkpoint=False, ref=ref)


def ref_of(ref: RecordRef | None) -> RecordRef:
    """What a waiter got. Raises LogUnavailable when that is nothing."""
    if ref is None:
        raise LogUnavailable("the session log gave no place to a record")
    return ref


class GroupCommit:
    """The queue and the thread that empties it.

    `commit` makes a list of entries durable or raises; `tick` gives the entries that fall due each
    `interval` seconds. Both are called from the thread, `tick` with the lock held.
    """

    def __init__(
        self,
        commit: Callable[[list[Entry]], None],
        tick: Callable[[], list[Entry]],
        interval: float,
    ) -> None:
        self.lock = threading.Lock()
        self._wake = threading.Condition(self.lock)
        self._commit, self._tick, self._interval = commit, tick, interval
        self._pending: list[Entry] = []
        self._batch: list[Entry] = []
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="session-log", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        return self._failure is None and not self._stopping

    def check(self) -> None:
        """Raise LogUnavailable once anything has failed."""
        if self._failure is not None:
            raise LogUnavailable(f"the session log stopped: {self._failure}")
        if self._stopping:
            raise LogUnavailable("the session log is closed")

    def put(self, entry: Entry) -> asyncio.Future[RecordRef | None]:
        """Queue an entry, with the lock held; the future is done when it is durable."""
        self.check()
        loop = asyncio.get_running_loop()
        entry.waiter = loop.create_future()
        self._pending.append(entry)
        if len(self._pending) == 1:
            # At the end of this turn: what else is put in it goes along.
            loop.call_soon(self._notify)
        return entry.waiter

    def _notify(self) -> None:
        with self.lock:
            self._wake.notify()

    def stop(self) -> None:
        """Write what is queued and end the thread."""
        with self.lock:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def fail(self, reason: BaseException) -> None:
        """End the log for good; every waiter learns it."""
        with self.lock:
            if self._failure is None:
                self._failure = f"{type(reason).__name__}: {reason}"
            lost, self._pending = self._pending, []
            self._wake.notify()
        self._answer(lost)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as reason:
            # Whatever it was, these records may not be durable: nobody may go on as if.
            self.fail(reason)
            self._answer(self._batch)

    def _work(self) -> None:
        due = time.monotonic() + self._interval
        while True:
            with self.lock:
                while not self._pending and not self._stopping and self._failure is None:
                    wait = due - time.monotonic()
                    if wait <= 0 or not self._wake.wait(wait):
                        break
                if self._failure is not None:
                    return  # `fail` has answered all that waited, and nothing is queued after it
                if time.monotonic() >= due:
                    self._pending += self._tick()
                    due = time.monotonic() + self._interval
                self._batch = self._take()
                if not self._batch and self._stopping:
                    return
            if self._batch:
                self._commit(self._batch)
                self._answer(self._batch)

    def _take(self) -> list[Entry]:
        """The next batch: all that waits, up to the limit of a frame."""
        size = 0
        for count, entry in enumerate(self._pending):
            size += len(entry.record or b"")
            if size > BATCH_LIMIT and count:
                batch, self._pending = self._pending[:count], self._pending[count:]
                return batch
        batch, self._pending = self._pending, []
        return batch

    def _answer(self, batch: list[Entry]) -> None:
        """Wake each waiter in its own event loop, one call a loop."""
        loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
        for entry in batch:
            if entry.waiter is not None:
                loops.setdefault(entry.waiter.get_loop(), []).append(entry)
        for loop, entries in loops.items():
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._resolve, entries, self._failure)

    @staticmethod
    def _resolve(entries: list[Entry], failure: str | None) -> None:
        for entry in entries:
            waiter = entry.waiter
            if waiter is None or waiter.done():
                continue
            if failure is None:
                waiter.set_result(entry.ref)
            else:
                waiter.set_exception(LogUnavailable(f"the session log stopped: {failure}"))
