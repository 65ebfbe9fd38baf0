"""All sessions of a log, by what the ledger says of them: numbered without a gap, none skipped.

Reads only. What it gives of a session is what the ledger's leaves name: the `open` record has the
hash of the open leaf, an ended session's file the SHA-256 of its last leaf. Refuses a ledger whose
session numbers have a gap. A session whose records are not here, or are others, is said to be so;
it is never taken for one that does not exist.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import LogUnavailable
from gateway.sessionlog import chain, merkle
from gateway.sessionlog.session import RECORD_LIMIT, Genesis, SessionStore, parse_id
from gateway.sessionlog.tiles import LedgerError, Tiles

if TYPE_CHECKING:
    from gateway.sessionlog.log import SessionLog

_OPEN = b'"type":"open"'
_HEARTBEAT = b'"type":"heartbeat"'


class UnreadableError(LogUnavailable):
    """One session's records are not here, or not those that the ledger names."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One open leaf."""

    index: int
    data: bytes
    number: int
    sid: str
    ts: str
    head: str  # hash of the open record


@dataclass(frozen=True, slots=True)
class Ended:
    """What the ledger says of a session's end."""

    type: str  # "close" or "recovery"
    index: int
    ts: str
    n: int
    head: str
    sha256: str
    number: int


class Archive:
    """Made by `SessionLog.archive`; for one thread at a time."""

    def __init__(
        self, log: SessionLog, store: SessionStore, tiles: Tiles, reading: threading.Lock
    ) -> None:
        self._log, self._store, self._tiles, self._reading = log, store, tiles, reading
        #: The newest leaf that says how many sessions there were, as far as `opened` has come.
        self.heartbeat: tuple[int, bytes] | None = None

    def size(self) -> int:
        """The leaves under the newest checkpoint."""
        newest = self._log.newest()
        return 0 if newest is None else newest.size

    def opened(self, size: int) -> Iterator[Opened]:
        """The open leaf of each session among the first `size` leaves, by number from 1 on."""
        expected = 1
        for index, data in self._leaves(size):
            if _HEARTBEAT in data:
                self.heartbeat = index, data
            if _OPEN not in data:
                continue
            leaf = json.loads(data)
            if leaf["type"] != "open":
                continue
            if leaf["session_no"] != expected:
                raise LogUnavailable(
                    f"leaf {index} opens session {leaf['session_no']}, expected {expected}"
                )
            expected += 1
            yield Opened(index, data, leaf["session_no"], leaf["sid"], leaf["ts"], leaf["head"])

    def _leaves(self, size: int) -> Iterator[tuple[int, bytes]]:
        try:
            yield from enumerate(self._tiles.leaves(size))
        except (OSError, LedgerError) as reason:
            raise LogUnavailable(f"the ledger cannot be read: {reason}") from reason

    def leaf(self, index: int) -> bytes:
        """The data of one leaf. Raises LogUnavailable when there is none."""
        with self._ledger():
            return self._tiles.leaf(index)

    def open_record(self, one: Opened) -> dict[str, Any]:
        """The `open` record that this leaf names. Raises UnreadableError."""
        raw = self._log.record(one.sid, 0)
        if raw is None:
            raw = self._first_line(self._store.directory / f"{one.sid}.jsonl")
        try:
            record: dict[str, Any] = json.loads(raw)
            genesis = Genesis.parse(record["genesis"])
            first = chain.genesis(
                genesis.origin, parse_id(one.sid), genesis.boot, genesis.session_no,
                genesis.cp_size, genesis.cp_root,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UnreadableError("its first record is none") from None
        if chain.link(first, 0, raw).hex() != one.head:
            raise UnreadableError("its first record is not the one that the ledger names")
        return record

    @staticmethod
    def _first_line(path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                return file.readline(RECORD_LIMIT + 1).removesuffix(b"\n")
        except OSError as reason:
            raise UnreadableError(f"its records are not here: {reason.strerror}") from None

    def ended(self, sid: str) -> Ended | None:
        """How the session ended, as the ledger says; None while it is open. UnreadableError."""
        try:
            about = json.loads((self._store.directory / f"{sid}.json").read_bytes())
            leaves: dict[str, int] = about["leaves"]
            last = leaves.get("close", leaves.get("recovery"))
            if last is None:
                raise ValueError("no leaf ends it")
            leaf = json.loads(self.leaf(last))
            if leaf["type"] not in ("close", "recovery") or leaf["sid"] != sid:
                raise ValueError("the leaf is another session's")
            return Ended(
                leaf["type"], last, leaf["ts"], leaf["n"], leaf["head"], leaf["sha256"],
                leaf["session_no"],
            )  # fmt: skip
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, LogUnavailable) as reason:
            raise UnreadableError(f"its end cannot be found: {reason}") from None

    def records(self, sid: str, end: Ended) -> Iterator[bytes]:
        """The lines of an ended session without their LF; the last is followed by the end of the
        iteration or by UnreadableError, when all of them are not what the ledger says."""
        found = hashlib.sha256()
        try:
            with (self._store.directory / f"{sid}.jsonl").open("rb") as file:
                while line := file.readline(RECORD_LIMIT + 1):
                    found.update(line)
                    yield line.removesuffix(b"\n")
        except OSError as reason:
            raise UnreadableError(f"its records are not here: {reason.strerror}") from None
        if found.hexdigest() != end.sha256:
            raise UnreadableError("its records are not those that the ledger names")

    def record(self, sid: str, number: int) -> dict[str, Any]:
        """One record of an open or an ended session. Raises UnreadableError."""
        raw = self._log.record(sid, number)
        if raw is None:
            try:
                with (self._store.directory / f"{sid}.jsonl").open("rb") as file:
                    for _ in range(number + 1):
                        raw = file.readline(RECORD_LIMIT + 1)
            except OSError as reason:
                raise UnreadableError(f"its records are not here: {reason.strerror}") from None
        try:
            found: dict[str, Any] = json.loads(raw or b"")
        except (ValueError, RecursionError):
            raise UnreadableError(f"it has no record {number}") from None
        return found

    def proof(self, indices: Sequence[int], size: int) -> Iterator[bytes]:
        """What is needed beside these leaves, in ascending order, to compute the root of `size`."""
        return merkle.cover_proof(self._node, indices, size)

    def _node(self, level: int, number: int) -> bytes:
        with self._ledger():
            return self._tiles.node(level, number)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        with self._ledger():
            return merkle.consistency_proof(self._tiles.node, old, new)

    @contextmanager
    def _ledger(self) -> Iterator[None]:
        try:
            with self._reading:
                yield
        except (OSError, LedgerError) as reason:
            raise LogUnavailable(f"the ledger cannot be read: {reason}") from reason
