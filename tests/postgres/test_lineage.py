"""Lineage on real servers: the statements of lineage.toml, and what must hold for each of them.

The expectations are data; beside them stand experiments that need none. Types are compared with
the server's own, and flow is compared with what happens when a column's values change: whatever
changes in the result must have been said.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway import _kernel
from gateway.errors import NotUnderstood, StatementRefused
from servers import Server

pytestmark = pytest.mark.pg15

HERE = Path(__file__).parent
STATEMENTS = tomllib.loads((HERE / "lineage.toml").read_text())["statement"]
ADMITTED = [s for s in STATEMENTS if "refused" not in s]
REFUSALS = {"statement_refused": StatementRefused, "not_understood": NotUnderstood}


class Clinic:
    """A connection to the statements' schema on one server."""

    def __init__(self, conn: asyncpg.Connection[Any], major: int) -> None:
        self.conn = conn
        self.major = major
        self.names: dict[tuple[int, int], str] = {}

    async def trees(self, sql: str, role: str | None = None) -> list[str]:
        """The trees that the server prints when it parses `sql`, which is not run."""
        seen: list[str] = []

        def listen(_: object, message: Any) -> None:
            if message.server_source_function == "elog_node_display":
                seen.append(message.detail)

        self.conn.add_log_listener(listen)
        transaction = self.conn.transaction(isolation="read_committed", readonly=True)
        await transaction.start()
        try:
            await self.conn.execute(
                (f"SET LOCAL ROLE {role};" if role else "")
                + "SET LOCAL client_min_messages = log; SET LOCAL debug_pretty_print = off;"
                "SET LOCAL debug_print_rewritten = on"
            )
            seen.clear()
            if sql.upper().startswith("COPY"):
                await self.conn.copy_from_query(sql[5:].rstrip()[1:-11], output=_nowhere)
            else:
                await self.conn.prepare(sql)
        finally:
            await transaction.rollback()
            self.conn.remove_log_listener(listen)
        return seen

    async def lineage(self, sql: str, role: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            _kernel.lineage((await self.trees(sql, role))[0], self.major)
        )
        return answer

    def name(self, column: list[int]) -> str:
        return self.names[column[0], column[1]]

    def said(self, found: dict[str, Any]) -> dict[str, list[str]]:
        """An answer in the words of lineage.toml."""

        def use(entry: dict[str, Any]) -> str:
            view = entry["through_view"]
            through = f" through {self.names[view, 0][:-2]}" if view else ""
            return f"{entry['use']} {self.name(entry['column'])}{through}"

        return {
            "out": [
                " ".join([o["shape"], *(self.name(c) for c in o["columns"])])
                for o in found["outputs"]
            ],
            "control": sorted({use(entry) for entry in found["control"]}),
            "mentions": sorted(self.name(m["column"]) for m in found["mentions"]),
        }

    def cases(self) -> list[dict[str, Any]]:
        return [s for s in ADMITTED if s.get("from", 15) <= self.major]


async def _nowhere(_: bytes) -> None:
    """Where copied bytes go."""


@pytest.fixture(scope="module")
async def clinic(server: Server) -> AsyncIterator[Clinic]:
    admin = await asyncpg.connect(server.dsn())
    await admin.execute("CREATE DATABASE lineage")
    await admin.execute("CREATE ROLE lineage_reader")
    conn = await asyncpg.connect(server.dsn(database="lineage"))
    await conn.execute((HERE / "lineage.sql").read_text())
    await conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO lineage_reader")
    found = Clinic(conn, server.major)
    attributes = await conn.fetch(
        "SELECT attrelid::int8, attnum, attrelid::regclass || '.' || attname FROM pg_attribute"
        " WHERE attnum > 0 UNION ALL SELECT oid::int8, 0, oid::regclass || '.*' FROM pg_class"
    )
    found.names = {(relation, number): name for relation, number, name in attributes}
    yield found
    await conn.execute("DROP OWNED BY lineage_reader")
    await conn.close()
    await admin.execute("DROP DATABASE lineage")
    await admin.execute("DROP ROLE lineage_reader")
    await admin.close()


@pytest.mark.parametrize("case", STATEMENTS, ids=lambda case: case["sql"][:60])
async def test_a_statement(clinic: Clinic, case: dict[str, Any]) -> None:
    if case.get("from", 15) > clinic.major:
        with pytest.raises(asyncpg.PostgresError):
            await clinic.trees(case["sql"])
        return
    if "refused" in case:
        with pytest.raises(REFUSALS[case["refused"]]):
            await clinic.lineage(case["sql"])
        return
    said = clinic.said(await clinic.lineage(case["sql"]))
    assert said["out"] == case["out"]
    assert said["control"] == case.get("control", [])
    assert said["mentions"] == case.get("mentions", [])


