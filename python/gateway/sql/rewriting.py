"""A statement's text with some columns of some references replaced by NULL; text in, text out.

A reference becomes a sub-select of the same columns, in the same order and of the same types, in
which the named ones are values and all others NULL. What leaned on the reference being a table is
put right: names qualified by a schema, and GROUP BY of a primary key. Refuses to guess, as the
reading it stands on does; what it makes is analysed like any other text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.model import Analysis
from gateway.sql import clauses
from gateway.sql.clauses import Block, Clauses, Item, Lexeme, Unreadable


@dataclass(frozen=True, slots=True)
class Field:
    """A column as the sub-select gives it."""

    name: str
    type_name: str  # as a cast takes it; never a domain
    shown: bool


@dataclass(frozen=True, slots=True)
class Replacement:
    """One relation under one name, and what stands in its place."""

    schema: str
    table: str
    alias: str
    fields: tuple[Field, ...]

    def select(self, *, only: bool) -> str:
        columns = ", ".join(
            f"m.{quoted(f.name)}" if f.shown else f"CAST(NULL AS {f.type_name}) AS {quoted(f.name)}"
            for f in self.fields
        )
        source = f"{'ONLY ' if only else ''}{quoted(self.schema)}.{quoted(self.table)}"
        return f"(SELECT {columns} FROM {source} AS m)"  # noqa: S608 analysed afterwards


def quoted(name: str) -> str:
    """A name that the catalog gave, as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def rewrite(
    text: str, found: Clauses, replacements: Sequence[Replacement], own: Mapping[str, str]
) -> str:
    """`text`, as `found` reads it, with every item of FROM that a replacement is for replaced.

    `own` is the schema of each relation that the text names without one. Raises Unreadable, also
    when a replacement finds no item.
    """
    wanted = {(r.schema, r.table, r.alias): r for r in replacements}
    edits: list[tuple[int, int, str]] = []
    met = set()
    for item in found.items:
        replacement = wanted.get(key(item, own))
        if replacement is not None:
            met.add(key(item, own))
            edits.append((item.start, item.end, _in_place(item, replacement)))
    if met != set(wanted):
        raise Unreadable("a reference of the tree is not in the text")
    edits += _requalified(found, replacements, own, {start for start, _, _ in edits})
    return edited(text, edits)


def key(item: Item, own: Mapping[str, str]) -> tuple[str, str, str]:
    """Schema, table and alias of an item; `own` as `rewrite` takes it."""
    schema = item.schema if item.schema is not None else own.get(item.table, "")
    return schema, item.table, item.known_as


def alike(rewritten: Analysis, analysis: Analysis) -> bool:
    """Whether both give columns of the same names and types from the same relations."""
    return (
        [(o.name, o.type) for o in rewritten.outputs]
        == [(o.name, o.type) for o in analysis.outputs]
        and (rewritten.tables, rewritten.views) == (analysis.tables, analysis.views)
        and rewritten.catalogs == analysis.catalogs
    )


def apart(seen: Analysis, analysis: Analysis) -> Analysis:
    """`seen`, whose last outputs are there for what `analysis` says of rows, with those apart."""
    shown = len(analysis.outputs)
    return replace(
        seen, outputs=seen.outputs[:shown], beside=seen.outputs[shown:], rows=analysis.rows
    )


def _in_place(item: Item, replacement: Replacement) -> str:
    select = replacement.select(only=item.only)
    if item.command:
        return f"SELECT * FROM {select} AS {quoted(item.table)}"  # noqa: S608 as above
    return select if item.alias is not None else f"{select} AS {quoted(item.table)}"


def edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """`text` with each (start, end, new) in the place of what stands there; none overlap."""
    pieces, at = [], 0
    for start, end, new in sorted(edits):
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _requalified(
    found: Clauses,
    replacements: Sequence[Replacement],
    own: Mapping[str, str],
    items: Collection[int],
) -> list[tuple[int, int, str]]:
    """schema.table.column names no sub-select: table.column does."""
    tables = {(r.schema, r.table) for r in replacements if r.alias == r.table}
    more: list[tuple[int, int, str]] = []
    at = 0
    while at < len(found.lexemes):
        if not found.lexemes[at].names:
            at += 1
            continue
        parts, at = found.chain(at)
        named = tuple(part.value for part in parts[:2])
        if len(parts) < 3 or named not in tables or parts[0].start in items:
            continue
        # Something else of that name would take the column over.
        known = {key(item, own)[:2] for item in found.items if item.known_as == named[1]}
        if named[1] in found.others or known != {named}:
            raise Unreadable("two things of one name")
        more.append((parts[0].start, parts[1].start, ""))
    return more


def grouped(
    text: str, position: int, replacements: Sequence[Replacement]
) -> tuple[str, set[tuple[str, str]]]:
    """`text` with the name at `position` added to the GROUP BY that it is missing from.

    Beside it what was added, as aliases with names of columns.
    Before the rewriting that name followed from the primary key in the list, so it splits no group.
    Raises Unreadable.
    """
    found = clauses.read(text)
    at = next((n for n, lexeme in enumerate(found.lexemes) if lexeme.start == position), None)
    if at is None:
        raise Unreadable("no name where the server points")
    star = found.lexemes[at].value == "*"
    parts = [found.lexemes[at]] if star else found.chain(at)[0]
    of_alias = {r.alias: r for r in replacements}
    for block in _around(found.blocks, position):
        group_end = block.group_end
        names, columns = _missing(parts, block, of_alias)
        if group_end is not None and names:
            added = "".join(f", {name}" for name in names)
            return text[:group_end] + added + text[group_end:], columns
    raise Unreadable("no GROUP BY that the name could be missing from")


def _around(blocks: Sequence[Block], position: int) -> list[Block]:
    """The SELECTs around a place, innermost first."""
    around = [block for block in blocks if block.start <= position < block.end]
    return sorted(around, key=lambda block: block.start, reverse=True)


def _missing(
    parts: Sequence[Lexeme], block: Block, of_alias: Mapping[str, Replacement]
) -> tuple[list[str], set[tuple[str, str]]]:
    """What the name stands for, as far as it is of a replaced reference of this SELECT: as GROUP BY
    takes it, and as aliases with columns."""
    here = {alias: r for alias, r in of_alias.items() if alias in block.names}
    *qualifier, last = (part.value for part in parts)
    if qualifier:
        here = {alias: r for alias, r in here.items() if alias == qualifier[-1]}
    every = [(alias, field.name) for alias, r in here.items() for field in r.fields]
    if last == "*":
        return [f"{quoted(alias)}.{quoted(name)}" for alias, name in every], set(every)
    if not qualifier and last in here:  # a whole row
        return [quoted(last)], {(alias, name) for alias, name in every if alias == last}
    columns = {(alias, name) for alias, name in every if name == last}
    if not columns:
        return [], set()
    return [".".join(quoted(name) for name in (*qualifier[-1:], last))], columns
