"""Which relations and columns a connection has, by name and type; it reads no row.

Refuses to list system schemas, temporary relations and what the login cannot see the schema of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import Column
from gateway.sql.rewriting import quoted
from gateway.sql.server import Server

#: More than a catalog listing can use; a larger database is asked for by name.
_MOST = 100_000

_COLUMNS = """
SELECT c.oid, a.attnum, n.nspname, c.relname, a.attname, a.atttypid,
  c.relkind::pg_catalog.text AS kind,
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname, a.attnum
LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class Described:
    """One column of one relation."""

    column: Column
    kind: str  # "r" table, "p" partitioned table, "v" view, "m" materialised view
    type_name: str

    @property
    def table(self) -> str:
        return f"{self.column.schema}.{self.column.table}"


def selecting(schema: str, table: str, columns: Sequence[str]) -> str:
    """A statement that selects these columns, to be analysed."""
    names = ", ".join(map(quoted, columns))
    return f"SELECT {names} FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608 quoted, never run


async def describe(server: Server) -> list[Described]:
    """Every column the login can name, in the order of schema, table and position."""
    found = []
    for row in await server.fetch(_COLUMNS, _MOST):
        oid, number, schema, table, name, type_oid, kind, type_name = row.values()
        column = Column(oid, number, schema, table, name, type_oid)
        found.append(Described(column, kind, type_name))
    return found
