"""A running stream hears that its grant has ended: by notification, by question, by two clocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

import servers
from control import AGENT, DANA, Desk, fresh_database, open_desk
from gateway.errors import GrantExpired, NoGrant, Refusal, StoreUnavailable
from gateway.grants import Grants, records
from gateway.grants.store import LISTENER
from gateway.grants.watch import Watcher
from gateway.model import GrantState

NEVER_S = 3600.0  # a poll interval that no test waits for
PATIENCE_S = 30.0  # ends a test that would hang; decides nothing


class Heard:
    """A watch, and what it told."""

    def __init__(self, source: Grants | Watcher, grant_id: str) -> None:
        self._refusal: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
        self.watch = source.watch(grant_id, self._refusal.set_result)

    async def wait(self) -> Refusal:
        return await self._refusal


@contextlib.asynccontextmanager
async def watching(
    desk: Desk, grant_id: str, source: Grants | Watcher | None = None
) -> AsyncIterator[Heard]:
    """As a statement is watched: registered first, the grant read afterwards."""
    heard = Heard(source or desk.grants, grant_id)
    heard.watch.register()
    try:
        row = await desk.store.fetchrow(records.ONE, grant_id)
        heard.watch.take(records.grant(row))
        yield heard
    finally:
        heard.watch.remove()


async def listeners(desk: Desk) -> list[int]:
    rows = await desk.store.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND state = 'idle'"
        " AND datname = current_database() AND query LIKE '%maskgate.grants%'",
        LISTENER,
    )
    return [row["pid"] for row in rows]


async def listening(desk: Desk, besides: tuple[int, ...] = ()) -> int:
    """The server process of the listening connection, once there is one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if new := [pid for pid in await listeners(desk) if pid not in besides]:
                return new[0]
            await asyncio.sleep(0.02)


async def test_a_revocation_ends_the_watch(desk: Desk) -> None:
    grant = await desk.active()
    async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
        heard.watch.check()
        assert heard.watch.ended is None
        await desk.grants.revoke(grant.id, DANA, "over")
        refusal = await heard.wait()
        assert isinstance(refusal, NoGrant)
        assert heard.watch.ended is GrantState.REVOKED
        with pytest.raises(NoGrant, match="was revoked"):
            heard.watch.check()


async def test_a_revocation_on_another_gateway_ends_the_watch(desk: Desk) -> None:
    grant = await desk.active()
    async with (
        asyncio.timeout(PATIENCE_S),
        open_desk(desk.dsn) as other,
        watching(desk, grant.id) as heard,
    ):
        await other.grants.revoke(grant.id, DANA, "over")
        assert isinstance(await heard.wait(), NoGrant)


async def test_the_notification_alone_is_enough(desk: Desk) -> None:
    grant = await desk.active()
    watcher = Watcher(desk.store, desk.clock, poll_s=NEVER_S)
    try:
        async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id, watcher) as heard:
            await listening(desk)
            await desk.grants.revoke(grant.id, DANA, "over")
            assert isinstance(await heard.wait(), NoGrant)
    finally:
        await watcher.close()


async def test_the_question_alone_is_enough(desk: Desk) -> None:
    grant = await desk.active()
    watcher = Watcher(desk.store, desk.clock, listen=False)
    try:
        async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id, watcher) as heard:
            await desk.grants.revoke(grant.id, DANA, "over")
            assert isinstance(await heard.wait(), NoGrant)
    finally:
        await watcher.close()


async def test_a_lost_listener_is_replaced_and_catches_up(desk: Desk) -> None:
    grant, later = await desk.active(), await desk.active()
    watcher = Watcher(desk.store, desk.clock, poll_s=NEVER_S)
    admin = await asyncpg.connect(desk.dsn)
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            watching(desk, grant.id, watcher) as heard,
            watching(desk, later.id, watcher) as other,
        ):
            first = await listening(desk)
            await admin.execute("SELECT pg_terminate_backend($1)", first)
            await desk.grants.revoke(grant.id, DANA, "while nobody listened, perhaps")
            assert isinstance(await heard.wait(), NoGrant)
            await listening(desk, besides=(first,))
            await desk.grants.revoke(later.id, DANA, "over")
            assert isinstance(await other.wait(), NoGrant)
    finally:
        await admin.close()
        await watcher.close()


async def test_the_gateway_s_clock_ends_the_watch(desk: Desk) -> None:
    grant = await desk.active(duration_s=3600)
    async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
        desk.clock.turn(3600)
        assert isinstance(await heard.wait(), GrantExpired)
        assert heard.watch.ended is GrantState.EXPIRED


async def test_a_clock_set_back_does_not_prolong_the_watch(desk: Desk) -> None:
    grant = await desk.active(duration_s=3600)
    elapsed = 0.0
    watcher = Watcher(desk.store, desk.clock, monotonic=lambda: elapsed)
    try:
        async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id, watcher) as heard:
            desk.clock.turn(-86400)
            elapsed = 3600.0
            assert isinstance(await heard.wait(), GrantExpired)
    finally:
        await watcher.close()


async def test_expiry_ends_the_watch_while_the_store_is_away() -> None:
    with servers.running(servers.majors()[-1]) as own:
        async with open_desk(await fresh_database(own)) as desk:
            grant = await desk.active(duration_s=3600)
            async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
                own.stop()
                assert heard.watch.ended is None
                desk.clock.turn(3600)
                assert isinstance(await heard.wait(), GrantExpired)


async def test_a_revocation_is_heard_after_the_store_came_back() -> None:
    with servers.running(servers.majors()[-1]) as own:
        async with open_desk(await fresh_database(own)) as desk:
            grant = await desk.active()
            async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
                own.stop()
                own.start()
                while True:  # connections that died with the server are found out one by one
                    with contextlib.suppress(StoreUnavailable):
                        await desk.grants.revoke(grant.id, DANA, "over")
                        break
                assert isinstance(await heard.wait(), NoGrant)


async def test_no_watch_on_what_is_not_in_force(desk: Desk) -> None:
    pending = await desk.grants.request(AGENT, "clinic", ["*"], "look", 60)
    revoked = await desk.active()
    await desk.grants.revoke(revoked.id, DANA, "over")
    due = await desk.active(duration_s=60)
    desk.clock.turn(60)
    for grant_id, refusal in (
        (pending.id, NoGrant),
        (revoked.id, NoGrant),
        (due.id, GrantExpired),
    ):
        with pytest.raises(refusal):
            async with watching(desk, grant_id):
                raise AssertionError("the watch began")


async def test_closing_ends_every_watch(desk: Desk) -> None:
    grant = await desk.active()
    async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
        await desk.grants.close()
        assert isinstance(await heard.wait(), NoGrant)


async def test_a_watcher_that_fails_ends_every_watch(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await desk.active()

    async def fail(_: object) -> None:
        raise RuntimeError("a mistake in the watcher")

    async with asyncio.timeout(PATIENCE_S), watching(desk, grant.id) as heard:
        monkeypatch.setattr(desk.grants._watcher, "_ask", fail)
        assert isinstance(await heard.wait(), NoGrant)
