"""Columns of its own row brought along with a text, which is masked wherever it says their values.

A statement that shows a text whose rule names such columns gets them behind its own outputs, from
the same item of its outermost FROM, where no other pairing is possible: in the same row. The longer
text goes through the whole analysis like any other. Where they cannot be brought along, and where
somebody could pair a text with the values of another row, the statement comes back as it was, and
the text is no longer shown: what a word is masked beside would tell whose value it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.errors import InvalidRequest, NotUnderstood, StatementRefused
from gateway.model import Analysis, Output, Reference, RowValues, Shape
from gateway.sql import clauses, guards, rewriting, structure
from gateway.sql import statement as statements
from gateway.sql.analyse import Settings, attempt
from gateway.sql.clauses import Block, Clauses, Item, Unreadable
from gateway.sql.rewriting import alike, edited, quoted
from gateway.sql.server import Server

_LONGEST = 64 * 1024  # characters that are read on the event loop for this
_MOST = 64  # columns brought along with one statement


async def bring_along(
    analysis: Analysis,
    wanted: Sequence[RowValues],
    server: Server,
    settings: Settings | None = None,
) -> Analysis:
    """The analysis of the statement with the columns of `wanted` behind its outputs, each once.

    Without those that cannot be brought; `analysis` itself when none can.
    """
    text = analysis.filled_text
    if not wanted or len(text) > _LONGEST or guards.holds(text):
        return analysis
    compared = [equality.parameter for equality in analysis.equalities]
    try:
        found = clauses.read(text)
        own = await structure.schemas({i.table for i in found.items if i.schema is None}, server)
        block = _outermost(found)
        asked = [one for one in wanted if _once(one.reference, found, block, own)]
        places, names = _places(asked, analysis, shown=_without_queries(found))
        if not asked or len(names) > _MOST:
            return analysis
        if not names:
            return replace(analysis, rows=places)
        stem = _unused_in(text)
        added = "".join(f", {column} AS {stem}{n}" for n, column in enumerate(names, 1))
        longer = edited(text, [(block.from_start or 0, block.from_start or 0, f"{added} ")])
        statement = statements.read(longer, max_bytes=len(longer) * 4)
        await server.mark()
        try:
            seen = await attempt(
                longer, guards.kept(statement), (), server, settings or Settings(), compared
            )
        except InvalidRequest:  # FROM names its columns otherwise
            await server.return_to_mark()
            return analysis
    except (Unreadable, InvalidRequest, StatementRefused, NotUnderstood):
        return analysis
    seen = rewriting.apart(seen, replace(analysis, rows=places))
    if not alike(seen, analysis) or not _proven(seen, asked):
        return analysis
    return replace(seen, text=analysis.text)


def _outermost(found: Clauses) -> Block:
    """The statement's one SELECT. Raises Unreadable where rows come together otherwise."""
    arms = [block for block in found.blocks if block.arm]
    if len(arms) != 1 or not arms[0].bare or arms[0].from_start is None:
        raise Unreadable("the rows are not those of one plain SELECT")
    return arms[0]


def _once(reference: Reference, found: Clauses, block: Block, own: Mapping[str, str]) -> bool:
    """Whether one item of the outermost FROM is all that this reference can be, and its name there
    means nothing else: something of that name that stands outside of a join with an alias could be
    made of its columns and be NULL."""
    key = (reference.schema, reference.table, reference.alias)
    items: list[Item] = [item for item in found.items if rewriting.key(item, own) == key]
    alone = len(items) == 1 and items[0].block is block and not reference.view
    return alone and reference.alias not in block.others


def _without_queries(found: Clauses) -> bool:
    """Whether no query stands in the statement's own: what shows a column is then the column, and
    never NULL where its row is there. `(SELECT c.name WHERE false)` is not."""
    words = {lexeme.value for lexeme in found.lexemes if lexeme.kind == "word"}
    return len(found.blocks) == 1 and not words & {"values", "table"}


def _unused_in(text: str) -> str:
    """How a name begins that no ORDER BY of the text can mean."""
    stem = "maskgate_"
    while stem in text.lower():
        stem += "_"
    return stem


def _places(
    asked: Sequence[RowValues], analysis: Analysis, *, shown: bool
) -> tuple[dict[int, tuple[int, ...]], list[str]]:
    """For each text where its columns will stand, and those that are to be added; `shown`: what the
    statement shows of them is not."""
    names: dict[str, int] = {}
    places: dict[int, tuple[int, ...]] = {}
    for one in asked:
        standing = []
        for column in one.columns:
            place = _shown(one.reference, column, analysis) if shown else None
            name = f"{quoted(one.reference.alias)}.{quoted(column)}"
            if place is None:
                place = len(analysis.outputs) + names.setdefault(name, len(names))
            standing.append(place)
        places[one.output] = tuple(standing)
    return places, list(names)


def _shown(reference: Reference, column: str, analysis: Analysis) -> int | None:
    """The place of an output that is the column as it is."""
    for place, output in enumerate(analysis.outputs):
        if output.shape is Shape.BARE and _is(output, reference, column):
            return place
    return None


def _is(output: Output, reference: Reference, column: str) -> bool:
    return len(output.sources) == 1 and (
        output.sources[0].reference is not None
        and _named(output.sources[0].reference) == _named(reference)
        and output.sources[0].column.name == column
        and output.sources[0].column.relation == reference.relation
    )


def _named(reference: Reference) -> tuple[int, str]:
    """A reference but for what is read through it, which the longer statement adds to."""
    return reference.relation, reference.alias


def _proven(seen: Analysis, asked: Sequence[RowValues]) -> bool:
    """Whether the longer statement shows what was asked for, as its tree has it."""
    return all(
        _is(seen.given(place), one.reference, column)
        and seen.given(place).shape is not Shape.COMPUTED
        and _named_through(seen.outputs[one.output]) == {_named(one.reference)}
        for one in asked
        for column, place in zip(one.columns, seen.rows[one.output], strict=True)
    )


def _named_through(output: Output) -> set[tuple[int, str] | None]:
    return {None if s.reference is None else _named(s.reference) for s in output.sources}
