"""The account of a tree that was read before: for the same tree only, and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import NotUnderstood
from gateway.sql import lineage

TREES = Path(__file__).parents[3] / "rust" / "pgtree" / "tests" / "trees" / "18"


def tree(name: str) -> str:
    """Behind the statement and what is expected of it."""
    return (TREES / f"{name}.tree").read_text().split("\n", 2)[2]


TREE = tree("option_lookup")


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    for key in list(lineage._known):
        lineage._known.drop(key)


async def test_a_tree_is_read_once() -> None:
    assert await lineage.of(TREE, 18) is await lineage.of(TREE, 18)


async def test_another_tree_has_an_account_of_its_own() -> None:
    first = await lineage.of(TREE, 18)
    other = await lineage.of(tree("option_join"), 18)
    assert other.digest != first.digest
    assert (await lineage.of(TREE, 18)).digest == first.digest


async def test_the_server_version_belongs_to_it() -> None:
    await lineage.of(TREE, 18)
    with pytest.raises(NotUnderstood):
        await lineage.of(TREE, 15)


async def test_a_tree_that_is_not_understood_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(NotUnderstood):
            await lineage.of(TREE.replace("{QUERY", "{ELSE", 1), 18)
    assert not lineage._known


async def test_the_oldest_are_forgotten() -> None:
    await lineage.of(TREE, 18)
    for number in range(lineage._MOST_KNOWN + 5):
        await lineage.of(TREE.replace(":stmt_len 0", f":stmt_len {number}"), 18)
    assert len(lineage._known) == lineage._MOST_KNOWN
