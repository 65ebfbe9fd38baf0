"""The count of lookups on a real control store: by identity, connection and rule, for an hour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

import servers
from control import AGENT, BILLING, fresh_database
from gateway.errors import LimitExceeded, StoreUnavailable
from gateway.grants import ControlStore, Lookups
from gateway.model import Permitted


@pytest.fixture
async def dsn(newest: servers.Server) -> str:
    return await fresh_database(newest)


@pytest_asyncio.fixture
async def store(dsn: str) -> AsyncIterator[ControlStore]:
    async with await ControlStore.connect(dsn) as opened:
        yield opened


def lookup(rule: str = "public.patient.mrn", per_hour: int = 3) -> Permitted:
    return Permitted("lookup", (rule,), rule, 1, per_hour)


async def test_one_too_many_is_refused_and_says_when(store: ControlStore) -> None:
    lookups = Lookups(store)
    for _ in range(3):
        await lookups.charge(AGENT, "clinic", [lookup()])
    with pytest.raises(LimitExceeded, match="3 times an hour") as caught:
        await lookups.charge(AGENT, "clinic", [lookup()])
    assert 3590 <= caught.value.retry_after <= 3600
    assert caught.value.hint == f"the next one is answered in {caught.value.retry_after} seconds"


async def test_others_have_counts_of_their_own(store: ControlStore) -> None:
    lookups = Lookups(store)
    await lookups.charge(AGENT, "clinic", [lookup(per_hour=1)])
    await lookups.charge(BILLING, "clinic", [lookup(per_hour=1)])
    await lookups.charge(AGENT, "lab", [lookup(per_hour=1)])
    await lookups.charge(AGENT, "clinic", [lookup("public.patient.ssn", per_hour=1)])
    with pytest.raises(LimitExceeded):
        await lookups.charge(AGENT, "clinic", [lookup(per_hour=1)])


async def test_a_restart_and_a_second_gateway_do_not_begin_anew(
    dsn: str, store: ControlStore
) -> None:
    await Lookups(store).charge(AGENT, "clinic", [lookup(per_hour=1)])
    async with await ControlStore.connect(dsn) as again:
        with pytest.raises(LimitExceeded):
            await Lookups(again).charge(AGENT, "clinic", [lookup(per_hour=1)])


async def test_an_hour_later_it_is_forgotten(dsn: str, store: ControlStore) -> None:
    lookups = Lookups(store)
    for _ in range(3):
        await lookups.charge(AGENT, "clinic", [lookup()])
    admin = await asyncpg.connect(dsn)
    oldest = "SELECT ctid FROM maskgate.lookups ORDER BY at LIMIT 1"
    await admin.execute(
        f"UPDATE maskgate.lookups SET at = at - interval '59 minutes' WHERE ctid = ({oldest})"
    )
    with pytest.raises(LimitExceeded) as caught:
        await lookups.charge(AGENT, "clinic", [lookup()])
    assert caught.value.retry_after <= 60
    await admin.execute("UPDATE maskgate.lookups SET at = at - interval '1 minute'")
    await lookups.charge(AGENT, "clinic", [lookup()])
    assert await admin.fetchval("SELECT count(*) FROM maskgate.lookups") == 3
    await admin.close()


async def test_all_of_a_statement_or_none(dsn: str, store: ControlStore) -> None:
    lookups = Lookups(store)
    full, free = lookup("public.patient.b", 1), lookup("public.patient.a", 1)
    await lookups.charge(AGENT, "clinic", [full])
    with pytest.raises(LimitExceeded):
        await lookups.charge(AGENT, "clinic", [full, free])
    await lookups.charge(AGENT, "clinic", [free])


async def test_at_once_is_one_after_the_other(store: ControlStore) -> None:
    lookups = Lookups(store)

    async def ask() -> bool:
        try:
            await lookups.charge(AGENT, "clinic", [lookup(per_hour=5)])
        except LimitExceeded:
            return False
        return True

    assert sum(await asyncio.gather(*(ask() for _ in range(20)))) == 5


async def test_other_options_are_not_counted(store: ControlStore) -> None:
    joined = Permitted("join", ("a", "b"), "public.patient.mrn")
    for _ in range(30):
        await Lookups(store).charge(AGENT, "clinic", [joined])
    assert await store.fetch("SELECT * FROM maskgate.lookups") == []


async def test_no_store_no_lookup() -> None:
    with servers.running(servers.majors()[-1]) as own:
        async with await ControlStore.connect(await fresh_database(own)) as store:
            own.stop()
            with pytest.raises(StoreUnavailable):
                await Lookups(store).charge(AGENT, "clinic", [lookup()])
