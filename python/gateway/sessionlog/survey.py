"""The ledger looked at as it lies on the disk: what it says of itself, and whether it adds up.

Reads and writes nothing, takes no lock, and may run beside the gateway: it looks at what the newest
checkpoint covers. It proves to whoever trusts this machine that nothing was damaged; an auditor
trusts a bundle, a trust file and `verify.py` instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError
from gateway.sessionlog import proofs, wal
from gateway.sessionlog.copies import Published
from gateway.sessionlog.epochs import Certificate
from gateway.sessionlog.merkle import Frontier, inclusion_proof, leaf_hash
from gateway.sessionlog.note import (
    ED25519,
    Checkpoint,
    LogKey,
    Note,
    NoteError,
    Private,
    VerifierKey,
)
from gateway.sessionlog.tiles import LedgerError, Tiles


@dataclass(slots=True)
class Survey:
    """What a look at the ledger found; `wrong` is empty when it adds up."""

    origin: str
    key: str
    size: int
    root: str
    leaves: dict[str, int] = field(default_factory=dict)  # how many of each type
    first: str | None = None  # times of the first leaf and the last
    last: str | None = None
    sessions: int = 0
    running: int = 0  # sessions that no leaf has ended
    pruned: int = 0
    files: int = 0  # of ended sessions, held against their leaves
    pending: int = 0  # of ended sessions, not yet in this copy
    epochs: int = 0  # certificates, numbered from 1 without a gap
    epoch: dict[str, Any] | None = None  # that signs now: number, key, from which size, since when
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is known of a log from elsewhere than its own files."""

    keys: tuple[VerifierKey, ...]
    epochs: int = 0  # the size from which on an epoch's key signs too; 0 where nobody says


def checkpoint(directory: Path, origin: str, held: Private | None = None) -> Checkpoint:
    """The newest checkpoint; `held` is the log's key where no file has it. Raises
    ConfigurationError when there is none that this key signed."""
    path = directory / "ledger" / "checkpoint"
    try:
        return _key(directory, origin, held).open_checkpoint(path.read_bytes())
    except FileNotFoundError as missing:
        raise ConfigurationError(
            f"session log {directory}: {Path(missing.filename).name} is missing; "
            "no gateway has kept its log here yet"
        ) from None
    except NoteError as reason:
        raise ConfigurationError(f"{path}: {reason}") from None


def verifier(directory: Path, origin: str, held: Private | None = None) -> VerifierKey:
    """Whose signature the log's checkpoints have."""
    return _key(directory, origin, held).verifier


def _key(directory: Path, origin: str, held: Private | None) -> LogKey:
    return LogKey.load(directory / "key", origin) if held is None else LogKey(origin, held)


def survey(directory: Path, origin: str, held: Private | None = None) -> Survey:
    """Recompute the tree from its leaves and hold it against the checkpoint and the files.

    Time and memory grow with the number of leaves and sessions. Raises ConfigurationError as
    `checkpoint` does.
    """
    kept = _kept(directory / "wal")  # first: a start that goes on meanwhile makes files of them
    signed = checkpoint(directory, origin, held)
    key = verifier(directory, origin, held)
    found = Survey(origin, key.vkey, signed.size, signed.root.hex())
    notes = {signed.size: Note.parse(signed.note)}
    ended = _read(found, Tiles(directory / "ledger"), notes, Trusted((key,)))
    if ended is not None:
        ended.finish(directory / "sessions", signed.size if kept is None else kept, frozenset())
    return found


def survey_copy(directory: Path, trust: Trusted) -> Survey:
    """A downloaded copy, held against the newest checkpoint in it, by keys from elsewhere.

    Every checkpoint that is there must be signed by one of them, from the size on that `trust`
    names by an epoch's key too, and be a beginning of the newest. Sessions that had no file when
    that was copied are counted as `pending`. Raises ConfigurationError where there is no checkpoint
    of theirs.
    """
    notes: dict[int, Note] = {}
    for path in sorted((directory / "checkpoints").glob("[0-9]*")):
        try:
            note = Note.parse(path.read_bytes())
            note.signed_by(trust.keys)
        except NoteError as reason:
            raise ConfigurationError(f"{path}: {reason}") from None
        if note.origin != trust.keys[0].name:
            raise ConfigurationError(f"{path}: names another log, {note.origin!r}")
        if f"{note.size:016d}" != path.name:
            raise ConfigurationError(f"{path}: is a checkpoint of {note.size} leaves")
        notes[note.size] = note
    if not notes:
        raise ConfigurationError(f"{directory}: holds no checkpoints/; it is no copy of a log")
    newest = notes[max(notes)]
    _check_mark(directory / "log", trust)
    pending = _pending(directory / "pending" / f"{newest.size:016d}")
    signer = next(key for key in trust.keys if any(one.by(key) for one in newest.signatures))
    found = Survey(newest.origin, signer.vkey, newest.size, newest.root.hex())
    ended = _read(found, Published(directory / "ledger", newest.size), notes, trust)
    if ended is not None:
        ended.finish(directory / "sessions", newest.size, pending)
    return found


