"""The clock that grants go by: the latest of three, never set back, and silent while two differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from control import START
from gateway.errors import StoreUnavailable
from gateway.grants import Clock

HOUR = timedelta(hours=1)


@dataclass
class Machine:
    """A machine's two clocks, and a store with a clock of its own. `pass_` moves all three."""

    wall: datetime = START
    store: datetime = START
    monotonic: float = 100.0
    answer_takes: float = 0.0
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    async def fetchrow(self, sql: str, *arguments: Any) -> dict[str, datetime]:
        said = {"moment": self.store}
        self.pass_(self.answer_takes)
        return said

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += timedelta(seconds=seconds)
        self.store += timedelta(seconds=seconds)

    async def hear(self) -> Machine:
        await self.clock.hear(self)
        return self


async def test_time_goes_on() -> None:
    machine = await Machine().hear()
    machine.pass_(90)
    assert machine.clock() == machine.clock.earliest() == START + timedelta(seconds=90)
    machine.clock.check()


@pytest.mark.parametrize("heard", [False, True])
async def test_a_clock_that_is_set_back_puts_nothing_off(heard: bool) -> None:
    machine = Machine()
    if heard:
        await machine.hear()
    machine.pass_(10)
    machine.wall -= HOUR
    if not heard:  # or the store's with it: they are on one machine
        machine.store -= HOUR
    machine.pass_(10)
    assert machine.clock() == START + timedelta(seconds=20)


async def test_a_clock_that_was_slow_from_the_start_puts_nothing_off() -> None:
    machine = await Machine(wall=START - HOUR).hear()
    machine.pass_(1)
    assert machine.clock() == START + timedelta(seconds=1)
    assert machine.clock.earliest() == START - HOUR + timedelta(seconds=1)


@pytest.mark.parametrize("moved", ["wall", "store"])
@pytest.mark.parametrize("by", [-HOUR, -timedelta(seconds=6), timedelta(seconds=6), HOUR])
async def test_nothing_is_judged_while_two_clocks_differ(moved: str, by: timedelta) -> None:
    machine = await Machine().hear()
    setattr(machine, moved, START + by)
    await machine.hear()
    with pytest.raises(
        StoreUnavailable, match="ahead of" if (moved == "wall") == (by > by * 0) else "behind"
    ):
        machine.clock.check()
    assert machine.clock() == max(START, START + by)
    setattr(machine, moved, START)
    await machine.hear()
    machine.clock.check()
    assert machine.clock() == START


async def test_a_few_seconds_are_nothing() -> None:
    machine = await Machine(wall=START - timedelta(seconds=4)).hear()
    machine.clock.check()
    assert machine.clock.trouble == ""


async def test_what_is_set_is_noticed_without_an_answer() -> None:
    """The store's time is counted on while the store is away."""
    machine = await Machine().hear()
    machine.pass_(600)
    machine.clock.check()
    machine.wall += HOUR
    with pytest.raises(StoreUnavailable):
        machine.clock.check()


async def test_a_late_answer_says_nothing() -> None:
    machine = await Machine().hear()
    machine.answer_takes = 30.0
    await machine.hear()
    machine.clock.check()
    assert machine.clock() == START + timedelta(seconds=30)


@pytest.mark.parametrize("heard_wrong", [False, True])
async def test_a_clock_that_was_fast_at_the_start_and_is_set_right_asks_for_a_restart(
    heard_wrong: bool,
) -> None:
    """Or every new grant would be over early for ever, and nobody be told why."""
    machine = Machine(wall=START + HOUR)
    if heard_wrong:
        await machine.hear()
        assert "3600 s ahead of the control store's" in machine.clock.trouble
    machine.pass_(60)
    machine.wall = machine.store
    await machine.hear()
    with pytest.raises(StoreUnavailable, match="set back by 3600 s") as refused:
        machine.clock.check()
    assert "restart this gateway" in str(refused.value.hint)
    assert "restart this gateway" in machine.clock.trouble
    machine.pass_(7200)  # nothing but a restart mends it
    await machine.hear()
    assert machine.clock.trouble
    assert machine.clock() == machine.wall + HOUR


async def test_a_machine_s_clock_that_is_set_back_with_the_store_s_on_it_is_told() -> None:
    machine = await Machine().hear()
    machine.wall, machine.store = START - HOUR, START - HOUR
    await machine.hear()
    with pytest.raises(StoreUnavailable, match="set back by 3600 s"):
        machine.clock.check()


async def test_each_trouble_of_the_clocks_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(wall=START + HOUR)
    for _ in range(3):
        await machine.hear()
    machine.wall = machine.store
    for _ in range(3):
        await machine.hear()
    told = [record.getMessage() for record in caplog.records]
    assert ["set the clocks" in told[0], "restart this gateway" in told[1]] == [True, True]
    assert len(told) == 2


async def test_a_clock_that_is_set_back_by_a_few_seconds_is_nothing() -> None:
    machine = await Machine(wall=START + timedelta(seconds=4)).hear()
    machine.wall = machine.store
    await machine.hear()
    machine.clock.check()
