"""What the demo runs on: PostgreSQL, a development issuer and the gateway, each its own process.

Refuses to leave anything running: whatever ends the demo (its end, a failure, Ctrl-C, a closed
terminal) ends the processes, last started first. Everything listens on loopback or on a Unix
socket, on ports that were free, and writes below one folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from types import FrameType

import httpx

from gateway.demo import clinic
from gateway.upstream.embedded import EmbeddedPostgres

#: The name of the demo's log; the same on every run over the same folder.
ORIGIN = "maskgate-demo"

_START_S = 60.0
_STOP_S = 15.0


class BackstageError(Exception):
    """A process did not start; the message says where its own words are."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything up and answering."""

    folder: Path
    gateway: str  # http://127.0.0.1:port
    issuer: str
    secrets: Mapping[str, str]  # client secrets at the issuer, by client id
    clinic: clinic.Clinic
    config: Path
    trust: Path  # written by the gateway, taken away by the auditor


@contextmanager
def build(folder: Path, *, patients: int, progress: Callable[[str], None]) -> Iterator[Stage]:
    """Start it all, clean up afterwards. Raises BackstageError when something does not come up."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_closed_terminal_is_an_end())
        progress("PostgreSQL 18")
        server = EmbeddedPostgres(folder / "postgres")
        stack.callback(server.stop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel's remark on XDG_RUNTIME_DIR
            dsn = server.start()
        loaded = asyncio.run(
            clinic.prepare(
                dsn, patients=patients, progress=lambda step: progress(f"the clinic: {step}")
            )
        )
        progress("the development issuer")
        secrets_folder = folder / "issuer"
        command = ["-m", "gateway.demo.issuer", "--port", "0", "--state", str(secrets_folder)]
        child = stack.enter_context(running(command, folder / "issuer.log", {}))
        issuer = str(child.said["issuer"])
        secrets = json.loads((secrets_folder / "clients.json").read_text(encoding="utf-8"))
        progress("the gateway")
        listen = f"127.0.0.1:{free_port()}"
        config = folder / "maskgate.toml"
        config.write_text(settings(listen=listen, issuer=issuer), encoding="utf-8")
        addresses = {"CLINIC_DSN": loaded.login_dsn, "MASKGATE_CONTROL_DSN": loaded.control_dsn}
        command = ["-m", "gateway", "serve", "-c", str(config)]
        stack.enter_context(running(command, folder / "gateway.log", addresses))
        wait_until_ready(f"http://{listen}", folder / "gateway.log")
        yield Stage(
            folder=folder,
            gateway=f"http://{listen}",
            issuer=issuer,
            secrets=secrets,
            clinic=loaded,
            config=config,
            trust=folder / "state" / "log" / "trust.json",
        )


def settings(*, listen: str, issuer: str) -> str:
    """The gateway's configuration for the clinic, as text to be read and copied."""
    template = files("gateway.demo").joinpath("maskgate.toml.in").read_text(encoding="utf-8")
    return Template(template).substitute(listen=listen, issuer=issuer, origin=ORIGIN)


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and what it said when it was ready."""

    pid: int
    said: Mapping[str, object]


@contextmanager
def running(arguments: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[Child]:
    """A Python process of ours that prints a JSON line once it answers; it ends with the block."""
    with log.open("wb") as words:
        process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C is for the demo, which ends the others in order
        )
        lines: queue.Queue[bytes] = queue.Queue()
        reader = threading.Thread(target=_drain, args=(process, lines), daemon=True)
        reader.start()
        try:
            yield Child(process.pid, _first_line(process, lines, log))
        finally:
            _end(process)
            reader.join(_STOP_S)


def _first_line(
    process: subprocess.Popen[bytes], lines: queue.Queue[bytes], log: Path
) -> dict[str, object]:
    try:
        line = lines.get(timeout=_START_S)
        said = json.loads(line)
    except (queue.Empty, ValueError) as error:
        raise BackstageError(f"{_name(process)} did not start: see {log}\n{_last(log)}") from error
    if not isinstance(said, dict):
        raise BackstageError(f"{_name(process)} said {line!r}: expected a JSON object")
    return said


def _drain(process: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    """The first line, or nothing when there is none; then keep the pipe empty to its end."""
    if process.stdout is None:
        return
    with process.stdout as output:
        lines.put(output.readline())
        for _ in output:
            pass


def wait_until_ready(gateway: str, log: Path) -> None:
    """Return once a query would be served. Raises BackstageError with what is missing."""
    deadline = time.monotonic() + _START_S
    why = "no answer"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{gateway}/readyz", timeout=5.0)
            if answer.status_code == 200:
                return
            why = answer.text
        except httpx.TransportError as error:
            why = str(error)
        time.sleep(0.1)
    raise BackstageError(f"the gateway is not ready: {why}; see {log}\n{_last(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _name(process: subprocess.Popen[bytes]) -> str:
    return " ".join(str(part) for part in list(process.args)[1:3])  # type: ignore[arg-type]


def _last(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])


@contextmanager
def _closed_terminal_is_an_end() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that the processes end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
