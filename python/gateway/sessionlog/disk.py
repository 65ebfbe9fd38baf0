"""Every call that changes the disk: the one file to read, or to break, for durability.

A failed sync is final. After one failed fsync the kernel may have dropped the dirty pages and the
next fsync returns success: whoever gets an OSError from here stops for good and recovers from the
bytes at the next start. Nothing here retries.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import ConfigurationError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write at `offset`, going on after a short write; the disk decides when there is no more."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        if written == 0:
            raise OSError(errno.EIO, "a write made no progress")
        view = view[written:]
        offset += written


def sync(fd: int) -> None:
    """Data and size are on the disk when this returns."""
    os.fdatasync(fd)


def sync_directory(path: Path) -> None:
    """A created, renamed or removed name in `path` survives a crash when this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Create `path` and what is missing above it, for this user alone."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    sync_directory(path.parent)


@contextmanager
def taking(directory: Path, what: str) -> Iterator[int]:
    """Take a directory for one process: gives the lock's descriptor, for whoever then keeps it.

    A block that raises gives it back. Raises ConfigurationError, `what` and the directory named,
    when another process has it and for an OSError of the block.
    """
    lock = -1
    try:
        make_directory(directory)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BaseException as reason:
        if lock >= 0:
            os.close(lock)
        if isinstance(reason, BlockingIOError):
            raise ConfigurationError(f"{what} {directory}: another process is writing it") from None
        if isinstance(reason, OSError):
            raise ConfigurationError(f"{what} {directory}: {reason}") from reason
        raise


def create(path: Path) -> int:
    """A new file open for writing; its name survives a crash. It must not exist."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    sync_directory(path.parent)
    return fd


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[int]:
    """Put what the block writes at `path` in one step: a crash leaves the old file or the new one.

    Without `durable` the file is only whole, not yet safe: for what can be made again.
    """
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(
        temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE
    )
    try:
        yield fd
        if durable:
            sync(fd)
    finally:
        os.close(fd)
    if durable:
        rename(temporary, path)
    else:
        temporary.rename(path)


def replace(path: Path, data: bytes, *, durable: bool = True) -> None:
    """`replacing` with these bytes."""
    with replacing(path, durable=durable) as fd:
        write_all(fd, data, 0)


def cut(fd: int, size: int) -> None:
    """Drop what stands behind `size`."""
    os.ftruncate(fd, size)


def rename(old: Path, new: Path) -> None:
    """Rename within one directory; the new name survives a crash."""
    old.rename(new)
    sync_directory(new.parent)


def remove(path: Path) -> None:
    """Remove a name. The caller syncs the directory once for all it removes."""
    path.unlink()
