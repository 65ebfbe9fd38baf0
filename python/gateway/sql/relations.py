"""Which relations a statement may read, and how their columns are named to the policy.

Refuses foreign tables, sequences, temporary and TOAST relations, anything of a kind not known here,
tables with row security unless the configuration says that its role carries their policies, and
every system catalog and column that is not on the list of `catalogs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from gateway.errors import NotUnderstood, StatementRefused
from gateway.latest import Latest
from gateway.model import Column, Equality, Reference, Source, Use
from gateway.sql import catalogs
from gateway.sql.functions import FIRST_USER_OID
from gateway.sql.lineage import Key, Lineage, SourceFlow
from gateway.sql.protection import expanded
from gateway.sql.structure import Relation, described

_READABLE = ("r", "p", "v", "m")
_OTHERS = {
    "f": "a foreign table",
    "S": "a sequence",
    "t": "a TOAST table",
    "c": "a composite type",
    "i": "an index",
}
_TEMPORARY = re.compile(r"pg_(toast_)?temp_")


class Reading:
    """The relations of one tree, all of them admitted. What it says, it says of its arguments
    alone; most of it is worked out once."""

    def __init__(
        self,
        found: Lineage,
        relations: Mapping[int, Relation],
        row_security: frozenset[str],
        *,
        trees: bool = False,
    ) -> None:
        """`trees`: the statement may read stored trees of the catalog, by guarded functions."""
        self._trees = trees
        self.found = found
        self.relations = relations
        self._admitted: dict[Key, tuple[Column, ...]] = {}  # most are asked for several times
        self._every = [oid for oid, _, _ in found.relations]
        self._direct = [oid for oid, _, direct in found.relations if direct]
        self._catalogs = [
            (relations[oid].name, relations[oid].kind, direct)
            for oid, _, direct in found.relations
            if _in_catalog(relations[oid])
        ]
        for oid, kind, _ in found.relations:
            _check(relations[oid], kind, row_security)
        if found.row_security and not row_security:
            raise StatementRefused("row security decides over the statement's rows", hint=_POLICIES)
        catalogs.check_relations(self._catalogs)
        self.references: tuple[Reference, ...] = tuple(
            self._reference(r.relation, r.alias, r.selected) for r in found.references
        )
        """The relations as the text's own FROM clauses name them, catalogs included."""

    def columns(self, keys: Iterable[Key]) -> tuple[Column, ...]:
        """The users' columns among `keys`, in order; those of catalogs are checked and left out."""
        wanted = set(keys)
        if len(wanted) == 1:
            return self._of(*wanted)
        found = {(c.relation, c.attnum): c for key in sorted(wanted) for c in self._of(key)}
        return tuple(found[key] for key in sorted(found))

    def _of(self, key: Key) -> tuple[Column, ...]:
        """`columns` of one key."""
        found = self._admitted.get(key)
        if found is None:
            every = sorted(expanded((key,), self.relations))
            whole = key[1] == 0
            found = tuple(c for oid, number in every for c in self._admit(oid, number, whole))
            self._admitted[key] = found
        return found

    def _admit(self, oid: int, number: int, whole: bool) -> tuple[Column, ...]:
        relation = self.relations[oid]
        if not _in_catalog(relation):
            return (relation.column(number),)
        catalogs.check_column(
            relation.name,
            relation.attribute(number).name,
            through_view=catalogs.through_view(relation.name, self._catalogs),
            trees=self._trees,
            whole=whole,
        )
        return ()

    @cached_property
    def control(self) -> tuple[Use, ...]:
        """The users' columns that decide over rows, each with where."""
        return tuple(
            Use(column, use.use, self._through(use.references), use.equality, use.values)
            if use.view is None
            else Use(column, f"{use.use} of the view {self.relations[use.view].name}")
            for use in self.found.control
            for column in self._of(use.key)
        )

    @cached_property
    def mentions(self) -> tuple[Use, ...]:
        """The users' columns that are named and go nowhere."""
        return tuple(
            Use(column, use, self._through(numbers))
            for key, use, numbers in self.found.mentions
            for column in self._of(key)
        )

    @cached_property
    def shown(self) -> tuple[tuple[Column, ...], ...]:
        """The users' columns that reach each output."""
        return tuple(self.columns(flow.columns) for flow in self.found.outputs)

    @cached_property
    def sources(self) -> tuple[tuple[Source, ...], ...]:
        """The same, each with the reference it is read through."""
        return tuple(self._all(flow.sources) for flow in self.found.outputs)

    @cached_property
    def idle(self) -> tuple[Source, ...]:
        """The users' columns that are named where they go nowhere, and used elsewhere."""
        return self._all(self.found.idle)

    @cached_property
    def used(self) -> frozenset[Column]:
        """The users' columns of all of these."""
        return frozenset({use.column for use in (*self.control, *self.mentions)}.union(*self.shown))

    @cached_property
    def types(self) -> frozenset[int]:
        """OIDs of the types that the statement shows, reads, or calls functions of."""
        shown = (flow.type_oid for flow in self.found.outputs)
        read = (column.type_oid for column in self.used)
        return frozenset({*shown, *read, *self.found.types})

    @cached_property
    def equalities(self) -> tuple[Equality, ...]:
        """The conjuncts that are an equality and nothing else."""
        return tuple(
            Equality(
                tuple(None if given is None else self._one(given) for given in equality.columns),
                None,
                equality.constant,
            )
            for equality in self.found.equalities
        )

    def _all(self, flows: Iterable[SourceFlow]) -> tuple[Source, ...]:
        return tuple(source for flow in flows for source in self._sources(flow))

    def _one(self, given: SourceFlow) -> Source | None:
        sources = self._sources(given)
        return sources[0] if len(sources) == 1 else None

    def _sources(self, given: SourceFlow) -> list[Source]:
        key, number, values = given
        reference = None if number is None else self.references[number]
        return [Source(column, reference, values) for column in self._of(key)]

    def _through(self, numbers: Iterable[int | None]) -> tuple[Reference | None, ...]:
        return tuple(None if n is None else self.references[n] for n in numbers)

    def _reference(self, oid: int, alias: str, selected: frozenset[int]) -> Reference:
        relation = self.relations[oid]
        named = frozenset(relation.attributes) if 0 in selected else selected
        columns = tuple(
            relation.attributes[number].name
            if number in relation.attributes
            else f"number {number}"
            for number in sorted(named)
        )
        view = relation.kind == "v"
        return Reference(oid, relation.schema, relation.table, alias, view, named, columns)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The users' relations that the text names."""
        return self._named(catalog=False)

    @cached_property
    def views(self) -> frozenset[str]:
        """Those of `tables` that are views."""
        named = (self.relations[oid] for oid in self._direct)
        return frozenset(r.name for r in named if r.kind == "v" and not _in_catalog(r))

    @cached_property
    def users_views(self) -> frozenset[str]:
        """The views that did not come with PostgreSQL, also those below others."""
        every = (self.relations[oid] for oid in self._every)
        return frozenset(r.name for r in every if r.kind == "v" and not _in_catalog(r))

    @property
    def reads_catalogs(self) -> bool:
        """Whether the statement reads a system catalog, also below a user's view."""
        return bool(self._catalogs)

    @cached_property
    def catalogs(self) -> tuple[str, ...]:
        """The system catalogs that the text names."""
        return self._named(catalog=True)

    def _named(self, *, catalog: bool) -> tuple[str, ...]:
        named = (self.relations[oid] for oid in self._direct)
        return tuple(sorted({r.name for r in named if _in_catalog(r) is catalog}))


