"""Only the rows that a predicate lets through, of one table, wherever a statement names it.

Each item of FROM that is the table becomes
`(SELECT … FROM table WHERE false UNION ALL SELECT … FROM table WHERE (predicate) OFFSET 0)`. The
planner moves no condition into a sub-select with an OFFSET and does not merge it with the query
around it; of the columns of a UNION it has no statistics, on whose commonest values it would try
conditions such as ILIKE. So no expression of the statement sees a row that the predicate hides: not
by an error, not by a count, not by a join. The text goes through the whole analysis like any other,
and its tree proves that the table is read through the fences alone. Refuses every other way to its
rows: views and materialised views over it, its parents, children and partitions, TABLESAMPLE, and
whatever text cannot be read.

A predicate is made of comparisons that cannot fail, as an error would tell of a hidden row: it has
no function, no cast, no arithmetic and no sub-select.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.errors import (
    InvalidRequest,
    NotUnderstood,
    OutOfScope,
    StatementRefused,
    Ungrouped,
)
from gateway.model import Analysis, Column, Reference, all_of
from gateway.sql import clauses, guards, lineage, rewriting, structure
from gateway.sql import statement as statements
from gateway.sql.analyse import Settings, attempt
from gateway.sql.clauses import Unreadable
from gateway.sql.functions import FIRST_USER_OID
from gateway.sql.rewriting import Field, Replacement, quoted
from gateway.sql.scanner import Kind
from gateway.sql.server import Server
from gateway.sql.source import fields_of

MAX_PREDICATE = 4 * 1024
_STEM = "maskgate_row"
_MOST_TEXT = 4 * 1024 * 1024
_MOST_GROUPED = 64
_MOST_MATERIALISED = 32
#: An arm of the same columns, types and collations, which the planner leaves out.
_NO_ROWS = " WHERE false UNION ALL "
#: What may stand before a parenthesis: no call of a function, which could fail.
_BEFORE_PARENTHESIS = frozenset({"in", "and", "or", "not", "between", "any", "all"})
#: IS JSON reads a text of any depth, which can be too deep.
_NO_WORDS = frozenset(
    {"select", "with", "values", "table", "cast", "row", "array", "collate", "json"}
)
#: Functions behind operators that cannot fail although the server does not call them leakproof.
_NEVER_FAIL = [
    f"{kind}_{comparison}"
    for kind in ("numeric", "enum")
    for comparison in ("eq", "ne", "lt", "le", "gt", "ge")
]

_TABLE = """
SELECT c.oid, c.relkind::pg_catalog.text AS kind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
"""
_FAMILY = """
WITH RECURSIVE family (oid) AS (
  SELECT $1::pg_catalog.oid
  UNION
  SELECT CASE WHEN i.inhparent = f.oid THEN i.inhrelid ELSE i.inhparent END
  FROM family f JOIN pg_catalog.pg_inherits i ON f.oid IN (i.inhparent, i.inhrelid)
)
SELECT f.oid FROM family f
"""
# An integer among numerics is cast by a function that cannot fail: 1740, 1781 and 1782.
_CAN_FAIL = """
SELECT p.proname FROM pg_catalog.pg_proc p
WHERE (p.oid = ANY ($1::pg_catalog.oid[])
       OR p.oid IN (SELECT o.oprcode FROM pg_catalog.pg_operator o
                    WHERE o.oid = ANY ($2::pg_catalog.oid[])))
  AND NOT p.proleakproof AND p.oid NOT IN (1740, 1781, 1782)
  AND NOT (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
           AND p.proname = ANY ($3::pg_catalog.text[]))
