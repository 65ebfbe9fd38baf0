"""A file that appears whole or not at all.

The bytes are written to a file without a name in the target's folder (or to a hidden one where the
filesystem has none such), forced to the disk, and only then given the name. A failure, Ctrl-C or
the end of the process leaves nothing behind; a crash before the name is given leaves the folder as
it was. Refuses to take the place of another file unless told to, and never that of the input.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import Conflict

_BUFFER = 1 << 20


def check_target(target: Path, source: Path | None, *, force: bool) -> None:
    """Raises Conflict when `target` may not be written: it is the input (under any name), it exists
    and `force` was not given, it is no plain file, or its folder does not exist."""
    try:
        there = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise Conflict(f"{target.parent}: there is no such folder") from None
        return
    if source is not None and os.path.samestat(there, source.stat()):
        raise Conflict(f"{target} is the input: it is never overwritten; give another name")
    if not stat.S_ISREG(there.st_mode):
        raise Conflict(f"{target} is no plain file; write - for the standard output")
    if not force:
        raise Conflict(f"{target} exists; --force replaces it")


@contextmanager
def appearing(target: Path, *, force: bool, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write to that becomes `target` when the block ends well, and nothing otherwise; of
    this `mode`, less the umask.

    Raises Conflict when `target` has come into being meanwhile and `force` was not given, and
    OSError as the filesystem does.
    """
    folder = target.parent
    handle, hidden = _nameless(folder, mode)
    try:
        with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if hidden is None and force:
                hidden = _hidden_name(folder)
                _link_open_file(file.fileno(), hidden)
            if force and hidden is not None:
                hidden.replace(target)
            elif hidden is None:
                _link_open_file(file.fileno(), target)
            else:
                os.link(hidden, target)
    except FileExistsError:
        raise Conflict(f"{target} has appeared meanwhile; --force replaces it") from None
    finally:
        if hidden is not None:
            with suppress(FileNotFoundError):
                hidden.unlink()
    # The name, too, should survive a loss of power. Where a folder cannot be forced to the disk the
    # file is there all the same, and whole.
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _nameless(folder: Path, mode: int) -> tuple[int, Path | None]:
    """An open file without a name, or with the hidden one that it has."""
    kind = getattr(os, "O_TMPFILE", None)
    if kind is not None and _can_be_named(folder, os.O_WRONLY | kind):
        return os.open(folder, os.O_WRONLY | kind, mode), None
    hidden = _hidden_name(folder)
    return os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), hidden


def _can_be_named(folder: Path, flags: int) -> bool:
    """Whether the filesystem has files without a name, and gives them one later. Tried with another
    file: it would be a pity to learn it when all is written."""
    trial = _hidden_name(folder)
    try:
        handle = os.open(folder, flags, 0o600)
        try:
            _link_open_file(handle, trial)
        finally:
            os.close(handle)
        trial.unlink()
    except OSError:
        return False
    return True


def _hidden_name(folder: Path) -> Path:
    return folder / f".maskgate-{secrets.token_hex(8)}.part"


def _link_open_file(handle: int, name: Path) -> None:
    # Only with a folder given is the link behind /proc followed; an absolute path ignores it.
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(f"/proc/self/fd/{handle}", name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