_MOST_KNOWN = 256
#: What was made of what the catalog said, by all that it is made of.
_known: Latest[tuple[str, tuple[str, ...], frozenset[str], bool], Reading] = Latest(_MOST_KNOWN)
_LONGEST = 16 * 1024  # characters of an account


def kept(found: Lineage) -> bool:
    """Whether what is made of a tree is remembered. What is made of a long one would be much."""
    return len(found.account) <= _LONGEST


def reading(
    found: Lineage, said: Mapping[int, str], row_security: frozenset[str], *, trees: bool
) -> Reading:
    """The `Reading` of a tree of which the catalog just `said` what its numbers mean."""
    oids = [oid for oid, _, _ in found.relations]
    key = (found.account, tuple(said.get(oid, "") for oid in oids), row_security, trees)
    made = _known.get(key)
    if made is None:
        made = Reading(found, described(said, oids), row_security, trees=trees)
        if kept(found):
            _known.put(key, made)
    return made


_POLICIES = (
    "have the configuration name the tables whose policies the role of this connection carries"
)


def _in_catalog(relation: Relation) -> bool:
    return relation.schema in catalogs.SCHEMAS and relation.oid < FIRST_USER_OID


def _check(relation: Relation, kind: str, row_security: frozenset[str]) -> None:
    if relation.kind != kind:
        raise NotUnderstood(f"the tree and the catalog do not agree on what {relation.name} is")
    if "." in relation.schema:  # a grant for "a"."b.c" would be one for "a.b"."c"
        raise StatementRefused(
            f"{relation.name} has a dot in the name of its schema, and could be another table",
            hint="an operator renames the schema, or makes a view in another",
        )
    if relation.temporary or _TEMPORARY.match(relation.schema):
        raise StatementRefused(f"{relation.name} is a temporary table")
    if relation.schema.startswith("pg_toast"):
        raise StatementRefused(f"{relation.name} holds parts of other tables' values")
    if kind not in _READABLE:
        raise StatementRefused(
            f"{relation.name} is {_OTHERS.get(kind, 'of a kind that is not known')}, not a table, "
            "view or materialised view"
        )
    if relation.row_security and relation.name not in row_security:
        raise StatementRefused(f"{relation.name} has row security", hint=_POLICIES)
