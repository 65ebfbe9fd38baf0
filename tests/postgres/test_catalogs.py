"""What psql, SQLAlchemy and pgJDBC ask the catalog is answered or refused as the corpus says.

Nothing that somebody may have typed as a value into a definition is ever in an answer, nor in a
sentence.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from gateway.errors import Refusal
from gateway.model import Analysis
from gateway.sql import analyse, catalogs, guards, standins
from gateway.upstream import Database, UpstreamSettings

STATEMENTS = corpus.load("catalog.toml", "statement")
ATTACKS = corpus.load("catalog.toml", "attack")
PROTECTED = {"desk.patient.full_name", "desk.patient.ssn", "desk.visit.ssn"}
PLANTED = re.compile(rb"PLANTED[-A-Z0-9]*|77100\d")


@dataclass(frozen=True)
class Desk:
    """The front desk on one server."""

    database: Database
    direct: asyncpg.Connection  # the reader's own, beside the gateway
    oids: dict[str, str]
    major: int

    def filled(self, text: str) -> str:
        return re.sub(r"\{(desk\.\w+)\}", lambda found: self.oids[found[1]], text)

    async def ask(self, entry: dict[str, Any]) -> tuple[Analysis, list[list[bytes | None]]]:
        params = [self.filled(value) for value in entry["params"]]
        async with self.database.transaction("catalog") as transaction:
            analysis = await analyse(self.filled(entry["sql"]), params, transaction)
            if _used(analysis) & PROTECTED:
                return analysis, []
            pieces = transaction.stream(
                analysis.server_text,
                analysis.server_tree,
                analysis.relations,
            )
            return analysis, corpus.rows(b"".join([piece async for piece in pieces]))


def _used(analysis: Analysis) -> set[str]:
    uses = (*analysis.control, *analysis.mentions)
    shown = (column for output in analysis.outputs for column in output.columns)
    return {str(column) for column in (*(use.column for use in uses), *shown)}


@pytest.fixture(scope="module")
async def desk(server: servers.Server) -> AsyncIterator[Desk]:
    admin = await asyncpg.connect(server.dsn())
    await admin.execute("CREATE DATABASE front")
    await admin.close()
    admin = await asyncpg.connect(server.dsn(database="front"))
    await admin.execute((corpus.HERE / "catalog.sql").read_text())
    rows = await admin.fetch(
        "SELECT 'desk.' || relname AS name, oid FROM pg_class"
        " WHERE relnamespace = 'desk'::regnamespace"
    )
    dsn = server.dsn(user="desk_login", database="front")
    database = Database(UpstreamSettings(dsn, role="desk_reader"))
    await database.open()
    direct = await asyncpg.connect(dsn)
    await direct.execute("SET ROLE desk_reader")
    oids = {row["name"]: str(row["oid"]) for row in rows}
    yield Desk(database, direct, oids, server.major)
    await direct.close()
    await database.close()
    await admin.close()
    admin = await asyncpg.connect(server.dsn())
    await admin.execute("DROP DATABASE front WITH (FORCE)")
    await admin.execute("DROP ROLE desk_login, desk_reader")
    await admin.close()


def _cells(rows: list[list[bytes | None]]) -> list[bytes]:
    return [cell for row in rows for cell in row if cell is not None]


@pytest.mark.parametrize(
    "statement",
    [entry for entry in STATEMENTS if "majors" not in entry],
    ids=lambda entry: entry["name"].replace(" ", "_"),
)
async def test_clients(desk: Desk, statement: dict[str, Any]) -> None:
    await _check(desk, statement)


async def test_clients_of_one_version(desk: Desk) -> None:
    sent = [entry for entry in STATEMENTS if desk.major in entry.get("majors", [])]
    assert len(sent) >= 5
    for statement in sent:
        await _check(desk, statement)


async def _check(desk: Desk, statement: dict[str, Any]) -> None:
    if "refused" in statement:
        with pytest.raises(Refusal) as refusal:
            await desk.ask(statement)
        assert statement["refused"] in refusal.value.detail
        assert statement.get("hint", "") in (refusal.value.hint or "")
        return
    _, rows = await desk.ask(statement)
    cells = _cells(rows)
    assert len(rows) >= statement["rows"]
    assert not [cell for cell in cells if PLANTED.search(cell)]
    for shown in statement.get("shows", []):
        assert shown.encode() in cells


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["name"].split()[0])
async def test_attacks(desk: Desk, attack: dict[str, Any]) -> None:
    expected = attack["outcome"]
    left: list[bytes] = []
    try:
        analysis, rows = await desk.ask(attack)
    except Refusal as refusal:
        outcome = refusal.code
        assert attack.get("says", "") in refusal.detail
        left = [refusal.detail.encode(), (refusal.hint or "").encode()]
    else:
        if _used(analysis) & PROTECTED:
            outcome = "protected"
        else:
            left = _cells(rows)
            outcome = "shown" if left or expected != "null" else "null"
    assert outcome in ([expected] if isinstance(expected, str) else expected)
    assert not [cell for cell in left if PLANTED.search(cell) and b"LIKE" not in cell]


@pytest.mark.parametrize("view", sorted(catalogs.VIEWS))
async def test_listed_views(desk: Desk, view: str) -> None:
    """Each gives as many rows as to the reader itself; what is refused of one is a column."""
    kept = {
        "information_schema.routines": "specific_name, routine_name, data_type",
        "pg_catalog.pg_roles": "oid, rolname",
    }.get(view, "*")
    entry = {"sql": f"select {kept} from {view} order by 1", "params": []}
    _, rows = await desk.ask(entry)
    assert len(rows) == len(await desk.direct.fetch(entry["sql"]))
    assert not [cell for cell in _cells(rows) if PLANTED.search(cell)]


#: What a view's stand-in does not have of it, with what is there instead.
KEPT = {
    "definition": b"NULL /* not shown */",
    "view_definition": b"NULL /* not shown */",
    "last_value": None,
}


@pytest.mark.parametrize("view", sorted(standins.NAMES))
async def test_stand_ins_are_the_views_but_for_definitions(desk: Desk, view: str) -> None:
    """The same columns, names, types and rows as the server's own view gives the reader."""
    analysis, rows = await desk.ask({"sql": f"select * from {view}", "params": []})
    described = await desk.direct.prepare(f"select * from {view}")
    stood = await desk.direct.prepare(analysis.filled_text)
    assert [(a.name, a.type.oid) for a in stood.get_attributes()] == [
        (a.name, a.type.oid) for a in described.get_attributes()
    ]
    names = [attribute.name for attribute in described.get_attributes()]
    limited = {*KEPT, "column_default", "domain_default", "generation_expression", "indexdef"}
    plain = [name for name in names if name not in limited]
    shown = f"select {', '.join(f'q.{name}::text' for name in plain)} from ({{}}) q"
    direct = await desk.direct.fetch(shown.format(f"select * from {view}"))
    ours = await desk.direct.fetch(shown.format(analysis.filled_text))
    assert sorted(map(repr, ours)) == sorted(map(repr, direct))
    assert len(rows) == len(direct)
    for row in rows:
        for name, cell in zip(names, row, strict=True):
            assert cell == KEPT.get(name, cell)
    assert not [cell for cell in _cells(rows) if PLANTED.search(cell)]


