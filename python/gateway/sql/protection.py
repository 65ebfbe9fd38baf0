"""Which columns share a used column's protection, through every structure that copies values.

A partition shares with its parent, a generated column with what it is computed from, a materialised
view's column with the columns its query takes it from, and so on from each of those. A materialised
view's rows were chosen by its query, so what controls that query controls the statement, as with a
view; a partition's rows were chosen by the key of its parent. A query that cannot be read is a
refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.errors import MaskgateError, NotUnderstood
from gateway.model import Column, Use
from gateway.sql import lineage, structure
from gateway.sql.lineage import Key, Lineage
from gateway.sql.server import Server
from gateway.sql.structure import Relation

_MAX_QUERIES = 32  # of materialised views, for one statement
_DEFINITION = "SELECT pg_catalog.pg_get_viewdef($1::pg_catalog.oid) AS text"


@dataclass(slots=True)
class Protection:
    """What was found; `relations` holds every relation met on the way."""

    relations: dict[int, Relation]
    control: list[Use] = field(default_factory=list)
    shared: dict[Key, list[Key]] = field(default_factory=dict)
    columns: dict[Key, Column] = field(default_factory=dict)
    namesakes: set[Key] = field(default_factory=set)
    sources: set[Key] = field(default_factory=set)

    @property
    def met(self) -> bool:
        """Whether anything of the statement is kept in two places, or chosen by another's query."""
        return bool(self.control or self.shared)

    def inherited(self) -> frozenset[Column]:
        """Columns that hold the same values as their namesakes in a parent or child, and are in no
        materialised view's query: what such a query makes of them is another value."""
        return frozenset(self.columns[key] for key in self.namesakes - self.sources)

    def related(self, column: Column) -> tuple[Column, ...]:
        """All that `column` shares protection with, itself excepted."""
        start = (column.relation, column.attnum)
        if start not in self.shared:
            return ()
        seen, open_ = {start}, [start]
        while open_:
            new = [key for key in self.shared.get(open_.pop(), ()) if key not in seen]
            seen.update(new)
            open_ += new
        return tuple(sorted((self.columns[key] for key in seen - {start}), key=str))

    def approved(
        self,
        found: Lineage,
        relations: Mapping[int, Relation],
        below: Collection[tuple[int, int]],
    ) -> frozenset[int]:
        """The OIDs of `relations`, and of those that inherit from them and that the closure met.

        `below` was seen before the closure. A child that had left when the closure looked may be
        back when the plan is made: its columns shared nothing, and so it is not approved.
        """
        if not below:
            return frozenset(relations)
        used: dict[int, set[int]] = {}
        for relation, number in expanded(found.used(), relations):
            if number > 0:
                used.setdefault(relation, set()).add(number)
        left = {
            child
            for root, child in below
            for number in used.get(root, ())
            if all(relation != child for relation, _ in self.shared.get((root, number), ()))
        }
        if left & set(relations):
            raise NotUnderstood(
                "a table left the one it inherits from while the statement was analysed",
                hint="send it again",
            )
        return frozenset(relations) | ({child for _, child in below} - left)


async def close(server: Server, found: Lineage, relations: Mapping[int, Relation]) -> Protection:
    """The closure over everything that `found` names."""
    result = Protection(dict(relations))
    if not any(r.family or r.partition or r.generated or r.kind == "m" for r in relations.values()):
        return result  # nothing of them is kept in two places
    queries: dict[int, Lineage] = {}
    for oid, _, _ in found.relations:
        await _read_query(server, oid, queries, result)
    for partition, (relation, number) in await structure.bounds(
        server, list(result.relations), result.relations
    ):
        column = result.relations[relation].column(number)
        name = result.relations[partition].name
        result.control.append(Use(column, f"the bounds of the partition {name}"))
    fresh = expanded(found.used(), relations)
    fresh |= {(use.column.relation, use.column.attnum) for use in result.control}
    seen: set[Key] = set()
    while fresh:
        seen |= fresh
        more: set[Key] = set()
        for key, columns in (await structure.kin(server, fresh, result.relations)).items():
            others = [(column.relation, column.attnum) for column in columns]
            result.columns.update(zip(others, columns, strict=True))
            name = result.relations[key[0]].attribute(key[1]).name
            result.namesakes |= {
                other
                for other, column in zip(others, columns, strict=True)
                if column.name == name and column.relation != key[0]
            }
            result.shared.setdefault(key, []).extend(others)
        for relation, number in fresh:
            if relation in queries:
                sources = _sources(queries[relation], number, result)
                result.shared.setdefault((relation, number), []).extend(sources)
                result.sources |= set(sources)
                more |= set(sources)
        fresh = more - seen
    return result


def expanded(keys: Iterable[Key], relations: Mapping[int, Relation]) -> set[Key]:
    """Column number 0 stands for every column of its relation."""
    given = set(keys)
    if all(number for _, number in given):
        return given
    every = {(r, n) for r, zero in given if zero == 0 for n in relations[r].attributes}
    return {key for key in given if key[1] != 0} | every


def _sources(query: Lineage, number: int, result: Protection) -> list[Key]:
    if not 0 < number <= len(query.outputs):
        raise NotUnderstood("a materialised view has a column that its query does not give")
    keys = sorted(expanded(query.outputs[number - 1].columns, result.relations))
    for relation, attribute in keys:
        result.columns[relation, attribute] = result.relations[relation].column(attribute)
    return keys


async def _read_query(
    server: Server, oid: int, queries: dict[int, Lineage], result: Protection
) -> None:
    """The lineage of a materialised view's query, and of those it reads, by the server's tree."""
    view = result.relations[oid]
    if view.kind != "m" or oid in queries:
        return
    if len(queries) >= _MAX_QUERIES:
        raise NotUnderstood(f"the statement leans on more than {_MAX_QUERIES} materialised views")
    (row,) = await server.fetch(_DEFINITION, oid)
    try:
        parsed = await server.parse(row["text"].strip().removesuffix(";"))
        query = await lineage.of(parsed.tree, server.server_major)
    except MaskgateError:
        raise NotUnderstood(
            f"where the columns of the materialised view {view.name} come from cannot be told",
            hint="read the tables it is made from",
        ) from None
    queries[oid] = query
    unknown = {other for other, _, _ in query.relations} - set(result.relations)
    if unknown:
        result.relations.update(await structure.relations(server, unknown))
    for use in query.control:
        for relation, number in expanded([use.key], result.relations):
            column = result.relations[relation].column(number)
            result.control.append(Use(column, f"{use.use} of the materialised view {view.name}"))
    for other, _, _ in query.relations:
        await _read_query(server, other, queries, result)
