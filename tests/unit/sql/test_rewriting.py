"""What stands in a reference's place, and what leaned on its being a table."""

from __future__ import annotations

import pytest

from gateway.sql import clauses, rewriting
from gateway.sql.clauses import Unreadable
from gateway.sql.rewriting import Field, Replacement

FIELDS = (Field("id", "integer", True), Field('na"me', "character varying(9)", False))
SUB = 'SELECT m."id", CAST(NULL AS character varying(9)) AS "na""me" FROM "s"."t" AS m'
ONLY = SUB.replace('"s"', 'ONLY "s"')


def replaced(text: str, *aliases: str) -> str:
    replacements = [Replacement("s", "t", alias, FIELDS) for alias in aliases or ("t",)]
    return rewriting.rewrite(text, clauses.read(text), replacements, {"t": "s", "u": "s"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1 from t", f'select 1 from ({SUB}) AS "t"'),
        ("select 1 from S.T, u", f'select 1 from ({SUB}) AS "t", u'),
        ("select 1 from only t *", f'select 1 from ({ONLY}) AS "t"'),
        ("table t", f'SELECT * FROM ({SUB}) AS "t"'),
        ("select 1 from t x", "select 1 from t x"),
        ("select s.t.id, s.t.*, t.id from s.t", f'select t.id, t.*, t.id from ({SUB}) AS "t"'),
        ("select d.s.t.id from t", f'select d.s.t.id from ({SUB}) AS "t"'),
        ("select 1 from other.t a, t", f'select 1 from other.t a, ({SUB}) AS "t"'),
        (
            "select (select 1 from t), (select 2 from t)",
            f'select (select 1 from ({SUB}) AS "t"), (select 2 from ({SUB}) AS "t")',
        ),
        (
            "with t as (select 1 from t) select 1 from t",
            f'with t as (select 1 from ({SUB}) AS "t") select 1 from t',
        ),
    ],
)  # fmt: skip
def test_a_reference_becomes_a_sub_select(text: str, expected: str) -> None:
    if "t x" in text:
        with pytest.raises(Unreadable):
            replaced(text)
    else:
        assert replaced(text) == expected


def test_an_alias_keeps_its_place_and_its_columns() -> None:
    assert (
        replaced("select 1 from t as x (a, b), t", "x") == f"select 1 from ({SUB}) as x (a, b), t"
    )


def test_nothing_to_replace_changes_nothing() -> None:
    text = "select s.t.id from s.t -- t\n, u"
    assert rewriting.rewrite(text, clauses.read(text), [], {}) == text


@pytest.mark.parametrize(
    "text",
    [
        "select s.t.id from s.t, lateral (select s.t.id from u t) x",
        "select s.t.id from s.t where exists (select s.t.id from other.t)",
        "select s.t.id from s.t, (select 1) t",
    ],
)
def test_a_name_that_two_things_have_is_not_guessed(text: str) -> None:
    with pytest.raises(Unreadable, match="two things of one name"):
        replaced(text)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("select p.id, p.x from t p group by p.id", "p.x", 'group by p.id, "p"."x"'),
        ("select id, x from t p group by id order by 1", "x", 'group by id, "x" order by 1'),
        ("select p.* from t p group by id", "p.*", 'by id, "p"."id", "p"."x"'),
        ("select * from t p group by id", "*", 'by id, "p"."id", "p"."x"'),
        ("select f(p) from t p group by id", "p)", 'by id, "p"'),
        ("select (select p.x from u group by y) from t p group by id", "p.x", 'by id, "p"."x"'),
        ("select 1 from t p group by 1 union select x from t p group by id", "x", 'by id, "x"'),
    ],
)  # fmt: skip
def test_what_followed_from_a_key_is_grouped_by(text: str, name: str, expected: str) -> None:
    fields = (Field("id", "int", True), Field("x", "text", False))
    replacements = [Replacement("s", "t", "p", fields)]
    grouped, added = rewriting.grouped(text, text.index(name), replacements)
    assert grouped.endswith(expected)
    assert added == ({("p", "x")} if name in ("p.x", "x") else {("p", "id"), ("p", "x")})


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("select p.x from t p", 7),
        ("select u.x from t p, u group by 1", 7),
        ("select y from t p group by id", 7),
        ("select y from t p group by id", 8),
        ("select x from t p group by id", 99),
    ],
)
def test_another_name_is_not_grouped_by(text: str, position: int) -> None:
    replacements = [Replacement("s", "t", "p", (Field("x", "text", False),))]
    with pytest.raises(Unreadable):
        rewriting.grouped(text, position, replacements)
