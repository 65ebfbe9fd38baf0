"""What is worked out once is found again for the same tree and catalog only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import NotUnderstood, StatementRefused
from gateway.model import Column
from gateway.sql import lineage, relations
from gateway.sql.names import FirstNames

TREES = Path(__file__).parents[3] / "rust" / "pgtree" / "tests" / "trees" / "18"
TREE = (TREES / "option_lookup.tree").read_text().split("\n", 2)[2]
PERSON = 16384


def said(table: str = "person", *, row_security: bool = False) -> dict[int, str]:
    columns = [[1, 2, 3], ["id", "ssn", "born"], ["23", "25", "1082"], [0, 0, 0], ["", "", ""]]
    row = ["public", table, "r", False, row_security, False, False, *columns]
    return {PERSON: json.dumps(row)}


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    for key in list(relations._known):
        relations._known.drop(key)


async def read(
    answer: dict[int, str], policies: frozenset[str] = frozenset(), *, trees: bool = False
) -> relations.Reading:
    found = await lineage.of(TREE, 18)
    return relations.reading(found, answer, policies, trees=trees)


async def test_the_same_is_found_again() -> None:
    assert await read(said()) is await read(said())


async def test_another_answer_of_the_catalog_is_another_reading() -> None:
    first, other = await read(said()), await read(said("patient"))
    assert (first.tables, other.tables) == (("public.person",), ("public.patient",))
    assert await read(said(), trees=True) is not first


async def test_a_refusal_is_not_forgotten() -> None:
    policies = frozenset({"public.person"})
    carried = await read(said(row_security=True), policies)
    assert carried.tables == ("public.person",)
    for _ in range(2):
        with pytest.raises(StatementRefused):
            await read(said(row_security=True))
        with pytest.raises(NotUnderstood):
            await read({})


async def test_statements_that_differ_in_literals_share_an_account() -> None:
    moved = TREE.replace(":stmt_len 0", ":stmt_len 5")
    first, other = await lineage.of(TREE, 18), await lineage.of(moved, 18)
    assert moved != TREE
    assert first is not other
    assert first.account == other.account


async def test_the_last_readings_are_kept() -> None:
    for number in range(relations._MOST_KNOWN + 5):
        await read(said(f"person_{number}"))
    assert len(relations._known) == relations._MOST_KNOWN


def test_a_column_that_was_renamed_is_told_by_its_set() -> None:
    names = FirstNames()
    born = Column(PERSON, 3, "public", "person", "born", 1082)
    renamed = Column(PERSON, 3, "public", "person", "day", 1082)
    for _ in range(2):
        assert names.renamed(frozenset({born})) == {}
        assert names.renamed(frozenset({renamed})) == {renamed: (born,)}
