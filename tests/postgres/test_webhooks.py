"""Webhooks against a real store and a real receiver: signed, at least once, nothing worded."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from control import AGENT, DANA, RULES, Desk
from gateway.errors import ConfigurationError, LogUnavailable
from gateway.grants import BreakGlass, ControlStore, Grants, Hook, Webhooks

SECRET = b"a secret of thirty-two bytes, just"


@dataclass
class Taken:
    """A receiver that answers as it is told and keeps what came."""

    status: list[int] = field(default_factory=list)  # of the next answers; then 204
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    location: str = "/elsewhere"  # of a redirect
    two: asyncio.Event = field(default_factory=asyncio.Event)  # have come
    takes: float = 0.0  # seconds, for each

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        if len(self.requests) == 2:
            self.two.set()
        await asyncio.sleep(self.takes)
        status = self.status.pop(0) if self.status else 204
        where = f"Location: {self.location}\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{where}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]


@pytest_asyncio.fixture
async def taken() -> AsyncIterator[Taken]:
    receiver = Taken()
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()


@contextlib.asynccontextmanager
async def hooked(desk: Desk, *urls: str, store: ControlStore | None = None) -> AsyncIterator[Any]:
    """Grants that tell these addresses, and what sends."""
    async with httpx.AsyncClient(trust_env=False) as client:
        hooks = [Hook(url, SECRET, client) for url in urls]
        webhooks = Webhooks(store or desk.store, hooks, now=lambda: 1_795_000_000.5)
        yield Grants(desk.store, RULES, desk.ledger, desk.clock, webhooks), webhooks


async def ask(grants: Grants, **more: Any) -> Any:
    wanted = {
        "tables": ["public.patient"],
        "purpose": "chart of Nadia Planted",
        "duration_s": 60,
        "ticket": "Nadia-1",
        "filters": {"public.patient": ["name = 'Nadia'"]},
        "statement": "select 'Nadia'",
        "params": ["Nadia"],
        **more,
    }
    return await grants.request(AGENT, "clinic", **wanted)


async def later(desk: Desk) -> list[tuple[int, float]]:
    """What waits: attempts, and the seconds until the next one."""
    rows = await desk.store.fetch(
        "SELECT attempts, extract(epoch FROM next_at - now())::float8 AS wait "
        "FROM maskgate.webhook_events ORDER BY seq"
    )
    return [(row["attempts"], row["wait"]) for row in rows]


async def now_due(desk: Desk) -> None:
    await desk.store.fetch("UPDATE maskgate.webhook_events SET next_at = now()")


@pytest.mark.parametrize("location", ["/elsewhere", "mailto:x", "http://xn--a/", "http://[::1"])
async def test_no_redirect_ends_the_sending(desk: Desk, taken: Taken, location: str) -> None:
    """httpx reads where it leads even when it is not followed, and raises what is no HTTPError."""
    taken.status, taken.location = [302], location
    async with hooked(desk, taken.url) as (grants, webhooks):
        await ask(grants)
        assert await webhooks.send_due() == 0
        await now_due(desk)
        assert await webhooks.send_due() == 1


async def test_each_change_is_told_and_signed(desk: Desk, taken: Taken) -> None:
    async with hooked(desk, taken.url) as (grants, webhooks):
        asked = await ask(grants)
        await grants.approve(asked.id, DANA, "Nadia is here")
        await grants.revoke(asked.id, DANA, "Nadia is gone")
        assert await webhooks.send_due() == 3
        assert await webhooks.send_due() == 0
    assert [event["event"] for event in taken.events] == [
        "grant.requested",
        "grant.approved",
        "grant.revoked",
    ]
    assert {event["grant"] for event in taken.events} == {asked.id}
    assert taken.events[1]["by"] == DANA.key
    for headers, body in taken.requests:
        assert b"Nadia" not in body
        assert headers["maskgate-timestamp"] == "1795000000"
        signed = hmac.new(SECRET, b"1795000000." + body, hashlib.sha256).hexdigest()
        assert headers["maskgate-signature"] == f"v1={signed}"
        assert headers["maskgate-event"] == json.loads(body)["id"]
    assert await later(desk) == []


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_it_is_sent_again_until_it_is_taken(desk: Desk, taken: Taken, status: int) -> None:
    taken.status = [status] * 3
    async with hooked(desk, taken.url) as (grants, webhooks):
        await ask(grants)
        pauses = []
        for _ in range(3):
            assert await webhooks.send_due() == 0
            assert await webhooks.send_due() == 0  # not before its pause is over
            ((attempts, wait),) = await later(desk)
            pauses.append((attempts, round(wait)))
            await now_due(desk)
        assert pauses == [(1, 1), (2, 2), (3, 4)]
        assert await webhooks.send_due() == 1
    assert len({event["id"] for event in taken.events}) == 1
    assert len(taken.events) == 4


async def test_a_receiver_that_is_away_holds_nobody_up(desk: Desk, taken: Taken) -> None:
    async with hooked(desk, "http://127.0.0.1:9/hook", taken.url) as (grants, webhooks):
        await ask(grants)
        assert await webhooks.send_due() == 1
    assert len(taken.events) == 1
    assert [attempts for attempts, _ in await later(desk)] == [1]


async def test_a_receiver_that_is_away_is_asked_once_a_round(desk: Desk, taken: Taken) -> None:
    """Each attempt may take five seconds, which the other receivers' events would wait as well."""
    away = Taken(status=[500] * 10)
    server = await asyncio.start_server(away, "127.0.0.1", 0)
    away.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with hooked(desk, away.url, taken.url) as (grants, webhooks):
        for _ in range(25):  # more than one round takes
            await ask(grants)
        assert await webhooks.send_due() == 20
        assert (len(away.events), len(taken.events)) == (1, 20)
        assert await webhooks.send_due() == 5
        assert (len(away.events), len(taken.events)) == (2, 25)
        assert away.events[0]["id"] != away.events[1]["id"]
        away.status = []
        await now_due(desk)
        assert [await webhooks.send_due() for _ in range(3)] == [20, 5, 0]
    server.close()


