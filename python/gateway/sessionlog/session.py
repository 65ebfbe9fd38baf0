"""One session's chain while it grows, and the file it becomes when it ends.

A record's line is built once, here; what was built is what is hashed, stored and exported. The
order of the members is RFC 8785's, so the envelope stands behind the body at the line's end, where
no statement can imitate it.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.errors import InvalidRequest, LimitExceeded
from gateway.sessionlog import canonical, chain, disk
from gateway.sessionlog.sealing import Place

RECORD_LIMIT = 16 << 20
SESSION_TYPES = frozenset({"intent", "result", "release", "refused", "error", "cancel", "export"})
KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")

_TAIL = re.compile(
    rb',"i":(\d{1,15}),"prev":"([0-9a-f]{64})","sid":"([0-9a-f-]{36})",'
    rb'"ts":"([0-9TZ:.-]{27})","type":"([a-z]+)","v":1}\Z'
)
_TAIL_LIMIT = 260

# Reads `length` bytes at `offset` of the segment that begins with this batch.
ReadAt = Callable[[int, int, int], bytes]
# What a record's body becomes before it is built: with what is not for everybody sealed.
Seal = Callable[[Place, dict[str, Any]], dict[str, Any]]


class BrokenChainError(ValueError):
    """A stored record is not the one that belongs there."""


def parse_id(text: str) -> uuid.UUID:
    """A session's id is a UUID in its usual spelling: its 16 bytes go into the genesis."""
    try:
        parsed = uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRequest(f"session id {text!r} is not a UUID") from None
    if str(parsed) != text:
        raise InvalidRequest(f"session id {text!r} must be written as {parsed}")
    return parsed


def now() -> str:
    """RFC 3339, in UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


@dataclass(frozen=True, slots=True)
class Genesis:
    """What h_-1 is made of; written into the `open` record."""

    origin: str
    boot: bytes
    session_no: int
    cp_size: int
    cp_root: bytes

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "boot": self.boot.hex(),
                "cp_root": self.cp_root.hex(),
                "cp_size": self.cp_size,
                "origin": self.origin,
                "session_no": self.session_no,
            }
        )

    @classmethod
    def parse(cls, stored: dict[str, Any]) -> Genesis:
        return cls(
            stored["origin"],
            bytes.fromhex(stored["boot"]),
            stored["session_no"],
            stored["cp_size"],
            bytes.fromhex(stored["cp_root"]),
        )


class Session:
    """The state of one chain. Not for several threads: the log's lock orders all calls."""

    def __init__(self, sid: str, genesis: Genesis, kind: str, seal: Seal | None = None) -> None:
        self.sid = sid
        self._seal = seal
        self.kind = kind  # "agent" or "gateway"
        self.genesis = genesis
        self.n = 0
        self.head = chain.genesis(
            genesis.origin,
            parse_id(sid),
            genesis.boot,
            genesis.session_no,
            genesis.cp_size,
            genesis.cp_root,
        )
        self.size = 0  # bytes of session.jsonl
        self.statements = 0
        self.committed = 0  # records covered by the newest commit leaf
        self.ended = False  # closed, or named by a recovery leaf
        self.closed = False
        self.leaves: dict[str, int] = {}  # index of the newest leaf of each type, when durable
        self._sha = hashlib.sha256()
        self._ts = ""
        self._places = array("Q")  # segment, offset, length of each durable record

    def record(self, type_: str, body: dict[str, Any]) -> tuple[bytes, str]:
        """The next record's line without its LF, and its time; the chain has moved on."""
        if self._seal is not None:
            body = self._seal(Place(self.genesis.origin, self.sid, self.n, type_), body)
        encoded = canonical.encode(body)
        opening = b',"genesis":' + self.genesis.encode() if self.n == 0 else b""
        # Time never runs backwards inside a session, whatever the machine's clock does.
        ts = max(now(), self._ts)
        tail = f',"i":{self.n},"prev":"{self.head.hex()}","sid":"{self.sid}","ts":"{ts}"'
        raw = b'{"body":%b%b%b,"type":"%b","v":1}' % (
            encoded, opening, tail.encode(), type_.encode(),
        )  # fmt: skip
        if len(raw) > RECORD_LIMIT:
            raise LimitExceeded(f"a record of {len(raw)} bytes is over {RECORD_LIMIT}")
        number = body.get("statement_no")
        if type_ in ("intent", "refused") and isinstance(number, int):
            self.statements = max(self.statements, number)
        self._advance(raw, type_, ts)
        return raw, ts

    def accept(self, raw: bytes) -> None:
        """Take a stored record; raises BrokenChainError when another belongs here."""
        tail = _TAIL.search(raw[-_TAIL_LIMIT:])
        if tail is None:
            raise BrokenChainError(f"session {self.sid}: record {self.n} has no envelope")
        if int(tail[1]) != self.n or tail[3] != self.sid.encode():
            raise BrokenChainError(
                f"session {self.sid}: expected record {self.n}, got {int(tail[1])}"
            )
        if tail[2] != self.head.hex().encode():
            raise BrokenChainError(
                f"session {self.sid}: record {self.n} follows {tail[2].decode()}, "
                f"expected {self.head.hex()}"
            )
        self._advance(raw, tail[5].decode(), tail[4].decode())

    def _advance(self, raw: bytes, type_: str, ts: str) -> None:
        self.head = chain.link(self.head, self.n, raw)
        self.n += 1
        self.size += len(raw) + 1
        self._sha.update(raw)
        self._sha.update(b"\n")
        self._ts = ts
        if type_ == "close":
            self.closed = self.ended = True

    @classmethod
    def reopened(cls, sid: str, raw: bytes) -> Session:
        """The session whose first stored record this is."""
        try:
            stored = json.loads(raw)
            kind = "gateway" if stored["body"].get("kind") == "gateway" else "agent"
            session = cls(sid, Genesis.parse(stored["genesis"]), kind)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BrokenChainError(f"session {sid}: does not begin with an open record") from None
        session.accept(raw)
        return session

    def leaf(self, type_: str, boot: bytes, ts: str, **more: Any) -> bytes:
        """A leaf that states where this chain stands now."""
        fields: dict[str, Any] = {
            "boot": boot.hex(),
            "head": self.head.hex(),
            "n": self.n,
            "session_no": self.genesis.session_no,
            "sid": self.sid,
            "ts": ts,
            "type": type_,
            "v": 1,
        }
        self.committed = self.n
        if type_ in ("commit", "close", "recovery"):
            fields |= {"bytes": self.size, "sha256": self._sha.hexdigest()}
        return canonical.encode(fields | more)

    def named(self, type_: str, index: int) -> None:
        """A leaf that speaks of this session is in the ledger."""
        self.leaves[type_] = index

    def placed(self, segment: int, offset: int, length: int) -> None:
        """The next record is durable at this place."""
        self._places.extend((segment, offset, length))

    def line(self, number: int, read: ReadAt) -> bytes | None:
        """One stored line without its LF; None when it is not durable."""
        place = self._places[number * 3 : number * 3 + 3]
        return read(*place) if len(place) == 3 else None

    def lines(self, count: int, read: ReadAt) -> Iterator[bytes]:
        """The first `count` stored lines with their LF."""
        for at in range(0, count * 3, 3):
            segment, offset, length = self._places[at : at + 3]
            yield read(segment, offset, length) + b"\n"

    def digest(self) -> str:
        """SHA-256 of session.jsonl so far, hex."""
        return self._sha.hexdigest()


