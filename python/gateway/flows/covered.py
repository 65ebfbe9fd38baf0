"""Which columns of the database a grant covers: its own, those its filters choose rows by, and
those of the same row that the policy reads beside a free text.

The last two are read by the gateway alone and are found by the server's own account of a statement
that names them. Refuses a grant for what the second credential may not hand on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.errors import NotUnderstood, Refusal, UpstreamFailed
from gateway.latest import Latest
from gateway.model import Grant
from gateway.policy import Policy, to_bring
from gateway.sql import Settings, analyse, check_predicate, selecting
from gateway.upstream import Database, Table

_SESSION = "floor"  # the application_name of look-ups
_MOST_KNOWN = 2048
_MOST_NAMED = 5


class Covered:
    """Of one connection. What it found out is kept by what it found it out of."""

    def __init__(self, database: Database, settings: Settings, policy: Policy) -> None:
        self._database = database
        self._settings = settings
        # Shown to no group: whoever is shown more needs no more beside it.
        self._policy = policy.for_groups(())
        self._known: Latest[tuple[object, ...], frozenset[str]] = Latest(_MOST_KNOWN)

    async def by(
        self, grant: Grant, tables: Mapping[str, Table]
    ) -> list[tuple[Table, Collection[str]]]:
        """The columns of each table that is there. Raises UpstreamFailed."""
        if "*" in grant.tables:
            # Of everything, what can be handed on.
            return [
                (table, [name for name in table.columns if name not in table.kept])
                for table in tables.values()
                if not table.closed
            ]
        some, filters = dict(grant.columns), dict(grant.predicates)
        found: list[tuple[Table, Collection[str]]] = []
        for full in grant.tables:
            table = tables.get(full)
            if table is None:
                continue
            names: Collection[str] = list(table.columns)
            if full in some:
                names = await self._beside(table, some[full], filters.get(full))
            _check(table, names)
            found.append((table, names))
        return found

    def forget(self, grant: Grant) -> None:
        """What was found out for it may have been of another catalog."""
        filters = dict(grant.predicates)
        scopes = {(columns, filters.get(table)) for table, columns in grant.columns}
        for key in list(self._known):
            if key[2:] in scopes:
                self._known.drop(key)

    async def _beside(
        self, table: Table, columns: tuple[str, ...], predicate: str | None
    ) -> frozenset[str]:
        key = (table.oid, tuple(table.columns.items()), columns, predicate)
        found = self._known.get(key)
        if found is None:
            there = [name for name in columns if name in table.columns]
            found = frozenset(there) | await self._of_rows(table, there)
            if predicate is not None:
                found |= await self._of_filter(table, predicate)
            self._known.put(key, found)
        return found

    async def _of_filter(self, table: Table, predicate: str) -> frozenset[str]:
        """None where the filter is none any more: what it is on is then out of scope."""
        async with self._database.transaction(_SESSION) as transaction:
            try:
                seen = await check_predicate(str(table), predicate, transaction, self._settings)
            except (Refusal, NotUnderstood):
                return frozenset()
        return frozenset(use.column.name for use in (*seen.control, *seen.mentions))

    async def _of_rows(self, table: Table, columns: list[str]) -> frozenset[str]:
        if not columns:
            return frozenset()
        text = selecting(table.schema, table.name, columns)
        async with self._database.transaction(_SESSION) as transaction:
            try:
                seen = await analyse(text, (), transaction, self._settings)
            except (Refusal, NotUnderstood):
                seen = None
        if seen is not None:
            brought = to_bring(seen, self._policy)
            return frozenset(name for one in brought for name in one.columns)
        if len(columns) == 1:
            return frozenset()  # it cannot be selected
        each = [await self._of_rows(table, [column]) for column in columns]
        return frozenset().union(*each)


def _check(table: Table, names: Collection[str]) -> None:
    kept = sorted(table.kept.intersection(names))
    if kept:
        more = f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else ""
        raise UpstreamFailed(
            f"the second credential may not grant SELECT on {', '.join(kept[:_MOST_NAMED])}{more} "
            f"of {table}",
            hint="an operator gives it SELECT on the table WITH GRANT OPTION",
        )
    if table.closed:
        raise UpstreamFailed(
            f"the second credential may not grant USAGE on the schema {table.schema}",
            hint="an operator gives it USAGE on the schema WITH GRANT OPTION",
        )
