"""Mask at source on real servers: it tells nothing, and answers what masked data would give.

Each statement runs on twins that differ in protected values only, and as its author wrote it on a
clinic in which those values are NULL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from gateway.errors import MaskgateError, ProtectedUse, Refusal
from gateway.sql import analyse, clauses, rewriting, source
from gateway.sql.clauses import Unreadable
from gateway.upstream import Database, UpstreamSettings

pytestmark = pytest.mark.pg15
ATTACKS = corpus.load("attacks.toml", "attack")
EVERYDAY = corpus.load("everyday.toml", "statement")
AT_SOURCE = corpus.load("at_source.toml", "statement")
EVERY = [*ATTACKS, *EVERYDAY, *AT_SOURCE]


def by_name(statement: dict[str, Any]) -> str:
    return str(statement["name"].split()[0])


async def beside(server: servers.Server, name: str) -> Database:
    await corpus.build_beside(server.dsn(), name, server.dsn(database=name))
    dsn = server.dsn(user=corpus.LOGIN, database=name)
    database = Database(UpstreamSettings(dsn, role=corpus.READER))
    await database.open()
    return database


@pytest.fixture(scope="module")
async def twin(server: servers.Server, clinic: Database) -> AsyncIterator[Database]:
    database = await beside(server, "twin")
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def direct(server: servers.Server, clinic: Database) -> AsyncIterator[dict[str, Any]]:
    """Connections beside the gateway: to the clinic, and to the one without protected values."""
    await (await beside(server, "blank")).close()
    found = {
        name: await asyncpg.connect(
            server.dsn(database=name), server_settings={"timezone": "UTC", "search_path": "public"}
        )
        for name in ("clinic", "blank")
    }
    yield found
    for connection in found.values():
        await connection.close()


async def outcome(clinic: Database, statement: dict[str, Any]) -> tuple[str, Any]:
    """What leaves, rows or refusal, in a form that can be compared."""
    try:
        answer = await corpus.answer(clinic, statement)
    except MaskgateError as refusal:
        return refusal.code, (refusal.detail, refusal.hint)
    said = (answer.analysis.server_text, answer.decision.notes, answer.decision.columns)
    return "answered", (answer.shown(), said)


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
async def test_attacks_tell_twins_from_each_other_by_nothing(
    clinic: Database, twin: Database, attack: dict[str, Any]
) -> None:
    got, left = await outcome(clinic, attack)
    plain = attack["outcome"]
    admitted = plain in ("admitted", "masked", "protected")
    expected = attack.get("at_source", "answered" if admitted else plain)
    assert got in ([expected] if isinstance(expected, str) else expected), left
    assert (got, left) == await outcome(twin, attack)
    said = attack["sql"] + repr(attack["params"])
    for planted in corpus.PLANTED:
        assert planted in said or planted not in repr(left)


@pytest.mark.parametrize("statement", [*EVERYDAY, *AT_SOURCE], ids=by_name)
async def test_everyday_statements_do_not_tell_twins_apart(
    clinic: Database, twin: Database, statement: dict[str, Any]
) -> None:
    got, left = await outcome(clinic, statement)
    assert got == "answered", left
    assert (got, left) == await outcome(twin, statement)


async def texts(connection: Any, text: str, width: int) -> list[list[str | None]]:
    names = [f'"c{n}"' for n in range(width)]
    shown = await connection.fetch(
        f"SELECT {', '.join(f'q.{name}::text' for name in names)} "
        f"FROM (\n{text}\n) AS q({', '.join(names)})"
    )
    return [list(row) for row in shown]


@pytest.mark.parametrize("statement", EVERY, ids=by_name)
async def test_it_answers_as_if_the_values_had_never_been_there(
    clinic: Database, direct: dict[str, Any], statement: dict[str, Any]
) -> None:
    try:
        answer = await corpus.answer(clinic, statement)
    except Refusal:
        return  # said in the tests above
    if answer.analysis.catalogs:
        return  # the databases differ in their constraints, and no value stands in a catalog
    masked = answer.masked()
    ours = await texts(direct["clinic"], answer.analysis.server_text, len(masked))
    blank = await texts(direct["blank"], answer.analysis.filled_text, len(masked))

    def clear(rows: list[list[str | None]]) -> Counter[tuple[str | None, ...]]:
        return Counter(
            tuple(cell for cell, hit in zip(row, masked, strict=True) if not hit) for row in rows
        )

    assert clear(ours) == clear(blank)


@pytest.mark.parametrize("statement", AT_SOURCE, ids=by_name)
async def test_rows(clinic: Database, direct: dict[str, Any], statement: dict[str, Any]) -> None:
    answer = await corpus.answer(clinic, statement)
    masked = answer.masked()
    rows = await texts(direct["clinic"], answer.analysis.server_text, len(masked))
    assert [
        [
            "~" if cell is None else "***" if hit else cell
            for cell, hit in zip(row, masked, strict=True)
        ]
        for row in rows
    ] == statement["rows"]
    assert answer.analysis.hidden
    assert any(note.startswith("inside ") for note in answer.decision.notes)


@pytest.mark.parametrize("statement", EVERY, ids=by_name)
async def test_the_text_s_references_are_the_tree_s(
    clinic: Database, statement: dict[str, Any]
) -> None:
    try:
        async with clinic.transaction("references") as transaction:
            analysis = await analyse(statement["sql"], statement["params"], transaction)
    except Refusal:
        return
    found = clauses.read(analysis.filled_text)
    of_text = {(item.table, item.known_as) for item in found.items}
    assert of_text == {(one.table, one.alias) for one in analysis.references}
    assert all(
        item.schema in (None, *(r.schema for r in analysis.references)) for item in found.items
    )
    assert rewriting.rewrite(analysis.filled_text, found, [], {}) == analysis.filled_text


BROKEN = [
    "select upper(full_name) from patient",
    "select id from patient where mrn = 'MRN-771001'",
    "with p as (select * from patient) select upper(full_name) from p",
    "select count(distinct ssn) from patient",
    "select upper(label) from patient_label",
]


@pytest.mark.parametrize("sql", BROKEN)
async def test_a_rewriting_that_hides_nothing_is_refused(
    clinic: Database, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    shown = rewriting.Replacement.select

    def select(self: rewriting.Replacement, *, only: bool) -> str:
        every = tuple(replace(field, shown=True) for field in self.fields)
        return shown(replace(self, fields=every), only=only)

    monkeypatch.setattr(rewriting.Replacement, "select", select)
    with pytest.raises(ProtectedUse):
        await corpus.answer(clinic, {"sql": sql, "params": []})


@pytest.mark.parametrize("sql", BROKEN)
async def test_a_rewriting_that_changes_nothing_is_refused(
    clinic: Database, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(rewriting, "rewrite", lambda text, *_: text)
    with pytest.raises(ProtectedUse):
        await corpus.answer(clinic, {"sql": sql, "params": []})


@pytest.mark.parametrize(
    "text",
    [
        "select upper(city) as other from patient",
        "select upper(name) from medication",
        "select upper(city) from patient_city",
        "not sql",
        "select 1/0",
    ],
)
async def test_a_rewriting_to_another_statement_is_refused(
    clinic: Database, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(rewriting, "rewrite", lambda *_: text)
    with pytest.raises(ProtectedUse):
        await corpus.answer(clinic, {"sql": "select upper(full_name) from patient", "params": []})


async def test_a_text_that_cannot_be_read_is_refused_for_its_use(
    clinic: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: str) -> None:
        raise Unreadable("it")

    monkeypatch.setattr(clauses, "read", unreadable)
    with pytest.raises(ProtectedUse, match=r"patient\.full_name is protected .* an expression"):
        await corpus.answer(clinic, {"sql": BROKEN[0], "params": []})


async def test_columns_that_lean_on_a_key_are_bounded(
    clinic: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaning = {"sql": "select id, city, sex, upper(ssn) from patient group by id", "params": []}
    assert len((await corpus.answer(clinic, leaning)).rows) == 4
    monkeypatch.setattr(source, "_MOST_GROUPED", 2)
    with pytest.raises(ProtectedUse):
        await corpus.answer(clinic, leaning)


async def test_each_use_is_named_in_the_note(clinic: Database) -> None:
    sql = (
        "select p.id, upper(p.full_name) as loud from patient p, (select * from patient) q"
        " where p.mrn = 'x' order by p.full_name"
    )
    answer = await corpus.answer(clinic, {"sql": sql, "params": []})
    first, second = answer.decision.notes
    assert first.startswith(
        "inside public.patient as p these protected columns were NULL: full_name "
        "(used in ORDER BY, an expression (output column 'loud')); mrn (used in WHERE)."
    )
    assert "inside public.patient these" in second
    assert "ssn (named, not selected)" in second
    loud = answer.decision.columns[1]
    assert loud.masked_at_source == ("public.patient.full_name",)
    assert loud.treatment.name == "clear"
    assert answer.decision.columns[0].masked_at_source == ()


async def test_notes_and_texts_are_bounded(
    clinic: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = " union all ".join(f"select upper(full_name) from patient p{n}" for n in range(25))
    notes = (await corpus.answer(clinic, {"sql": many, "params": []})).decision.notes
    assert len(notes) == 21
    assert notes[-1] == "protected columns were NULL in 5 more references"
    monkeypatch.setattr(source, "_MOST_NOTES", 2)
    row = {"sql": "select p from patient p", "params": []}
    assert "; and 4 more. Select" in (await corpus.answer(clinic, row)).decision.notes[-1]
    monkeypatch.setattr(source, "_MOST_TEXT", 1000)
    with pytest.raises(ProtectedUse):
        await corpus.answer(clinic, {"sql": many, "params": []})


async def test_a_type_that_is_met_only_on_the_way_is_no_obstacle(clinic_dsn: str) -> None:
    fresh = Database(UpstreamSettings(clinic_dsn, role=corpus.READER))
    await fresh.open()
    try:
        view = {"sql": "select id, upper(full_name) from patient_risk where id = 1", "params": []}
        assert (await corpus.answer(fresh, view)).rows == [[b"\x00\x00\x00\x01", None]]
    finally:
        await fresh.close()
