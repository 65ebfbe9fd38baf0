"""A control store that is not the one it was: an older copy in its place, a server that follows
another, a newer version's. Nothing is run by what it says."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import servers
from control import AGENT, DANA, Desk, fresh_database, open_desk
from gateway.errors import NoGrant, Refusal, StoreUnavailable
from gateway.grants import ControlStore
from gateway.model import GrantState


@pytest_asyncio.fixture
async def own(newest: servers.Server) -> AsyncIterator[servers.Server]:
    """A server that a test may stop, and put back."""
    with servers.running(newest.major) as server:
        yield server


def copied(server: servers.Server, to: Path) -> None:
    """The data directory as it is now, its owner included; the server has been stopped."""
    shutil.rmtree(to, ignore_errors=True)
    server._run("cp", "-a", server.data, to)


async def standing(desk: Desk) -> tuple[str, tuple[str, object, str, str]]:
    grant = await desk.active()
    session = await desk.sessions.open_session(AGENT, "clinic", grant)
    return grant.id, (session.id, AGENT, "clinic", grant.id)


@pytest.mark.parametrize("revoked_by", ["this gateway", "another"])
async def test_an_older_copy_in_the_store_s_place_is_found_out(
    own: servers.Server, revoked_by: str
) -> None:
    """A replica that was behind is promoted: in it the grant is active still."""
    dsn = await fresh_database(own)
    older = own.home / "older"
    async with open_desk(dsn) as desk, open_desk(dsn) as other:
        grant, statement = await standing(desk)
        own.stop("fast")
        copied(own, older)
        own.start()
        assert (await desk.standing.grant(*statement)).id == grant
        await (desk if revoked_by == "this gateway" else other).grants.revoke(grant, DANA, "over")
        await desk.store.look()  # as each second
        with pytest.raises(NoGrant):
            await desk.standing.grant(*statement)
        own.stop("fast")
        shutil.rmtree(own.data)
        older.rename(own.data)
        own.start()
        for _ in range(3):
            for asked in (
                desk.standing.grant(*statement),
                desk.grants.in_force(AGENT, "clinic"),
                desk.grants.approve(grant, DANA, "as asked"),
                desk.store.check(),
            ):
                with pytest.raises(StoreUnavailable, match="has lost changes") as refused:
                    await asked
                assert "restart this gateway" in str(refused.value.hint)
    async with open_desk(dsn) as restarted:  # the operator's word that it is the store now
        assert (await restarted.standing.grant(*statement)).state is GrantState.ACTIVE


async def test_a_store_that_was_restarted_has_lost_nothing(own: servers.Server) -> None:
    async with open_desk(await fresh_database(own)) as desk:
        grant, statement = await standing(desk)
        for mode in ("fast", "immediate"):
            own.stop(mode)
            own.start()
            assert (await desk.standing.grant(*statement)).id == grant
            await desk.store.look()
            await desk.active()


async def test_a_running_gateway_of_an_older_version_judges_by_nothing_newer(desk: Desk) -> None:
    """What narrows a grant may be in a column that it does not read."""
    grant, statement = await standing(desk)
    ended: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
    async with desk.standing.hold(*statement, ended.set_result):  # type: ignore[arg-type]
        newer = await asyncpg.connect(desk.dsn)
        await newer.execute(
            "INSERT INTO maskgate.schema_migrations (version, name, checksum) "
            "VALUES (999, '0999_more.sql', 'x')"
        )
        with contextlib.suppress(StoreUnavailable):
            await desk.store.look()
        with pytest.raises(StoreUnavailable, match="A newer version of the gateway"):
            await desk.standing.grant(*statement)
        with pytest.raises(StoreUnavailable, match="A newer version of the gateway"):
            await desk.grants.revoke(grant, DANA, "over")
        # What runs goes on, and still hears of its end.
        assert not ended.done()
        await newer.execute("UPDATE maskgate.grants SET state = 'revoked' WHERE id = $1", grant)
        await newer.close()
        assert isinstance(await asyncio.wait_for(ended, 5), NoGrant)


@contextlib.contextmanager
def following(primary: servers.Server) -> Iterator[servers.Server]:
    """A server that began as a copy of the primary, which is stopped, and is in recovery."""
    standby = servers.Server(primary.major)
    try:
        standby._run("cp", "-a", primary.data, standby.data)
        (standby.data / "standby.signal").touch()
        standby.start()
        yield standby
    finally:
        standby.remove()


async def test_a_server_that_follows_another_is_not_asked(own: servers.Server) -> None:
    """It may not know yet what was revoked. Where two addresses are given it may come first."""
    dsn = await fresh_database(own)
    async with open_desk(dsn) as desk:
        _, statement = await standing(desk)
    own.stop("fast")
    with following(own) as standby:
        own.start()
        behind = dsn.replace(f":{own.port}/", f":{standby.port}/")
        reader = await asyncpg.connect(behind)
        assert await reader.fetchval("SELECT state FROM maskgate.grants") == "active"
        await reader.close()
        with pytest.raises(StoreUnavailable):
            await ControlStore.connect(behind)
        with pytest.raises(StoreUnavailable):
            await ControlStore.reach(behind)
        ports = f":{standby.port},127.0.0.1:{own.port}/"
        async with open_desk(dsn.replace(f":{own.port}/", ports)) as desk:
            assert await desk.standing.grant(*statement)
            own.stop("immediate")
            for asked in (desk.standing.grant(*statement), desk.grants.in_force(AGENT, "clinic")):
                with pytest.raises(StoreUnavailable):
                    await asked
            with pytest.raises(StoreUnavailable):
                async with desk.store.listening(None):
                    pass


SAID = [b"HTTP/1.1 400 Bad\r\n\r\n", b"S" * 200, b"R\0\0\0\x0c\0\0\0\x0aXXXX"]


@pytest.mark.parametrize("said", SAID)
async def test_whatever_answers_in_the_store_s_place_is_no_store(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(StoreUnavailable):
        await ControlStore.reach(f"postgresql://x@127.0.0.1:{port}/x?sslmode=disable")
    server.close()
