"""What a server says of itself is asked once, of each server, and again after a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.upstream.facts import FRESH_S, Facts


class Asked:
    """A question about a server, which may take its time or fail."""

    def __init__(self) -> None:
        self.times = 0
        self.fails = False
        self.answer = asyncio.Event()
        self.answer.set()

    async def __call__(self, transaction: Any) -> str:
        self.times += 1
        await self.answer.wait()
        if self.fails:
            raise ConnectionError
        return f"said to {transaction}"


async def test_it_is_asked_once_for_all_sessions_of_a_server() -> None:
    facts, asked = Facts(), Asked()
    assert await facts.once("one", asked, "a") == "said to a"
    assert await facts.once("one", asked, "b") == "said to a"
    assert await facts.once("other", asked, "c") == "said to c"
    assert asked.times == 2


async def test_it_is_asked_again_after_a_while() -> None:
    now = 0.0
    facts, asked = Facts(lambda: now), Asked()
    await facts.once("one", asked, "a")
    now = FRESH_S - 1
    assert await facts.once("one", asked, "b") == "said to a"
    now = FRESH_S
    assert await facts.once("one", asked, "c") == "said to c"


async def test_who_asks_meanwhile_waits_for_the_answer() -> None:
    facts, asked = Facts(), Asked()
    asked.answer.clear()
    several = [asyncio.create_task(facts.once("one", asked, name)) for name in "abc"]
    await asyncio.sleep(0)
    asked.answer.set()
    assert await asyncio.gather(*several) == ["said to a"] * 3
    assert asked.times == 1


async def test_a_failure_is_nobody_else_s() -> None:
    facts, asked = Facts(), Asked()
    asked.answer.clear()
    asked.fails = True
    first = asyncio.create_task(facts.once("one", asked, "a"))
    second = asyncio.create_task(facts.once("one", asked, "b"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    asked.answer.set()
    with pytest.raises(ConnectionError):
        await second
    asked.fails = False
    assert await facts.once("one", asked, "c") == "said to c"
    assert first.cancelled()


async def test_only_so_many_are_kept() -> None:
    facts, asked = Facts(), Asked()
    for number in range(1000):
        await facts.once(str(number), asked, number)
    assert len(facts._known) <= 64
