"""SIGKILL after each thing that a gateway says to the database about its roles, and many grants."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import servers
from control import DANA, Desk, fresh_database, open_desk
from floors import SECOND, Ground, ground, of, refused
from gateway.errors import UpstreamFailed
from gateway.flows import provisioned
from gateway.flows.provisioned import Provisioned
from gateway.upstream import roles

#: A gateway that looks after the roles once, as a process of its own.
_LOOKS = """
import asyncio, sys
sys.path[:0] = {paths!r}
from control import open_desk
from floors import Ground
from gateway.policy import Policy

class Server:
    def dsn(self, user, database):
        return f"postgresql://{{user}}@127.0.0.1:{port}/{{database}}"

async def look():
    async with open_desk({control!r}) as desk:
        made = Ground(Server(), {name!r}, None, Policy("clinic", {{"*.*.*": "clear"}}))
        floor = await made.floor(desk, second={second!r})
        await floor.settle()
        await made.opened[0].close()

asyncio.run(look())
"""


@pytest_asyncio.fixture
async def clinic(newest: servers.Server) -> AsyncIterator[Ground]:
    async with ground(newest) as made:
        yield made


@pytest_asyncio.fixture
async def desk(newest: servers.Server) -> AsyncIterator[Desk]:
    async with open_desk(await fresh_database(newest)) as opened:
        yield opened


class Between:
    """Stands between a gateway and the server; after `most` messages of his the gateway is killed,
    and the server goes on with what it has got."""

    def __init__(self, server: servers.Server, most: int) -> None:
        self._server = server
        self._most = most
        self.count = 0
        self.child: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        doing = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield doing.sockets[0].getsockname()[1]
        finally:
            doing.close()

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_connection("127.0.0.1", self._server.port)
        answers = asyncio.create_task(_pour(server, back))
        with contextlib.suppress(OSError):
            while data := await client.read(1 << 16):
                forth.write(data)
                await forth.drain()
                self.count += 1
                if self.count == self._most and self.child is not None:
                    self.child.kill()
                    await self.child.wait()
        answers.cancel()
        forth.close()
        back.close()


async def _pour(server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await server.read(1 << 16):
            back.write(data)
            await back.drain()


async def look_and_die(clinic: Ground, desk: Desk, most: int) -> tuple[int, int]:
    """What a process that is killed after `most` messages said, and its exit code."""
    between = Between(clinic.server, most)
    async with between.listening() as port:
        text = _LOOKS.format(
            paths=[str(Path(__file__).parents[1]), *sys.path],
            control=desk.dsn,
            name=clinic.name,
            port=clinic.server.port,
            second=f"postgresql://{SECOND}@127.0.0.1:{port}/{clinic.name}",
        )
        between.child = await asyncio.create_subprocess_exec(sys.executable, "-c", text)
        code = await asyncio.wait_for(between.child.wait(), 60)
    return between.count, code


async def test_a_kill_at_any_step_leaves_nothing_half_done(clinic: Ground, desk: Desk) -> None:
    """One role is to go, one to come and one to be made anew. After each kill what stands is whole
    or absent, and the next gateway puts it right."""
    floor = await clinic.floor(desk)
    steps = 0
    for most in itertools.count(1):
        going = await desk.active(columns={"public.patient": ["id", "ssn"]})
        staying = await desk.active(columns={"public.patient": ["id"]})
        found = await floor.settle()
        old, same = found.roles[going.id], found.roles[staying.id]
        await desk.grants.revoke(going.id, DANA, "enough")
        coming = await desk.active(columns={"public.patient": ["id", "city"]})
        await clinic.admin.execute(f'alter role "{same}" createdb')
        said, code = await look_and_die(clinic, desk, most)
        left = await clinic.roles()
        found = await floor.settle()
        new = found.roles[coming.id]
        assert set(left) <= {old, same, new}
        for role in found.made.intersection(left) - {same}:
            raise AssertionError(f"{role} was not whole after message {most}")
        assert set(await clinic.roles()) == {same, new}
        assert await clinic.readable(new) == of("patient", "id", "city")
        assert await clinic.readable(same) == of("patient", "id")
        for grant in (staying, coming):
            await desk.grants.revoke(grant.id, DANA, "enough")
        await floor.settle()
        assert await clinic.roles() == []
        if code == 0:
            break
        assert (said, code) == (most, -9)
        steps = most
    assert steps > 15


async def coming_and_going(desk: Desk, floor: Provisioned, rounds: int) -> int:
    """How many looks came to nothing."""
    failed = 0
    for number in range(rounds):
        grant = await desk.active(
            columns={"public.patient": ["id", ("city", "ssn", "notes")[number % 3]]}
        )
        if await refused(floor, grant):
            failed += 1
        await desk.grants.revoke(grant.id, DANA, "enough")
        try:
            await floor.settle()
        except UpstreamFailed:
            failed += 1
    return failed


async def test_sessions_that_somebody_ends_leave_nothing(clinic: Ground, desk: Desk) -> None:
    floor = await clinic.floor(desk)
    working = asyncio.create_task(coming_and_going(desk, floor, 40))
    ended = 0
    while not working.done():
        ended += await clinic.admin.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where application_name = 'maskgate roles' and random() < 0.3"
        )
        await asyncio.sleep(0.01)
    assert await working > 0
    assert ended > 0
    await floor.settle()
    assert await clinic.roles() == []


async def test_rights_that_somebody_changes_meanwhile_are_no_matter(
    clinic: Ground, desk: Desk
) -> None:
    """Two who hold no lock write the very rows of the catalog that a role's rights stand in."""
    floor = await clinic.floor(desk)
    working = asyncio.create_task(coming_and_going(desk, floor, 20))

    async def change(stranger: str) -> int:
        connection = await asyncpg.connect(clinic.server.dsn(database=clinic.name))
        await connection.execute(f"create role {stranger}")
        changed = 0
        while not working.done():
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.execute(f"grant select (id, city) on patient to {stranger}")
                await connection.execute(f"revoke select (id, city) on patient from {stranger}")
                changed += 1
        await connection.execute(f"drop owned by {stranger}; drop role {stranger}")
        await connection.close()
        return changed

    assert min(await asyncio.gather(change("floor_one"), change("floor_two"))) > 10
    failed = await working
    print(f"{failed} of 40 looks met somebody else's change once too often")
    assert failed < 20
    await floor.settle()
    assert await clinic.roles() == []


