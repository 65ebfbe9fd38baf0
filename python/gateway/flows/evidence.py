"""Evidence: what an auditor takes away about one session, or about all that he asks for.

(1) who is it  (2) may it see this session  (3) the export itself is recorded  (4) the bundle is
built from the log's own bytes. Of several sessions the ledger is gone through from the first number
to the last, so that none is left out unnamed; the export of each is recorded before its bundle
leaves.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from typing import IO, Any

from gateway import evidence
from gateway.errors import LimitExceeded, LogUnavailable, NotFound, Refusal
from gateway.evidence import Collection, Listed, Selection
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.flows.review import auditor, reviews_of
from gateway.model import Credential, Identity, SessionFiles
from gateway.sessionlog import Archive, Opened, UnreadableError

_AT_ONCE = 256  # sessions that are looked at before the event loop has its turn
#: Why the session is not meant, when its records have to be read and it is still open.
_OPEN = "open"


async def export(
    house: House, credential: Credential, client: str, session_id: str, since: int | None = None
) -> bytes:
    """`GET /v1/sessions/{id}/evidence`: the ZIP bundle of contract and docs/session-log.md, with
    the proof from `since` leaves on, which an auditor remembers."""
    identity = await establish(house, credential, client)
    await house.sessions.get_session(session_id, identity)
    await house.log.event("export", {"identity": identity.key, "session": session_id})
    found = await house.log.session_bytes(session_id, since)
    return await _bundle(house, found, await reviews_of(house, session_id))


async def _bundle(house: House, found: SessionFiles, reviews: list[evidence.Review]) -> bytes:
    opened = json.loads(found.records.partition(b"\n")[0])
    return await asyncio.to_thread(
        evidence.build,
        found,
        policy=house.policies.find(opened["body"]["policy_hash"]),
        verifier=files("gateway.auditor").joinpath("verify.py").read_bytes(),
        sign=house.log.sign_manifest,
        created=house.now(),
        reviews=reviews,
    )


@dataclass(slots=True)
class Collected:
    """An export of several sessions: how many are meant, and the bytes as they are made."""

    sessions: int
    _parts: AsyncGenerator[bytes]
    _scan: _Scan

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._parts

    async def aclose(self) -> None:
        """Give free what the parts were made from, however many of them were taken."""
        await self._parts.aclose()
        self._scan.close()


async def collect(
    house: House, credential: Credential, client: str, asked: dict[str, str | None]
) -> Collected:
    """`POST /v1/evidence`: a tar file of bundles behind each other, and its signed index.

    All sessions are looked at before the first byte. Raises Forbidden for whoever is no auditor and
    LimitExceeded while another export of this gateway runs.
    """
    identity = await auditor(house, credential, client, "exports of several sessions")
    selection = Selection.parse(asked)
    scan = _Scan(house, selection)
    try:
        stated = {"identity": identity.key, "selection": selection.stated()}
        await house.log.event("export", stated)
        await scan.run()
    except BaseException:
        scan.close()
        raise
    return Collected(scan.meant, _collected(house, identity, scan), scan)


async def _collected(house: House, identity: Identity, scan: _Scan) -> AsyncGenerator[bytes]:
    archive = scan.archive
    named = house.log.trust_file()
    with Collection(
        scan.selection,
        origin=named["origin"],
        key=named["keys"][-1],
        exported_by=identity.key,
        created=house.now(),
    ) as collection:
        for one in scan.listed():
            if one.why:
                collection.listed(one)
                continue
            await house.log.event("export", {"identity": identity.key, "session": one.sid})
            reviews = await reviews_of(house, one.sid)
            try:
                found = await house.log.session_bytes(one.sid)
                data = await _bundle(house, found, reviews)
            except (Refusal, LogUnavailable):
                if not house.log.healthy:
                    raise
                collection.listed(Listed(one.number, one.sid, one.index, one.leaf, "no_bundle"))
                continue
            async for part in _made(collection.bundle(one, found, data, reviews)):
                yield part
        if archive.heartbeat is not None:
            collection.heard(*archive.heartbeat)
        needed = max(scan.size, collection.needed)
        newest = await house.log.anchored(needed)
        if newest is None or newest.size < needed:
            raise LogUnavailable("the ledger has no checkpoint over what is exported")
        for place, leaf in house.log.signers(newest.size):
            collection.heard(place, leaf)
        index = collection.finish(
            newest.size,
            newest.note,
            cover=archive.proof,
            consistency=archive.consistency,
            sign=house.log.sign_manifest,
        )
        async for part in _made(index):
            yield part


async def _made(parts: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """The parts, each made outside of the event loop."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        if part:
            yield part