async def test_there_are_enough_statements() -> None:
    assert len(STATEMENTS) >= 220


async def test_names_and_types_are_the_servers_own(clinic: Clinic) -> None:
    compared = 0
    for case in clinic.cases():
        found = (await clinic.lineage(case["sql"]))["outputs"]
        names = [a.name for a in (await clinic.conn.prepare(case["sql"])).get_attributes()]
        assert [o["name"] for o in found] == names, case["sql"]
        if not found or "$1" in case["sql"]:
            continue
        columns = ", ".join(f"c{n}" for n in range(len(found)))
        transaction = clinic.conn.transaction()
        await transaction.start()
        try:
            await clinic.conn.execute(
                f"CREATE TEMP VIEW typed AS SELECT * FROM ({case['sql']}) q({columns})"
            )
            rows = await clinic.conn.fetch(
                "SELECT atttypid::int8, atttypmod FROM pg_attribute"
                " WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum"
            )
        except (
            asyncpg.InvalidTableDefinitionError
        ):  # a column of pseudo-type record has no place in a view
            continue
        finally:
            await transaction.rollback()
        assert [(o["type_oid"], o["typmod"]) for o in found] == [tuple(r) for r in rows], case[
            "sql"
        ]
        compared += len(rows)
    assert compared > 300


CHANGES = {
    "int4": "{c} + 100", "text": "'9' || {c}", "varchar": "left('9' || {c}, 40)",
    "date": "{c} + 400",
    "numeric": "{c} + 7.5", "_text": "{c} || array['z']", "bpchar": "'z' || left({c}, 2)",
    "jsonb": """{c} || '{{"a": 77, "b": [9, 9, 9]}}'""", "timestamptz": "{c} + interval '400 days'",
}  # fmt: skip


async def test_whatever_changes_was_said(clinic: Clinic) -> None:
    """Change every value of one column at a time; run every statement; compare with before."""
    unsteady = re.compile(r"now\(|current_|localtime|tablesample|\$1|pg_class|information_schema")
    cases = [case for case in clinic.cases() if not unsteady.search(case["sql"])]
    said = [await clinic.lineage(case["sql"]) for case in cases]
    columns = await clinic.conn.fetch(
        "SELECT c.oid::int8, a.attnum, c.relname, a.attname, t.typname FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relname IN ('patient', 'visit', 'clinic') AND a.attnum > 0 AND c.relkind = 'r'"
    )
    changed = 0
    for table in ("patient", "visit", "clinic"):
        before = await _results(clinic, cases, table, {})
        for oid, number, relname, name, kind in columns:
            if relname != table:
                continue
            after = await _results(clinic, cases, table, {name: CHANGES[kind].format(c=name)})
            for case, found, old, new in zip(cases, said, before, after, strict=True):
                if old == new:
                    continue
                changed += 1
                ours = {(oid, number), (oid, 0)}
                control = {tuple(use["column"]) for use in found["control"] + found["mentions"]}
                if ours & control:
                    continue
                flows = [ours & {tuple(c) for c in o["columns"]} for o in found["outputs"]]
                if isinstance(old, str) or isinstance(new, str):  # a computed output failed
                    assert any(flows), (case["sql"], name, old, new)
                    continue
                assert len(old) == len(new), (case["sql"], name)
                for at, flow in enumerate(flows):
                    if not flow:
                        assert [r[at] for r in old] == [r[at] for r in new], (case["sql"], name, at)
    assert changed > 250


async def _results(
    clinic: Clinic, cases: list[dict[str, Any]], table: str, change: dict[str, str]
) -> list[list[tuple[str, ...]] | str]:
    """Each statement's rows after the table was written anew, in its old order, with the change."""
    columns = [
        r[0]
        for r in await clinic.conn.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
            " ORDER BY attnum",
            table,
        )
    ]
    new = ", ".join(change.get(c, c) for c in columns)
    results: list[list[tuple[str, ...]] | str] = []
    outer = clinic.conn.transaction()
    await outer.start()
    try:
        await clinic.conn.execute(
            f"CREATE TEMP TABLE rows ON COMMIT DROP AS SELECT {new} FROM {table};"
            f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM rows"
        )
        for case in cases:
            try:
                async with clinic.conn.transaction():
                    rows = await clinic.conn.fetch(case["sql"])
                results.append([tuple(repr(value) for value in row.values()) for row in rows])
            except asyncpg.PostgresError as error:
                results.append(f"error {error.sqlstate}")
    finally:
        await outer.rollback()
    return results


