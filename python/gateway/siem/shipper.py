"""The thread that delivers: one batch at a time, again and again until it has arrived.

Order of a delivery: read, send, acknowledge (the sink returns), then move the place in the log. A
crash between the last two sends the batch again; `metadata.uid` is the same, so that a receiver can
tell. A failure waits, twice as long each time up to a minute, and begins at the same place; what is
too large at once goes in smaller batches, without a wait. It never gives a record up and never
skips one: an endpoint that refuses a batch for ever holds the place, and `standing` says since
when.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.latest import Latest
from gateway.model import DurableRecord, LogPlace
from gateway.siem.ocsf import ABOUT_SESSION, event
from gateway.siem.sinks import RefusedError, Sink

_LOG = logging.getLogger("maskgate")
POLL = 0.25  # seconds between looks at a log that had nothing new
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
MOST_EVENTS, MOST_BYTES = 500, 1 << 20  # of one batch
_MOST_SESSIONS = 10_000  # whose opening is remembered
_TOO_LARGE = 413


class Source(Protocol):
    """The durable log, as `gateway.sessionlog.tail.Tail` reads it."""

    @property
    def place(self) -> LogPlace: ...
    def records(self, synced: Callable[[], int]) -> Iterator[DurableRecord]: ...
    def delivered(self, place: LogPlace) -> None: ...
    def opening(self, sid: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the delivery is."""

    delivered: int = 0  # events, since the start
    failures: int = 0  # deliveries that failed, since the start
    waiting_since: datetime | None = None  # time of the oldest record that is due; None: none is
    error: str = ""  # why the last delivery failed: a kind, never a text of the endpoint's

    def behind(self, now: datetime) -> float:
        """Seconds that the oldest record has been due."""
        return 0.0 if self.waiting_since is None else (now - self.waiting_since).total_seconds()


@dataclass(slots=True)
class _Batch:
    lines: bytearray
    events: int
    place: LogPlace
    oldest: str | None
    full: bool = False  # there may be more


class Shipper:
    """Delivers what `source` gives to `sink`. `start` once, `stop` once."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        synced: Callable[[], int],
        template: Callable[[str, Mapping[str, Any]], str],
        *,
        connections: Container[str],
        origin: str,
        version: str,
    ) -> None:
        self._connections = connections
        self._source, self._sink, self._synced = source, sink, synced
        self._template, self._origin, self._version = template, origin, version
        self._opened: Latest[str, Mapping[str, Any]] = Latest(_MOST_SESSIONS)
        self._most = MOST_EVENTS
        self._stopping = threading.Event()
        self._standing = Standing()
        self._thread = threading.Thread(target=self._run, name="siem", daemon=True)

    @property
    def standing(self) -> Standing:
        return self._standing

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float = 3.0) -> None:
        """Deliver what is durable if that is quick; the rest goes at the next start."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(patience)
        if not self._thread.is_alive():
            self._sink.close()

    def _run(self) -> None:
        wait = FIRST_WAIT
        while True:
            last = self._stopping.is_set()
            try:
                while self._deliver():
                    wait = FIRST_WAIT
                pause, wait = POLL, FIRST_WAIT
            except Exception as error:
                # Whatever it was: the place has not moved, and the next try begins there.
                self._failed(error)
                pause = wait * random.uniform(0.8, 1.2)  # noqa: S311 no secret
                wait = min(2 * wait, LONGEST_WAIT)
            if last:
                return
            self._stopping.wait(pause)

    def _deliver(self) -> bool:
        """One batch, from its reading to its place; whether more is due at once. What comes while a
        batch that was not full is on its way waits for the next look: a place is synced, and the
        disk is the log's."""
        batch = self._batch()
        if batch is None:
            self._standing = replace(self._standing, waiting_since=None, error="")
            return False
        if batch.oldest is not None:
            since = datetime.fromisoformat(batch.oldest)
            self._standing = replace(self._standing, waiting_since=since)
            try:
                self._sink.send(bytes(batch.lines))
            except RefusedError as refused:
                if refused.status != _TOO_LARGE or batch.events == 1:
                    raise
                # Less of it arrives: there is nothing to wait for.
                self._most = batch.events // 2
                failures = self._standing.failures + 1
                self._standing = replace(self._standing, failures=failures)
                return True
        self._source.delivered(batch.place)
        self._most = min(MOST_EVENTS, self._most + self._most // 8 + 1)
        self._standing = replace(
            self._standing,
            delivered=self._standing.delivered + batch.events,
            waiting_since=self._standing.waiting_since if batch.full else None,
            error="",
        )
        return batch.full

    def _batch(self) -> _Batch | None:
        batch: _Batch | None = None
        for found in self._source.records(self._synced):
            if batch is None:
                batch = _Batch(bytearray(), 0, found.place, None)
            made = self._event(found)
            if made is not None:
                line = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                if batch.events and len(batch.lines) + len(line) > MOST_BYTES:
                    batch.full = True
                    break
                batch.lines += line
                batch.events += 1
                batch.oldest = batch.oldest or found.record["ts"]
            batch.place = found.place
            if batch.events >= self._most:
                batch.full = True
                break
        return batch

    def _event(self, found: DurableRecord) -> dict[str, Any] | None:
        return event(
            found,
            self._opening(found),
            self._template,
            connections=self._connections,
            origin=self._origin,
            version=self._version,
        )

    def _opening(self, found: DurableRecord) -> Mapping[str, Any] | None:
        """What the events of its session are made of. Of many, those that still speak stay."""
        record, stored = found.record, None
        if record["type"] == "open":
            stored = record
        elif (opened := self._opened.get(found.sid)) is not None or record["type"] == "event":
            return opened
        else:
            # Its opening was delivered before a crash: the log has it in the session's own file.
            stored = self._source.opening(found.sid)
        if stored is None:
            return None
        body = stored["body"]
        told = {name: body[name] for name in ABOUT_SESSION if name in body}
        return self._opened.put(found.sid, told)

    def _failed(self, error: Exception) -> None:
        kind = (
            f"answered {error.status}" if isinstance(error, RefusedError) else type(error).__name__
        )
        if kind != self._standing.error:
            _LOG.warning("siem: a delivery failed: %s; tried again until it arrives", kind)
        since = self._standing.waiting_since or datetime.now(UTC)
        failures = self._standing.failures + 1
        self._standing = replace(self._standing, failures=failures, waiting_since=since, error=kind)
