"""Tells a running stream, within a second, that its grant has ended, whoever ended it.

Three sources, any of which ends a watch: the store's notification (at once), a question to the
store every `POLL_S` (when notifications are lost), and two clocks (the gateway's, and a monotonic
one that a clock set back does not fool). Notifications and answers come on one line, which each
answer proves: a line that is dead without a word is replaced after `store.PROOF_S`, and the first
thing that is asked on a new one is what was missed. Refuses to begin on a grant that is not in
force. While the store is away a watch lasts until the grant's expiry at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from gateway.errors import GrantExpired, NoGrant, Refusal, StoreUnavailable
from gateway.grants import hours, records
from gateway.grants.store import ControlStore, Line
from gateway.model import Grant, GrantState

POLL_S = 0.5
TICK_S = 0.1
RELISTEN_S = 0.25


class Watch:
    """Registered, then begun with the grant as it was read since, then removed."""

    def __init__(self, watcher: Watcher, grant_id: str, told: Callable[[Refusal], None]) -> None:
        """`told` is called once, when the grant ends after the watch has begun."""
        self.grant_id = grant_id
        self._watcher = watcher
        self._told = told
        self._begun = False
        self._state: GrantState | None = None
        self._over_at: datetime | None = None
        self._hours = False  # it is the grant's hours that are over then
        self._deadline: float | None = None

    def register(self) -> None:
        """From here on every end of the grant is heard. Before the grant is read."""
        self._watcher.register(self)

    def take(self, grant: Grant) -> None:
        """Begin with the grant as it was read since. Raises when it is not in force."""
        self._watcher.take(self, grant)
        self._begun = True

    def remove(self) -> None:
        self._watcher.remove(self)

    @property
    def ended(self) -> GrantState | None:
        """The state the grant ended in, or None while it is in force."""
        return self._state

    def check(self) -> None:
        """Raise NoGrant or GrantExpired if the grant has ended."""
        if self._state is not None:
            raise self._refusal()

    def _refusal(self) -> Refusal:
        if self._state is GrantState.EXPIRED and self._hours:
            return NoGrant(
                f"The hours of the grant {self.grant_id} ended at {records.text_of(self._over_at)}."
            )
        if self._state is GrantState.EXPIRED:
            return GrantExpired(
                f"The grant {self.grant_id} ended at {records.text_of(self._over_at)}.",
                hint="Ask for a new grant.",
            )
        return NoGrant(f"The grant {self.grant_id} was {self._state}.", hint="Ask for a new grant.")

    def begin(self, grant: Grant, now: datetime, monotonic: float) -> None:
        """Take the grant's time; both clocks run from here. Called by the watcher."""
        if grant.state is not GrantState.ACTIVE or grant.expires_at is None:
            self.end(grant.state)
            return
        self._over_at = grant.expires_at
        if grant.hours:  # they may be over before it is
            self._over_at = min(grant.expires_at, hours.closes(grant.hours, now) or now)
            self._hours = self._over_at < grant.expires_at
        self._deadline = monotonic + (self._over_at - now).total_seconds()

    def tick(self, now: datetime, monotonic: float) -> None:
        """End the watch when either clock says so. Called by the watcher."""
        if self._over_at is None or self._deadline is None:
            return
        if now >= self._over_at or monotonic >= self._deadline:
            self.end(GrantState.EXPIRED)

    def end(self, state: GrantState) -> None:
        """The first end counts: nothing reactivates. Called by the watcher."""
        if self._state is None:
            self._state = state
            if self._begun:
                self._told(self._refusal())


class Watcher:
    """All watches of one gateway: one line to the store, one question for all of them."""

    def __init__(
        self,
        store: ControlStore,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        poll_s: float = POLL_S,
        listen: bool = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._poll_s = poll_s
        self._listens = listen
        self._watches: dict[str, set[Watch]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, grant_id: str, told: Callable[[Refusal], None]) -> Watch:
        return Watch(self, grant_id, told)

    def register(self, watch: Watch) -> None:
        self._start()
        self._watches.setdefault(watch.grant_id, set()).add(watch)

    def take(self, watch: Watch, grant: Grant) -> None:
        watch.begin(grant, self._clock(), self._monotonic())
        watch.tick(self._clock(), self._monotonic())
        watch.check()

    def remove(self, watch: Watch) -> None:
        watches = self._watches.get(watch.grant_id, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(watch.grant_id, None)

    async def close(self) -> None:
        """Stop the loops; watches that are still open end, since nobody would tell them."""
        for grant_id in list(self._watches):
            self._end(grant_id, GrantState.REVOKED)
        await asyncio.gather(*self._cancel(), return_exceptions=True)

    def _cancel(self) -> list[asyncio.Task[None]]:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return tasks

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(loop) for loop in (self._tick(), self._follow())]
            for task in self._tasks:
                task.add_done_callback(self._task_ended)

    async def _tick(self) -> None:
        while True:
            now, monotonic = self._clock(), self._monotonic()
            for watch in self._all():
                watch.tick(now, monotonic)
            await asyncio.sleep(TICK_S)

    async def _follow(self) -> None:
        """Hold one line to the store: hear what it tells, and ask it for the state of every watched
        grant, at once and at intervals. When the line is lost, make another."""
        while True:
            with contextlib.suppress(StoreUnavailable):  # the clocks go on meanwhile
                heard = self._heard if self._listens else None
                async with self._store.listening(heard) as line:
                    while not line.lost.is_set():
                        await self._ask(line)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(self._poll_s):
                                await line.lost.wait()
            await asyncio.sleep(RELISTEN_S)

    async def _ask(self, line: Line) -> None:
        """With nothing to ask for as well: who begins to watch is to find a line that works."""
        asked = list(self._watches)
        rows = await line.ask(records.STATES, asked)
        states = {row["id"]: GrantState(row["state"]) for row in rows}
        for grant_id in asked:
            # A grant that is gone (a store put back from a copy, say) is not in force.
            state = states.get(grant_id, GrantState.REVOKED)
            if state is not GrantState.ACTIVE:
                self._end(grant_id, state)

    def _heard(self, told: str) -> None:
        grant_id, _, state = told.partition(" ")
        if state != GrantState.ACTIVE and grant_id in self._watches:
            self._end(grant_id, GrantState(state))

    def _end(self, grant_id: str, state: GrantState) -> None:
        for watch in list(self._watches.get(grant_id, ())):
            watch.end(state)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A loop ends only by `close`; if one failed, nobody would be told, so everything ends."""
        if not task.cancelled():
            for grant_id in list(self._watches):
                self._end(grant_id, GrantState.REVOKED)
            self._cancel()

    def _all(self) -> Iterable[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]
