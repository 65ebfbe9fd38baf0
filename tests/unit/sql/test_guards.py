"""Every call of a guarded function is found as the server reads it, and nothing else is touched."""

from __future__ import annotations

import re

import pytest

from gateway.errors import InvalidRequest, StatementRefused
from gateway.sql import guards
from gateway.sql.statement import MAX_BYTES, read


def guarded(sql: str) -> guards.Guarded:
    return guards.guarded(read(sql), max_bytes=MAX_BYTES)


UNTOUCHED = [
    "select 1",
    "select 'pg_get_expr(adbin, adrelid)'",
    "select 1 as pg_get_expr",
    "select pg_get_expr from t",
    "select $$pg_get_expr(a, b)$$, 1 -- pg_get_expr(a, b)",
    "select pg_get_exprs(a, b), my_pg_get_expr(a, b)",
    'select "PG_GET_EXPR"(a, b)',
    "select column_default from settings",
    "select 1 as column_default from information_schema.tables",
    "select column_default as typdefaults from settings",
    "select domain_default from settings",
]


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_nothing_else_is_touched(sql: str) -> None:
    assert guarded(sql) == guards.Guarded(read(sql))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select repeat('x', n)", "select repeat('x', pg_catalog.int4smaller( n\n, 10000))"),
        ("select repeat('x', 7)", "select repeat('x', 7)"),
        (
            'select "repeat"(f(a, b), (n, [1, 2])[1])',
            'select "repeat"(f(a, b), pg_catalog.int4smaller( (n, [1, 2])[1]\n, 10000))',
        ),
        ("select repeat(x) from repeat", "select repeat(x) from repeat"),
    ],
)
def test_repeat_has_a_limit(sql: str, expected: str) -> None:
    assert guarded(sql).statement.text == expected


def test_a_number_above_the_limit_is_refused() -> None:
    with pytest.raises(StatementRefused, match="at most 10,000 times"):
        guarded("select repeat('x', 10001)")


CALLS = [
    "pg_get_indexdef(1)",
    "PG_GET_INDEXDEF (1)",
    '"pg_get_indexdef"(1)',
    "pg_catalog.pg_get_indexdef(1, 2, (true))",
    'db . "pg_catalog" . /* a */ pg_get_indexdef -- b\n (1)',
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_stays_as_written_inside_its_guard(call: str) -> None:
    text = guarded(f"select ({call})").statement.text
    before, after = text.split(call)
    assert before.startswith("select ((SELECT CASE")
    assert before.endswith("END AS pg_get_indexdef FROM (SELECT ")
    assert after == " AS d) AS g))"


def test_calls_inside_calls() -> None:
    text = guarded("select pg_get_expr(pg_get_partkeydef(1)), current_setting($1)").statement.text
    assert text.count("(SELECT CASE") == 3
    assert text.count("(") == text.count(")")


def test_the_answer_keeps_its_note_and_its_size() -> None:
    statement = guarded("select pg_get_indexdef(1)").statement
    assert guards.notes(statement) == (guards.NOTE,)
    assert guards.notes(read("select 1")) == ()
    with pytest.raises(InvalidRequest):
        guarded("select " + ", ".join(["pg_get_indexdef(1)"] * 10_000))


WITHOUT = [
    ("select pg_get_expr(d.adbin, d.adrelid) from d", "select pg_get_expr(NULL, d.adrelid) from d"),
    ("select pg_get_expr(x, 1) from d", "select pg_get_expr(NULL, 1) from d"),
    ("select pg_get_expr((adbin), 1) from d", None),
    ("select pg_get_expr(coalesce(adbin, adbin), 1) from d", None),
    (
        "select pg_get_indexdef(1) from i where i.indpred is not null or indpred IS NULL",
        "select pg_get_indexdef(1) from i where NULL is not null or NULL IS NULL",
    ),
    ("select pg_get_indexdef(1) from i where indpred is distinct from null", None),
    ("select pg_get_indexdef(1) from i where indpred is not distinct from x", None),
    (
        "select c.column_default from information_schema.columns c",
        "select NULL::pg_catalog.text from information_schema.columns c",
    ),
]


@pytest.mark.parametrize(("sql", "expected"), WITHOUT)
def test_what_else_is_read_shows_without_the_trees(sql: str, expected: str | None) -> None:
    found = guarded(sql).without_trees
    assert (None if found is None else found.text) == expected


def test_settings() -> None:
    text = guarded("select current_setting('server_version')").statement.text
    assert text.endswith("END AS current_setting FROM (SELECT 'server_version') AS g(d))")
    for sql in ("select current_setting('data_directory')", "select current_setting( 'port' )"):
        with pytest.raises(StatementRefused, match="is not shown"):
            guarded(sql)


def test_a_view_may_hold_a_call_that_nobody_sees() -> None:
    guards.check([("pg_get_expr", -1)], (), [], listed=True)
    guards.check([("repeat", -1)], (), ["public.v"], listed=False)
    guards.check([], (), ["public.v"], listed=False)
    with pytest.raises(StatementRefused, match=r"public\.v"):
        guards.check([("pg_get_expr", -1)], (), ["public.v"], listed=True)


@pytest.mark.parametrize("place", [-2, -1, 7, 9])
def test_a_call_outside_its_guard_is_refused(place: int) -> None:
    guards.check([("pg_get_expr", 8)], {8}, ["public.v"], listed=False)
    with pytest.raises(StatementRefused, match="another notation"):
        guards.check([("pg_get_expr", 8), ("pg_get_expr", place)], {8}, [], listed=False)


PLACES = [
    "select pg_get_indexdef(1)",
    "select 'é', PG_CATALOG . pg_get_indexdef(1), \"pg_get_expr\"(x, pg_get_partkeydef(1)::oid)",
    "select repeat('é', 3), repeat(repeat('x', n), m), pg_get_triggerdef(1)",
    "select current_setting('TimeZone'), current_setting(pg_get_indexdef(1), true)",
    "select column_default, pg_get_indexdef(1)from information_schema.columns",
    "select t.typdefault, pg_get_indexdef(1)from pg_type t",
]


@pytest.mark.parametrize("sql", PLACES)
def test_the_places_are_those_of_the_guarded_calls(sql: str) -> None:
    found = guarded(sql)
    text = found.statement.text.encode()
    names = "|".join(sorted(guards.GUARDED))
    pattern = rf'(?:\w+ ?\. ?)?"?\b({names})"?\('.encode()
    assert found.places == {call.start() for call in re.finditer(pattern, text, re.IGNORECASE)}


NOTATION = [
    "select (i.indexrelid).pg_get_indexdef from pg_index i",
    'select (i.indexrelid) . /* a */ "pg_get_indexdef" -- b\n from pg_index i',
    "select ((select 1::oid)).pg_get_constraintdef",
    "select ('data_directory'::text).CURRENT_SETTING",
]


@pytest.mark.parametrize("sql", NOTATION)
def test_a_call_written_as_a_field_is_refused(sql: str) -> None:
    with pytest.raises(StatementRefused, match="behind a dot"):
        guarded(sql)
