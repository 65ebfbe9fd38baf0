"""The witness over HTTP: `POST /add-checkpoint` and nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uvicorn

from gateway.doors.http import BoundedProtocol, listener
from gateway.errors import ConfigurationError
from gateway.sessionlog.note import ED25519, NoteError, VerifierKey
from gateway.witness.memory import Logs, Memory
from gateway.witness.protocol import REQUEST_LIMIT, TEXT, Answer, Witness

BODY_SECONDS = 10.0
CONNECTIONS = 256  # at once; more are answered 503
_TRUST_LIMIT = 1 << 16


def run(
    directory: Path,
    name: str,
    logs: Iterable[str],
    listen: str,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve until a signal ends it; the first line on stdout names the verifier key and the URL."""
    known = known_logs(logs)
    if not known:
        raise ConfigurationError("a witness needs at least one log: --log trust.json")
    memory, key = Memory.open(directory, name, known)
    try:
        door = _listen(listen)
        host, port = door.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if tls_cert else "http"
        server = uvicorn.Server(
            uvicorn.Config(
                application(Witness(memory, key, known)),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="warning",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=3,
                ssl_certfile=tls_cert,
                ssl_keyfile=tls_key,
            )
        )
        told = {"url": f"{scheme}://{shown}:{port}", "witness": key.vkey}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        server.run(sockets=[door])
    finally:
        memory.close()


def show_key(directory: Path, name: str) -> str:
    """The verifier key, made now when there is none."""
    memory, key = Memory.open(directory, name, {})
    memory.close()
    return key.vkey


def known_logs(named: Iterable[str]) -> Logs:
    """From trust files and verifier keys: which keys sign for which origin."""
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    for one in named:
        try:
            path = Path(one)
            vkeys = [one] if "+" in one and not path.exists() else _trusted(path)
            keys = [VerifierKey.parse(vkey, ED25519) for vkey in vkeys]
        except (NoteError, OSError, ValueError, KeyError, TypeError) as reason:
            raise ConfigurationError(f"log {one!r}: {reason}") from None
        for key in keys:
            logs[key.name] = (*logs.get(key.name, ()), key)
    return logs


def _trusted(path: Path) -> list[str]:
    with path.open("rb") as file:
        stated = json.loads(file.read(_TRUST_LIMIT))
    keys = stated["keys"] if isinstance(stated, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("not a trust file: it names no keys")
    return keys


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ConfigurationError(f"--listen {address!r}: write host:port")
    host = host.strip("[]") or "127.0.0.1"
    try:
        return listener(host, int(port), backlog=128)
    except OSError as error:
        raise ConfigurationError(f"--listen {address!r}: {error.strerror}") from error


def application(witness: Witness) -> Any:
    """The ASGI application."""

    async def answer(scope: dict[str, Any], receive: Any) -> Answer:
        if scope["path"] != "/add-checkpoint":
            return Answer(404, b"there is add-checkpoint, and nothing else\n")
        if scope["method"] != "POST":
            return Answer(405, b"POST a checkpoint\n")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    part = await receive()
                    if part["type"] != "http.request":
                        return Answer(400, b"the request has no end\n")
                    body += part.get("body", b"")
                    if len(body) > REQUEST_LIMIT:
                        return Answer(413, b"the request is over 64 KiB\n")
                    if not part.get("more_body"):
                        break
        except TimeoutError:
            return Answer(408, b"the request did not come in time\n")
        # The sync is waited for in a thread; the witness orders the requests itself.
        return await asyncio.to_thread(witness.add_checkpoint, bytes(body))

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        found = await answer(scope, receive)
        headers = [
            (b"content-type", (found.type or TEXT).encode()),
            (b"content-length", str(len(found.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if found.status == 405:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.body})

    return serve