def trusted(path: Path) -> Trusted:
    """What a trust file says. Raises ConfigurationError for what is none."""
    try:
        stored = json.loads(path.read_bytes())
        keys = tuple(VerifierKey.parse(vkey, ED25519) for vkey in stored["keys"])
        if not keys or any(key.name != stored["origin"] for key in keys):
            raise ValueError("its keys are not those of its origin")
        epochs = stored.get("epochs", 0)
        if type(epochs) is not int or epochs < 0:
            raise ValueError("epochs is no size")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigurationError(f"{path}: not a trust file") from None
    return Trusted(keys, epochs)


def _check_mark(path: Path, trust: Trusted) -> None:
    """Whose copies these are, where that was written: not under the first versions."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() not in {f"{key.vkey}\n".encode() for key in trust.keys}:
            raise ConfigurationError(f"{path}: names another log; fetch the oldest version")


def _pending(path: Path) -> frozenset[str]:
    try:
        return frozenset(str(sid) for sid in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        raise ConfigurationError(f"{path}: missing, or not a list of sessions") from None


def _read(found: Survey, tiles: Tiles, notes: dict[int, Note], trust: Trusted) -> _Sessions | None:
    """What the leaves say. `notes` are the checkpoints, by size, that a trusted key signed; the
    largest is the one to be read up to. None where the leaves cannot be read to the end."""
    tree, ended, size = Frontier(), _Sessions(found), max(notes)
    epochs = _Epochs(found, trust)
    try:
        for index, data in enumerate(tiles.leaves(size)):
            tree.append(leaf_hash(data))
            epochs.take(index, data, ended.take(index, data))
            if (note := notes.get(tree.size)) is None:
                continue
            epochs.check(note)
            if tree.root() != note.root:
                found.wrong.append(
                    f"the leaves do not make the root that the checkpoint of {tree.size} signs"
                )
        if Frontier.read(tiles.node, size).root() != notes[size].root:
            found.wrong.append("the tiles' upper levels do not make the root of the checkpoint")
    except (LedgerError, OSError) as reason:
        found.wrong.append(str(reason))
        return None
    return ended


def prove(directory: Path, origin: str, index: int, held: Private | None = None) -> bytes:
    """The proof of one leaf as a C2SP tlog-proof: under the newest checkpoint that witnesses have
    cosigned when it covers the leaf, else under the newest. Raises ConfigurationError."""
    newest = checkpoint(directory, origin, held)
    if index >= newest.size:
        raise ConfigurationError(f"leaf {index}: the ledger has {newest.size} leaves")
    tiles, size, note = Tiles(directory / "ledger"), newest.size, newest.note
    try:
        cosigned = (directory / "ledger" / "cosigned").read_bytes()
        parsed = Note.parse(cosigned)
        parsed.signed_by((verifier(directory, origin, held),))
        if index < parsed.size <= newest.size:
            size, note = parsed.size, cosigned
    except FileNotFoundError:
        pass
    except NoteError as reason:
        raise ConfigurationError(f"{directory / 'ledger' / 'cosigned'}: {reason}") from None
    try:
        way = inclusion_proof(tiles.node, index, size)
        return proofs.tlog_proof(index, tiles.leaf(index), way, note)
    except (LedgerError, OSError) as reason:
        raise ConfigurationError(f"session log {directory}: {reason}") from None


def _kept(directory: Path) -> int | None:
    """The leaf from which on the write-ahead file has the sessions; None when it has none."""
    for path in wal.segments(directory):
        try:
            for frame in wal.SegmentReader(path).frames():
                leaves = json.loads(frame.payload.split(b"\n")[0][2:])["leaves"]
                return leaves if isinstance(leaves, int) else None
        except (OSError, ValueError, KeyError, TypeError):
            continue  # dropped meanwhile, or damaged: the gateway's own start refuses that one
    return None


class _Epochs:
    """What the leaves say of who signs: each certificate the log's, each number the next."""

    def __init__(self, found: Survey, trust: Trusted) -> None:
        self._found, self._trust = found, trust
        self._newest: Certificate | None = None
        self._last = False  # the last leaf names the epoch that signs

    def take(self, index: int, data: bytes, leaf: dict[str, Any]) -> None:
        found, newest = self._found, self._newest
        self._last = leaf.get("type") == "checkpoint"
        if leaf.get("type") == "epoch":
            try:
                made = self._certificate(index, data)
            except LedgerError as reason:
                found.wrong.append(str(reason))
                return
            if made.number != found.epochs + 1:
                found.wrong.append(
                    f"leaf {index} certifies epoch {made.number}, expected {found.epochs + 1}"
                )
            self._newest, found.epochs = made, made.number
        elif self._last and (
            newest is None
            or (leaf.get("epoch"), leaf.get("certificate")) != (newest.number, newest.index)
        ):
            found.wrong.append(f"leaf {index} names another epoch than the one in force")

    def _certificate(self, index: int, data: bytes) -> Certificate:
        """By one of the log's keys. Raises LedgerError."""
        for key in self._trust.keys[:-1]:
            with contextlib.suppress(LedgerError):
                return Certificate.parse(index, data, key)
        return Certificate.parse(index, data, self._trust.keys[-1])

    def check(self, note: Note) -> None:
        """A checkpoint over the leaves so far is signed by the epoch in force."""
        found, newest = self._found, self._newest
        if newest is None:
            if 0 < self._trust.epochs <= note.size:
                found.wrong.append(
                    f"the checkpoint of {note.size}: no epoch is certified in its ledger, and the "
                    f"trust file has them from {self._trust.epochs} leaves on"
                )
            return
        found.epoch = {
            "from": newest.start, "key": newest.key.vkey, "number": newest.number,
            "since": newest.ts,
        }  # fmt: skip
        try:
            newest.check(note)
        except NoteError as reason:
            found.wrong.append(f"the checkpoint of {note.size}: {reason}")
        if not self._last:
            found.wrong.append(f"the last leaf under the checkpoint of {note.size} names no epoch")


