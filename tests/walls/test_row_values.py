"""Free text is read with columns of its own row, in every statement that shows it or in none.

Beside the name of another row a text would tell, by what is masked in it, whose name it holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ward import CLEAR, GRANT, READER, Ward, build, opened

import servers
from gateway.errors import ConfigurationError, ProtectedUse
from gateway.model import Analysis, Decision
from gateway.policy import Policy, decide, to_bring, to_hide
from gateway.sql import analyse, bring_along, mask_at_source, without_dependents
from gateway.upstream import Transaction

TABLES = """
create table chart (
    id int primary key, holder text, number text, account bigint, born date, secret text,
    remark text, city text, sheet jsonb
);
insert into chart values
    (1, 'Zanthe Quillfeather', 'ZQ-440011', 5550001234, '1950-05-30', 'Moonstone', $$
        Zanthe said that QUILLFEATHER, ZANTHE (zq 440011) pays from 5550001234; moonstone.$$,
        'Salem', '{"said": "Quillfeather, of course"}'),
    (2, 'Boris Ångström', 'BA-1', null, '1960-01-01', null,
        'mr angstrom and Zanthe met; ba1 unknown', 'Salem', null),
    (3, null, null, null, null, null, 'Quillfeather is not in this row', 'Lynn', '[]');
create table call (chart_id int, said text);
insert into call values (1, 'Zanthe'), (2, 'Quillfeather');
create view charts as select id, holder, remark from chart;
create table young (like chart);
alter table young inherit chart;
create table odd (maskgate_1 int, maskgate_2 int, holder text, remark text);
create domain day as date;
create table dated (days date[], day day, amount numeric(10, 2), holder text, remark text);
insert into dated values ('{2000-01-01}', '2000-01-01', 12345.67, 'Boris', 'paid 12345.67');
create table owing (id int, account numeric(12, 0), remark text, due date);
insert into owing values (1, 5550001, 'pays 5550001', '2000-01-01'), (2, 'NaN', 'pays', null),
    (3, 5550002, 'pays 5550002', '2000-01-01');
