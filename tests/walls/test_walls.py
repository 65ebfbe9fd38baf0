"""Each wall behind the analysis stops something by itself, with the others taken away.

A test says first what would come through without its wall, where that can be shown.
"""

from __future__ import annotations

import dataclasses
import logging

import asyncpg
import pytest
from ward import PLANTED, Ward, copied, opened

import servers
from gateway.errors import (
    NotUnderstood,
    OutOfScope,
    ProtectedUse,
    StatementRefused,
    UpstreamFailed,
)
from gateway.sql import analyse, guards
from gateway.upstream import versions

pytestmark = pytest.mark.pg15

# ------------------------------------------------------------------ (a) role and column rights


async def test_a_column_the_role_has_no_right_to_is_denied_by_the_server(ward: Ward) -> None:
    async with ward.database.transaction("walls") as transaction:
        with pytest.raises(OutOfScope) as denied:
            await ward.bypass(transaction, "select note from public.closed")
    assert denied.value.detail == (
        "the database role of this connection may not read a column that the statement names"
    )
    assert "closed" not in denied.value.detail + (denied.value.hint or "")


async def test_the_login_itself_may_read_nothing(ward: Ward, ward_server: servers.Server) -> None:
    login = await asyncpg.connect(ward.dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.fetch("select id from patient")
    finally:
        await login.close()


@pytest.mark.parametrize("column", ["ssn", "full_name", "dob", "badge"])
async def test_a_statement_without_raw_columns_has_no_right_to_any(ward: Ward, column: str) -> None:
    text = f"select {column} from patient"
    async with ward.database.transaction("walls") as transaction:
        assert PLANTED.encode() in await ward.bypass(transaction, "select ssn from patient")
    async with ward.database.transaction("walls") as transaction:
        with pytest.raises(OutOfScope):
            await ward.bypass(transaction, text, raw=False)


@pytest.mark.parametrize(
    "text",
    [
        "select id from patient where ssn like 'Z%'",
        "select count(*) from patient group by ssn",
        "select id from patient order by full_name",
        "select id from labels where label is not null",
        "select (p).ssn from patient p",
        "select to_jsonb(p) from patient p",
    ],
)
async def test_the_clear_role_denies_every_mention(ward: Ward, text: str) -> None:
    async with ward.database.transaction("walls") as transaction:
        assert await ward.bypass(transaction, text)
    async with ward.database.transaction("walls") as transaction:
        with pytest.raises(OutOfScope):
            await ward.bypass(transaction, text, raw=False)


async def test_the_decision_chooses_the_role(ward: Ward) -> None:
    assert not ward.decide(await ward.analysis("select id, city from patient")).raw
    assert ward.decide(await ward.analysis("select id, ssn from patient")).raw
    assert (await ward.answer("select city from patient where id = 1")) == [{"city": "Salem"}]
    (row,) = await ward.answer("select ssn from patient where id = 1")
    assert PLANTED not in row["ssn"]
    # `copied` is clear by its rule for the id, and only the other role may read it.
    with pytest.raises(OutOfScope, match="role of this connection may not read"):
        await ward.answer("select id from copied")


async def test_a_clear_role_that_cannot_be_taken_stops_the_statement(
    ward_server: servers.Server,
) -> None:
    async with opened(ward_server, "ward") as ward:
        ward.database._settings = dataclasses.replace(
            ward.database._settings, clear_role="pg_read_all_data"
        )
        with pytest.raises(UpstreamFailed, match="may not take the role pg_read_all_data"):
            await ward.answer("select city from patient")


# ------------------------------------------------------------------ (b) functions and operators


@pytest.mark.parametrize(
    "call",
    [
        "pg_read_file('PG_VERSION')",
        "pg_ls_dir('.')::text",
        "(select word from ts_stat('select to_tsvector(ssn) from patient') limit 1)",
        "set_config('application_name', 'x', false)",
        "current_setting('data_directory')",
        "pg_get_viewdef('roster'::regclass)",
        "peek(1)",
        "(select 'a' operator(public.===) 'a')::text",
    ],
)
async def test_functions_are_refused_by_what_they_are(unwalled: Ward, call: str) -> None:
    assert await unwalled.admin.fetchval(f"select {call}") is not None
    with pytest.raises(StatementRefused, match=r"the (function|setting)"):
        await unwalled.analysis(f"select {call}")


async def test_a_function_of_a_known_name_is_known_by_its_oid(unwalled: Ward) -> None:
    """A user's function may have the name of one that is allowed."""
    await unwalled.admin.execute(
        "create function early.lower(text) returns text language sql immutable as"
        " 'select ssn from public.patient limit 1'"
    )
    try:
        assert await unwalled.analysis("select lower('A')")
        with pytest.raises(StatementRefused, match=r"early\.lower\(text\)"):
            await unwalled.analysis("select early.lower('A')")
    finally:
        await unwalled.admin.execute("drop function early.lower(text)")


async def test_an_operator_that_only_sorts_is_one_too(unwalled: Ward) -> None:
    """A sort names an operator and no function."""
    await unwalled.admin.execute(
        "create function early.before(text, text) returns bool language plpgsql immutable as"
        " 'begin raise notice ''%'', $1; return $1 < $2; end';"
        "create operator early.<<< (function = early.before, leftarg = text, rightarg = text);"
        "create operator class early.order_by_ear for type text using btree as"
        " operator 1 early.<<<, operator 3 pg_catalog.=(text, text),"
        " function 1 bttextcmp(text, text)"
    )
    sql = "select city from patient order by city using operator(early.<<<)"
    try:
        assert await unwalled.admin.fetch(sql)
        with pytest.raises(StatementRefused, match=r"early\.before\(text,text\)"):
            await unwalled.analysis(sql)
    finally:
        await unwalled.admin.execute("drop function early.before(text, text) cascade")


OUTSIDE = [
    "select (i.indexrelid).pg_get_indexdef from pg_index i",
    "select pg_get_indexdef(1) from pg_index i where (i.indexrelid).pg_get_indexdef like '%1%'",
    "select l.x from pg_index i, lateral (select (i.indexrelid).pg_get_indexdef as x) l",
    "select ('data_directory'::text).current_setting, current_setting($1)",
    "select operator(early.@@) i.indexrelid from pg_index i",
    "select cast(i.indexrelid as text) from pg_index i",
    "select min(x) from pg_index i, rows from (unnest(array[(i.indexrelid).pg_get_indexdef])) x",
]


@pytest.mark.parametrize("sql", OUTSIDE)
async def test_a_guarded_function_is_called_in_its_guard_or_not_at_all(
    unwalled: Ward, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the places in the tree: the text is not looked at."""
    monkeypatch.setattr(guards, "_check_notation", lambda _: None)
    await unwalled.admin.execute(
        "create operator early.@@ (function = pg_get_indexdef, rightarg = oid);"
        "create cast (oid as text) with function pg_get_indexdef(oid)"
    )
    params = ("datestyle",) if "$1" in sql else ()
    try:
        with pytest.raises(StatementRefused, match="is called by another notation"):
            await unwalled.analysis(sql, *params)
    finally:
        await unwalled.admin.execute("drop operator early.@@ (none, oid); drop cast (oid as text)")


# ------------------------------------------------------------------ (c) catalogs


@pytest.mark.parametrize(
    "sql",
    [
        "select most_common_vals::text from pg_stats where tablename = 'patient'",
        "select histogram_bounds::text from pg_stats",
        "select stavalues1::text from pg_statistic",
        "select prosrc from pg_proc where proname = 'peek'",
        "select ev_action::text from pg_rewrite",
        "select ev_qual::text from pg_rewrite",
        "select query from pg_stat_activity",
        "select rolname from pg_authid",
        "select reltuples from pg_class",
    ],
)
async def test_catalogs_that_hold_values_are_refused(unwalled: Ward, sql: str) -> None:
    assert await unwalled.admin.fetch(sql)
    with pytest.raises(StatementRefused, match="system catalog"):
        await unwalled.analysis(sql)


# ------------------------------------------------------------------ (d) closure over structure


@pytest.mark.parametrize(
    ("sql", "source"),
    [
        ("select badge from patient", "public.patient.full_name"),
        ("select label from copied", "public.patient.full_name"),
    ],
)
async def test_what_is_made_from_a_protected_column_is_protected(
    unwalled: Ward, sql: str, source: str
) -> None:
    analysis = await unwalled.analysis(sql)
    assert {str(c) for some in analysis.related.values() for c in some} == {source}
    (column,) = unwalled.decide(analysis).columns
    assert column.treatment.name == "redact"
    unclosed = unwalled.decide(dataclasses.replace(analysis, related={}))
    assert unclosed.columns[0].treatment.name == "clear"


async def test_a_view_is_the_table_below(unwalled: Ward) -> None:
    rows = await unwalled.answer("select label from labels limit 1")
    assert rows == [{"label": "[REDACTED]"}]
    with pytest.raises(ProtectedUse, match=r"public\.patient\.full_name"):
        await unwalled.answer("select id from labels where label = 'x'")


async def test_a_parent_and_its_children_are_one(drifting: Ward) -> None:
    """A rule for the child protects the rows that come through its parent."""
    clear = await drifting.answer("select note from event order by id")
    assert clear == [{"note": "plain"}]
    await drifting.admin.execute(
        "alter table event attach partition archive.event_2023"
        " for values from ('2023-01-01') to ('2024-01-01');"
        "alter table archive.member inherit person"
    )
    for sql in ("select note from event order by id", "select remark from person order by id"):
        analysis = await drifting.analysis(sql)
        assert drifting.decide(analysis).columns[0].treatment.name == "redact"
        unclosed = drifting.decide(dataclasses.replace(analysis, related={}))
        assert unclosed.columns[0].treatment.name == "clear"
        assert PLANTED not in str(await drifting.answer(sql))


# ------------------------------------------------------------------ (e) row security


async def test_row_security_is_not_guessed(unwalled: Ward) -> None:
    async with unwalled.database.transaction("walls") as transaction:
        assert PLANTED.encode() in await unwalled.bypass(transaction, "select note from closed")
    with pytest.raises(StatementRefused, match=r"public\.closed has row security"):
        await unwalled.analysis("select id from closed")


# ------------------------------------------------------------------ (f) what errors tell


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("select ssn::int from patient", "22"),
        ("select fail_on(ssn) from patient", "P0"),
        ("select 1 / (id - 7) from patient", "22"),
        ("select ssn::ward_code from patient", "23"),
        ("select (select ssn from patient)", "21"),
    ],
)
async def test_an_error_of_rows_tells_its_class(
    unwalled: Ward, text: str, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with unwalled.database.transaction("walls") as transaction:
        with pytest.raises(UpstreamFailed) as failed:
            await unwalled.bypass(transaction, text)
    said = failed.value.detail + (failed.value.hint or "")
    assert failed.value.sqlstate_class == state
    assert said.endswith(f"(class {state})")
    for word in (PLANTED, "ssn", "fail_on", "zero", "invalid", "ward_code", "more than one row"):
        assert word not in said
        assert word not in caplog.text
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


async def test_notices_go_nowhere(
    unwalled: Ward, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with unwalled.database.transaction("walls") as transaction:
        rows = await unwalled.bypass(transaction, "select shout(ssn) from patient")
    assert b"said" in rows
    assert PLANTED.encode() not in rows
    assert PLANTED not in caplog.text + "".join(capfd.readouterr())


# ------------------------------------------------------------------ (g) one read-only transaction


async def test_nothing_is_written_even_unanalysed(unwalled: Ward) -> None:
    async with unwalled.database.transaction("walls") as transaction:
        with pytest.raises(UpstreamFailed) as failed:
            await unwalled.bypass(transaction, "select write_down('x')")
    assert failed.value.sqlstate_class == "25"
    for text in ("delete from stay", "create table stolen ()", "select nextval('s')"):
        async with unwalled.database.transaction("walls") as transaction:
            with pytest.raises(UpstreamFailed):
                await transaction.fetch(text)
    assert await unwalled.admin.fetchval("select count(*) from stay") == 40


async def test_a_view_cannot_be_replaced_between_parse_and_copy(ward: Ward) -> None:
    replaced = "create or replace view roster as select id, ssn as city from patient"
    async with ward.database.transaction("walls") as transaction:
        analysis = await analyse("select city from roster", [], transaction, ward.settings)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await ward.admin.execute(f"set lock_timeout = '100ms'; {replaced}")
        rows = await ward.released(transaction, analysis)
    await ward.admin.execute("reset lock_timeout")
    assert {row["city"] for row in rows} == {"Salem"}


# ------------------------------------------------------------------ (h) tree and plan of the COPY


async def test_no_byte_of_a_text_that_was_not_approved(unwalled: Ward) -> None:
    pieces = []
    async with unwalled.database.transaction("walls") as transaction:
        approved = await analyse("select city from patient", [], transaction)
        with pytest.raises(NotUnderstood, match="meant something else"):
            async for piece in transaction.stream(
                "select ssn from patient", approved.server_tree, approved.relations
            ):
                pieces.append(piece)
    assert pieces == []


async def test_a_name_that_comes_to_mean_another_table(ward_server: servers.Server) -> None:
    """The lock on a table does not keep a namesake out of a schema that is searched before."""
    async with opened(
        ward_server, "ward", user="postgres", schemas=("early", "public")
    ) as shadowed:
        pieces = []
        async with shadowed.database.transaction("walls") as transaction:
            approved = await analyse("select city from patient", [], transaction)
            await shadowed.admin.execute("create table early.patient as select 'Zanthe' as city")
            try:
                with pytest.raises(NotUnderstood, match="meant something else"):
                    async for piece in copied(transaction, approved):
                        pieces.append(piece)
            finally:
                await transaction._session.execute("rollback")
                await shadowed.admin.execute("drop table early.patient")
        assert pieces == []


@pytest.mark.parametrize(
    ("sql", "change"),
    [
        (
            "select note from event",
            "alter table event attach partition archive.event_2023"
            " for values from ('2023-01-01') to ('2024-01-01')",
        ),
        ("select remark from person", "alter table archive.member inherit person"),
        ("select count(*) from person", "alter table archive.member inherit person"),
        (
            "select remark from person",
            "create table archive.fresh () inherits (person);"
            "insert into archive.fresh values (1, 'plain')",
        ),
    ],
)
async def test_a_child_that_comes_after_the_analysis_is_not_read(
    drifting: Ward, sql: str, change: str
) -> None:
    async with drifting.database.transaction("walls") as transaction:
        analysis = await analyse(sql, [], transaction, drifting.settings)
        await drifting.admin.execute(change)  # Parse's lock does not forbid it
        with pytest.raises(NotUnderstood, match="came after the analysis"):
            await drifting.released(transaction, analysis)
    assert PLANTED not in str(await drifting.answer(sql))


# ------------------------------------------------------------------ (i) parameters


@pytest.mark.parametrize(
    "value",
    [
        "||ssn||",
        "' union all select ssn from patient --",
        "\\' union all select ssn from patient --",
        "$$; select ssn from patient; $$",
        "x'::text) union all select ssn from patient where (''='",
    ],
)
async def test_a_parameter_is_a_literal_of_the_text_that_is_analysed(
    unwalled: Ward, value: str
) -> None:
    sql = "select '$1' as quoted, $1::text as given, city from patient where id = 1"
    analysis = await unwalled.analysis(sql, value)
    assert "ssn" not in {column.name for o in analysis.outputs for column in o.columns}
    literal = await unwalled.admin.fetchval("select quote_literal($1::text)", value)
    assert f"({literal}::" in analysis.server_text
    assert await unwalled.answer(sql, value) == [{"quoted": "$1", "given": value, "city": "Salem"}]


async def test_what_a_parameter_says_is_analysed(unwalled: Ward) -> None:
    """The text that runs is the text that was analysed: a literal can choose a column."""
    with pytest.raises(ProtectedUse):
        await unwalled.answer("select id from patient where ssn = $1", "Zanthe-1")


# ------------------------------------------------------------------ (j) the server's version

RELEASES = {
    "18.4": (18, 4), "18.10": (18, 10), "17.10": (17, 10), "16.14": (16, 14),
    "15.18 (Debian 15.18-0+deb12u1)": (15, 18), "17.10-vendor.3": (17, 10), "16.14.1": (16, 14),
}  # fmt: skip


@pytest.mark.parametrize("stated", RELEASES)
def test_a_release_at_the_floor_is_let_in(stated: str) -> None:
    assert versions.check(stated) == RELEASES[stated]


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("17.5", "CVE-2025-8713"),
        ("17.9 (Ubuntu 17.9-1)", "17.10 or later is needed"),
        ("16.9", "16.14 or later"),
        ("15.2", "15.18 or later"),
        ("18.0", "18.4 or later"),
        ("14.23", "is not known here"),
        ("19.1", "is not known here"),
        ("9.6.24", "a release such as"),
        ("18beta1", "a release such as"),
        ("18rc1", "a release such as"),
        ("18devel", "a release such as"),
        ("17", "a release such as"),
        ("17.10beta", "a release such as"),
        ("PostgreSQL 17.10", "a release such as"),
        ("17.１０", "a release such as"),
        ("", "a release such as"),
        ("1" * 500, "a release such as"),
    ],
)
def test_other_versions_are_refused(stated: str, says: str) -> None:
    with pytest.raises(UpstreamFailed, match=says):
        versions.check(stated)


async def test_no_statement_reaches_a_server_below_the_floor(
    ward_server: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "FLOOR", dict.fromkeys(versions.FLOOR, 99))
    async with opened(ward_server, "ward") as ward:
        with pytest.raises(UpstreamFailed, match=r"\.99 or later is needed"):
            await ward.answer("select 1")
