"""GROUP BY of what a primary key fixes, on real servers: it comes masked, groups stay groups."""

from __future__ import annotations

from typing import Any

import pytest

from corpus import clinic as corpus
from gateway.errors import ProtectedUse
from gateway.sql import grouping
from gateway.upstream import Database

pytestmark = pytest.mark.pg15
VISITS = "from patient p join encounter e on e.patient_id = p.id"
MASKED = {
    "by names": f"select p.id, p.full_name, count(*) {VISITS} group by p.id, p.full_name"
    " order by 1",
    "by places": f"select p.id, p.full_name, count(*) {VISITS} group by 1, 2 order by 1",
    "first in the list": f"select p.id, p.full_name, count(*) {VISITS} group by p.full_name, p.id"
    " order by 1",
    "with HAVING": f"select p.id, p.full_name, count(*) {VISITS} group by p.id, p.full_name"
    " having count(*) > 0 or p.city is null order by 1",
    "unqualified": f"select p.id, full_name, count(*) {VISITS} group by p.id, full_name order by 1",
    "in a derived table": "select * from (select p.id, p.full_name, count(*) as n"
    f" {VISITS} group by p.id, p.full_name) q order by 1",
    "with a window": f"select p.id, p.full_name, count(*) {VISITS} group by p.id, p.full_name"
    " window w as (order by p.id) order by 1",
}
NULL = {
    "no key beside it": f"select p.city, p.full_name, 1 {VISITS} group by p.city, p.full_name",
    "a key of another table": f"select e.id, p.full_name, 1 {VISITS} group by e.id, p.full_name",
    "not the whole key in each set": f"select p.id, p.full_name, 1 {VISITS}"
    " group by rollup (p.id), p.full_name",
    "a view has no key": "select id, label, 1 from patient_label group by id, label",
    "used otherwise, too": f"select p.id, p.full_name, 1 {VISITS} group by p.id, p.full_name"
    " order by p.full_name",
    "computed with": f"select p.id, upper(p.full_name), 1 {VISITS} group by p.id, p.full_name",
    "alone": "select 1, full_name, 1 from patient group by full_name",
}


def asked(sql: str) -> dict[str, Any]:
    return {"sql": sql, "params": []}


@pytest.mark.parametrize("sql", MASKED.values(), ids=MASKED)
async def test_what_a_key_fixes_is_only_selected(clinic: Database, sql: str) -> None:
    answer = await corpus.answer(clinic, asked(sql))
    counts = [int.from_bytes(row[2] or b"") for row in answer.rows]
    assert counts == [2, 1, 2]
    assert answer.masked() == [False, True, False]
    assert answer.analysis.hidden == ()
    assert answer.analysis.text == sql
    assert grouping.NOTE.format("full_name") in answer.decision.notes


@pytest.mark.parametrize("sql", NULL.values(), ids=NULL)
async def test_what_it_does_not_fix_is_null(clinic: Database, sql: str) -> None:
    answer = await corpus.answer(clinic, asked(sql))
    assert answer.rows
    assert {row[1] for row in answer.rows} == {None}
    assert answer.analysis.hidden


async def test_groups_are_not_joined_that_a_protected_column_keeps_apart(clinic: Database) -> None:
    """Left out without the server's word for it, full_name would make four groups three."""
    sql = "select city, count(*) from patient group by city, full_name"
    answer = await corpus.answer(clinic, asked(sql))
    assert answer.analysis.hidden
    assert not any("primary key" in note for note in answer.decision.notes)


@pytest.mark.parametrize("protected", ["full_name", "mrn"])
async def test_a_list_that_is_not_shorter_is_still_judged(
    clinic: Database, monkeypatch: pytest.MonkeyPatch, protected: str
) -> None:
    """Whatever this room gives back, its text is analysed and decided over."""
    wrong = f"select {protected} || '' as x from patient"
    monkeypatch.setattr(grouping, "_shorter", lambda *_: (wrong, wrong, []))
    monkeypatch.setattr(corpus, "mask_at_source", _unchanged)
    with pytest.raises(ProtectedUse):
        sql = f"select upper({protected}) as x from patient group by id, {protected}"
        await corpus.answer(clinic, asked(sql))


async def _unchanged(analysis: object, *_: object) -> object:
    return analysis