class _Sessions:
    """What the leaves say of each session."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._open: dict[str, int] = {}  # by id, the records it had at its last leaf
        self._opened: dict[str, int] = {}  # by id, its open leaf
        self._ended: dict[str, dict[str, Any]] = {}
        self._pruned: set[str] = set()

    def take(self, index: int, data: bytes) -> dict[str, Any]:
        """The leaf; an empty one when it is none."""
        found = self._found
        try:
            leaf = json.loads(data)
            kind, ts = str(leaf["type"]), str(leaf["ts"])
        except (ValueError, KeyError, TypeError, RecursionError):
            found.wrong.append(f"leaf {index} is no leaf")
            return {}
        found.leaves[kind] = found.leaves.get(kind, 0) + 1
        found.first, found.last = found.first or ts, ts
        sid = leaf.get("sid")
        if kind == "open":
            found.sessions += 1
            if leaf.get("session_no") != found.sessions:
                found.wrong.append(
                    f"leaf {index} opens session number {leaf.get('session_no')}, "
                    f"expected {found.sessions}"
                )
            self._open[str(sid)] = 1
            self._opened[str(sid)] = index
        elif kind == "pruned":
            ending = self._ended.get(str(sid), {})
            if ending.get("sha256") != leaf.get("sha256"):
                found.wrong.append(f"leaf {index} removes what session {sid} was not")
            self._pruned.add(str(sid))
        elif sid is not None:
            self._grown(index, kind, str(sid), leaf)
        return dict(leaf)

    def _grown(self, index: int, kind: str, sid: str, leaf: dict[str, Any]) -> None:
        before, records = self._open.get(sid), leaf.get("n")
        if before is None:
            self._found.wrong.append(f"leaf {index} speaks of session {sid}, which is not open")
        elif not isinstance(records, int) or records < before:
            self._found.wrong.append(f"leaf {index} takes records of session {sid} back")
        elif kind in ("close", "recovery"):
            del self._open[sid]
            self._ended[sid] = leaf
        else:
            self._open[sid] = records

    def finish(self, folder: Path, kept: int, pending: frozenset[str]) -> None:
        """Hold the files of ended sessions against the leaves that ended them. Those opened from
        leaf `kept` on are in the write-ahead file too, and need no file yet."""
        found = self._found
        found.running, found.pruned = len(self._open), len(self._pruned)
        for sid, leaf in self._ended.items():
            path = folder / f"{sid}.jsonl"
            if not path.exists():
                if sid in pending:
                    found.pending += 1
                elif sid not in self._pruned and self._opened[sid] < kept:
                    found.wrong.append(f"{path.name} is missing, and no leaf says it was removed")
                continue
            found.files += 1
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                found.wrong.append(f"{path.name} cannot be read: {error.strerror}")
                continue
            if digest != leaf.get("sha256"):
                found.wrong.append(f"{path.name} is not what its last leaf says")
