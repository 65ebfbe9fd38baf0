"""Witnesses that answer in the test's own event loop, and misbehave when told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from gateway.sessionlog import Anchoring, SessionLog, anchors
from gateway.sessionlog.note import VerifierKey
from gateway.witness import Memory
from gateway.witness import Witness as Answering
from gateway.witness.door import application

ORIGIN = "log.example.org/anchored"


class Standing:
    """One witness: `mode` is how it answers, by default as it should."""

    def __init__(self, home: Path, name: str, port: int, logs: dict[str, Any]) -> None:
        self.memory, self.key = Memory.open(home, name, logs)
        self.url = f"http://127.0.0.1:{port}"
        self.mode: str | tuple[int, bytes] = "well"
        self.fields: list[tuple[bytes, bytes]] = []  # of an answer that is not well
        self.requests = 0
        self._application = application(Answering(self.memory, self.key, logs))

    @property
    def witness(self) -> anchors.Witness:
        return anchors.Witness.parse(self.url, self.key.vkey)

    def size(self, origin: str = ORIGIN) -> int:
        newest = self.memory.newest(origin)
        return newest.size if newest else 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.requests += 1
        if self.mode == "hang":
            await asyncio.sleep(3600)
        if self.mode == "well":
            await self._application(scope, receive, send)
            return
        assert isinstance(self.mode, tuple)
        status, body = self.mode
        await send({"type": "http.response.start", "status": status, "headers": self.fields})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def standing(home: Path, log: VerifierKey, *names: str) -> AsyncIterator[list[Standing]]:
    """Witnesses of one log, each with its own memory and port."""
    made: list[Standing] = []
    tasks: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
    for name in names:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        one = Standing(home / name, f"witness.example.org/{name}", port, {log.name: (log,)})
        server = uvicorn.Server(
            uvicorn.Config(one, ws="none", lifespan="off", log_config=None, access_log=False)
        )
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        tasks.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        made.append(one)
    try:
        yield made
    finally:
        for server, _ in tasks:
            server.should_exit = server.force_exit = True
        await asyncio.gather(*(task for _, task in tasks))
        for one in made:
            one.memory.close()


def start(directory: Path, *witnesses: Standing, quorum: int = 0, **policy: Any) -> SessionLog:
    """The log with these witnesses, asked from now on."""
    known = tuple(one.witness for one in witnesses)
    anchoring = Anchoring(known, quorum or len(known), **policy)
    log = SessionLog.open(directory, origin=ORIGIN, version="0", anchoring=anchoring)
    log.anchor()
    return log


async def until(condition: Any) -> None:
    """Wait for what must come; the bound only ends a test that has failed."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - files and threads tell of no event
            await asyncio.sleep(0.01)
