"""A disk that remembers what was synced, so that a test can take the power away at any moment.

The real calls run on a real directory; beside them each is written down. From the calls up to any
moment the disk is made anew as a power failure may leave it: what was synced is there, of the rest
anything. Names count as synced with their directory, bytes with their file. What a failed sync had
before it stays in the cache and is never written: a later sync of the file does not bring it back.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Op:
    """One call: `what` it was, the names it took relative to the log's directory."""

    what: str
    name: str = ""
    other: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class File:
    """A file's bytes as the disk has them, and what was not synced yet: what was written where, or
    where it was cut."""

    disk: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)
    dropped: list[tuple[int, bytes | None]] = field(default_factory=list)

    @staticmethod
    def put(data: bytearray, offset: int, piece: bytes | None) -> None:
        if piece is None:
            del data[offset:]
            data.extend(bytes(offset - len(data)))
            return
        data.extend(bytes(max(0, offset + len(piece) - len(data))))
        data[offset : offset + len(piece)] = piece

    def cached(self) -> bytes:
        """As whoever reads it while the machine is up."""
        data = bytearray(self.disk)
        for offset, piece in self.dropped + self.waiting:
            self.put(data, offset, piece)
        return bytes(data)


#: What of the writes that wait reaches the disk: of so many waiting in a file, given as pieces.
Fate = Callable[[list[tuple[int, bytes | None]]], list[tuple[int, bytes | None]]]


