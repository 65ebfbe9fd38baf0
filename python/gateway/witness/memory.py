"""What a witness remembers: of each log the newest checkpoint it cosigned, safe before it is used.

One directory, one process:

    lock  key  logs/SHA256(origin)      the checkpoint with the log's signature

Whatever is read back must be signed by a key of that log; a file that is not stops the start, for
a witness that forgets is one that a rollback goes past.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import ConfigurationError
from gateway.sessionlog import disk
from gateway.sessionlog.cosignature import WitnessKey
from gateway.sessionlog.note import Note, NoteError, VerifierKey

Logs = Mapping[str, tuple[VerifierKey, ...]]  # origin -> the keys that sign for it


class Memory:
    """A witness's directory. Make it with `open`, end it with `close`."""

    def __init__(self, directory: Path, lock: int) -> None:
        self._home, self._lock = directory / "logs", lock
        self._newest: dict[str, Note] = {}

    @classmethod
    def open(cls, directory: Path, name: str, logs: Logs) -> tuple[Memory, WitnessKey]:
        """Take the directory, read what is remembered of these logs, and the key.

        Raises ConfigurationError when another process has it, or a file is not what was written.
        """
        with disk.taking(directory, "witness") as lock:
            disk.make_directory(directory / "logs")
            memory = cls(directory, lock)
            for origin, keys in logs.items():
                memory._recall(origin, keys)
            return memory, memory._key(directory / "key", name)

    def newest(self, origin: str) -> Note | None:
        """The newest checkpoint of this log; None when there never was one."""
        return self._newest.get(origin)

    def keep(self, note: Note) -> None:
        """Remember this one from now on; durable on return. The caller stops after an OSError."""
        lines = b"".join(signature.line for signature in note.signatures)
        disk.replace(self._path(note.origin), note.text + b"\n" + lines)
        self._newest[note.origin] = note

    def close(self) -> None:
        os.close(self._lock)

    def _path(self, origin: str) -> Path:
        return self._home / hashlib.sha256(origin.encode()).hexdigest()

    def _recall(self, origin: str, keys: tuple[VerifierKey, ...]) -> None:
        path = self._path(origin)
        try:
            note = Note.parse(path.read_bytes())
            note.signed_by(keys)
        except FileNotFoundError:
            return
        except NoteError as reason:
            raise ConfigurationError(
                f"witness memory {path}: {reason}; of {origin!r}; not started"
            ) from None
        if note.origin != origin:
            raise ConfigurationError(f"witness memory {path}: of {note.origin!r}, not {origin!r}")
        self._newest[origin] = note

    def _key(self, path: Path, name: str) -> WitnessKey:
        """The key, made at the first start: never beside a memory that another key signed for."""
        if path.exists():
            return WitnessKey.load(path, name)
        if any(self._home.iterdir()):
            raise ConfigurationError(f"witness key {path}: missing beside a memory; restore it")
        return WitnessKey.create(path, name)
