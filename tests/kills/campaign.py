"""Kills a gateway under load, again and again, and looks for rows that came out without a record.

Clients stream results of all sizes over several sessions; at a moment nobody knows the gateway
gets SIGKILL and is started anew. What each client has received is then held against the session's
file as the new start left it: the statement has its intent word for word, and every byte of the
body lies in a chunk whose record is there with its digest.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import world as worlds
from blake3 import blake3

CLIENTS = 6
#: So many answers have begun before the gateway may be killed, however slow the machine is.
BEGUN = 5
#: Rows of statements, from one to far more than a client reads.
_COPIES = (0, 1, 5, 40)
_MOST_READ = 6 << 20


@dataclass
class Received:
    """A statement and as much of its answer's body as came."""

    session: str
    sql: str
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False
    left: bool = False  # by the client, who wanted no more

    @property
    def cut(self) -> bool:
        """By the kill, if that was; else it is under way."""
        return not (self.whole or self.left)


@dataclass
class Seen:
    """What a campaign met; `wrong` is empty when the log was right."""

    kills: int = 0
    statements: int = 0
    whole: int = 0
    cut: int = 0
    bytes: int = 0
    chunks: int = 0
    verified: int = 0
    wrong: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Opens sessions and asks, until the gateway is gone."""

    def __init__(self, world: worlds.World, numbers: itertools.count[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.received: list[Received] = []
        self._world, self._numbers, self._choice = world, numbers, random.Random(seed)

    def run(self) -> None:
        try:
            with self._world.http(worlds.AGENT) as http:
                while True:
                    self._session(http)
        except (httpx.HTTPError, KeyError, ValueError):
            return  # the gateway was killed

    def _session(self, http: httpx.Client) -> None:
        opened = http.post("/v1/sessions", json={"connection": "clinic"})
        session = opened.json()["id"]
        for _ in range(self._choice.randint(1, 5)):
            self._statement(http, session)
        if self._choice.random() < 0.5:
            http.delete(f"/v1/sessions/{session}")

    def _statement(self, http: httpx.Client, session: str) -> None:
        copies = self._choice.choice(_COPIES)
        sql = (
            f"select {next(self._numbers)} as mark, p.* from patient p, "
            f"generate_series(0, {copies}) where p.id <= {self._choice.choice((1, 30, 1000))}"
        )
        received = Received(session, sql)
        most = self._choice.randint(1, _MOST_READ)
        address = f"/v1/sessions/{session}/query"
        with http.stream("POST", address, json={"sql": sql}) as answer:
            if answer.status_code != 200:
                return
            self.received.append(received)
            for piece in answer.iter_raw():
                received.body += piece
                if len(received.body) > most:
                    received.left = True
                    return
        received.whole = True


def run(world: worlds.World, kills: int, seed: int) -> Seen:
    """So many kills of the world's gateway; it runs when this returns."""
    seen, choice, numbers = Seen(), random.Random(seed), itertools.count()
    world.grant(duration_s=8 * 3600)
    for _ in range(kills):
        clients = [Client(world, numbers, choice.randrange(1 << 30)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        worlds.wait_until(partial(_begun, clients), 60)
        time.sleep(choice.uniform(0.0, 1.2))
        # There is something to lose.
        worlds.wait_until(partial(_reading, clients), 60)
        world.gateway.child.kill()
        for client in clients:
            client.join(60)
        world.restart()
        seen.kills += 1
        received = [one for client in clients for one in client.received]
        for one in received:
            _check(world.home / "log" / "sessions", one, seen)
        _verify(world, received, seen)
    return seen


def _begun(clients: list[Client]) -> bool:
    return sum(len(client.received) for client in clients) >= BEGUN


def _reading(clients: list[Client]) -> bool:
    """Whether an answer has begun to come and goes on."""
    last = [client.received[-1] for client in clients if client.received]
    return any(one.body and one.cut for one in last)


def _check(folder: Path, one: Received, seen: Seen) -> None:
    """Every byte of the body in a recorded chunk."""
    seen.statements += 1
    seen.whole += one.whole
    seen.cut += one.cut
    seen.bytes += len(one.body)
    file = folder / f"{one.session}.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    records = [json.loads(line) for line in lines]
    bodies = [(record["type"], record["body"]) for record in records]
    numbers = [
        body["statement_no"]
        for kind, body in bodies
        if kind == "intent" and body["statement"] == one.sql
    ]
    if len(numbers) != 1:
        seen.wrong.append(f"{one.session}: {len(numbers)} intents of {one.sql!r}")
        return
    at = 0
    for kind, body in bodies:
        if kind != "result" or body["statement_no"] != numbers[0] or at >= len(one.body):
            continue
        chunk = bytes(one.body[at : at + body["bytes"]])
        at += body["bytes"]
        seen.chunks += 1
        if at <= len(one.body) and blake3(chunk).hexdigest() != body["digest"]:
            seen.wrong.append(f"{one.session}: a chunk of {one.sql!r} is not the recorded one")
    if at < len(one.body):
        seen.wrong.append(
            f"{one.session}: {len(one.body) - at} bytes of {one.sql!r} have no record"
        )


def _verify(world: worlds.World, received: list[Received], seen: Seen) -> None:
    """One session of which an answer was cut, as an auditor would verify it."""
    cut = [one.session for one in received if one.cut and one.body]
    if not cut:
        return
    bundle = world.home / "bundle.zip"
    bundle.write_bytes(world.evidence(cut[0]))
    told = worlds.verify(bundle, "--trust", str(world.trust))
    # All of it is there; that a session did not end is said.
    interrupted = "the gateway stopped before the session was closed"
    right = told.returncode == 0 or (told.returncode == 2 and interrupted in told.stdout)
    seen.verified += right
    if not right:
        seen.wrong.append(f"{cut[0]}: verify.py said {told.returncode}: {told.stdout[-600:]}")
