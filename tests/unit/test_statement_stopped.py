"""A statement that is stopped from outside tells its client why, wherever it was."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.errors import Conflict
from gateway.flows.gate import Gate
from gateway.flows.query import Ask
from gateway.flows.statement import Statement
from gateway.model import Call, Credential, RecordRef

SENT = Credential("token", Call("POST", "/v1/query"))
ASK = Ask(SENT, "127.0.0.1", "ndjson", session="s", sql="select 1")


class Log:
    """Takes records, each durable at once."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []

    def put(self, _: str, kind: str, body: dict[str, Any]) -> asyncio.Future[RecordRef | None]:
        self.records.append((kind, body))
        written: asyncio.Future[RecordRef | None] = asyncio.get_running_loop().create_future()
        written.set_result(RecordRef(len(self.records), "00", "2026-01-01T00:00:00Z"))
        return written


def a_statement(log: Log) -> Statement:
    house = SimpleNamespace(log=log, limits=SimpleNamespace(statement_bytes=1024))
    session = SimpleNamespace(id="s", mark={}, end=lambda _: None)
    return Statement(cast(Any, house), cast(Any, session), 1, ASK)


async def test_one_that_waits_for_its_turn_is_told_why_it_will_not_come() -> None:
    log, gate = Log(), Gate(1)
    statement = a_statement(log)

    async def client() -> None:
        async with statement, gate.place("agent"):
            raise AssertionError("there was a place")

    async with gate.place("other"):
        asking = asyncio.create_task(client())
        while not gate.waiting:  # noqa: ASYNC110 a few turns of the loop
            await asyncio.sleep(0)
        statement.stop(Conflict("the session was closed"))
        with pytest.raises(Conflict, match="the session was closed"):
            await asking
    assert [(kind, body["code"]) for kind, body in log.records] == [("refused", "conflict")]
    assert gate.waiting == 0


async def test_one_whose_client_leaves_is_cancelled_and_says_so() -> None:
    log = Log()
    statement = a_statement(log)

    async def client() -> None:
        async with statement:
            await asyncio.Event().wait()

    asking = asyncio.create_task(client())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [(kind, body["code"]) for kind, body in log.records] == [("refused", "cancelled")]
