"""Asks witnesses to cosign the ledger's checkpoints, and keeps what they sign.

Works behind the log's back: nothing waits for a witness, unless the policy says that it must. Each
witness is asked by a task of its own, within a time, with growing pauses while it does not answer.
All are asked for one checkpoint until a quorum has signed it: signatures on different ones do not
add up.

Refuses to go on when a witness remembers a larger tree than ours, or another tree of the same size:
then this directory is an old copy or has a second history, and the log stops for good. A witness is
trusted with that much: it can stop the log, and it cannot make it lie.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import ssl
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from gateway.errors import ConfigurationError, LogUnavailable, MaskgateError
from gateway.sessionlog import cosignature, disk
from gateway.sessionlog.cosignature import Cosignature, parse_witness
from gateway.sessionlog.merkle import Frontier
from gateway.sessionlog.note import Checkpoint, Note, NoteError, Signature, VerifierKey
from gateway.sessionlog.tiles import LedgerError, Tiles

ASK_SECONDS = 10.0  # one request, with the second one that a 409 asks for
ROUND_SECONDS = 5.0  # after which a newer checkpoint takes the place of one without a quorum
LONGEST_PAUSE = 60.0
ANSWER_LIMIT = 1 << 16  # bytes

_LOG = logging.getLogger("maskgate")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


class RolledBackError(Exception):
    """A witness knows a history that this directory does not continue."""


class UnhelpfulError(Exception):
    """A witness answered, and not with a cosignature."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a witness is, the key it must sign with, and who vouches for its certificate."""

    url: str
    key: VerifierKey
    ca: ssl.SSLContext | None = None  # None: the usual authorities

    @classmethod
    def parse(cls, url: str, vkey: str, ca: Path | None = None) -> Witness:
        """Raises ConfigurationError for what is not a witness's verifier key, or no authority."""
        try:
            key = parse_witness(vkey)
            trusted = None if ca is None else ssl.create_default_context(cafile=ca)
        except NoteError as reason:
            raise ConfigurationError(f"witness: {reason}") from None
        except (OSError, ssl.SSLError):
            raise ConfigurationError(f"witness: ca {str(ca)!r}: not a PEM file") from None
        return cls(url.rstrip("/"), key, trusted)

    def client(self) -> httpx.AsyncClient:
        """Follows no redirection, and heeds no proxy of the environment."""
        return httpx.AsyncClient(
            timeout=ASK_SECONDS, follow_redirects=False, trust_env=False, verify=self.ca or True
        )


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Whose cosignatures count, how many are enough, and whether statements wait for them."""

    witnesses: tuple[Witness, ...] = ()
    quorum: int = 0
    #: Seconds that a checkpoint may lack its quorum before statements are refused; None: for ever.
    require_within: float | None = None

    def trusted(self) -> dict[str, Any]:
        """What a trust file says of them."""
        if not self.witnesses:
            return {}
        return {"quorum": self.quorum, "witnesses": [one.key.vkey for one in self.witnesses]}


class Ledger(Protocol):
    """What the log gives."""

    def newest(self) -> Checkpoint | None: ...
    def consistency(self, old: int, new: int) -> tuple[bytes, ...]: ...
    def stop(self, reason: BaseException) -> None: ...
    def event(self, type: str, body: dict[str, Any]) -> Awaitable[object]: ...


@dataclass(slots=True)
class Gathering:
    """One checkpoint and who has cosigned it."""

    checkpoint: Checkpoint
    since: float  # when it became the one that witnesses are asked for
    by: dict[VerifierKey, Cosignature] = field(default_factory=dict)

    def note(self, witnesses: tuple[Witness, ...]) -> bytes:
        """The log's signature, then the witnesses' in the configuration's order."""
        found = [self.by[one.key] for one in witnesses if one.key in self.by]
        return self.checkpoint.note + b"".join(one.signature.line for one in found)


