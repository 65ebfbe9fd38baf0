"""The ledger on disk: C2SP tlog-tiles, made from the write-ahead file and made again when in doubt.

    tile/entries/000   up to 256 leaves: u16be length, bytes
    tile/0/000         up to 256 leaf hashes of 32 bytes
    tile/1/000         up to 256 roots of full level-0 tiles, and so on upwards

The last tile of each level grows in place; the partial tile `N.p/W` of the HTTP layout is the first
W entries of file N. Nothing here is synced until `sync`: leaves are durable in the write-ahead
file first, and what a crash leaves of these files beyond the last `sync` is written again from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.sessionlog import disk
from gateway.sessionlog.merkle import Frontier, leaf_hash, node_hash

WIDTH = 256
HASH = 32


class LedgerError(ValueError):
    """The ledger's files do not hold what they must."""


def tile_path(number: int) -> str:
    """Groups of three digits, all but the last marked with x: 1234067 is x001/x234/067."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])


class Tiles:
    """The stored tree; `node` and `leaf` read, `extend` appends."""

    def __init__(self, directory: Path) -> None:
        self._home = directory / "tile"
        self._dirty: set[Path] = set()
        self._directories: set[Path] = set()
        self._bundle_end = 0  # bytes of the growing entry bundle
        self.size = 0

    def _path(self, level: int | str, number: int) -> Path:
        return self._home / str(level) / tile_path(number)

    def stored(self) -> int:
        """How many leaf hashes the files hold, whole or torn: an upper bound of what is durable."""
        level = self._home / "0"
        number, prefix = 0, level
        if not level.is_dir():
            return 0
        while True:
            names = [entry.name for entry in prefix.iterdir()]
            folders = [name for name in names if name.startswith("x")]
            if not folders:
                break
            newest = max(folders)
            number = number * 1000 + int(newest[1:])
            prefix = prefix / newest
        files = [name for name in names if name.isdigit()]
        if not files:
            return number * 1000 * WIDTH
        number = number * 1000 + int(max(files))
        return number * WIDTH + self._path(0, number).stat().st_size // HASH

    def open_at(self, size: int) -> None:
        """Go on after `size` leaves; what the files hold beyond is written again."""
        self.size = size
        self._bundle_end = 0
        if size % WIDTH:
            data = self._read(self._path("entries", size // WIDTH))
            for _ in range(size % WIDTH):
                self._bundle_end += 2 + int.from_bytes(data[self._bundle_end :][:2])
            if self._bundle_end > len(data):
                raise LedgerError(f"{self._path('entries', size // WIDTH)} ends too early")

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append leaves; they must already be durable elsewhere."""
        at = 0
        while at < len(leaves):
            room = WIDTH - self.size % WIDTH
            batch = leaves[at : at + room]
            at += len(batch)
            number = self.size // WIDTH
            entries = b"".join(len(leaf).to_bytes(2) + leaf for leaf in batch)
            self._write(self._path("entries", number), entries, self._bundle_end)
            hashes = b"".join(map(leaf_hash, batch))
            self._write(self._path(0, number), hashes, self.size % WIDTH * HASH)
            self._bundle_end += len(entries)
            self.size += len(batch)
            if self.size % WIDTH == 0:
                self._bundle_end = 0
                self._roll_up(number)

    def _roll_up(self, number: int) -> None:
        """A tile became full: its root goes into the level above, and so on."""
        level = 0
        while True:
            root = self._reduce(self._read(self._path(level, number))[: WIDTH * HASH])
            level += 1
            slot, number = number % WIDTH, number // WIDTH
            self._write(self._path(level, number), root, slot * HASH)
            if slot != WIDTH - 1:
                return

    def node(self, level: int, number: int) -> bytes:
        """The hash of a complete subtree; a merkle.Node."""
        tile_level, within = divmod(level, 8)
        count = 1 << within
        tile, start = divmod(number * count, WIDTH)
        path = self._path(tile_level, tile)
        return self._reduce(self._read(path, start * HASH, count * HASH))

    def leaf(self, index: int) -> bytes:
        """The data of one leaf."""
        path = self._path("entries", index // WIDTH)
        data, at = self._read(path), 0
        for _ in range(index % WIDTH):
            at += 2 + int.from_bytes(data[at : at + 2])
        length = int.from_bytes(data[at : at + 2])
        leaf = data[at + 2 : at + 2 + length]
        if len(leaf) != length or not length:
            raise LedgerError(f"{path} ends before leaf {index}")
        return leaf

    def leaves(self, size: int) -> Iterator[bytes]:
        """The data of the first `size` leaves, checked against their hashes, in order.

        Raises LedgerError where the files hold less, or something else.
        """
        for number in range(-(-size // WIDTH)):
            path = self._path("entries", number)
            data, hashes, at = self._read(path), self._read(self._path(0, number)), 0
            for slot in range(min(WIDTH, size - number * WIDTH)):
                length = int.from_bytes(data[at : at + 2])
                leaf = data[at + 2 : at + 2 + length]
                at += 2 + length
                if len(leaf) != length or not length:
                    raise LedgerError(f"{path} ends before leaf {number * WIDTH + slot}")
                if leaf_hash(leaf) != hashes[slot * HASH : (slot + 1) * HASH]:
                    raise LedgerError(f"leaf {number * WIDTH + slot} is not the one of its hash")
                yield leaf

    def some(self, begin: int, end: int) -> Iterator[bytes]:
        """The data of the leaves from `begin` to `end`, which are of one tile."""
        number = begin // WIDTH
        data, at = self._read(self._path("entries", number)), 0
        for index in range(number * WIDTH, end):
            length = int.from_bytes(data[at : at + 2])
            leaf = data[at + 2 : at + 2 + length]
            at += 2 + length
            if len(leaf) != length or not length:
                raise LedgerError(f"{self._path('entries', number)} ends before leaf {index}")
            if index >= begin:
                yield leaf

    def entries(self, number: int, count: int) -> bytes:
        """The first so many entries of a tile, as they are stored."""
        begin = number * WIDTH
        found = self.some(begin, begin + count)
        return b"".join(len(leaf).to_bytes(2) + leaf for leaf in found)

    def hashes(self, level: int, number: int, count: int) -> bytes:
        """The first so many hashes of a tile."""
        return self._read(self._path(level, number), 0, count * HASH)

    def backwards(self, size: int) -> Iterator[tuple[int, bytes]]:
        """The first `size` leaves from the last to the first, each with its index."""
        for begin in reversed(range(0, size, WIDTH)):
            found = list(self.some(begin, min(begin + WIDTH, size)))
            yield from reversed(list(enumerate(found, begin)))

    def sync(self) -> None:
        """All leaves so far survive a crash in these files too."""
        for path in self._dirty:
            fd = os.open(path, os.O_RDONLY)
            try:
                disk.sync(fd)
            finally:
                os.close(fd)
        for directory in self._directories:
            disk.sync_directory(directory)
        self._dirty.clear()
        self._directories.clear()

    @staticmethod
    def _reduce(hashes: bytes) -> bytes:
        row = [hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]
        while len(row) > 1:
            row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        return row[0]

    @staticmethod
    def _read(path: Path, offset: int = 0, length: int | None = None) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except FileNotFoundError:
            raise LedgerError(f"{path} is missing") from None
        if length is not None and len(data) != length:
            raise LedgerError(f"{path} ends before byte {offset + length}")
        return data

    def _write(self, path: Path, data: bytes, offset: int) -> None:
        if not path.parent.is_dir():
            disk.make_directory(path.parent)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, disk.FILE_MODE)
        try:
            disk.write_all(fd, data, offset)
            if os.fstat(fd).st_size > offset + len(data):
                # What a crash left behind the durable part.
                disk.cut(fd, offset + len(data))
        finally:
            os.close(fd)
        self._dirty.add(path)
        self._directories.add(path.parent)


def continues(tiles: Tiles, newest: int, size: int, root: bytes) -> bool:
    """Whether a ledger of `newest` leaves goes on from one of `size` leaves with this root."""
    try:
        return size <= newest and Frontier.read(tiles.node, size).root() == root
    except LedgerError:
        return False
