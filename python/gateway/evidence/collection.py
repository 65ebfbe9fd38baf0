"""Several sessions' bundles as one file, with a signed index that leaves out no number.

Each bundle is the one that the session would have alone, and verifies alone. The index names every
session that the ledger opened, from the first to the last, with its open leaf: taken, or why not.
It cannot prove that a session which was not taken does not match (that would disclose it); it names
it, so that an auditor can ask for it. Keeps one session at a time in memory. Without its last
member, the signed index, a collection is none.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from gateway.errors import LimitExceeded
from gateway.evidence import canonical, report, tape
from gateway.evidence.report import Review
from gateway.evidence.selection import WHY, Selection
from gateway.evidence.story import Story
from gateway.model import SessionFiles

#: How many sessions have their whole page in the collection's report; all have a row.
PAGES = 200
LEAVES_LIMIT = 1 << 26  # bytes of ledger/leaves.jsonl; agrees with auditor/collection.py
_PIECE = 1 << 20
_NUMBERS_SHOWN = 40

README = """\
Evidence of several database sessions recorded by maskgate.

  sessions/           one bundle a session, each verifiable alone with verify.py
  sessions.jsonl      every session that the ledger opened, by number: its leaf, and why it was not
                      taken when it was not
  ledger/cover        the hashes that lead from those leaves to the checkpoint (32 bytes each)
  ledger/leaves.jsonl the leaves of reviews of the sessions that were taken, and the newest one
                      that says how many sessions there were
  checkpoint          the ledger's signed state (C2SP signed note, Ed25519)
  report.html         the overview and the sessions for people; opens without a network
  index.json          what was asked for, and the SHA-256 of each part, signed

To verify, use the copies of collection.py and verify.py you already have, in one folder, and a
trust file you did not receive together with this file:

  python3 -I collection.py FILE --trust trust.json