insert into odd values (2, 4, 'Boris', 'Boris here'), (1, 3, 'Zanthe', 'Zanthe here');
"""
ROW = {"treatment": "scan", "row": ["holder", "number", "account", "secret"]}
RULES: dict[str, Any] = {
    "public.chart.*": "clear",
    "public.chart.holder": "redact",
    "public.chart.number": "token",
    "public.chart.account": "null",
    "public.chart.born": {"treatment": "shift", "subject": "number"},
    "public.chart.secret": "deny",
    "public.chart.remark": ROW,
    "public.chart.sheet": {"treatment": "scan", "row": ["holder"]},
    "public.call.*": "clear",
    "public.odd.*": "clear",
    "public.odd.remark": {"treatment": "scan", "row": ["holder"]},
    "public.owing.*": "clear",
    "public.owing.account": "redact",
    "public.owing.remark": {"treatment": "scan", "row": ["account"]},
    "public.owing.due": {"treatment": "shift", "subject": "account"},
}
POLICY = Policy("ward", RULES, text="clear")
#: What would only be there had a text not been read with the values of its row.
TOLD = ("zanthe said", "quillfeather, z", "440011", "5550001234", "moonstone", "mr angstrom", "ba1")


async def walked(
    ward: Ward, transaction: Transaction, sql: str, *params: object, policy: Policy = POLICY
) -> tuple[Analysis, Decision]:
    """Steps 3 and 4 as flows/query.py has them."""
    analysis = await analyse(sql, params, transaction, ward.settings)
    if wanted := to_bring(analysis, policy):
        analysis = await bring_along(analysis, wanted, transaction, ward.settings)
    if hidden := to_hide(GRANT, analysis, policy):
        analysis = await without_dependents(analysis, hidden, transaction, ward.settings)
        if hidden := to_hide(GRANT, analysis, policy):
            analysis = await mask_at_source(analysis, hidden, transaction, ward.settings)
    return analysis, decide(GRANT, analysis, policy)


@pytest.fixture(scope="module")
async def charts(server: servers.Server) -> AsyncIterator[Ward]:
    await build(server, "ward_rows")
    async with opened(server, "ward_rows", user="postgres") as made:
        await made.admin.execute(TABLES)
        async with made.database.transaction("names") as transaction:
            await made.settings.names.learn(transaction)
        made.policy = POLICY
        yield made


async def answer(ward: Ward, sql: str, *params: object) -> list[dict[str, Any]]:
    async with ward.database.transaction("walls") as transaction:
        analysis, _ = await walked(ward, transaction, sql, *params)
        return await ward.released(transaction, analysis)


WITH_ROW = [
    "select remark from chart order by id",
    "select c.remark from chart c where c.city = 'Salem' order by c.id",
    "select c.remark as city, c.city as remark from public.chart as c order by c.id limit 9",
    "select city, remark, sheet, holder, number, account, born from chart order by id",
    "select holder, number, remark from chart order by id",
    "select c.remark, l.said from chart c left join call l on l.chart_id = c.id order by 2",
    "select remark::text, 1 + 1 from chart where id in (select chart_id from call)",
    "select (select c.remark) from chart c where exists (select from call l where l.said = c.city)"
    " or true",
    "select x.r from chart c, lateral (select c.remark) as x(r) -- of the row\n",
    "select remark, remark from only chart where id = $1",
    "select distinct on (id) id, city from chart order by id",
    "with few as (select chart_id from call) select remark from chart"
    " where id in (select chart_id from few)",
    "select a.remark, b.city from chart a join chart b on a.id = b.id + 1",
    "select c.sheet from chart c order by id",
]
WITHOUT = [
    "select remark from charts",
    "select r.remark from (select id, remark, holder from chart) r",
    "with c as (select holder, remark from chart) select remark from c",
    "select remark from chart union all select remark from chart",
    "select remark from chart where holder = 'Zanthe Quillfeather'",
    "select remark from chart order by number",
    "select remark, upper(holder) from chart",
    "select distinct remark from chart",
    "select id, remark from chart group by id, remark",
    "select max(remark) from chart",
    "select remark from chart as c(id, a, b, d, e, f)",
    "table chart",
    "select (select remark from chart c where c.id = l.chart_id) from call l",
    "select b.remark from (select 1) a, lateral (select remark from chart) b",
    "select c.remark from chart c where exists (select from chart c where c.id = 1)",
]


@pytest.mark.parametrize("sql", WITH_ROW)
async def test_the_values_of_the_row_are_masked(charts: Ward, sql: str) -> None:
    rows = await answer(charts, sql, *([1] if "$1" in sql else []))
    said = " ".join(str(value) for row in rows for value in row.values()).lower()
    assert rows
    assert not [told for told in TOLD if told in said], said
    if "remark" in sql.partition(" from ")[0] and "where" not in sql:
        # Another row's name is only a word here: this row does not say that it is one.
        assert "quillfeather is not in this row" in said
        assert "[row]" in said


@pytest.mark.parametrize("sql", WITHOUT)
async def test_where_they_cannot_come_along_the_text_does_not(charts: Ward, sql: str) -> None:
    try:
        rows = await answer(charts, sql)
    except ProtectedUse as refused:
        assert "remark" in refused.detail or sql == "table chart"
        return
    said = " ".join(str(value) for row in rows for value in row.values()).lower()
    assert "quillfeather" not in said
    assert "met" not in said


@pytest.mark.parametrize(
    "sql",
    [
        "select a.remark, b.holder from chart a, chart b",
        "select a.remark, b.holder from chart a join chart b on a.id <> b.id",
        "select c.remark, o.holder from chart c cross join (select holder from chart c) o",
        "select c.remark, (select c.holder from chart c where c.id = 1) from chart c",
        "select remark, said from chart, call",
    ],
)
async def test_nobody_chooses_what_a_text_is_read_with(charts: Ward, sql: str) -> None:
    """Beside whatever it stands, what is masked in a text is what is masked in it alone."""
    alone = {row["remark"] for row in await answer(charts, "select remark from chart")}
    for row in await answer(charts, sql):
        assert row["remark"] in alone | {None}


@pytest.mark.parametrize(
    "sql",
    [
        "select c.remark, (select c.holder where false), (select c.number where false),"
        " (select c.account where false) from chart c",
        "select c.remark, (values (c.holder) limit 0), (values (c.number) limit 0),"
        " (values (c.account) limit 0) from chart c",
        "select c.remark, x.* from chart c"
        " left join lateral (select c.holder, c.number, c.account) x on false",
        "select c.remark, x.* from chart c"
        " left join lateral (values (c.holder, c.number, c.account)) x on c.city = 'nowhere'",
        "select j.remark from (chart c cross join call) j left join lateral"
        " (select j.holder, j.number, j.account, j.secret) c on false",
        "select j.remark from (chart c cross join call) j left join lateral"
        " (values (j.holder, j.number, j.account, j.secret)) as c(holder, number, account, secret)"
        " on j.city = 'nowhere'",
    ],
)
async def test_the_values_of_the_row_cannot_be_made_nothing(charts: Ward, sql: str) -> None:
    """A column that the statement shows can be NULL in rows that have it: `where false`."""
    alone = {row["remark"] for row in await answer(charts, "select remark from chart")}
    try:
        rows = await answer(charts, sql)
    except ProtectedUse as refused:
        assert "secret" in refused.detail
        return
    assert rows
    assert {row["remark"] for row in rows} <= alone | {None}


async def test_a_column_of_a_using_alias_is_no_companion(charts: Ward) -> None:
    """Here nothing forbids the join: the companion is clear, and looked for all the same."""
    policy = Policy("ward", RULES | {"public.chart.holder": "clear"}, text="clear")
    sql = (
        "select j.sheet from (chart c cross join call) as j(id, h, n, a, b, s, r, y, sheet)"
        " left join lateral (select j.h as holder where false) s on true"
        " left join (select null::text as holder) t using (holder) as c"
    )
    async with charts.database.transaction("walls") as transaction:
        _, decision = await walked(charts, transaction, sql, policy=policy)
    assert [column.treatment.name for column in decision.columns] == ["null"]


async def test_the_names_of_what_comes_along_are_nobody_elses(charts: Ward) -> None:
    for sql in (
        "select remark, maskgate_2 from odd order by maskgate_1",
        'select remark, maskgate_2 from odd order by "maskgate_1"',
        "select remark, maskgate_2 from odd order by MaskGate_1",
        "select odd.maskgate_2, remark, odd.maskgate_1 as maskgate_1 from odd order by maskgate_1",
    ):
        rows = await answer(charts, sql)
        assert [(row["maskgate_2"], row["remark"]) for row in rows] == [
            (3, "[ROW] here"),
            (4, "[ROW] here"),
        ], sql


async def test_a_text_that_is_null_takes_no_right_to_its_companions(server: servers.Server) -> None:
    """Where nothing protected comes, the role is the one that may read nothing protected."""
    await build(server, "ward_narrow")
    async with opened(server, "ward_narrow") as made:
        await made.admin.execute(TABLES)
        await made.admin.execute(
            f"grant select on chart to {READER}; grant select (id, city) on chart to {CLEAR}"
        )
        made.policy = POLICY
        for sql in (
            "select remark, city from chart where number = 'x' or id = 1",
            "select city, remark from chart c where holder is null and id = 1 or id = 1",
            "select remark, city, upper(remark) from chart where id = 1",
        ):
            (row,) = await answer(made, sql)
            assert (row["remark"], row["city"]) == (None, "Salem"), sql
        # What another text is still read with stays.
        (row,) = await answer(made, "select remark, sheet from chart where id = 1 order by remark")
        assert row == {"remark": None, "sheet": {"said": "[ROW], of course"}}


@pytest.mark.parametrize("also", ["", ", account"])
async def test_no_value_that_comes_along_fails(charts: Ward, also: str) -> None:
    rows = await answer(charts, f"select remark, due{also} from owing order by id")
    assert [row["remark"] for row in rows] == ["pays [ROW]", "pays", "pays [ROW]"]
    first, nobody, other = [row["due"] for row in rows]
    assert first != "2000-01-01" and nobody is None and other != first


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ("alter table chart rename to charted; alter table charted rename to chart", True),
        ("alter table chart rename holder to former", False),
        (
            "alter table chart rename holder to other; alter table chart rename city to holder;"
            "alter table chart rename other to city",
            False,
        ),
    ],
)
async def test_a_column_that_took_anothers_name_is_not_that_column(
    server: servers.Server, change: str, known: bool
) -> None:
    await build(server, "ward_renamed")
    async with opened(server, "ward_renamed", user="postgres") as made:
        await made.admin.execute(TABLES)
        made.policy = POLICY
        (first,) = await answer(made, "select sheet from chart where id = 1")
        await made.admin.execute(change)
        (row,) = await answer(made, "select sheet from chart where id = 1")
    assert first == {"sheet": {"said": "[ROW], of course"}}
    assert row == (first if known else {"sheet": None})


async def test_dates_move_with_their_subject_or_not_at_all(charts: Ward) -> None:
    alone = await answer(charts, "select born from chart order by id")
    first, second, nobody = [row["born"] for row in alone]
    assert nobody is None  # the third has no number
    assert first and first != "1950-05-30"
    assert second and second != "1960-01-01"
    beside = "select c.city, c.born, c.number from chart c join call d on true order by c.id"
    assert [row["born"] for row in await answer(charts, beside)][::2] == [first, second, None]
    for sql in (
        "select born::text as born from chart",
        "select born from (select born, number from chart) b",
        "select born from chart where number is not null",
        "select born from chart union all select born from chart",
        "select born + 1 as born from chart",
    ):
        assert {row["born"] for row in await answer(charts, sql)} <= {None}, sql


@pytest.mark.parametrize("treatment", [{"treatment": "shift", "subject": "holder"}, "year"])
async def test_the_text_of_dates_of_any_make_is_null(charts: Ward, treatment: object) -> None:
    rules = {"public.dated.days": treatment, "public.dated.day": treatment}
    policy = Policy("ward", RULES | rules, text="clear")
    sql = "select days::text, day::text from dated"
    async with charts.database.transaction("walls") as transaction:
        _, decision = await walked(charts, transaction, sql, policy=policy)
    assert [column.treatment.name for column in decision.columns] == ["null", "null"]


async def test_a_number_with_decimals_is_not_looked_for(charts: Ward) -> None:
    rule = {"treatment": "scan", "row": ["amount"]}
    policy = Policy("ward", RULES | {"public.dated.*": "clear", "public.dated.remark": rule})
    async with charts.database.transaction("walls") as transaction:
        with pytest.raises(ProtectedUse, match="amount of its row, which is of type numeric with"):
            await walked(charts, transaction, "select remark from dated", policy=policy)


async def test_what_the_record_says(charts: Ward) -> None:
    async with charts.database.transaction("walls") as transaction:
        analysis, decision = await walked(
            charts, transaction, "select c.remark, c.number from chart c"
        )
    assert [output.name for output in analysis.outputs] == ["remark", "number"]
    assert [output.columns[0].name for output in analysis.beside] == ["holder", "account", "secret"]
    assert analysis.rows == {0: (2, 1, 3, 4)}
    assert [column.treatment.name for column in decision.columns] == ["scan", "token"]
    assert decision.columns[0].reason.endswith("with holder, number, account, secret of its row")
    assert analysis.text == "select c.remark, c.number from chart c"
    assert '"c"."holder" AS maskgate_1' in analysis.server_text


async def test_expressions_refused_say_why(charts: Ward) -> None:
    strict = Policy("ward", RULES, text="clear", expressions="refuse")
    async with charts.database.transaction("walls") as transaction:
        with pytest.raises(ProtectedUse, match="comes with holder of the same row"):
            await walked(charts, transaction, "select remark from charts", policy=strict)
        await walked(charts, transaction, "select remark from chart", policy=strict)


async def test_a_column_that_nothing_is_looked_for_by(charts: Ward) -> None:
    wrong = Policy("ward", RULES | {"public.chart.remark": {"treatment": "scan", "row": ["born"]}})
    async with charts.database.transaction("walls") as transaction:
        with pytest.raises(ProtectedUse, match="of type date"):
            await walked(charts, transaction, "select remark from chart", policy=wrong)
    missing = Policy("ward", RULES | {"public.chart.remark": {"treatment": "scan", "row": ["x"]}})
    async with charts.database.transaction("walls") as transaction:
        _, decision = await walked(charts, transaction, "select remark from chart", policy=missing)
    (column,) = decision.columns
    assert (column.treatment.name, column.masked_at_source) == ("null", ("public.chart.remark",))


@pytest.mark.parametrize("row", [[], ["a", "a"], [1], "holder", [""], [str(n) for n in range(17)]])
def test_a_row_that_is_none(row: object) -> None:
    with pytest.raises(ConfigurationError, match="row"):
        Policy("ward", {"a.b.c": {"treatment": "scan", "row": row}})