async def test_many_grants_in_a_row_leave_no_role(clinic: Ground, desk: Desk) -> None:
    """FLOOR_GRANTS=1000 for the long run: as many different columns, by two gateways at once."""
    many = int(os.environ.get("FLOOR_GRANTS", "60"))
    names = [f"c{number}" for number in range(12)]
    await clinic.admin.execute(
        f"create table wide (id int, {', '.join(f'{name} int' for name in names)});"
        f"grant select on wide to {SECOND} with grant option"
    )
    async with open_desk(desk.dsn) as other:
        other.clock = desk.clock
        floors = [await clinic.floor(desk), await clinic.floor(other)]
        began = time.monotonic()
        grants = []
        for number in range(1, many + 1):
            some = [name for place, name in enumerate(names) if number >> place & 1]
            grant = await desk.active(
                tables=["public.wide"], columns={"public.wide": ["id", *some]}, duration_s=3600
            )
            async with floors[number % 2].transaction("many", grant):
                pass
            grants.append(grant)
            desk.clock.now += timedelta(seconds=3600 / many / 2)
        assert len(await clinic.roles()) == many
        made = time.monotonic() - began
        assert await clinic.readable((await floors[0].settle()).roles[grants[-1].id]) == {
            "wide.id",
            *(f"wide.{name}" for place, name in enumerate(names) if many >> place & 1),
        }
        looked = time.monotonic()
        await floors[0].settle()
        look = time.monotonic() - looked
        desk.clock.turn(1800)
        await asyncio.gather(*(floor.settle() for floor in floors))
        assert 0 < len(await clinic.roles()) < many
        desk.clock.turn(3600)
        ended = time.monotonic()
        await asyncio.gather(*(floor.settle() for floor in floors))
        print(
            f"{many} roles: made in {made:.1f} s, looked at in {look:.2f} s, "
            f"the rest dropped in {time.monotonic() - ended:.1f} s"
        )
    assert await clinic.roles() == []


async def test_more_roles_than_fit_are_refused_with_a_sentence(
    clinic: Ground, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioned, "MOST_ROLES", 2)
    floor = await clinic.floor(desk)
    early = await desk.active(
        columns={"public.patient": ["notes"]}, not_before="2026-11-22T12:30:00Z"
    )
    grants = []
    for name in ("id", "city", "ssn"):
        desk.clock.turn(1)
        grants.append(await desk.active(columns={"public.patient": [name]}))
    same = await desk.active(columns={"public.patient": ["id"]})
    assert [await refused(floor, grant) for grant in (*grants[:2], same)] == ["", "", ""]
    assert "2 roles with different columns are in use" in await refused(floor, grants[2])
    desk.clock.turn(1800)  # who has a role keeps it, whoever was approved before
    await floor.settle()
    assert "2 roles with different columns are in use" in await refused(floor, early)
    await desk.grants.revoke(grants[1].id, DANA, "enough")
    await floor.settle()
    assert await refused(floor, early) == ""


async def test_many_at_once_are_made_in_several_goes(
    clinic: Ground, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioned, "AT_ONCE", 2)
    await clinic.admin.execute(f"revoke select on payroll from {SECOND}")
    names = ("id", "city", "ssn", "notes", "full_name")
    grants = [await desk.active(columns={"public.patient": [name]}) for name in names]
    kept = await desk.active(tables=["public.payroll"])
    found = await (await clinic.floor(desk)).settle()
    assert set(found.roles) == {grant.id for grant in grants}
    assert found.made == set(found.roles.values()) == set(await clinic.roles())
    assert "may not grant SELECT" in found.problems[kept.id].detail


async def test_the_lock_is_one_for_the_database_and_is_waited_for(
    clinic: Ground, desk: Desk
) -> None:
    floor = await clinic.floor(desk)
    await clinic.admin.execute(f"select pg_advisory_lock({roles.LOCK})")
    grant = await desk.active()
    settling = asyncio.create_task(floor.settle())
    await asyncio.sleep(0.5)
    assert not settling.done()
    assert await clinic.roles() == []
    await clinic.admin.execute(f"select pg_advisory_unlock({roles.LOCK})")
    assert grant.id in (await settling).roles
