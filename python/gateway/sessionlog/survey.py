"""The ledger looked at as it lies on the disk: what it says of itself, and whether it adds up.

Reads and writes nothing, takes no lock, and may run beside the gateway: it looks at what the newest
checkpoint covers. It proves to whoever trusts this machine that nothing was damaged; an auditor
trusts a bundle, a trust file and `verify.py` instead.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError
from gateway.sessionlog import proofs, wal
from gateway.sessionlog.epochs import Certificate
from gateway.sessionlog.merkle import Frontier, inclusion_proof, leaf_hash
from gateway.sessionlog.note import Checkpoint, LogKey, Note, NoteError, VerifierKey
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
    epochs: int = 0  # certificates, numbered from 1 without a gap
    epoch: dict[str, Any] | None = None  # that signs now: number, key, from which size, since when
    wrong: list[str] = field(default_factory=list)


def checkpoint(directory: Path, origin: str) -> Checkpoint:
    """The newest checkpoint. Raises ConfigurationError when there is none that this key signed."""
    path = directory / "ledger" / "checkpoint"
    try:
        return LogKey.load(directory / "key", origin).open_checkpoint(path.read_bytes())
    except FileNotFoundError as missing:
        raise ConfigurationError(
            f"session log {directory}: {Path(missing.filename).name} is missing; "
            "no gateway has kept its log here yet"
        ) from None
    except NoteError as reason:
        raise ConfigurationError(f"{path}: {reason}") from None


def survey(directory: Path, origin: str) -> Survey:
    """Recompute the tree from its leaves and hold it against the checkpoint and the files.

    Time and memory grow with the number of leaves and sessions. Raises ConfigurationError as
    `checkpoint` does.
    """
    kept = _kept(directory / "wal")  # first: a start that goes on meanwhile makes files of them
    signed = checkpoint(directory, origin)
    key = LogKey.load(directory / "key", origin).verifier
    found = Survey(origin, key.vkey, signed.size, signed.root.hex())
    tiles, tree, ended = Tiles(directory / "ledger"), Frontier(), _Sessions(found)
    epochs = _Epochs(found, key)
    try:
        for index, data in enumerate(tiles.leaves(signed.size)):
            tree.append(leaf_hash(data))
            leaf = ended.take(index, data)
            epochs.take(index, data, leaf)
        epochs.finish(signed)
        if tree.root() != signed.root:
            found.wrong.append("the leaves do not make the root that the checkpoint signs")
        if Frontier.read(tiles.node, signed.size).root() != signed.root:
            found.wrong.append("the tiles' upper levels do not make the root of the checkpoint")
    except (LedgerError, OSError) as reason:
        found.wrong.append(str(reason))
        return found
    ended.finish(directory / "sessions", signed.size if kept is None else kept)
    return found


def prove(directory: Path, origin: str, index: int) -> bytes:
    """The proof of one leaf as a C2SP tlog-proof: under the newest checkpoint that witnesses have
    cosigned when it covers the leaf, else under the newest. Raises ConfigurationError."""
    newest = checkpoint(directory, origin)
    if index >= newest.size:
        raise ConfigurationError(f"leaf {index}: the ledger has {newest.size} leaves")
    tiles, size, note = Tiles(directory / "ledger"), newest.size, newest.note
    try:
        cosigned = (directory / "ledger" / "cosigned").read_bytes()
        parsed = Note.parse(cosigned)
        parsed.signed_by((LogKey.load(directory / "key", origin).verifier,))
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

    def __init__(self, found: Survey, key: VerifierKey) -> None:
        self._found, self._key = found, key
        self._newest: Certificate | None = None
        self._last = False  # the last leaf names the epoch that signs

    def take(self, index: int, data: bytes, leaf: dict[str, Any]) -> None:
        found, newest = self._found, self._newest
        self._last = leaf.get("type") == "checkpoint"
        if leaf.get("type") == "epoch":
            try:
                made = Certificate.parse(index, data, self._key)
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

    def finish(self, signed: Checkpoint) -> None:
        """The newest checkpoint is signed by the epoch in force."""
        found, newest = self._found, self._newest
        if newest is None:
            return
        found.epoch = {
            "from": newest.start, "key": newest.key.vkey, "number": newest.number,
            "since": newest.ts,
        }  # fmt: skip
        try:
            newest.check(Note.parse(signed.note))
        except NoteError as reason:
            found.wrong.append(f"the newest checkpoint: {reason}")
        if not self._last:
            found.wrong.append("the last leaf under the newest checkpoint names no epoch")


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

    def finish(self, folder: Path, kept: int) -> None:
        """Hold the files of ended sessions against the leaves that ended them. Those opened from
        leaf `kept` on are in the write-ahead file too, and need no file yet."""
        found = self._found
        found.running, found.pruned = len(self._open), len(self._pruned)
        for sid, leaf in self._ended.items():
            path = folder / f"{sid}.jsonl"
            if not path.exists():
                if sid not in self._pruned and self._opened[sid] < kept:
                    found.wrong.append(f"{path.name} is missing, and no leaf says it was removed")
                continue
            found.files += 1
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != leaf.get("sha256"):
                found.wrong.append(f"{path.name} is not what its last leaf says")
