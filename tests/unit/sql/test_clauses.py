"""Which relations a text names: by every spelling of FROM, and by nothing that looks like one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sql import clauses
from gateway.sql.clauses import Unreadable

ITEMS = [
    ("select 1", ""),
    ("select * from t", "t"),
    ("table t", "t"),
    ("table only s.t order by 1", "s.t"),
    ("select * from only t, s.t *, only (u) x", "t s.t u=x"),
    ('select * from "T" as "a b", T b', "T=a b t=b"),
    ("select * from db.s.t", "s.t"),
    ("select * from t a(x, y) join u as b (z) on a.x = b.z", "t=a u=b"),
    ("select * from t natural left join u cross join v", "t u v"),
    ("select * from t left join u using (id) as j full outer join v on true", "t u v"),
    ("select * from (t join u on t.a = u.a) j, v", "t u v"),
    ("select * from ((t join u on true) join v on true)", "t u v"),
    ("select * from (select * from t) a, lateral (select a.x from u) b", "t u"),
    ("select * from ((select 1 from t) union (select 1 from u)) x", "t u"),
    ("select * from ((select 1 from t) a join (select 2 from u) b on true)", "t u"),
    ("select * from (values (1), ((select 1 from t))) v(x), (table u) w", "t u"),
    ("(select 1 from t) union all select 1 from u except values (1) order by 1", "t u"),
    ("(((select 1 from t)))", "t"),
    ("select (select 1 from t), exists (select from u), array(select 1 from v)", "t u v"),
    ("select 1 from t where a in (select 1 from u) and (b, c) = (select 1, 2 from v)", "t u v"),
    ("select 1 from t order by (select 1 from u) limit (select 1 from v)", "t u v"),
    ("select json_array(select a from t), f(a order by (select 1 from u)) from v", "t u v"),
    ("select extract(year from d), substring(a from 1 for 2), trim(both from a) from t", "t"),
    ("select overlay(a placing b from 1), position(a in b) from t", "t"),
    ("select a is distinct from b, a is not distinct from (select 1 from u) from t", "u t"),
    ("select 1 as from, 2 as select, t.from, t.select from t", "t"),
    ("select a.as from t as a", "t=a"),
    ("select 'from x', $$ from y $$, 1 -- from z\n, 2 /* from w */ from t", "t"),
    ("select * from f(1), rows from (f(1), g(2)) with ordinality as r(a, b), t", "t"),
    ("select * from s.f(1) with ordinality x, json_to_record('{}') as (a int), t", "t"),
    ("select * from rows, current_date, t where current_date is not null", "rows t"),
    ("select * from json_table('[]', '$' columns (a int path '$.a')) j, t", "t"),
    ("select * from t tablesample system (10) repeatable (1), u", "t u"),
    ("select * from t join u on t.x = any (array[1, 2]) and y[1:2] = z[1], v", "t u v"),
    ("with t as (select * from t) select * from t, u", "t u"),
    ("with a as (select 1), b as materialized (select * from a, t) table b", "t"),
    (
        "with recursive a(n) as (select 1 union all select n from a, b), b as (select 1 from t)"
        " select * from a",
        "t",
    ),
    ("with a as (select 1 from b), b as (select 1) select 1 from b", "b"),
    ("with recursive as (select 1 from t) select 1 from recursive", "t"),
    ("with a as not materialized (with b as (select 1 from t) table b) select 1 from a, b", "t b"),
    ("with a as (select 1) select * from s.a, (with a as (select 1 from t) table a) x", "s.a t"),
    (
        "with recursive a(n) as (select 1) search breadth first by n set o"
        " cycle n set c to 1 default 0 using p, b as (select 1 from t) select 1 from b",
        "t",
    ),
    ("select count(*) filter (where a) over (partition by b) from t window w as (order by c)", "t"),
    ("select percentile_cont(0.5) within group (order by a) from t group by b having c > 1", "t"),
    ("select cast(a as numeric(9, 2)), interval '1' day, timestamp with time zone 'x' from t", "t"),
    ("select e'\\' from x', U&'y', 1.5e3, :1 from t", "t"),
    ("select straße from größe ü", "größe=ü"),
]  # fmt: skip


def said(text: str) -> str:
    return " ".join(
        (f"{item.schema}." if item.schema else "")
        + item.table
        + (f"={item.alias}" if item.alias else "")
        for item in clauses.read(text).items
    )


@pytest.mark.parametrize(("text", "items"), ITEMS)
def test_items(text: str, items: str) -> None:
    assert said(text) == items


@pytest.mark.parametrize(
    "text",
    [
        "", "insert into t values (1)", "select 1) from t", "select (1", "select a[1 from t",
        "select 1 from", "with a select 1", "with a as (select 1", "select 1 from t t2 (a",
        "with recursive a as (select 1) cycle n select 1", "select 1 from t, (a",
        "select " + "(" * 300 + "1" + ")" * 300,
        "select 1 from " + "(" * 300 + "t" + ")" * 300,
        "select * from " + "(select * from " * 300 + "t" + ")" * 300,
    ],
)  # fmt: skip
def test_what_does_not_fit_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        clauses.read(text)


def test_the_text_is_where_the_item_says() -> None:
    text = 'select * from only s . "T" * as x, (table u) y'
    first, second = clauses.read(text).items
    assert text[first.start : first.end] == 'only s . "T" *'
    assert (first.only, first.command, first.known_as) == (True, False, "x")
    assert text[second.start : second.end] == "table u"
    assert (second.only, second.command, second.known_as) == (False, True, "u")


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("select a from t group by a", ["a"]),
        ("select a from t group by a, (b) having c", ["(b)"]),
        ("select a from t group by rollup (a, b) order by a", ["(a, b)"]),
        ("select a from t group by a union select b from u group by b limit 1", ["a", "b"]),
        ("select (select 1 from u group by x) from t", [None, "x"]),
        ("select sum(a) within group (order by b) from t", [None]),
    ],
)
def test_where_group_by_ends(text: str, ends: list[str | None]) -> None:
    blocks = clauses.read(text).blocks
    assert [block.group_end is None for block in blocks] == [end is None for end in ends]
    for block, end in zip(blocks, ends, strict=True):
        if block.group_end is not None:
            assert text[: block.group_end].endswith(str(end))


NAMES = st.sampled_from(["t", "u", '"V w"', "s.t", 's."X"', "größe"])
ALIASES = st.sampled_from(["", " a", " as b", ' "c d"', " as e(x, y)"])


@st.composite
def item(draw: st.DrawFn, depth: int) -> tuple[str, int]:
    """An item of FROM, and how many relations it names."""
    kind = draw(st.integers(0, 4 if depth else 0))
    if kind == 0:
        only = draw(st.sampled_from(["", "only "]))
        return f"{only}{draw(NAMES)}{draw(ALIASES)}", 1
    if kind == 1:
        text, count = draw(query(depth - 1))
        return f"{draw(st.sampled_from(['', 'lateral ']))}({text}) q", count
    if kind == 2:
        left, right = draw(item(depth - 1)), draw(item(depth - 1))
        on, below = draw(expression(depth - 1))
        return f"({left[0]} join {right[0]} on {on})", left[1] + right[1] + below
    if kind == 3:
        return "f(1, 'from t') g", 0
    left, right = draw(item(depth - 1)), draw(item(depth - 1))
    return f"{left[0]} natural join {right[0]}", left[1] + right[1]


@st.composite
def expression(draw: st.DrawFn, depth: int) -> tuple[str, int]:
    kind = draw(st.integers(0, 5 if depth else 3))
    if kind < 4:
        plain = ["a", "'from t'", "extract(year from a)", "a is distinct from b"]
        return plain[kind], 0
    text, count = draw(query(depth - 1))
    return (f"exists ({text})" if kind == 4 else f"f(({text}), array[1, 2])"), count


@st.composite
def query(draw: st.DrawFn, depth: int = 3) -> tuple[str, int]:
    shown, first = draw(expression(depth))
    where, second = draw(expression(depth))
    items = draw(st.lists(item(depth), min_size=1, max_size=2))
    text = f"select {shown} from {', '.join(part for part, _ in items)} where {where}"
    count = first + second + sum(number for _, number in items)
    if depth and draw(st.booleans()):
        more, others = draw(query(depth - 1))
        text, count = f"{text} union all ({more})", count + others
    return text, count


@settings(max_examples=150, deadline=None)
@given(query())
def test_every_relation_of_a_made_up_statement_is_found_once(made: tuple[str, int]) -> None:
    text, count = made
    items = clauses.read(text).items
    assert len(items) == count
    spans = sorted((one.start, one.end) for one in items)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@settings(max_examples=200, deadline=None)
@given(st.text("selctfromwith(),.as\"' tu[]*$-/\n", max_size=60))
def test_no_text_is_worse_than_unreadable(text: str) -> None:
    from gateway.errors import Refusal

    try:
        found = clauses.read("select " + text)
    except (Unreadable, Refusal):
        return
    assert found.lexemes[0].value == "select"