def none(_: list[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    return []


def every(waiting: list[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    return waiting


def torn(waiting: list[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    """All but the second half of the last."""
    *before, (offset, piece) = waiting
    return [*before, (offset, None if piece is None else piece[: len(piece) // 2])]


def some(seed: int) -> Fate:
    """Any of them, some torn, as the seed says."""
    choice = random.Random(seed)

    def fate(waiting: list[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
        kept = [one for one in waiting if choice.random() < 0.5]
        return torn(kept) if kept and choice.random() < 0.3 else kept

    return fate


@dataclass
class Disk:
    """What all calls up to a moment make of an empty directory."""

    files: list[File] = field(default_factory=list)
    # By directory: the names that are synced, those that are seen, and the steps between the two.
    synced: dict[str, dict[str, int | None]] = field(default_factory=lambda: {"": {}})
    seen: dict[str, dict[str, int | None]] = field(default_factory=lambda: {"": {}})
    steps: dict[str, list[dict[str, int | None]]] = field(default_factory=dict)

    def apply(self, op: Op) -> None:
        getattr(self, f"_{op.what}")(op)

    def _place(self, name: str) -> tuple[str, str]:
        folder, _, last = name.rpartition("/")
        return folder, last

    def _file(self, name: str) -> File:
        folder, last = self._place(name)
        number = self.seen[folder][last]
        assert number is not None
        return self.files[number]

    def _named(self, folder: str) -> None:
        self.steps.setdefault(folder, []).append(dict(self.seen[folder]))

    def _mkdir(self, op: Op) -> None:
        folder, last = self._place(op.name)
        self.seen[folder][last] = None
        self._named(folder)
        self.seen[op.name], self.synced[op.name] = {}, {}

    def _create(self, op: Op) -> None:
        folder, last = self._place(op.name)
        if last not in self.seen[folder]:
            self.seen[folder][last] = len(self.files)
            self.files.append(File())
            self._named(folder)

    def _write(self, op: Op) -> None:
        self._file(op.name).waiting.append((op.offset, op.data))

    def _cut(self, op: Op) -> None:
        self._file(op.name).waiting.append((op.offset, None))

    def _sync(self, op: Op) -> None:
        file = self._file(op.name)
        for offset, piece in file.waiting:
            File.put(file.disk, offset, piece)
        file.waiting.clear()

    def _drop(self, op: Op) -> None:
        file = self._file(op.name)
        file.dropped += file.waiting
        file.waiting.clear()

    def _sync_names(self, op: Op) -> None:
        self.synced[op.name] = dict(self.seen[op.name])
        self.steps.pop(op.name, None)

    def _rename(self, op: Op) -> None:
        folder, last = self._place(op.name)
        other_folder, other = self._place(op.other)
        assert folder == other_folder
        self.seen[folder][other] = self.seen[folder].pop(last)
        self._named(folder)
        self._moved(self.seen, op)
        self._moved(self.synced, op)
        self._moved(self.steps, op)

    @staticmethod
    def _moved(names: dict[str, Any], op: Op) -> None:
        """What is known of a directory goes along with its name."""
        for key in [key for key in names if key == op.name or key.startswith(op.name + "/")]:
            names[op.other + key[len(op.name) :]] = names.pop(key)

    def _remove(self, op: Op) -> None:
        folder, last = self._place(op.name)
        del self.seen[folder][last]
        self._named(folder)

    def _mark(self, op: Op) -> None:
        """Something that a test did at this moment."""

    def cached(self, root: Path) -> None:
        """Lay the directory down as it is seen while the machine is up."""
        self._lay(root, self.seen, lambda file: file.cached())

    def after_power_loss(self, root: Path, fate: Fate, choice: random.Random | None) -> None:
        """Lay the directory down as it may be found when the power is back.

        Names that were not synced are lost, or with a `choice` those behind any one step.
        """
        found = dict(self.synced)
        for folder, steps in self.steps.items():
            at = choice.randint(0, len(steps)) if choice else 0
            if at:
                found[folder] = steps[at - 1]

        def left(file: File) -> bytes:
            data = bytearray(file.disk)
            for offset, piece in fate(list(file.waiting)) if file.waiting else []:
                File.put(data, offset, piece)
            return bytes(data)

        self._lay(root, found, left)

    def _lay(
        self, root: Path, names: dict[str, dict[str, int | None]], data: Callable[[File], bytes]
    ) -> None:
        def lay(folder: str, to: Path) -> None:
            to.mkdir(mode=0o700)
            for name, number in names.get(folder, {}).items():
                if number is None:
                    lay(f"{folder}/{name}".lstrip("/"), to / name)
                else:
                    (to / name).write_bytes(data(self.files[number]))
                    (to / name).chmod(stat.S_IRUSR | stat.S_IWUSR)

        lay("", root)


def replay(ops: list[Op]) -> Disk:
    """The disk behind these calls."""
    disk = Disk()
    for op in ops:
        disk.apply(op)
    return disk


class Killed(BaseException):
    """The process is gone: no call after this one is carried out."""


class Recorder:
    """Writes down each call that changes what is below `root`, from `before` on, and breaks one."""

    def __init__(self, root: Path, before: list[Op]) -> None:
        self.ops = list(before)
        self.root = root
        self.fail_sync: int | None = None  # the sync that fails, counted from 0
        self.calls = 0
        #: The call that goes wrong, counted from 0, and how: an errno, "short" or "killed".
        self.fault: tuple[int, int | str] | None = None
        self.broken_at: int | None = None  # how many calls were written down before it
        self.broken = ""  # and what it would have changed
        self._fds: dict[int, str] = {}
        self._lock = threading.RLock()

    def mark(self, text: str) -> None:
        """Note that something happened now."""
        with self._lock:
            self.ops.append(Op("mark", text))

    def _call(self, name: str, *, may_be_short: bool = False) -> bool:
        """Count a call; whether it is to stop half way. Raises where it is the one that fails."""
        at, self.calls = self.calls, self.calls + 1
        if self.fault is None or at < self.fault[0]:
            return False
        how = self.fault[1]
        if how == "killed":
            self.broken_at = self.broken_at or len(self.ops)
            raise Killed
        if at > self.fault[0] or (how == "short" and not may_be_short):
            return False
        self.broken_at, self.broken = len(self.ops), name
        if how == "short":
            return True
        assert isinstance(how, int)
        raise OSError(how, os.strerror(how))

    def _name(self, path: Any) -> str | None:
        full = os.fspath(path)
        root = os.fspath(self.root)
        if not isinstance(full, str) or not (full == root or full.startswith(root + "/")):
            return None
        return full[len(root) + 1 :]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the calls of this process."""
        real = {name: getattr(os, name) for name in ("open", "close", "pwrite", "ftruncate")}
        real |= {name: getattr(os, name) for name in ("fsync", "fdatasync")}
        methods = {name: getattr(Path, name) for name in ("rename", "unlink", "mkdir", "rmdir")}

        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            with self._lock:
                name = self._name(path)
                if name is not None and flags & os.O_CREAT:
                    self._call(name)
                fd: int = real["open"](path, flags, *rest, **named)
                if name is not None:
                    self._fds[fd] = name
                    if flags & os.O_CREAT:
                        self.ops.append(Op("create", name))
                    if flags & os.O_TRUNC:
                        self.ops.append(Op("cut", name))
                return fd

        def closed(fd: int) -> None:
            with self._lock:
                self._fds.pop(fd, None)
                real["close"](fd)

        def written(fd: int, data: Any, offset: int) -> int:
            with self._lock:
                if fd in self._fds and self._call(self._fds[fd], may_be_short=True):
                    data = data[: len(data) // 2]
                count: int = real["pwrite"](fd, data, offset)
                if fd in self._fds:
                    piece = bytes(data[:count])
                    self.ops.append(Op("write", self._fds[fd], offset=offset, data=piece))
                return count

        def cut(fd: int, size: int) -> None:
            with self._lock:
                if fd in self._fds:
                    self._call(self._fds[fd])
                real["ftruncate"](fd, size)
                if fd in self._fds:
                    self.ops.append(Op("cut", self._fds[fd], offset=size))

        def synced(fd: int) -> None:
            with self._lock:
                if fd not in self._fds:
                    return
                name = self._fds[fd]
                self._call(name)
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    self.ops.append(Op("sync_names", name))
                    return
                if self.fail_sync is not None:
                    self.fail_sync -= 1
                    if self.fail_sync < 0:
                        self.fail_sync = None
                        self.ops.append(Op("drop", name))
                        raise OSError(5, "Input/output error")
                self.ops.append(Op("sync", name))

        def method(what: str) -> Callable[..., Any]:
            kinds = {"rename": "rename", "unlink": "remove", "rmdir": "remove", "mkdir": "mkdir"}

            def call(path: Path, *arguments: Any, **named: Any) -> Any:
                with self._lock:
                    there = path.exists()
                    name = self._name(path)
                    if name:
                        self._call(f"{kinds[what]} {name}")
                    result = methods[what](path, *arguments, **named)
                    if name and not (what == "mkdir" and there):
                        other = self._name(arguments[0]) if what == "rename" else ""
                        self.ops.append(Op(kinds[what], name, other or ""))
                    return result

            return call

        calls = {"open": opened, "close": closed, "pwrite": written, "ftruncate": cut}
        with pytest.MonkeyPatch.context() as patch:
            for name, call in (calls | {"fsync": synced, "fdatasync": synced}).items():
                patch.setattr(os, name, call)
            for name in methods:
                patch.setattr(Path, name, method(name))
            yield