LIMIT 1
"""
_VIRTUAL = """
SELECT a.attname FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1 AND a.attnum = ANY ($2::pg_catalog.int2[]) AND a.attgenerated = 'v' LIMIT 1
"""
_DEFINITION = "SELECT pg_catalog.pg_get_viewdef($1::pg_catalog.oid) AS text"


@dataclass(frozen=True, slots=True)
class _Fence(Replacement):
    """What stands in the place of the table under one name."""

    stem: str
    predicate: str

    def select(self, *, only: bool) -> str:
        columns = ", ".join(
            f"{self.stem}.{quoted(f.name)}"
            if f.shown
            else f"CAST(NULL AS {f.type_name}) AS {quoted(f.name)}"
            for f in self.fields
        )
        source = f"{'ONLY ' if only else ''}{quoted(self.schema)}.{quoted(self.table)}"
        arm = f"SELECT {columns} FROM {source} AS {self.stem}"  # noqa: S608 analysed afterwards
        return f"({arm}{_NO_ROWS}{arm}{_end(self.predicate)}"


async def check_predicate(
    table: str, predicate: str, server: Server, settings: Settings | None = None
) -> Analysis:
    """The analysis of `SELECT 1 … WHERE (predicate)`, for the policy to judge.

    Raises InvalidRequest with what is wrong; the table is `schema.table`.
    """
    _check_text(predicate)
    schema, _, name = table.partition(".")
    rows = await server.fetch(_TABLE, schema, name)
    if not rows or rows[0]["kind"] not in ("r", "p"):
        raise InvalidRequest(f"{table} is no table: rows are limited where they are kept")
    source = f"{quoted(schema)}.{quoted(name)}"
    text = f"SELECT 1 AS one FROM {source} AS {_STEM}{_end(predicate)[:-1]}"  # noqa: S608 checked
    statement = statements.read(text, max_bytes=len(text) * 4)
    analysis = await attempt(text, guards.kept(statement), (), server, settings or Settings())
    read = {(one.relation, one.alias) for one in analysis.references}
    if read != {(rows[0]["oid"], _STEM)} or analysis.catalogs:
        raise InvalidRequest("a filter reads the columns of its own table and nothing else")
    numbers = {use.column.attnum for use in (*analysis.control, *analysis.mentions)}
    if virtual := await server.fetch(_VIRTUAL, rows[0]["oid"], sorted(numbers)):
        raise InvalidRequest(
            f"{virtual[0]['attname']} is computed when it is read, which could fail and so tell of "
            "a row"
        )
    found = await lineage.of((await server.parse(text)).tree, server.server_major)
    risky = await server.fetch(_CAN_FAIL, list(found.functions), list(found.operators), _NEVER_FAIL)
    if risky:
        raise InvalidRequest(
            f"a filter may not use {risky[0]['proname']}, which could fail and so tell of a row",
            hint=_COMPARISONS,
        )
    return analysis


async def keep_to_rows(
    analysis: Analysis,
    filters: Sequence[tuple[str, Sequence[str]]],
    server: Server,
    settings: Settings | None = None,
) -> Analysis:
    """The analysis of the statement that sees the rows of each table that meet all its conditions;
    `analysis` itself when it reads none of them.

    Raises OutOfScope where the statement would see others, or might, and InvalidRequest for a
    condition that does not stand alone: beside others it would let more rows through.
    """
    settings = settings or Settings()
    predicates: dict[int, tuple[str, str]] = {}
    for table, conditions in filters:
        for condition in conditions:
            _check_text(condition)
        predicate = all_of(conditions)
        schema, _, name = table.partition(".")
        rows = await server.fetch(_TABLE, schema, name)
        if not rows:
            raise OutOfScope(f"the grant limits the rows of {table}, and there is none now")
        predicates[rows[0]["oid"]] = (table, predicate)
        await _check_others(analysis, table, rows[0]["oid"], server)
    wanted = [one for one in analysis.references if one.relation in predicates]
    if not wanted:
        return analysis
    named = sorted({predicates[one.relation][0] for one in wanted})
    kept_by = set[Column]()
    for table, predicate in {predicates[one.relation] for one in wanted}:
        # The table may have changed.
        judged = await check_predicate(table, predicate, server, settings)
        kept_by.update(use.column for use in (*judged.control, *judged.mentions))
    try:
        limited = await _fenced(analysis, wanted, predicates, server, settings)
    except (Unreadable, InvalidRequest, StatementRefused, NotUnderstood):
        raise _unsupported(named) from None
    return replace(limited, kept_by=frozenset(kept_by))


def check_kept(fenced: Analysis, last: Analysis, filters: Sequence[tuple[str, str]]) -> None:
    """Raises OutOfScope unless what will run has every fence of the `fenced` statement; what came
    after it, to mask at source, may only have worked around them, and may have taken the values of
    no column that they choose rows by: a condition holds for every row of NULLs, or for none."""
    lost = {str(one.column) for one in last.hidden if one.column in fenced.kept_by}
    if lost:
        raise OutOfScope(
            f"the grant limits rows by {', '.join(sorted(lost))}, which the policy protects",
            hint="ask for a grant whose filter compares clear columns",
        )
    for table, predicate in filters:
        end = _end(predicate)
        if last.server_text.count(end) != fenced.filled_text.count(end):
            raise _unsupported([table])


def _check_text(predicate: str) -> None:
    """Raises InvalidRequest unless the text is conditions within its own parentheses."""
    if len(predicate) > MAX_PREDICATE:
        raise InvalidRequest(f"a filter may have at most {MAX_PREDICATE} characters")
    text = f"SELECT {predicate}"
    read = statements.read(text, max_bytes=len(text) * 4)
    if any(token.kind in (Kind.COMMENT, Kind.PARAMETER) for token in read.tokens):
        raise InvalidRequest("a filter holds no comments and no parameters")
    if read.text != text:
        raise InvalidRequest("a filter ends with its last condition")
    if _STEM in predicate.lower():
        raise InvalidRequest(f"a filter may not hold {_STEM}, which the gateway calls the table")
    depth, before = 0, None
    for lexeme in clauses.lexemes(predicate):
        sign = lexeme.value if lexeme.kind == "sign" else ""
        if sign == "(" and before is not None and before.names:
            word = before.value if before.kind == "word" else ""
            if word not in _BEFORE_PARENTHESIS:
                raise InvalidRequest("a filter calls no function", hint=_COMPARISONS)
        if sign in (":", ".", "[", "]") or (lexeme.kind == "word" and lexeme.value in _NO_WORDS):
            raise InvalidRequest(
                f"a filter may not hold {lexeme.value!r}: its own columns by their names alone, no "
                "cast, no sub-select",
                hint=_COMPARISONS,
            )
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
        before = lexeme
    if depth:
        raise InvalidRequest("the parentheses of the filter do not pair")


async def _check_others(analysis: Analysis, table: str, oid: int, server: Server) -> None:
    """Raises OutOfScope where the statement reads the table's rows under another name."""
    family = {row["oid"] for row in await server.fetch(_FAMILY, oid)}
    relations = await structure.relations(server, {one.relation for one in analysis.references})
    for one in relations.values():
        if one.oid == oid or one.oid < FIRST_USER_OID:
            continue
        below = {one.oid}
        if one.kind in ("v", "m"):
            below = await _below(one.oid, server)
        if below & family:
            raise OutOfScope(
                f"{one.name} holds rows of {table}, of which the grant covers some",
                hint=f"read {table} itself",
            )


