"""Mask at source: the same statement over references in which protected columns are NULL.

The rewritten text goes through the whole analysis like any other, and its tree alone decides what
may leave: nothing here is trusted. A statement that cannot be rewritten, or that would answer with
other columns, comes back as it was, and is refused for the use it makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from gateway.errors import InvalidRequest, NotUnderstood, StatementRefused, Ungrouped
from gateway.model import Analysis, Column, Hidden, Output, Reference, Shape
from gateway.sql import clauses, guards, lineage, rewriting, structure
from gateway.sql import statement as statements
from gateway.sql.analyse import Settings, attempt
from gateway.sql.clauses import Clauses, Unreadable
from gateway.sql.lineage import Key
from gateway.sql.protection import expanded
from gateway.sql.rewriting import Field, Replacement
from gateway.sql.server import Server

_LONG = 16 * 1024  # longer texts are read off the event loop
_LEANS = "GROUP BY, as it leans on the primary key there"
_MOST_USES = 3  # of one column, in a note
_MOST_NOTES = 20  # references with a note of their own, and columns in it
_MOST_TEXT = 4 * 1024 * 1024  # of a rewritten statement
_MOST_GROUPED = 64  # columns added to GROUP BY, each for one more Parse

_FIELDS = """
WITH RECURSIVE f (relation, number, name, type_oid, typmod) AS (
  SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = ANY($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT f.relation, f.number, f.name, d.typbasetype, d.typtypmod
  FROM f JOIN pg_catalog.pg_type d ON d.oid = f.type_oid AND d.typtype = 'd'
)
SELECT f.relation, f.number, f.name, pg_catalog.format_type(f.type_oid, f.typmod) AS type_name
FROM f JOIN pg_catalog.pg_type t ON t.oid = f.type_oid AND t.typtype <> 'd'
ORDER BY f.relation, f.number
"""


async def mask_at_source(
    analysis: Analysis,
    hidden: Sequence[Hidden],
    server: Server,
    settings: Settings | None = None,
) -> Analysis:
    """The analysis of the statement in which every column of `hidden` is NULL in its reference.

    Those without a use are, if the rewritten statement cannot but use them. `analysis` itself when
    there is no such statement.
    """
    try:
        rewritten, gone = await _rewritten(analysis, hidden, server, settings or Settings())
        rewritten = rewriting.apart(rewritten, analysis)
    except (Unreadable, InvalidRequest, StatementRefused, NotUnderstood):
        return analysis
    if not rewriting.alike(rewritten, analysis):
        return analysis
    lost = {(one.reference, one.column) for one in gone}
    return replace(
        rewritten,
        text=analysis.text,
        outputs=tuple(
            _marked(before, after, lost)
            for before, after in zip(analysis.outputs, rewritten.outputs, strict=True)
        ),
        beside=tuple(
            _marked(before, after, lost)
            for before, after in zip(analysis.beside, rewritten.beside, strict=True)
        ),
        hidden=tuple(gone),
        notes=(*rewritten.notes, *_notes(gone)),
    )


async def _rewritten(
    analysis: Analysis, hidden: Sequence[Hidden], server: Server, settings: Settings
) -> tuple[Analysis, list[Hidden]]:
    """The rewritten statement, and what is NULL in it."""
    gone = [one for one in hidden if one.uses]
    bare = {(one.reference, one.column): one for one in hidden if not one.uses}
    original = analysis.filled_text
    if guards.holds(original):
        raise Unreadable("definitions of the catalog are asked for in a statement of their own")
    found = await _read(original)
    own = await structure.schemas(
        {item.table for item in found.items if item.schema is None}, server
    )
    compared = [equality.parameter for equality in analysis.equalities]
    of_tree = {(one.schema, one.table, one.alias) for one in analysis.references}
    if of_tree != {rewriting.key(item, own) for item in found.items}:
        raise Unreadable("the text names other relations than the tree")
    text = ""
    for _ in range(_MOST_GROUPED):
        if not text:
            replacements = await _replacements(gone, _needless(analysis, gone), server)
            text = rewriting.rewrite(original, found, replacements, own)
            if len(text) > _MOST_TEXT:
                raise Unreadable("too long, once rewritten")
        statement = statements.read(text, max_bytes=len(text) * 4)
        await server.mark()
        try:
            return await attempt(text, guards.kept(statement), (), server, settings, compared), gone
        except Ungrouped as missing:
            await server.return_to_mark()
            text, added = rewriting.grouped(text, missing.position, replacements)
            used = [one for key, one in bare.items() if (key[0].alias, key[1].name) in added]
            if used:  # to group by a protected column is to use it
                gone += _with_arms(analysis, used, bare)
                gone += _idle(analysis, gone)
                text = ""
    raise NotUnderstood("more columns lean on a primary key than are looked after")


def _with_arms(
    analysis: Analysis, used: Sequence[Hidden], bare: dict[tuple[Reference, Column], Hidden]
) -> list[Hidden]:
    """`used`, taken out of `bare`, and what reaches the same outputs through other arms."""
    found = [replace(one, uses=(_LEANS,)) for one in used]
    for one in found:  # grows
        bare.pop((one.reference, one.column), None)
        for output in (*analysis.outputs, *analysis.beside):
            keys = [(source.reference, source.column) for source in output.sources]
            if (one.reference, one.column) in keys:
                arms = [bare.pop(key) for key in list(bare) if key in keys]
                found += [replace(arm, uses=(_LEANS,)) for arm in arms]
    return found


def _idle(analysis: Analysis, gone: Sequence[Hidden]) -> list[Hidden]:
    """Where columns that are gone are only named in other references: there they go, too."""
    reasons = {one.column: one.reason for one in gone}
    known = {(one.reference, one.column) for one in gone}
    return [
        Hidden(source.reference, source.column, ("unused mention",), reasons[source.column])
        for source in analysis.idle
        if source.column in reasons
        and source.reference is not None
        and (source.reference, source.column) not in known
    ]


async def _read(text: str) -> Clauses:
    if len(text) > _LONG:
        return await asyncio.to_thread(clauses.read, text)
    return clauses.read(text)


def _needless(analysis: Analysis, gone: Sequence[Hidden]) -> set[tuple[Reference, Column]]:
    """What came along with outputs that are gone and is named for nothing else: to read it takes
    rights that the statement does not need any more."""
    lost = {(one.reference, one.column) for one in gone}
    needed = {
        (reference, use.column)
        for use in (*analysis.control, *analysis.mentions)
        for reference in use.references
    }
    needed |= {(source.reference, source.column) for source in analysis.idle}
    for place, output in enumerate(analysis.outputs):
        needed |= _read_through(output)
        if not _read_through(output) <= lost:
            for other in analysis.rows.get(place, ()):
                needed |= _read_through(analysis.given(other))
    return {
        (reference, column)
        for output in analysis.beside
        for reference, column in _read_through(output) - needed
        if reference is not None
    }


def _read_through(output: Output) -> set[tuple[Reference | None, Column]]:
    return {(source.reference, source.column) for source in output.sources}


async def _replacements(
    hidden: Sequence[Hidden], needless: Collection[tuple[Reference, Column]], server: Server
) -> list[Replacement]:
    """The references of `hidden`, in which these columns are NULL and the `needless` are, too."""
    references: dict[Reference, set[Key]] = {}
    for one in hidden:
        references.setdefault(one.reference, set()).add((one.column.relation, one.column.attnum))
    fields = await fields_of(sorted({reference.relation for reference in references}), server)
    made = []
    for reference, gone in references.items():
        if reference.view:
            numbers = await _of_view(reference, gone, server)
        else:
            numbers = {number for _, number in gone}
        numbers |= {column.attnum for other, column in needless if other == reference}
        made.append(
            Replacement(
                reference.schema,
                reference.table,
                reference.alias,
                tuple(
                    Field(name, type_name, number in reference.named and number not in numbers)
                    for number, name, type_name in fields.get(reference.relation, [])
                ),
            )
        )
    return made


async def fields_of(oids: Sequence[int], server: Server) -> dict[int, list[tuple[int, str, str]]]:
    """For each relation its columns: number, name, and type as a cast takes it."""
    fields: dict[int, list[tuple[int, str, str]]] = {}
    for row in await server.fetch(_FIELDS, oids):
        field = (row["number"], row["name"], row["type_name"])
        fields.setdefault(row["relation"], []).append(field)
    return fields


async def _of_view(reference: Reference, gone: Collection[Key], server: Server) -> set[int]:
    """The view's own columns that columns of `gone` reach."""
    name = f"{rewriting.quoted(reference.schema)}.{rewriting.quoted(reference.table)}"
    parsed = await server.parse(f"SELECT * FROM {name}")  # noqa: S608 only parsed
    found = await lineage.of(parsed.tree, server.server_major)
    oids = {oid for oid, _, _ in found.relations}
    relations = await structure.relations(server, oids)
    return {
        number
        for number, output in enumerate(found.outputs, 1)
        if expanded(output.columns, relations) & set(gone)
    }


def _marked(before: Output, after: Output, gone: Collection[tuple[Reference, Column]]) -> Output:
    """The output of the rewritten statement, with the columns that it lost on the way."""
    lost = dict.fromkeys(
        source.column
        for source in before.sources
        if source.reference is not None and (source.reference, source.column) in gone
    )
    bare = before.shape is not Shape.COMPUTED and set(before.columns) <= set(lost)
    return replace(after, masked=tuple(lost), blank=bare and bool(lost))


def _notes(hidden: Iterable[Hidden]) -> Iterable[str]:
    """A sentence for each reference, which tells the caller what his rows are made of."""
    by_reference: dict[Reference, list[Hidden]] = {}
    for one in hidden:
        by_reference.setdefault(one.reference, []).append(one)
    for reference, some in list(by_reference.items())[:_MOST_NOTES]:
        table = f"{reference.schema}.{reference.table}"
        place = table if reference.alias == reference.table else f"{table} as {reference.alias}"
        columns = "; ".join(f"{one.column.name} ({_uses(one.uses)})" for one in some[:_MOST_NOTES])
        more = f"; and {len(some) - _MOST_NOTES} more" if len(some) > _MOST_NOTES else ""
        advice = "".join(f". {one.advice}" for one in some[:_MOST_NOTES] if one.advice)
        yield (
            f"inside {place} these protected columns were NULL: {columns}{more}. Select a "
            "protected column plainly to get it masked, and use clear columns for everything else"
            f"{advice}"
        )
    if len(by_reference) > _MOST_NOTES:
        yield f"protected columns were NULL in {len(by_reference) - _MOST_NOTES} more references"


def _uses(uses: Sequence[str]) -> str:
    if "unused mention" in uses:
        return "named, not selected"
    more = f" and {len(uses) - _MOST_USES} more" if len(uses) > _MOST_USES else ""
    return f"used in {', '.join(uses[:_MOST_USES])}{more}"
