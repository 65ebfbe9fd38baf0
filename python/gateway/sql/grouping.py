"""GROUP BY without the protected columns that follow from a primary key beside them.

`group by p.id, p.full_name` groups as `group by p.id` does, and then full_name is only selected.
That it follows is for the server to say: it takes the shorter list only where every column left out
is fixed by a primary key in it. Nothing is trusted here: the shorter text goes through the whole
analysis, and what it does with a protected column is judged as ever. Where the server says no, the
statement comes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.errors import InvalidRequest, NotUnderstood, StatementRefused
from gateway.model import Analysis, Hidden, Shape
from gateway.sql import clauses, guards
from gateway.sql import statement as statements
from gateway.sql.analyse import Settings, attempt
from gateway.sql.clauses import Block, Clauses, Lexeme, Unreadable
from gateway.sql.rewriting import alike, apart, edited
from gateway.sql.server import Server

_USE = "GROUP BY"
_LONGEST = 64 * 1024  # characters that are read on the event loop for this
NOTE = "GROUP BY without {}: what the primary key beside it fixes splits no group"


@dataclass(frozen=True, slots=True)
class _Item:
    """One entry of a GROUP BY list that is a name or the place of an output."""

    start: int
    end: int
    parts: tuple[str, ...]  # of the name; empty for a place
    place: int  # from 1; 0 for a name


async def without_dependents(
    analysis: Analysis, hidden: Sequence[Hidden], server: Server, settings: Settings | None = None
) -> Analysis:
    """The analysis of the statement with the shorter list; `analysis` itself if there is none."""
    wanted = [one for one in hidden if _USE in one.uses]
    text = analysis.filled_text
    if not wanted or len(text) > _LONGEST or guards.holds(text):
        return analysis
    compared = [equality.parameter for equality in analysis.equalities]
    try:
        shorter, probe, gone = _shorter(text, clauses.read(text), analysis, wanted)
        await server.mark()
        try:
            await server.parse(probe)
            statement = statements.read(shorter, max_bytes=len(shorter) * 4)
            found = await attempt(
                shorter, guards.kept(statement), (), server, settings or Settings(), compared
            )
        except InvalidRequest:  # one of them follows from nothing
            await server.return_to_mark()
            return analysis
    except (Unreadable, StatementRefused, NotUnderstood, InvalidRequest):
        return analysis
    found = apart(found, analysis)
    if not alike(found, analysis):
        return analysis
    note = NOTE.format(", ".join(dict.fromkeys(gone)))
    return replace(found, text=analysis.text, notes=(*analysis.notes, note))


def _shorter(
    text: str, found: Clauses, analysis: Analysis, wanted: Sequence[Hidden]
) -> tuple[str, str, list[str]]:
    """The shorter text; one that parses only if what is gone follows; the names that are gone."""
    edits: list[tuple[int, int, str]] = []
    proofs: list[tuple[int, int, str]] = []
    gone: list[str] = []
    for block in found.blocks:
        items, others = _items(found, block)
        top = block.parent is None and sum(b.parent is None for b in found.blocks) == 1
        dropped = [item for item in items if _protected(item, analysis, wanted, top)]
        if not dropped or len(dropped) == len(items) + others or block.group_end is None:
            continue
        kept = _kept(text, block, dropped)
        edits.append((block.group_start or 0, block.group_end, kept))
        named = [item for item in dropped if item.parts]
        proofs += _proof(found, block, [text[item.start : item.end] for item in named])
        gone += [
            item.parts[-1] if item.parts else analysis.outputs[item.place - 1].name
            for item in dropped
        ]
    if not edits:
        raise Unreadable("no GROUP BY that could be shorter")
    return edited(text, edits), edited(text, edits + proofs), gone


def _items(found: Clauses, block: Block) -> tuple[list[_Item], int]:
    """The entries of the block's list that are names or places, and how many others there are."""
    if block.group_start is None or block.group_end is None:
        return [], 0
    inside = [x for x in found.lexemes if block.group_start <= x.start < block.group_end]
    items, others = [], 0
    for entry in _entries(inside):
        names, dots = entry[::2], entry[1::2]
        if all(x.names for x in names) and all(x.value == "." for x in dots) and len(entry) % 2:
            parts = tuple(x.value for x in names)
            items.append(_Item(entry[0].start, entry[-1].end, parts, 0))
        elif len(entry) == 1 and entry[0].number:
            items.append(_Item(entry[0].start, entry[0].end, (), int(entry[0].value)))
        else:
            others += 1
    return items, others


def _entries(inside: Sequence[Lexeme]) -> Iterator[list[Lexeme]]:
    depth, entry = 0, list[Lexeme]()
    for lexeme in inside:
        sign = lexeme.value if lexeme.kind == "sign" else ""
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            yield entry
            entry = []
        else:
            entry.append(lexeme)
    if entry:
        yield entry


def _protected(item: _Item, analysis: Analysis, wanted: Sequence[Hidden], top: bool) -> bool:
    """Whether it may be one of the columns; the proof is the server's."""
    if item.place:
        return top and item.place <= len(analysis.outputs) and _shows(analysis, item.place, wanted)
    names = {(one.reference.alias, one.column.name) for one in wanted}
    *qualifier, last = item.parts
    return any(name == last and (not qualifier or alias == qualifier[-1]) for alias, name in names)


def _shows(analysis: Analysis, place: int, wanted: Sequence[Hidden]) -> bool:
    output = analysis.outputs[place - 1]
    columns = {one.column for one in wanted}
    return output.shape is Shape.BARE and bool(output.columns) and set(output.columns) <= columns


def _kept(text: str, block: Block, dropped: Sequence[_Item]) -> str:
    """The list without the dropped entries and without a comma too many."""
    start, end = block.group_start or 0, block.group_end or 0
    listed = text[start:end]
    for item in sorted(dropped, key=lambda one: one.start, reverse=True):
        before, after = listed[: item.start - start], listed[item.end - start :]
        if after.lstrip().startswith(","):
            after = after.lstrip()[1:]
        elif before.rstrip().endswith(","):
            before = before.rstrip()[:-1]
        else:
            raise Unreadable("something stands between an entry and its comma")
        listed = before + after
    return listed


def _proof(found: Clauses, block: Block, names: Sequence[str]) -> list[tuple[int, int, str]]:
    """The names in HAVING, where the server takes them only if the list fixes them."""
    if not names:
        return []
    tests = " AND ".join(f"({name}) IS NULL" for name in names)
    end = block.group_end or 0
    behind = next((x for x in found.lexemes if x.start >= end), None)
    having = behind is not None and (behind.kind, behind.value) == ("word", "having")
    if having and behind is not None and behind.end <= block.end:
        return [(behind.end, behind.end, f" {tests} AND")]
    return [(end, end, f" HAVING {tests}")]
