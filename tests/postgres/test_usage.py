"""Quotas against a real store: how many at once, a minute, a day; by every gateway together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control import AGENT, BILLING, Desk
from gateway.errors import LimitExceeded, StoreUnavailable
from gateway.grants import Bound, ControlStore, Quota, Usage, bounds_of


async def begun(usage: Usage, *bounds: Bound) -> None:
    async with usage.statement(bounds):
        pass


async def test_statements_at_once_over_two_gateways(desk: Desk) -> None:
    async with await ControlStore.connect(desk.dsn) as other:
        here, there = Usage(desk.store, 60), Usage(other, 60)
        two = Bound("k", "this identity", concurrent=2)
        async with here.statement([two]), there.statement([two]):
            for usage in (here, there):
                with pytest.raises(LimitExceeded, match="may run 2 statements at once"):
                    await begun(usage, two)
        await begun(here, two)


async def test_a_hundred_at_once_are_counted_exactly(desk: Desk) -> None:
    usage, bound = Usage(desk.store, 60), Bound("k", "this grant", per_minute=7)
    outcomes = await asyncio.gather(
        *(begun(usage, bound) for _ in range(40)), return_exceptions=True
    )
    assert sum(one is None for one in outcomes) == 7
    refused = [one for one in outcomes if isinstance(one, LimitExceeded)]
    assert len(refused) == 33
    assert all(1 <= (one.retry_after or 0) <= 60 for one in refused)


async def test_one_that_is_cancelled_twice_is_no_longer_counted(desk: Desk) -> None:
    usage, bound = Usage(desk.store, 60), Bound("k", "k", concurrent=1)
    inside = asyncio.Event()

    async def runs() -> None:
        async with usage.statement([bound]):
            inside.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(runs())
    await inside.wait()
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.gather(*usage._ending)
    await begun(usage, bound)


async def test_a_minute_later_it_is_answered_again(desk: Desk) -> None:
    usage, bound = Usage(desk.store, 60), Bound("k", "this grant", per_minute=1)
    await begun(usage, bound)
    with pytest.raises(LimitExceeded):
        await begun(usage, bound)
    await desk.store.fetch("UPDATE maskgate.statement_starts SET at = at - interval '61 seconds'")
    await begun(usage, bound)


async def test_all_bounds_count_or_none(desk: Desk) -> None:
    usage = Usage(desk.store, 60)
    wide, tight = Bound("a", "a", per_minute=5), Bound("b", "b", per_minute=1, concurrent=1)
    await begun(usage, wide, tight)
    for _ in range(4):
        with pytest.raises(LimitExceeded, match="b may run 1"):
            await begun(usage, wide, tight)
    for _ in range(4):
        await begun(usage, wide)
    with pytest.raises(LimitExceeded, match="a may run 5"):
        await begun(usage, wide)


async def test_what_a_dead_gateway_left_counts_for_its_time_only(desk: Desk) -> None:
    usage, bound = Usage(desk.store, 60), Bound("k", "k", concurrent=1)
    leaves = "INSERT INTO maskgate.statements_running VALUES ('k', 'dead', now() + $1::interval)"
    await desk.store.fetch(leaves.replace("$1", "'1 minute'"))
    with pytest.raises(LimitExceeded):
        await begun(usage, bound)
    await desk.store.fetch("UPDATE maskgate.statements_running SET until = now()")
    await begun(usage, bound)


async def test_rows_and_bytes_a_day(desk: Desk) -> None:
    usage = Usage(desk.store, 60)
    bounds = [Bound("a", "a", rows_a_day=100), Bound("b", "b", bytes_a_day=1000)]
    await usage.charge(bounds, 60, 500)
    with pytest.raises(LimitExceeded, match="a may read 100 rows a day") as told:
        await usage.charge(bounds, 41, 1)
    assert 1 <= (told.value.retry_after or 0) <= 86400
    with pytest.raises(LimitExceeded, match="b may read 1000 bytes a day"):
        await usage.charge(bounds, 1, 501)
    await usage.charge(bounds, 40, 500)  # what was refused was counted nowhere
    await desk.store.fetch("UPDATE maskgate.day_amounts SET day = day - 1")
    await usage.charge(bounds, 100, 1000)
    assert len(await desk.store.fetch("SELECT FROM maskgate.day_amounts")) == 2


async def test_without_a_store_nothing_is_counted_and_nothing_runs(desk: Desk) -> None:
    usage = Usage(desk.store, 60)
    await desk.store.close()
    with pytest.raises(StoreUnavailable):
        await begun(usage, Bound("k", "k", concurrent=1))
    with pytest.raises(StoreUnavailable):
        await usage.charge([Bound("k", "k", rows_a_day=1)], 1, 1)
    await begun(usage, Bound("k", "k"))  # nothing to ask


async def test_what_a_quota_bounds(desk: Desk) -> None:
    grant = await desk.active(max_per_minute=3)
    quotas = (
        Quota("identity", per_minute=1),
        Quota("identity", "clinic", per_minute=2),
        Quota("identity", "billing", per_minute=2),
        Quota("connection", concurrent=9),
        Quota("grant", rows_a_day=5),
    )
    found = bounds_of(quotas, AGENT, grant)
    assert [bound.key for bound in found] == sorted(
        [
            f"quota identity {AGENT.key}",
            f"quota identity {AGENT.key} on clinic",
            "quota connection clinic",
            f"quota grant {grant.id}",
            f"grant {grant.id}",
        ]
    )
    others = bounds_of(quotas, BILLING, replace(grant, id="g-2", max_per_minute=None))
    shared = {bound.key for bound in found} & {bound.key for bound in others}
    assert shared == {"quota connection clinic"}


async def test_rules_for_the_same_are_one_bound(desk: Desk) -> None:
    """Each of two rules for everybody's day would count every row, and so twice."""
    usage, grant = Usage(desk.store, 60), await desk.active()
    rules = [
        Quota("identity", rows_a_day=100),
        Quota("identity", rows_a_day=200, bytes_a_day=1000),
        Quota("identity", concurrent=2, per_minute=3),
        Quota("identity", concurrent=3, per_minute=2),
    ]
    (bound,) = bounds_of(rules, AGENT, grant)
    assert (bound.concurrent, bound.per_minute) == (2, 2)
    assert (bound.rows_a_day, bound.bytes_a_day) == (100, 1000)
    await usage.charge([bound], 100, 10)
    with pytest.raises(LimitExceeded, match="100 rows a day"):
        await usage.charge([bound], 1, 10)
    for _ in range(2):
        await begun(usage, bound)
    with pytest.raises(LimitExceeded, match="2 statements a minute"):
        await begun(usage, bound)