class _Scan:
    """Goes through all sessions of the ledger; what it finds waits in a temporary file."""

    def __init__(self, house: House, selection: Selection) -> None:
        if house.desk.exporting:
            raise LimitExceeded(
                "another export of several sessions is running",
                hint="one at a time: it reads the whole log",
                retry_after=10,
            )
        self._house, self.selection = house, selection
        self.archive = house.log.archive()
        self._stack = ExitStack()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._stack.callback(self._file.close)
        house.desk.exporting = True
        self._stack.callback(self._ended)
        self.meant = self.size = 0  # sessions; leaves that were gone through
        self._before: Listed | None = None  # the last of those that had ended before the period
        self._begun = False
        self._end: int | None = None  # of the file, without those opened behind the period

    def _ended(self) -> None:
        self._house.desk.exporting = False

    def close(self) -> None:
        self._stack.close()

    async def run(self) -> None:
        archive = self.archive
        self.size = archive.size()
        leaves = archive.opened(self.size)
        while batch := await asyncio.to_thread(self._judge, archive, leaves):
            for opened, one in batch:
                self._keep(opened, await self._of_open(one) if one.why == _OPEN else one)
        if not self._begun and self._before is not None:
            self._write(self._before)
        if self._end is not None:
            self._file.truncate(self._end)

    def _judge(self, archive: Archive, leaves: Iterator[Opened]) -> list[tuple[Opened, Listed]]:
        return [
            (
                one,
                Listed(one.number, one.sid, one.index, one.data.decode(), *self._why(archive, one)),
            )
            for one in itertools.islice(leaves, _AT_ONCE)
        ]

    def _why(self, archive: Archive, one: Opened) -> tuple[str, bool]:
        """Why the session is not meant, and whether it released tokens."""
        if self.selection.too_late(one.ts):
            return "period", False
        try:
            end = archive.ended(one.sid)
            if self.selection.too_early(None if end is None else end.ts):
                return "period", False
            why = self.selection.why_not(archive.open_record(one)["body"])
            if why or not self.selection.searches:
                return why, False
            if end is None:
                return _OPEN, False
            found = evidence.search(self.selection, archive.records(one.sid, end))
        except UnreadableError:
            return "unreadable", False
        return found.why_not, found.tokens_released

    async def _of_open(self, one: Listed) -> Listed:
        """A session without a file: what it holds by now."""
        try:
            records = (await self._house.log.session_bytes(one.sid)).records
        except NotFound:
            return Listed(one.number, one.sid, one.index, one.leaf, "unreadable")
        found = evidence.search(self.selection, records.split(b"\n")[:-1])
        return Listed(
            one.number, one.sid, one.index, one.leaf, found.why_not, found.tokens_released
        )

    def _keep(self, opened: Opened, one: Listed) -> None:
        """Write it down; of those before the period and of those behind it only the nearest."""
        late = self.selection.too_late(opened.ts)
        skipped = one.why in ("period", "gateway") and self.selection.since is not None
        if skipped and not late and not self._begun:
            self._before = one
            return
        if not self._begun and self._before is not None:
            self._write(self._before)
        self._begun = True
        self.meant += not one.why
        self._write(one)
        if not late:
            self._end = None
        elif self._end is None:
            self._end = self._file.tell()

    def _write(self, one: Listed) -> None:
        told = [one.number, one.sid, one.index, one.leaf, one.why, one.tokens]
        self._file.write(json.dumps(told).encode() + b"\n")

    def listed(self) -> Iterator[Listed]:
        """The sessions that are named, by their numbers."""
        self._file.seek(0)
        for line in self._file:
            values: list[Any] = json.loads(line)
            yield Listed(*values)