async def test_what_did_not_happen_is_not_told(desk: Desk, taken: Taken) -> None:
    async with hooked(desk, taken.url) as (grants, webhooks):
        desk.ledger.broken = LogUnavailable("full")
        with pytest.raises(LogUnavailable):
            await ask(grants)
        assert await webhooks.send_due() == 0
    assert taken.events == []


async def test_one_gateway_at_a_time_sends_and_another_takes_over(desk: Desk, taken: Taken) -> None:
    async with (
        await ControlStore.connect(desk.dsn) as store,
        hooked(desk, taken.url) as (grants, here),
        hooked(desk, taken.url, store=store) as (_, there),
    ):
        for _ in range(5):
            await ask(grants)
        sent = await asyncio.gather(here.send_due(), there.send_due())
        assert sorted(sent) == [0, 5]
        first, second = (here, there) if sent[0] else (there, here)
        await ask(grants)
        assert await second.send_due() == 0  # the other one is there
        await desk.store.fetch("UPDATE maskgate.webhook_senders SET until = now()")  # and is gone
        assert await second.send_due() == 1
        assert await first.send_due() == 0
    assert len({event["id"] for event in taken.events}) == len(taken.events) == 6


async def test_gateways_with_other_receivers_do_not_wait_for_each_other(
    desk: Desk, taken: Taken
) -> None:
    other = Taken()
    server = await asyncio.start_server(other, "127.0.0.1", 0)
    other.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with (
        await ControlStore.connect(desk.dsn) as store,
        hooked(desk, taken.url) as (here_asked, here),
        hooked(desk, other.url, store=store) as (there_asked, there),
    ):
        for _ in range(3):
            await ask(here_asked)
            await ask(there_asked)
            assert (await here.send_due(), await there.send_due()) == (1, 1)
    server.close()
    assert (len(taken.events), len(other.events)) == (3, 3)


async def test_what_is_for_an_address_that_nobody_names_is_dropped_after_a_week(
    desk: Desk, taken: Taken
) -> None:
    async def days_pass(days: int) -> None:
        for column, table in (("next_at", "webhook_events"), ("until", "webhook_senders")):
            await desk.store.fetch(
                f"UPDATE maskgate.{table} SET {column} = {column} - $1 * interval '1 day'", days
            )

    away = "http://127.0.0.1:9/hook"
    async with hooked(desk, away) as (grants, earlier), hooked(desk, taken.url) as (asked, later_):
        for _ in range(2):
            await ask(grants)
        assert await earlier.send_due() == 0
        await ask(asked)  # of a receiver that a gateway names, though it does not get to it
        await later_.send_due()
        taken.status = [500]
        await ask(asked)
        assert await later_.send_due() == 0
        await days_pass(6)
        assert await later_.forget() == 0
        await days_pass(2)
        await later_._holds(later_._hooks[taken.url])
        assert await later_.forget() == 2
        assert await later_.send_due() == 1  # what is named waits as long as it takes
    assert await later(desk) == []


async def test_a_broken_glass_is_told(desk: Desk, taken: Taken) -> None:
    rules = RULES.__class__(break_glass=(BreakGlass("ward", (AGENT.key,), "clinic", 60),))
    async with hooked(desk, taken.url) as (_, webhooks):
        grants = Grants(desk.store, rules, desk.ledger, desk.clock, webhooks)
        await ask(grants, break_glass="Nadia in the ER")
        task = asyncio.create_task(webhooks.run())
        await asyncio.wait_for(taken.two.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (taken.events[1]["event"], taken.events[1]["break_glass"]) == ("grant.break_glass", True)
    holder = await desk.store.fetchrow("SELECT until < now() AS free FROM maskgate.webhook_senders")
    assert holder["free"]


async def test_a_receiver_that_takes_its_time_holds_up_no_other(desk: Desk, taken: Taken) -> None:
    """Each answer comes in time, and there are many."""
    slow = Taken(takes=2.0)
    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    slow.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with hooked(desk, slow.url, taken.url) as (grants, webhooks):
        task = asyncio.create_task(webhooks.run())
        for _ in range(4):
            await ask(grants)
        await asyncio.wait_for(slow.two.wait(), 20)  # it is at work
        before = len(taken.requests)
        asked = await ask(grants)
        await asyncio.sleep(3.0)
        assert before == 4
        assert taken.events[-1]["grant"] == asked.id
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    server.close()


async def test_a_short_secret_is_refused() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="at least 32"):
            Hook("https://example.org", b"short", client)
