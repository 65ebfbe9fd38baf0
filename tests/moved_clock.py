"""A process whose clock a test moves while it runs, by a library that is loaded before others."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path


class MovedClock:
    """`environment` is for the process; `move` sets it so many seconds off the machine's."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)  # a PostgreSQL runs as nobody
        self._file = home / "moved"
        self._file.write_bytes(struct.pack("=q", 0))
        self._file.chmod(0o644)
        library = home / "moved_clock.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", library,
             Path(__file__).parent / "moved_clock.c", "-ldl"],
            check=True,
        )  # fmt: skip
        library.chmod(0o755)
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._file)}

    def move(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            os.write(file.fileno(), struct.pack("=q", seconds))