@dataclass(slots=True)
class _Asked:
    """What is known of one witness."""

    witness: Witness
    size: int = 0  # of the tree it remembers, as far as we know
    signed: int = 0  # size of the newest checkpoint it cosigned for us
    pause: float = 0.0  # before it is asked again; 0 while it answers
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Anchors:
    """The witnesses of one log. All but `notify` and `over` belong to the event loop."""

    def __init__(self, ledger: Ledger, policy: Anchoring, path: Path) -> None:
        self._ledger, self._policy, self._path = ledger, policy, path
        self._asked = [_Asked(witness) for witness in policy.witnesses]
        self._gathering: Gathering | None = None
        self._covered: Checkpoint | None = None  # by a quorum; its note holds the cosignatures
        self._partly: Checkpoint | None = None  # the newest with any cosignature
        self._anchored = False  # a quorum has signed since this start
        self._waiting_since: float | None = None  # oldest checkpoint that no quorum covers
        self._changed = asyncio.Event()
        self._storing = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    # From any thread.

    def notify(self) -> None:
        """There is a newer checkpoint."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # a loop that is closed asks nobody
                self._loop.call_soon_threadsafe(self._advance)

    def over(self, size: int) -> Checkpoint | None:
        """The newest checkpoint of at least this size with a quorum's cosignatures, or else with
        any; None when there is none."""
        for found in (self._covered, self._partly):
            if found is not None and found.size >= size:
                return found
        return None

    # What a start does.

    def recall(self, key: VerifierKey, tiles: Tiles, size: int) -> None:
        """Read the checkpoint that was kept last, which this ledger of `size` leaves must extend.

        Raises ConfigurationError when it does not: then the log is an old copy.
        """
        try:
            note = Note.parse(self._path.read_bytes())
            note.signed_by((key,))
        except FileNotFoundError:
            return
        except NoteError as reason:
            raise ConfigurationError(f"{self._path}: {reason}; not started") from None
        try:
            extended = (
                note.size <= size and Frontier.read(tiles.node, note.size).root() == note.root
            )
        except LedgerError as reason:
            raise ConfigurationError(f"{self._path}: {reason}; not started") from None
        if not extended:
            raise ConfigurationError(
                f"{self._path}: witnesses have cosigned a ledger of {note.size} leaves that this "
                f"one of {size} does not continue: it was rolled back; not started"
            )
        # The log's own and its epoch's; what the others signed is looked at below.
        known = [asked.witness.key for asked in self._asked]
        own = [one for one in note.signatures if one.name == key.name]
        plain = b"".join(one.line for one in own if not any(map(one.by, known)))
        checkpoint = Checkpoint(note.size, note.root, note.text + b"\n" + plain)
        kept = Gathering(checkpoint, 0.0)
        for asked in self._asked:
            for one in note.signatures:
                with contextlib.suppress(NoteError):
                    kept.by[asked.witness.key] = cosignature.verify(
                        note.text, one, asked.witness.key
                    )
                    asked.size = note.size
        self._publish(kept)

    def start(self) -> None:
        """Begin to ask, in the running event loop."""
        if self._asked:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())
            self._advance()

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    # What callers use.

    def check(self) -> None:
        """Raise LogUnavailable when the policy wants a quorum and there is none in time."""
        limit = self._policy.require_within
        if limit is None:
            return
        if not self._anchored:
            raise LogUnavailable(
                "no quorum of witnesses has cosigned the log since the gateway was started"
            )
        since = self._waiting_since
        if since is not None and time.monotonic() - since > limit:
            raise LogUnavailable(f"no quorum of witnesses has cosigned the log for {limit:.0f} s")

    async def covering(self, size: int, seconds: float) -> None:
        """Wait until a quorum covers `size` leaves, while one can be reached, and so long at most;
        `over` says what there is then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._reachable() and (self._covered is None or self._covered.size < size):
                    await self._changed.wait()

    def _reachable(self) -> bool:
        running = self._task is not None and not self._task.done()
        answering = sum(1 for asked in self._asked if not asked.pause)
        return running and answering >= self._policy.quorum

    # The tasks.

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for asked in self._asked:
                    group.create_task(self._serve(asked))
        except* Exception as failed:
            # A second history, a ledger that cannot be read, a disk that failed: never go on.
            reason = failed.exceptions[0]
            _LOG.critical("the session log is stopped: %s", reason)
            self._ledger.stop(reason)
        finally:
            self._tell()

    async def _serve(self, asked: _Asked) -> None:
        """Ask one witness for each checkpoint it is due for."""
        async with asked.witness.client() as client:
            await self._serve_over(client, asked)

    async def _serve_over(self, client: httpx.AsyncClient, asked: _Asked) -> None:
        while True:
            gathering = self._gathering
            if gathering is None or gathering.checkpoint.size <= asked.signed:
                asked.wake.clear()
                await asked.wake.wait()
                continue
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    found = await self._ask(client, asked, gathering.checkpoint)
            except (UnhelpfulError, httpx.HTTPError, TimeoutError) as reason:
                await self._silent(asked, reason)
                self._advance()
                continue
            if asked.pause:
                asked.pause = 0.0
                await self._told("witness.answers", asked, "")
            asked.signed = asked.size = gathering.checkpoint.size
            await self._take(gathering, asked.witness.key, found)

    async def _silent(self, asked: _Asked, reason: Exception) -> None:
        """Not answered: say so once, and wait longer each time."""
        said = str(reason) if isinstance(reason, UnhelpfulError) else type(reason).__name__
        first, asked.pause = not asked.pause, min(max(1.0, asked.pause * 2), LONGEST_PAUSE)
        self._tell()
        if first:
            _LOG.warning("witness %s does not cosign: %s", asked.witness.key.name, said)
            await self._told("witness.silent", asked, said)
        await asyncio.sleep(asked.pause)

    async def _told(self, kind: str, asked: _Asked, reason: str) -> None:
        """Into the gateway's own session; a log that has stopped says so elsewhere."""
        with contextlib.suppress(MaskgateError):
            body = {"reason": reason[:200], "witness": asked.witness.key.vkey}
            await self._ledger.event(kind, body)

    async def _ask(
        self, client: httpx.AsyncClient, asked: _Asked, checkpoint: Checkpoint
    ) -> Cosignature:
        """One cosignature. A 409 says which tree the witness remembers: then once more from it."""
        for _ in range(2):
            old = min(asked.size, checkpoint.size)
            proof = await asyncio.to_thread(self._ledger.consistency, old, checkpoint.size)
            status, body = await self._answer(client, asked.witness.url, old, proof, checkpoint)
            if status == 200:
                return _cosignature(checkpoint.text, body, asked.witness.key)
            if status == 422:
                raise RolledBackError(
                    f"witness {asked.witness.key.name} remembers another tree of {old} leaves than "
                    "this log has: the log has two histories"
                )
            if status != 409:
                raise UnhelpfulError(f"it answered {status}")
            self._learn(asked, body, old, checkpoint)
        raise UnhelpfulError("it answered 409 twice")

    def _learn(self, asked: _Asked, body: bytes, old: int, checkpoint: Checkpoint) -> None:
        """Take the size from a 409. Raises RolledBackError when it is none of ours."""
        found = _SIZE.fullmatch(body)
        if found is None:
            raise UnhelpfulError("it answered 409 without a size")
        size, newest, name = int(found[1]), self._ledger.newest(), asked.witness.key.name
        if newest is None or size > newest.size:
            raise RolledBackError(
                f"witness {name} remembers {size} leaves of this log, which has "
                f"{newest.size if newest else 0}: the log was rolled back or runs in two places"
            )
        if size == old == checkpoint.size:
            raise RolledBackError(
                f"witness {name} remembers another tree of {size} leaves than this log has: the "
                "log has two histories"
            )
        if size < asked.size:
            _LOG.warning("witness %s has forgotten: it knows %d leaves", name, size)
        asked.size = size
        if size > checkpoint.size:
            raise UnhelpfulError("it has seen a newer checkpoint already")

    @staticmethod
    async def _answer(
        client: httpx.AsyncClient,
        url: str,
        old: int,
        proof: tuple[bytes, ...],
        checkpoint: Checkpoint,
    ) -> tuple[int, bytes]:
        """What came back, from whoever sits at that address: only what a witness's answer *says*
        may stop the log. httpx raises what is no HTTPError too, at a redirect to `mailto:x`."""
        lines = [b"old %d\n" % old, *(base64.b64encode(part) + b"\n" for part in proof), b"\n"]
        headers = {"content-type": "text/plain; charset=utf-8", "accept-encoding": "identity"}
        content = b"".join(lines) + checkpoint.note
        asked = f"{url}/add-checkpoint"
        body = bytearray()
        try:
            async with client.stream("POST", asked, content=content, headers=headers) as answer:
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > ANSWER_LIMIT:
                        raise UnhelpfulError(f"its answer is over {ANSWER_LIMIT} bytes")
                return answer.status_code, bytes(body)
        except (UnhelpfulError, httpx.HTTPError, TimeoutError):
            raise
        except Exception as reason:
            raise UnhelpfulError(f"no answer that can be read: {type(reason).__name__}") from None

    # What was gathered.

    def _advance(self) -> None:
        """Ask for the newest checkpoint, when the one that is asked for has its quorum or its
        time is over."""
        newest, current, now = self._ledger.newest(), self._gathering, time.monotonic()
        if newest is None or (current and newest.size <= current.checkpoint.size):
            return
        if self._waiting_since is None:
            self._waiting_since = now
        done = current is None or len(current.by) >= self._policy.quorum
        if done or (current and now - current.since > ROUND_SECONDS):
            self._gathering = Gathering(newest, now)
            for asked in self._asked:
                asked.wake.set()

    async def _take(self, gathering: Gathering, key: VerifierKey, found: Cosignature) -> None:
        """One more cosignature; a quorum is kept before anybody sees it."""
        gathering.by[key] = found
        async with self._storing:
            if self._covered is None or self._covered.size <= gathering.checkpoint.size:
                if len(gathering.by) >= self._policy.quorum:
                    note = gathering.note(self._policy.witnesses)
                    await asyncio.to_thread(disk.replace, self._path, note)
                    self._anchored = True
                self._publish(gathering)
        newest = self._ledger.newest()
        if self._covered is not None and self._covered.size >= gathering.checkpoint.size:
            caught_up = newest is None or newest.size <= self._covered.size
            self._waiting_since = None if caught_up else gathering.since
        self._tell()
        self._advance()

    def _publish(self, gathering: Gathering) -> None:
        checkpoint = gathering.checkpoint
        note = gathering.note(self._policy.witnesses)
        made = Checkpoint(checkpoint.size, checkpoint.root, note)
        if gathering.by and (self._partly is None or self._partly.size <= made.size):
            self._partly = made
        if self._asked and len(gathering.by) >= self._policy.quorum:
            self._covered = made

    def _tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


def _cosignature(text: bytes, body: bytes, key: VerifierKey) -> Cosignature:
    """The witness's own line among those it answered; others are ignored."""
    try:
        lines = body.decode("utf-8").removesuffix("\n").split("\n")
        for line in map(Signature.parse, lines):
            if line.by(key):
                return cosignature.verify(text, line, key)
    except (UnicodeDecodeError, NoteError) as reason:
        raise UnhelpfulError(f"its cosignature is not good: {reason}") from None
    raise UnhelpfulError("it signed with another key than the configuration's")


async def reachable(witness: Witness) -> str:
    """What is wrong with a witness, in words; empty when something there speaks the protocol."""
    try:
        async with witness.client() as http:
            answer = await http.post(f"{witness.url}/add-checkpoint", content=b"")
    except Exception as reason:  # httpx has others than its own
        return f"{witness.url}: {type(reason).__name__}"
    return "" if answer.status_code == 400 else f"{witness.url}: no witness is there"