async def test_what_a_view_s_stand_in_is_asked(desk: Desk) -> None:
    for sql, least in (
        ("select tablename, indexname, indexdef from pg_indexes where schemaname = 'desk'", 1),
        ("select i.indexname from pg_catalog.pg_indexes i join pg_views v using (schemaname)", 0),
        ("with pg_views as (select 'x' as viewname) select viewname from pg_views", 1),
        ("select information_schema.views.table_name from information_schema.views", 1),
        ("table information_schema.views", 1),
        ("select c.*, c.column_default is null from information_schema.columns as c", 1),
        ("select sequence_name, maximum_value from information_schema.sequences", 0),
        ("select to_regclass('pg_class') = 1259, to_regnamespace('nowhere') is null", 1),
    ):
        _, rows = await desk.ask({"sql": sql, "params": []})
        assert len(rows) >= least, sql
        assert not [cell for cell in _cells(rows) if PLANTED.search(cell)]


async def test_listed_columns(desk: Desk) -> None:
    """Every listed column of every listed catalog that this server has may be named."""
    for name, columns in catalogs.COLUMNS.items():
        has = await desk.direct.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
            " AND atttypid <> 'pg_node_tree'::regtype",
            name,
        )
        named = sorted(columns & {row["attname"] for row in has})
        tests = ", ".join(f"count({column})" for column in named)
        _, rows = await desk.ask({"sql": f"select {tests} from {name}", "params": []})
        assert len(rows[0]) == len(named) > 0


async def test_the_guard_alone_hides(desk: Desk) -> None:
    """Without it each of its functions shows what was planted, so it is what stops them."""
    unguarded = {
        "pg_get_constraintdef(oid)": "pg_constraint",
        "pg_get_expr(adbin, adrelid)": "pg_attrdef",
        "pg_get_function_arguments(oid)": "pg_proc where pronamespace = 'desk'::regnamespace",
        "pg_get_indexdef(indexrelid)": "pg_index",
        "pg_get_triggerdef(oid)": "pg_trigger",
    }
    for call, source in unguarded.items():
        rows = await desk.direct.fetch(f"SELECT {call} AS text FROM {source}")
        raw = [row["text"].encode() for row in rows if row["text"]]
        assert any(PLANTED.search(text) for text in raw)
        _, shown = await desk.ask({"sql": f"select {call} from {source}", "params": []})
        assert len(shown) == len(rows)
        assert not any(PLANTED.search(cell) for cell in _cells(shown))


async def test_the_answer_says_so(desk: Desk) -> None:
    analysis, _ = await desk.ask(
        {"sql": "select pg_get_expr(adbin, adrelid) from pg_attrdef", "params": []}
    )
    assert guards.NOTE in analysis.notes
    assert [output.name for output in analysis.outputs] == ["pg_get_expr"]


async def test_settings(desk: Desk) -> None:
    for name in guards.SETTINGS:
        entry = {"sql": "select current_setting($1), current_setting($1, true)", "params": [name]}
        _, rows = await desk.ask(entry)
        assert rows[0] == [rows[0][0], rows[0][0]]
        assert rows[0][0]


SPEAKING = [
    "select n, case when n % 700 = 0 then obj_description(n::oid, 'pg_class') end"
    " from generate_series(1, 5000) n",
    "select n, to_tsquery('english', case n % 700 when 0 then 'the' else 'cat' end)::text"
    " from generate_series(1, 5000) n",
]


@pytest.mark.parametrize("sql", SPEAKING)
async def test_no_row_is_lost_when_the_server_speaks(desk: Desk, sql: str) -> None:
    _, rows = await desk.ask({"sql": sql, "params": []})
    assert len(rows) == 5000


def test_the_corpus_is_large_enough() -> None:
    names = [entry["name"] for entry in (*STATEMENTS, *ATTACKS)]
    assert len(names) == len(set(names))
    assert len(ATTACKS) >= 100
    for client in ("psql", "SQLAlchemy", "pgJDBC"):
        assert sum(name.startswith(f"{client} ") for name in names) >= 15