async def _below(oid: int, server: Server) -> set[int]:
    """All that a view or materialised view is made from, to the last table."""
    seen: set[int] = set()
    asked = [oid]
    for _ in range(_MOST_MATERIALISED):
        if not asked:
            return seen
        (row,) = await server.fetch(_DEFINITION, asked.pop())
        parsed = await server.parse(row["text"].strip().removesuffix(";"))
        found = await lineage.of(parsed.tree, server.server_major)
        # The tree has views expanded; what is materialised is a table to it.
        asked += [one for one, kind, _ in found.relations if kind == "m" and one not in seen]
        seen |= {one for one, _, _ in found.relations}
    raise NotUnderstood("the statement leans on too many materialised views")


async def _fenced(
    analysis: Analysis,
    wanted: Sequence[Reference],
    predicates: Mapping[int, tuple[str, str]],
    server: Server,
    settings: Settings,
) -> Analysis:
    original = analysis.filled_text
    if guards.holds(original):
        raise Unreadable("definitions of the catalog are asked for in a statement of their own")
    found = clauses.read(original)
    own = await structure.schemas(
        {item.table for item in found.items if item.schema is None}, server
    )
    if {(one.schema, one.table, one.alias) for one in analysis.references} != {
        rewriting.key(item, own) for item in found.items
    }:
        raise Unreadable("the text names other relations than the tree")
    fences = await _fences(original, wanted, predicates, server)
    text = rewriting.rewrite(original, found, fences, own)
    compared = [equality.parameter for equality in analysis.equalities]
    for _ in range(_MOST_GROUPED):
        if len(text) > _MOST_TEXT:
            raise Unreadable("too long, once rewritten")
        statement = statements.read(text, max_bytes=len(text) * 4)
        await server.mark()
        try:
            seen = await attempt(text, guards.kept(statement), (), server, settings, compared)
            break
        except Ungrouped as missing:  # it leaned on the primary key of what is no table now
            await server.return_to_mark()
            text, _ = rewriting.grouped(text, missing.position, fences)
    else:
        raise Unreadable("more columns lean on a primary key than are looked after")
    _check_fences(seen, text, fences, predicates)
    if not rewriting.alike(seen, analysis):
        raise Unreadable("it would answer with other columns")
    return replace(seen, text=analysis.text)


