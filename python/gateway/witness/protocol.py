"""add-checkpoint of C2SP tlog-witness: cosigns what extends the tree it remembers, and only that.

Bytes in, a status and bytes out; knows no HTTP. Remembering and the check before it are one step
under one lock, so that no two requests can cross.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.sessionlog import merkle
from gateway.sessionlog.cosignature import WitnessKey
from gateway.sessionlog.note import Note, NoteError, Signature, decode64
from gateway.witness.memory import Logs, Memory

PROOF_LINES = 63
REQUEST_LIMIT = 1 << 16  # bytes
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"

_OLD = re.compile(rb"old (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: the status tells a client what to do next, the body is for people, or a
    cosignature, or with 409 the size to start a proof from."""

    status: int
    body: bytes
    type: str = TEXT


class Refused(Exception):
    """No cosignature, and the answer that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = Answer(status, f"{sentence}\n".encode())


class Stale(Refused):
    """The client's idea of what is remembered is not what is remembered."""

    def __init__(self, size: int) -> None:
        super().__init__(409, f"{size}")
        self.answer = Answer(409, b"%d\n" % size, SIZE)


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint and the proof that it extends a tree of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, body: bytes) -> Request:
        head, separator, rest = body.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        found = _OLD.fullmatch(first)
        if found is None or not separator:
            raise Refused(400, "expected an old size, proof lines, an empty line and a checkpoint")
        if len(lines) > PROOF_LINES:
            raise Refused(400, f"a proof has at most {PROOF_LINES} lines, got {len(lines)}")
        try:
            proof = tuple(decode64(line.decode("utf-8")) for line in lines)
            note = Note.parse(rest)
        except (NoteError, UnicodeDecodeError) as reason:
            raise Refused(400, f"not a request to cosign: {reason}") from None
        if any(len(part) != 32 for part in proof):
            raise Refused(400, "each line of a proof is a hash of 32 bytes")
        old = int(found[1])
        if old > note.size:
            raise Refused(400, f"the old size {old} is over the checkpoint's {note.size}")
        return cls(old, proof, note)


class Witness:
    """One key and one memory, and the logs whose keys it knows."""

    def __init__(
        self,
        memory: Memory,
        key: WitnessKey,
        logs: Logs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory, self._key, self._logs, self._clock = memory, key, logs, clock
        self._lock = threading.Lock()
        self._broken = ""

    def add_checkpoint(self, body: bytes) -> Answer:
        """One request; blocks while the memory is made durable."""
        try:
            request = Request.parse(body)
            return Answer(200, self._cosign(request).line)
        except Refused as refused:
            return refused.answer

    def _cosign(self, request: Request) -> Signature:
        note = request.note
        keys = self._logs.get(note.origin)
        if keys is None:
            raise Refused(404, "this witness does not know the log of this origin")
        try:
            note.signed_by(keys)
        except NoteError as reason:
            raise Refused(403, str(reason)) from None
        with self._lock:
            if self._broken:
                raise Refused(503, self._broken)
            self._extends(request)
            self._remember(note)
            # Signed inside the lock: a later time never stands on an earlier tree.
            return self._key.cosign(note.text, int(self._clock()))

    def _extends(self, request: Request) -> None:
        """Raise unless the checkpoint is a continuation of the one that is remembered."""
        note, known = request.note, self._memory.newest(request.note.origin)
        size, root = (known.size, known.root) if known else (0, merkle.EMPTY_ROOT)
        if request.old != size or (note.size == size and note.root != root):
            raise Stale(size)
        try:
            merkle.verify_consistency(size, note.size, request.proof, root, note.root)
        except merkle.ProofError as reason:
            raise Refused(422, str(reason)) from None

    def _remember(self, note: Note) -> None:
        known = self._memory.newest(note.origin)
        if known is not None and known.text == note.text:
            return
        try:
            self._memory.keep(note)
        except OSError as reason:
            # Which of the two checkpoints is on the disk nobody knows before the next start.
            self._broken = f"this witness stopped: its memory could not be written: {reason}"
            raise Refused(503, self._broken) from None
