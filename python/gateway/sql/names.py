"""What columns were called when the gateway first saw them: a renamed column keeps its protection.

The policy goes by names. Whoever renames a protected column to a name that is clear, or puts
another table in a table's place, would otherwise unmask it without a word. So a column shares its
protection with its former names until the gateway is started again, with a policy that somebody
has looked at by then. Refuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern

from gateway.model import Column
from gateway.sql.server import Server

_ALL = """
SELECT c.oid, n.nspname, c.relname, pg_catalog.array_agg(a.attnum) AS numbers,
  pg_catalog.array_agg(a.attname::pg_catalog.text) AS names
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
GROUP BY c.oid, n.nspname, c.relname
"""

Name = tuple[str, str, str]  # schema, table, column
_MOST_RENAMED = 256  # sets of columns of which the answer is remembered


class FirstNames:
    """The first name of every column of one database; grows, and never changes what it holds."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str, dict[int, str]]] = {}
        self._renamed: dict[frozenset[Column], Mapping[Column, tuple[Column, ...]]] = {}
        self.learned = False

    async def learn(self, server: Server) -> None:
        """Every column that there is now; asked of the database once."""
        for row in await server.fetch(_ALL):
            columns = zip(row["numbers"], map(intern, row["names"]), strict=True)
            first = (intern(row["nspname"]), intern(row["relname"]), dict(columns))
            self._known.setdefault(row["oid"], first)
        self.learned = True

    def former(self, column: Column) -> Column | None:
        """`column` under the name that it was first seen by, or None when it still has it."""
        schema, table, names = self._known.setdefault(
            column.relation, (column.schema, column.table, {})
        )
        name = names.setdefault(column.attnum, column.name)
        if (schema, table, name) == (column.schema, column.table, column.name):
            return None
        return Column(column.relation, column.attnum, schema, table, name, column.type_oid)

    def renamed(self, used: frozenset[Column]) -> Mapping[Column, tuple[Column, ...]]:
        """`related` of columns without relatives. What it said once it says always, because a first
        name stays."""
        found = self._renamed.get(used)
        if found is None:
            if len(self._renamed) >= _MOST_RENAMED:
                self._renamed.clear()
            found = self._renamed[used] = self.related({}, used)
        return found

    def related(
        self, related: Mapping[Column, tuple[Column, ...]], used: Iterable[Column]
    ) -> Mapping[Column, tuple[Column, ...]]:
        """`related` with the former names of every `used` column and of all its relatives."""
        result = dict(related)
        for column in used:
            others = result.get(column, ())
            former = [one for one in map(self.former, (column, *others)) if one is not None]
            if former:
                result[column] = (*others, *sorted(set(former), key=str))
        return result