async def _fences(
    original: str,
    wanted: Sequence[Reference],
    predicates: Mapping[int, tuple[str, str]],
    server: Server,
) -> list[_Fence]:
    stem = _STEM
    aliases = "\n".join(one.alias for one in wanted)  # as they are, however they were spelled
    while stem in original.lower() or stem in aliases:
        stem += "_"
    fields = await fields_of(sorted({one.relation for one in wanted}), server)
    return [
        _Fence(
            one.schema,
            one.table,
            one.alias,
            tuple(
                Field(name, type_name, number in one.named)
                for number, name, type_name in fields.get(one.relation, [])
            ),
            f"{stem}{count}",
            predicates[one.relation][1],
        )
        for count, one in enumerate(wanted, 1)
    ]


def _check_fences(
    seen: Analysis, text: str, fences: Sequence[_Fence], predicates: Collection[int]
) -> None:
    """The proof: by the server's tree the tables are read under the fences' own names alone, which
    stand in the text nowhere but inside of them."""
    stems = {fence.stem for fence in fences}
    read = {one.alias for one in seen.references if one.relation in predicates}
    if read != stems:
        raise Unreadable("a table is read outside of its fence")
    for fence in fences:
        inside = text.count(f" AS {fence.stem}{_end(fence.predicate)}")
        beside = text.count(f" AS {fence.stem}{_NO_ROWS}")
        if not inside == beside == text.count(f" AS {fence.stem} ") / 2 >= 1:
            raise Unreadable("a fence is not whole")


def _end(predicate: str) -> str:
    return f" WHERE ({predicate}) OFFSET 0)"


def _unsupported(named: Sequence[str]) -> OutOfScope:
    return OutOfScope(
        f"the grant covers some rows of {', '.join(named)}, and the statement reads it in a way "
        "that cannot be kept to them",
        hint="name the table plainly in FROM and its columns one by one: no TABLESAMPLE",
    )


_COMPARISONS = (
    "compare its columns with each other and with values: =, <>, <, <=, >, >=, IN, BETWEEN, "
    "IS NULL, AND, OR, NOT"
)