Exit code 0: verified and anchored, every number accounted for. 1: tampered. 2: incomplete or not
anchored. 3: usage.
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One session of the ledger, as the index names it."""

    number: int
    sid: str
    index: int  # of its open leaf
    leaf: str
    why: str  # a key of WHY; empty for a session that is taken
    tokens: bool = False  # it released rows with a column under `token`

    @property
    def name(self) -> str:
        return f"sessions/{self.number:010d}-{self.sid}.zip"


@dataclass(slots=True)
class _Totals:
    statements: int = 0
    refused: int = 0
    rows: int = 0
    cells: int = 0
    reviewed: int = 0
    sessions: int = 0
    pages: int = 0
    known: set[bytes] = field(default_factory=set)

    @property
    def identities(self) -> int:
        return len(self.known)


class Collection:
    """Writes one; a context manager, because what is not yet sent lies in temporary files.

    Call `bundle` or `listed` for each session in the order of the numbers, then `finish`; what
    `bundle` and `finish` give is the file.
    """

    def __init__(
        self, selection: Selection, *, origin: str, key: str, exported_by: str, created: datetime
    ) -> None:
        self._selection, self._origin, self._key = selection, origin, key
        self._by, self._created = exported_by, created
        self._lines, self._rows, self._pages = _spool(), _spool(), _spool()
        self._further: list[tuple[int, bytes]] = []  # leaves beside the open ones
        self._totals = _Totals()
        self._left_out: Counter[str] = Counter()
        self._numbers: dict[str, list[int]] = {}
        self._tokens = 0
        self._first = self._last = 0
        self.needed = 0  # leaves that the checkpoint of the index must cover

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._lines, self._rows, self._pages):
            file.close()

    def bundle(
        self, one: Listed, files: SessionFiles, data: bytes, reviews: Sequence[Review]
    ) -> Iterator[bytes]:
        """A session that is taken."""
        story = Story.read(files.records)
        totals = self._totals
        totals.sessions += 1
        totals.statements += len(story.statements)
        totals.refused += story.ended("refused")
        totals.rows += story.rows
        totals.cells += story.cells
        totals.reviewed += bool(reviews)
        totals.known.add(hashlib.sha256(str(story.opened["identity"]).encode()).digest()[:8])
        shown = totals.sessions <= PAGES
        row = report.template(
            "overview_row.html.j2", story=story, number=one.number, state=report.state(files),
            reviews=reviews, page=shown,
        )  # fmt: skip
        self._rows.write(row.encode())
        if shown:
            totals.pages += 1
            page = report.section(story, files, self._created, reviews)
            self._pages.write(page.encode())
        self._further += [(review.index, review.leaf) for review in reviews]
        size = int(files.checkpoint.split(b"\n")[1])
        self.needed = max([self.needed, size, *(review.index + 1 for review in reviews)])
        taken = {
            "bytes": len(data),
            "checkpoint": size,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        self._line(one, taken)
        yield tape.header(one.name, len(data))
        yield from (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
        yield tape.padding(len(data))

    def listed(self, one: Listed) -> None:
        """A session that is not taken."""
        self._left_out[one.why] += 1
        numbers = self._numbers.setdefault(one.why, [])
        if len(numbers) <= _NUMBERS_SHOWN:
            numbers.append(one.number)
        self._tokens += one.tokens  # it may have shown what was asked for
        self._line(one, None)

    def heard(self, index: int, leaf: bytes) -> None:
        """The newest heartbeat: a leaf that says how many sessions had been opened."""
        self._further.append((index, leaf))

    def _line(self, one: Listed, taken: dict[str, Any] | None) -> None:
        self._first = self._first or one.number
        self._last = one.number
        told = {"bundle": taken, "index": one.index, "leaf": one.leaf, "why": one.why}
        if one.tokens and taken is None:
            told["tokens_released"] = True
        self._lines.write(canonical.encode(told) + b"\n")

    def finish(
        self,
        size: int,
        checkpoint: bytes,
        *,
        cover: Callable[[Sequence[int], int], Iterable[bytes]],
        consistency: Callable[[int, int], Sequence[bytes]],
        sign: Callable[[bytes], bytes],
    ) -> Iterator[bytes]:
        """The index under a checkpoint over all of it, and the end of the file.

        `cover` gives the hashes beside some leaves, `consistency` the proof between two sizes,
        `sign` the log's signature.
        """
        with _Parts() as parts:
            indices = array("Q")
            with parts.begin("sessions.jsonl") as part:
                for line in _read(self._lines):
                    told = json.loads(line)
                    indices.append(told["index"])
                    taken = told["bundle"]
                    if taken is not None:
                        proof = consistency(taken["checkpoint"], size)
                        taken["consistency"] = [one.hex() for one in proof]
                    part(canonical.encode(told) + b"\n")
            self._further.sort()
            both = array("Q", heapq.merge(indices, (index for index, _ in self._further)))
            with parts.begin("ledger/cover") as part:
                for one in cover(both, size):
                    part(one)
            with parts.begin("ledger/leaves.jsonl") as part:
                for index, leaf in self._further:
                    part(canonical.encode({"index": index, "leaf": leaf.decode()}) + b"\n")
            if parts.sizes["ledger/leaves.jsonl"]["bytes"] > LEAVES_LIMIT:
                raise LimitExceeded("more reviews than one export holds", hint="ask for less")
            with parts.begin("checkpoint") as part:
                part(checkpoint)
            with parts.begin("report.html") as part:
                self._report(part)
            with parts.begin("README.txt") as part:
                part(README.encode())
            signed = self._index(parts.sizes, sign)
            yield from parts.members()
            yield tape.header("index.json", len(signed)) + signed + tape.padding(len(signed))
        yield tape.END

    def _index(self, members: dict[str, dict[str, Any]], sign: Callable[[bytes], bytes]) -> bytes:
        index: dict[str, Any] = {
            "created": canonical.moment(self._created),
            "exported_by": self._by,
            "key": self._key,
            "members": members,
            "origin": self._origin,
            "selection": self._selection.stated(),
            "sessions": {
                "first": self._first,
                "last": self._last,
                "taken": self._totals.sessions,
            },
            "type": "collection",
            "v": 1,
        }
        index["signature"] = base64.b64encode(sign(canonical.encode(index))).decode()
        return canonical.encode(index)

    def _report(self, part: Callable[[bytes], None]) -> None:
        before, behind = report.frame("Evidence of several database sessions")
        totals = self._totals
        part(before.encode())
        start = report.template(
            "overview.html.j2",
            origin=self._origin,
            created=report.day_and_time(self._created),
            exported_by=self._by,
            selection=self._selection.stated(),
            totals=totals,
        )
        part(start.encode())
        _copy(self._rows, part)
        end = report.template(
            "overview_end.html.j2",
            totals=totals,
            first=self._first,
            last=self._last,
            left_out=[
                {"count": count, "text": WHY[why], "numbers": self._shown(why)}
                for why, count in self._left_out.most_common()
            ],
            patient_token=self._selection.patient_token,
            table=self._selection.table,
            tokens_released=self._tokens,
        )
        part(end.encode())
        _copy(self._pages, part)
        part(behind.encode())

    def _shown(self, why: str) -> str:
        numbers = self._numbers[why]
        told = ", ".join(map(str, numbers[:_NUMBERS_SHOWN]))
        return f"{told}, …" if len(numbers) > _NUMBERS_SHOWN else told


class _Parts:
    """Members that are made before their sizes are known, in temporary files."""

    def __init__(self) -> None:
        self._files: dict[str, IO[bytes]] = {}
        self.sizes: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def begin(self, name: str) -> _Part:
        self._files[name] = _spool()
        return _Part(name, self._files[name], self.sizes)

    def members(self) -> Iterator[bytes]:
        for name, file in self._files.items():
            size = self.sizes[name]["bytes"]
            yield tape.header(name, size)
            file.seek(0)
            while piece := file.read(_PIECE):
                yield piece
            yield tape.padding(size)


class _Part:
    """One member: called with its bytes; its size and SHA-256 are known at the end."""

    def __init__(self, name: str, file: IO[bytes], sizes: dict[str, dict[str, Any]]) -> None:
        self._name, self._file, self._sizes = name, file, sizes
        self._hash, self._size = hashlib.sha256(), 0

    def __call__(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._sizes[self._name] = {"bytes": self._size, "sha256": self._hash.hexdigest()}


def _spool() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _read(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    yield from file


def _copy(file: IO[bytes], part: Callable[[bytes], None]) -> None:
    file.seek(0)
    while piece := file.read(_PIECE):
        part(piece)