NASTY = [
    'a :resno 7', "a\n:resno 7", "a\\", "\\", '"', "<>", "{", "}", "(", ")", "({QUERY", "x)} :a 1",
    "1", "-1", "+.5", " lead", "tail ", "a\tb", "\x01", "é" * 31, "\u200b", "a" * 63, "b " * 31,
    "?column?", "a\\ b", "a\\\nb", "\n" * 30, "(b)", "[ 1 ]", ":resjunk true", "*SELECT* 1", "a  b",
    "e\u0301",
]  # fmt: skip


@pytest.mark.parametrize("length", [0, 1, 7, 30, 61])
async def test_a_name_never_changes_the_answer(clinic: Clinic, length: int) -> None:
    """Whatever a name holds and wherever a line break falls in it: refused, or the same."""
    plain = clinic.said(await clinic.lineage("select x.id from (select id, ssn from patient) x"))
    admitted = 0
    for nasty in NASTY:
        name = ("p" * length + nasty).encode()[:63].decode(errors="ignore")
        quoted = '"' + name.replace('"', '""') + '"'
        for sql in (
            f"select x.id as {quoted} from (select id, ssn from patient) x",
            f"select {quoted}.id from (select id, ssn from patient) {quoted}",
            f"select x.id from (select id, ssn from patient) x(id, {quoted})",
            f"with {quoted} as (select id, ssn from patient) select x.id from {quoted} x",
        ):
            try:
                found = await clinic.lineage(sql)
            except NotUnderstood:
                continue
            admitted += 1
            assert clinic.said(found) == plain, sql
            if sql.startswith("select x.id as"):
                assert found["outputs"][0]["name"] == name
    assert admitted > 0


@pytest.mark.parametrize(
    "literal",
    ["''", "null", "'a :resno 7'", "E'\\n) }'", "'({QUERY'", "repeat('x', 3)", "'\\x00ff80'::bytea",
     "'" + "long " * 400 + "'", "'" + "x" * 5000 + "'", "'{1,2,NULL}'::int[]", "'é'", "-1", "1e300",
     "9223372036854775807", "'infinity'::date", "interval '-1 day'", "b'101'", "'{}'::text[]"],
)  # fmt: skip
async def test_a_constant_never_changes_the_answer(clinic: Clinic, literal: str) -> None:
    found = await clinic.lineage(f"select {literal} as c, ssn from patient where name <> 'x'")
    said = clinic.said(found)
    assert said["out"] == ["computed", "bare patient.ssn"]
    assert said["control"] == ["WHERE patient.name"]


async def test_copy_prints_the_same_tree(clinic: Clinic) -> None:
    for case in clinic.cases():
        if "$1" in case["sql"]:
            continue
        prepared = await clinic.lineage(case["sql"])
        copied: list[str] = []

        def listen(_: object, message: Any, into: list[str] = copied) -> None:
            if message.server_source_function == "elog_node_display":
                into.append(message.detail)

        transaction = clinic.conn.transaction(readonly=True)
        await transaction.start()
        await clinic.conn.execute(
            "SET LOCAL client_min_messages = log; SET LOCAL debug_pretty_print = off;"
            "SET LOCAL debug_print_rewritten = on"
        )
        clinic.conn.add_log_listener(listen)
        copied.clear()
        try:
            await clinic.conn.copy_from_query(f"\n{case['sql']}\n", output=_nowhere)
        except (
            asyncpg.PostgresError
        ):  # a value failed or a table may not be read: the tree came before
            pass
        finally:
            clinic.conn.remove_log_listener(listen)
            await transaction.rollback()
        inner = json.loads(_kernel.lineage(copied[1], clinic.major))
        assert inner["digest"] == prepared["digest"], case["sql"]
        with pytest.raises(StatementRefused):
            _kernel.lineage(copied[0], clinic.major)


async def test_the_digest_tells_statements_apart(clinic: Clinic) -> None:
    digests = [(await clinic.lineage(case["sql"]))["digest"] for case in clinic.cases()]
    one, other = [await clinic.lineage(f"select id from patient where ssn = '{v}'") for v in "ab"]
    assert len(set(digests)) >= len(digests) - 4  # UESCAPE and aliases may say the same
    assert one["digest"] != other["digest"]
    spaced = await clinic.lineage("select   id\n from patient where ssn =    'a' -- x")
    assert spaced["digest"] == one["digest"]


