"""What one statement does, as PostgreSQL's own tree says it; step 3 of the corridor.

The server parses the text, the kernel reads the server's tree, the catalog names what the tree
numbers. Refuses everything that one of them does not know: kinds of statement, relations,
functions, types, names. It decides nothing about protection: it says which base columns reach which
output, which decide over rows, and which others share their protection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gateway.errors import InvalidRequest, NotUnderstood, StatementRefused
from gateway.model import Analysis, Column, Equality, Output, Parsed
from gateway.sql import (
    commands,
    functions,
    guards,
    lineage,
    outputs,
    parameters,
    protection,
    relations,
    standins,
    structure,
)
from gateway.sql import statement as statements
from gateway.sql.functions import Functions
from gateway.sql.guards import Guarded
from gateway.sql.lineage import Lineage
from gateway.sql.names import FirstNames
from gateway.sql.protection import Protection
from gateway.sql.relations import Reading
from gateway.sql.server import Server
from gateway.sql.statement import Statement
from gateway.sql.types import Types

_CAST = re.compile(r"\bcast\s*+(?:\(\s*+)++\Z", re.IGNORECASE)
_LONGEST_CAST = 64  # characters between the word and its parameter
_LONG = 64 * 1024  # longer texts are scanned off the event loop
_SHORT = 4 * 1024  # of shorter ones the last are remembered


@dataclass(frozen=True, slots=True)
class Settings:
    """How far the analysis of one connection goes."""

    max_bytes: int = statements.MAX_BYTES
    pure_functions: frozenset[str] = frozenset()  # "schema.name" of users' functions declared pure
    row_security: frozenset[str] = frozenset()  # "schema.table" whose policies the role carries
    names: FirstNames = field(default_factory=FirstNames, compare=False)


@dataclass(frozen=True, slots=True)
class _Tree:
    """A text that the server has parsed, and what its tree says."""

    text: str
    parsed: Parsed
    found: Lineage


async def analyse(
    text: str, params: Sequence[object], transaction: Server, settings: Settings | None = None
) -> Analysis:
    """Analyse `text` with `params` inlined, in the transaction that will run it.

    Raises InvalidRequest, StatementRefused and NotUnderstood with a sentence that says what to
    change, and UpstreamFailed when the database is at fault.
    """
    settings = settings or Settings()
    if len(text) > _LONG:
        guarded = await asyncio.to_thread(_read, text, settings.max_bytes)
    elif len(text) > _SHORT:
        guarded = _read(text, settings.max_bytes)
    else:
        guarded = _read_again(text, settings.max_bytes)
    parameters.check_count(guarded.statement, params)
    return await attempt(text, guarded, params, transaction, settings)


def _read(text: str, max_bytes: int) -> Guarded:
    """`text` as one query, with stand-ins for views and its guarded functions limited."""
    query = commands.as_query(statements.read(text, max_bytes=max_bytes), max_bytes=max_bytes)
    statement = standins.stand_in(query, max_bytes=max_bytes)
    return guards.guarded(statement, max_bytes=max_bytes)


_read_again = lru_cache(maxsize=128)(_read)


async def attempt(
    text: str,
    guarded: Guarded,
    params: Sequence[object],
    server: Server,
    settings: Settings,
    compared: Sequence[int | None] | None = None,
) -> Analysis:
    """One analysis.

    `compared` are the parameters of the equalities of a text in which they are literals already.
    """
    statement = guarded.statement
    if guarded.without_trees is not None:
        await _check_without_trees(guarded.without_trees, server, settings)
    sent = tree = await _tree(statement.text, server, looked_up=not params)
    if params:
        _check_params(statement, tree.found)
        filled = await parameters.inline(statement, params, tree.parsed.parameters, server)
        tree = await _tree(filled, server)
    if tree.found.params:
        raise NotUnderstood("a parameter is left in the statement")
    compared = _compared(sent.found, tree.found) if compared is None else compared
    if len(compared) != len(tree.found.equalities):
        compared = (None,) * len(tree.found.equalities)
    if not settings.names.learned:
        await settings.names.learn(server)
    trees = guarded.without_trees is not None
    reading = relations.reading(tree.found, tree.parsed.told, settings.row_security, trees=trees)
    # Before their kin are asked for: what comes in between is then in the plan and not here.
    below = await structure.descendants(server, reading.relations)
    used = reading.used  # refused columns of the catalog are met here
    await _check_functions(tree.found, server, settings)
    await _check_guarded(guarded, sent.found, tree.found, reading, server)
    allowed = await server.once(functions.load)
    given = await _outputs(tree, reading, allowed, server)
    shown, as_text = given.outputs, given.as_text
    protected = await protection.close(server, tree.found, reading.relations)
    approved = protected.approved(tree.found, reading.relations, below)
    if protected.control:
        used = used.union(use.column for use in protected.control)
    filled_text = tree.text
    if any(as_text):
        tree = await _with_text(tree, as_text, server, settings)
    analysis = Analysis(
        text=text,
        server_text=tree.text,
        server_tree=tree.found.digest,
        outputs=shown,
        control=(*reading.control, *protected.control),
        mentions=reading.mentions,
        tables=reading.tables,
        views=reading.views,
        notes=(*_notes(shown, as_text), *guards.notes(statement)),
        catalogs=reading.catalogs,
        related=_related(used, protected, settings.names),
        inherited=protected.inherited(),
        filled_text=filled_text,
        references=reading.references,
        equalities=_with_parameters(reading.equalities, compared),
        idle=reading.idle,
        relations=approved,
    )
    alone = not (below or protected.met or analysis.related or analysis.notes)
    if alone and relations.kept(reading.found):
        # All of it but the texts follows from the reading, of which the outputs were made, and from
        # what was a parameter.
        analysis.take_shape((given, tuple(compared)))
    return analysis


async def _check_without_trees(statement: Statement, server: Server, settings: Settings) -> None:
    """Raise unless the statement reads no stored tree of the catalog but by guarded functions."""
    found = await lineage.of((await server.parse(statement.text)).tree, server.server_major)
    known = await structure.relations(server, {oid for oid, _, _ in found.relations})
    Reading(found, known, settings.row_security).columns(found.used())


async def _tree(text: str, server: Server, *, looked_up: bool = True) -> _Tree:
    """`looked_up`: the catalog is asked about its relations as well."""
    # The question is answered in the locks of the Parse, and so about the tree's own relations.
    early = lineage.Early(server.server_major)
    question = structure.RELATIONS if looked_up else None
    parsed = await server.parse(text, question, early.read)
    found = await early.of(parsed.tree)
    if not found.outputs:
        raise StatementRefused("the statement returns no columns", hint="name at least one")
    if len(found.outputs) != len(parsed.names):
        raise NotUnderstood("the tree and the server's description differ in the number of columns")
    for name in parsed.names:
        if not statements.acceptable_heading(name):
            raise StatementRefused(
                "a result column has a name that holds a colon, brace, backslash, double quote, "
                "line end or invisible character",
                hint="give it a name with AS",
            )
    return _Tree(text, parsed, found)


def _check_params(statement: Statement, found: Lineage) -> None:
    """The parameters that the scanner sees are those that the server saw, in the same places.

    The server puts the parameter of CAST($1 AS type) where the word CAST is.
    """
    places = set[tuple[int, int]]()
    for number, token in statement.parameters():
        before = statement.text[: token.start]
        places.add((number, len(before.encode())))
        if cast := _CAST.search(before, max(0, len(before) - _LONGEST_CAST)):
            places.add((number, len(before[: cast.start()].encode())))
    seen = {(number, place) for number, place in found.params if place >= 0}
    numbers = {number for number, _ in places}
    if not seen <= places or not {number for number, _ in found.params} <= numbers:
        raise InvalidRequest(
            "the parameters of the statement cannot be told apart from its text",
            hint="write the values into the statement",
        )


def _compared(sent: Lineage, filled: Lineage) -> tuple[int | None, ...]:
    """Which equalities of the final tree compare with what stood there as a parameter.

    Both trees list them in the same order. If they do not agree in everything else, none does.
    """
    pairs = list(zip(sent.equalities, filled.equalities, strict=False))
    agree = len(sent.equalities) == len(filled.equalities) and all(
        before.columns == after.columns
        and after.constant == (before.constant or before.parameter is not None)
        for before, after in pairs
    )
    return tuple(before.parameter if agree else None for before, _ in pairs)


async def _check_functions(found: Lineage, server: Server, settings: Settings) -> None:
    allowed = await server.once(functions.load)
    await functions.check(
        found.functions, found.operators, allowed, settings.pure_functions, server
    )


async def _check_guarded(
    guarded: Guarded, sent: Lineage, filled: Lineage, reading: Reading, server: Server
) -> None:
    """Raise unless every guarded function is called inside its guard, by the places of the tree.

    With its parameters filled in a text makes the same calls in the same order.
    """
    calls = await _guarded_calls(sent, server)
    listed = reading.reads_catalogs or sent.row_security  # a policy reads settings as it likes
    guards.check(calls, guarded.places, reading.users_views, listed=listed)
    if filled is not sent and _names(calls) != _names(await _guarded_calls(filled, server)):
        raise NotUnderstood("the statement calls other functions with its parameters filled in")


async def _guarded_calls(found: Lineage, server: Server) -> list[tuple[str, int]]:
    """The calls of guarded functions by name and place, in the order of the text."""
    names = (await server.once(functions.load)).guarded
    calls = ((names[function], place) for function, place in found.calls if function in names)
    return sorted(calls, key=lambda call: (call[1], call[0]))


def _names(calls: Sequence[tuple[str, int]]) -> list[str]:
    return [name for name, _ in calls]


async def _outputs(
    tree: _Tree, reading: Reading, allowed: Functions, server: Server
) -> outputs.Shown:
    """The outputs; every type is admitted."""
    types = await server.once(_built_in)
    users = await structure.user_types(server, {*tree.parsed.type_oids, *reading.types})
    told = reading.reads_catalogs or allowed.tell(tree.found.functions)
    forms = statements.date_forms(tree.text)
    names, oids = tree.parsed.names, tree.parsed.type_oids
    if users or not relations.kept(reading.found):
        types = types.joined(users) if users else types
        return outputs.of(reading, types, names, oids, forms, told=told)
    return outputs.known(reading, types, names, oids, forms, told=told)


async def _built_in(server: Server) -> Types:
    return Types(await structure.built_in_types(server))


def _with_parameters(
    equalities: tuple[Equality, ...], compared: Sequence[int | None]
) -> tuple[Equality, ...]:
    """`compared` says which value of each the agent sent as $n."""
    if not any(compared):
        return equalities
    return tuple(
        replace(equality, parameter=number)
        for equality, number in zip(equalities, compared, strict=True)
    )


def _notes(shown: Sequence[Output], as_text: Sequence[bool]) -> tuple[str, ...]:
    cast = [output.name for output, made in zip(shown, as_text, strict=True) if made]
    return (f"sent in their text form: {', '.join(cast)}",) if cast else ()


async def _with_text(
    inner: _Tree, as_text: Sequence[bool], server: Server, settings: Settings
) -> _Tree:
    """The statement inside one that casts some of its columns to text, analysed as any other.

    The names are generated; the agent's names are those of the inner statement. The inner order
    stays: the outer statement only projects.
    """
    names = [f'"c{number}"' for number in range(1, len(as_text) + 1)]
    shown = ", ".join(
        f"q.{name}::pg_catalog.text" if cast else f"q.{name}"
        for name, cast in zip(names, as_text, strict=True)
    )
    columns = ", ".join(names)
    text = f"SELECT {shown} FROM (\n{inner.text}\n) AS q({columns})"  # noqa: S608 analysed below
    outer = await _tree(text, server, looked_up=False)
    same = (
        [set(flow.columns) for flow in outer.found.outputs]
        == [set(flow.columns) for flow in inner.found.outputs]
        and _controlling(outer.found) == _controlling(inner.found)
        and [len(e.columns) for e in outer.found.equalities]
        == [len(e.columns) for e in inner.found.equalities]
        and {oid for oid, _, _ in outer.found.relations}
        == {oid for oid, _, _ in inner.found.relations}
        and not outer.found.params
        and _names(await _guarded_calls(outer.found, server))
        == _names(await _guarded_calls(inner.found, server))
        and outer.found.row_security == inner.found.row_security
    )
    if not same:
        raise NotUnderstood(
            "the statement cannot be sent with its columns as text",
            hint="cast the columns of unusual types to text, or leave them out",
        )
    await _check_functions(outer.found, server, settings)
    return outer


def _controlling(found: Lineage) -> set[tuple[lineage.Key, str, bool, int | None]]:
    return {(u.key, u.use, u.equality is not None, u.values) for u in found.control}


def _related(
    used: frozenset[Column], protected: Protection, names: FirstNames
) -> Mapping[Column, tuple[Column, ...]]:
    if not protected.shared:
        return names.renamed(used)
    found = {column: protected.related(column) for column in used}
    return names.related({c: others for c, others in found.items() if others}, used)