class SessionStore:
    """Ended sessions as files: `SID.jsonl` and `SID.json`, which says where their leaves are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def cut(self, session: Session, read: ReadAt, *, durable: bool) -> None:
        """Write an ended session's file from the write-ahead file's bytes."""
        data = b"".join(session.lines(session.n, read))
        if hashlib.sha256(data).hexdigest() != session.digest():
            raise BrokenChainError(f"session {session.sid}: the write-ahead file changed under it")
        disk.replace(self.directory / f"{session.sid}.jsonl", data, durable=durable)
        about = {
            "closed": session.closed,
            "cp_size": session.genesis.cp_size,
            "leaves": session.leaves,
            "sha256": session.digest(),
        }
        disk.replace(
            self.directory / f"{session.sid}.json", canonical.encode(about), durable=durable
        )

    def holds(self, sid: str) -> bool:
        return (self.directory / f"{sid}.json").exists()

    def kept(self) -> list[tuple[str, int]]:
        """The sessions whose records are here, each with the leaf that ended it."""
        found = []
        for path in sorted(self.directory.glob("*.jsonl")):
            try:
                about = json.loads(path.with_suffix(".json").read_bytes())
            except FileNotFoundError:
                continue  # this moment being cut, or a crash left it so and the next start cuts it
            leaves = about["leaves"]
            found.append((path.stem, leaves.get("close", leaves.get("recovery"))))
        return found

    def drop(self, sids: Iterable[str]) -> None:
        """Remove the records of these sessions; what is known of their leaves stays."""
        for sid in sids:
            disk.remove(self.directory / f"{sid}.jsonl")
        disk.sync_directory(self.directory)

    def load(self, sid: str) -> tuple[bytes, dict[str, Any]] | None:
        """An ended session's bytes and what is known of its leaves; None when there is none."""
        try:
            about = json.loads((self.directory / f"{sid}.json").read_bytes())
            data = (self.directory / f"{sid}.jsonl").read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise BrokenChainError(f"session {sid}: {self.directory / sid}.jsonl was changed")
        return data, about
