"""Who runs and who waits: places, turns, bounds, and nobody's place is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from gateway.errors import LimitExceeded
from gateway.flows.gate import Gate

LONG = 3600.0


class Room:
    """Statements that come through a gate and stay until they are sent away."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}

    async def come(self, name: str, who: str = "agent") -> asyncio.Task[None]:
        task = asyncio.create_task(self._stay(name, who))
        await turns()
        return task

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await turns()

    async def _stay(self, name: str, who: str) -> None:
        leave = self._leave[name] = asyncio.Event()
        async with self.gate.place(who):
            self.inside.append(name)
            await leave.wait()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_places_and_the_next_when_one_leaves() -> None:
    room = Room(Gate(2, patience=LONG))
    for name in ("a", "b", "c", "d"):
        await room.come(name)
    assert (room.inside, room.gate.waiting) == (["a", "b"], 2)
    await room.leave("b")
    assert (room.inside, room.gate.waiting) == (["a", "b", "c"], 1)
    for name in ("a", "c", "d"):
        await room.leave(name)
    assert room.inside == ["a", "b", "c", "d"]
    async with AsyncExitStack() as all_of_them:  # every place is free again
        for _ in range(2):
            await all_of_them.enter_async_context(room.gate.place("agent"))
        assert room.gate.waiting == 0


async def test_identities_take_turns() -> None:
    room = Room(Gate(1, patience=LONG))
    await room.come("first", "greedy")
    for number in range(3):
        await room.come(f"greedy{number}", "greedy")
    await room.come("other0", "other")
    await room.come("third0", "third")
    for name in ("first", "greedy0", "other0", "third0", "greedy1"):
        await room.leave(name)
    await room.leave("greedy2")
    assert room.inside == [
        "first", "greedy0", "other0", "third0", "greedy1", "greedy2"
    ]  # fmt: skip


async def test_more_than_may_wait_are_told_when_to_ask_again() -> None:
    room = Room(Gate(1, waiting=1, patience=LONG))
    await room.come("inside")
    await room.come("waiting")
    with pytest.raises(LimitExceeded, match="wait for this connection") as refusal:
        async with room.gate.place("late"):
            raise AssertionError("there was a place")
    assert refusal.value.retry_after is not None
    assert 1 <= refusal.value.retry_after <= 60
    await room.leave("inside")
    assert room.inside == ["inside", "waiting"]


async def test_the_wait_has_an_end() -> None:
    room = Room(Gate(1, patience=0.01))
    await room.come("inside")
    with pytest.raises(LimitExceeded, match="no place") as refusal:
        async with room.gate.place("late"):
            raise AssertionError("there was a place")
    assert refusal.value.retry_after is not None
    assert room.gate.waiting == 0
    await room.leave("inside")
    async with room.gate.place("later"):
        assert room.gate.waiting == 0


async def test_who_leaves_the_queue_leaves_no_hole_in_it() -> None:
    room = Room(Gate(1, patience=LONG))
    await room.come("inside")
    gone = await room.come("gone")
    await room.come("next")
    gone.cancel()
    await turns()
    assert room.gate.waiting == 1
    await room.leave("inside")
    assert room.inside == ["inside", "next"]
    with suppress(asyncio.CancelledError):
        await gone


async def test_a_place_given_to_somebody_who_leaves_in_that_moment_goes_on() -> None:
    room = Room(Gate(1, patience=LONG))
    await room.come("inside")
    gone = await room.come("gone")
    await room.come("next")
    room._leave["inside"].set()
    await asyncio.sleep(0)  # the place has been given away, and its new owner has not woken up
    gone.cancel()
    await turns()
    assert room.inside == ["inside", "next"]
    with suppress(asyncio.CancelledError):
        await gone