async def test_row_security_is_reported(clinic: Clinic) -> None:
    found = await clinic.lineage("select secret from rls", role="lineage_reader")
    assert found["row_security"] is True
    said = clinic.said(found)
    assert said["out"] == ["bare rls.secret"]
    assert said["mentions"] == []
    assert set(said["control"]) == {
        "row security rls.owner", "row security rls.id",
        "row security acl.id", "row security acl.who",
    }  # fmt: skip
    direct = {clinic.names[r["oid"], 0]: r["direct"] for r in found["relations"]}
    assert direct == {"rls.*": True, "acl.*": False}
    assert (await clinic.lineage("select who from acl"))["row_security"] is False
    # To a superuser the policy does not apply; that the tree differs by role is said all the same.
    bypassed = await clinic.lineage("select secret from rls")
    assert (bypassed["row_security"], bypassed["control"]) == (True, [])


async def test_relations_say_who_names_them(clinic: Clinic) -> None:
    found = await clinic.lineage("select uname, v.id from v_outer join visit v on v.id = id2")
    said = {
        clinic.names[r["oid"], 0]: (r["kind"], r["direct"], r["selected"])
        for r in found["relations"]
    }
    assert said == {
        "v_outer.*": ("v", True, [1, 3]),
        "v_patient.*": ("v", False, []),
        "patient.*": ("r", False, []),
        "visit.*": ("r", True, [1]),
    }


async def test_a_stored_view_is_read_like_a_statement(clinic: Clinic) -> None:
    stored = await clinic.conn.fetchval(
        "SELECT ev_action::text FROM pg_rewrite WHERE ev_class = 'v_outer'::regclass"
    )
    with pytest.raises(NotUnderstood):
        _kernel.lineage(stored, clinic.major)
    said = clinic.said(json.loads(_kernel.lineage(stored, clinic.major, stored=True)))
    assert said["out"] == ["bare v_patient.uname", "bare v_patient.ssn", "bare v_patient.id"]
    assert said["control"] == ["WHERE v_patient.id"]


async def test_every_view_of_the_catalogs_is_read(clinic: Clinic) -> None:
    """Written by people who never thought of us: no node, field or name of theirs is unknown."""
    stored = await clinic.conn.fetch(
        "SELECT ev_class::regclass::text, ev_action::text FROM pg_rewrite WHERE ev_type = '1'"
    )
    unread = set()
    for view, tree in stored:
        try:
            _kernel.lineage(tree, clinic.major, stored=True)
            await clinic.lineage(f"select from {view}")
        except (NotUnderstood, StatementRefused):
            unread.add(view)
    assert len(stored) > 130
    assert unread == {"pg_seclabels"}  # reads tableoid


async def test_what_is_called(clinic: Clinic) -> None:
    found = await clinic.lineage(
        "select upper(name), id::text, count(*) over (), ssn = any (array['a']) from patient"
        " where dob < now() order by weight"
    )
    names = await clinic.conn.fetch(
        "SELECT proname FROM pg_proc WHERE oid = any ($1::int8[]::oid[])", found["functions"]
    )
    assert {"upper", "count", "texteq", "now"} < {r[0] for r in names}
    assert {23, 25} <= set(found["types"])
    operators = await clinic.conn.fetchval(
        "SELECT array_agg(oprname || oprleft::regtype) FROM pg_operator"
        " WHERE oid = any ($1::int8[]::oid[])",
        found["operators"],
    )
    assert {"=text", "<numeric"} <= set(operators)


async def test_parameters_with_their_places(clinic: Clinic) -> None:
    sql = "select 'é', $2::int + id from patient where ssn = $1 or name = $1"
    found = (await clinic.lineage(sql))["params"]
    places = [m.start() for m in re.finditer(rb"\$\d", sql.encode())]
    assert sorted((p["location"], p["number"], p["type_oid"]) for p in found) == [
        (places[0], 2, 23), (places[1], 1, 25), (places[2], 1, 25),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "select " + " || ".join(["ssn"] * 1000) + " from patient",
        "select " + "(select " * 400 + "ssn" + ")" * 400 + " from patient",
        "select " + "coalesce(" * 700 + "ssn" + ", 'x')" * 700 + " from patient",
        " union ".join(["select ssn from patient"] * 700),
    ],
    ids=["chain", "subqueries", "calls", "arms"],
)
async def test_depth_is_refused_and_not_suffered(clinic: Clinic, sql: str) -> None:
    with pytest.raises(NotUnderstood, match="nested too deeply"):
        await clinic.lineage(sql)


async def test_a_long_list_is_not_deep(clinic: Clinic) -> None:
    values = ", ".join(f"'{n}'" for n in range(5000))
    found = await clinic.lineage(f"select id from patient where ssn in ({values})")
    assert clinic.said(found)["control"] == ["WHERE patient.ssn"]


@pytest.mark.parametrize("major", [0, 9, 14, 19, 180000])
def test_other_versions_are_refused(major: int) -> None:
    with pytest.raises((NotUnderstood, OverflowError)):
        _kernel.lineage("({QUERY})", major)
