"""The check of the check: with one wall taken away the difference is found, each of its kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Set
from dataclasses import replace
from typing import Any

import pytest

import gateway.flows.query as corridor_flow
import servers
from gateway.model import Analysis, ColumnDecision, Decision, Grant, Shape, Treatment
from gateway.policy import Policy
from noninterference import campaign, twins
from noninterference.campaign import Pair

#: Statements within which a difference must show.
WITHIN = 6000
_SEEDS = range(50_000, 50_000 + WITHIN)


@pytest.fixture
async def pair(newest_twins: servers.Server) -> AsyncIterator[Pair]:
    """A pair under the whole policy, which refuses what a wall that stands refuses."""
    async with campaign.opened(newest_twins, "still", "refuse") as opened:
        yield opened


async def _found(pair: Pair, wanted: Set[str], flavour: str) -> Set[str]:
    return (await pair.kinds(_SEEDS, servers.majors()[-1], wanted, flavour)).keys()


async def test_a_policy_that_calls_everything_clear(newest_twins: servers.Server) -> None:
    wanted = {"rows", "count", "order", "status"}
    rules = {**twins.RULES, **dict.fromkeys(twins.PROTECTED, "clear")}
    async with campaign.opened(newest_twins, "still", "refuse", rules) as pair:
        assert wanted <= await _found(pair, wanted, "mixed")


@pytest.mark.parametrize("column", ["name", "dob", "account", "code", "doc", "aliases"])
async def test_one_column_that_is_not_masked(newest_twins: servers.Server, column: str) -> None:
    rules = {**twins.RULES, f"public.person.{column}": "clear"}
    async with campaign.opened(newest_twins, "still", "refuse", rules) as pair:
        assert {"rows"} <= await _found(pair, {"rows"}, "bare")


async def test_a_decision_that_is_skipped(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_clear(_: Grant, analysis: Analysis, policy: Policy, *__: object) -> Decision:
        clear = Treatment("clear", {"scan": False})
        columns = tuple(ColumnDecision(o.name, clear, "", ()) for o in analysis.outputs)
        return Decision(columns, policy.hash)

    monkeypatch.setattr(corridor_flow, "decide", all_clear)
    wanted = {"rows", "count", "order", "status"}
    assert wanted <= await _found(pair, wanted, "mixed")


async def test_uses_that_decide_over_rows_are_overlooked(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every output is still masked: what tells is which rows come, how many, and in which order."""
    _overlook(monkeypatch, lambda analysis: replace(analysis, control=(), mentions=()))
    wanted = {"rows", "count", "order", "status"}
    assert wanted <= await _found(pair, wanted, "chosen")


async def test_expressions_are_taken_for_columns(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every output is still masked, as its column would be: what tells is an expression that fails,
    or what a treatment that was made for the column lets through of another value."""

    def bare(analysis: Analysis) -> Analysis:
        outputs = tuple(replace(output, shape=Shape.BARE) for output in analysis.outputs)
        return replace(analysis, outputs=outputs, mentions=())

    _overlook(monkeypatch, bare)
    assert await _found(pair, {"rows"}, "shown") & {"rows", "status"}


def _overlook(monkeypatch: pytest.MonkeyPatch, blind: Callable[[Analysis], Analysis]) -> None:
    """The analysis as it is, and then made blind to something."""
    analyse = corridor_flow.analyse

    async def less(*arguments: Any) -> Analysis:
        return blind(await analyse(*arguments))

    monkeypatch.setattr(corridor_flow, "analyse", less)


async def test_a_difference_is_shrunk(newest_twins: servers.Server) -> None:
    rules = {**twins.RULES, "public.person.name": "clear"}
    async with campaign.opened(newest_twins, "still", "refuse", rules) as pair:
        report = await pair.run(_SEEDS, newest_twins.major, enough=1)
    (found,) = report.found
    assert len(found.sql) <= min(200, len(found.statement.sql))
    assert str(found.statement.seed) in str(found)
