"""A set of columns that a role may read, and the name that says which: equal sets, one role.

What is granted is told by numbers of the catalog and not by names, so that a table which takes
another's name is not what was granted. A name stands for one installation, database and connection
alone. Says nothing about what the database holds: that is asked of it each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

PREFIX = "maskgate_"


@dataclass(frozen=True, slots=True)
class Schema:
    """One whose names agents' statements use, and not everybody may: it takes a right."""

    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as the catalog has it now."""

    oid: int
    schema: str
    name: str
    columns: Mapping[str, int]  # by name, in the order of the table
    kept: frozenset[str]  # columns that the second credential may not grant
    closed: bool  # it may not grant the use of the schema, and that takes a right

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, eq=False)
class ColumnSet:
    """Columns of some tables, each once, and the schemas that a statement may name."""

    columns: tuple[tuple[Table, tuple[str, ...]], ...]
    schemas: tuple[Schema, ...] = ()

    @classmethod
    def of(
        cls, wanted: Iterable[tuple[Table, Collection[str]]], schemas: Iterable[Schema] = ()
    ) -> ColumnSet:
        """Each table once; names that its table does not have are left out."""
        found = [
            (table, tuple(sorted(name for name in names if name in table.columns)))
            for table, names in wanted
        ]
        kept = (one for one in found if one[1])
        return cls(tuple(sorted(kept, key=lambda one: one[0].oid)), tuple(schemas))

    @cached_property
    def items(self) -> str:
        """The same by numbers, in one order: what `roles` makes of the rights that it finds."""
        columns = [
            (table.oid, table.columns[name]) for table, names in self.columns for name in names
        ]
        words = [f"c{oid}.{number}" for oid, number in sorted(columns)]
        return ",".join([*words, *(f"n{oid}" for oid in sorted(one.oid for one in self.schemas))])


@dataclass(frozen=True)
class Owner:
    """Whose roles they are: what keeps two installations on one server apart."""

    installation: str  # of the control store, hex
    database: int  # its OID
    connection: str

    @property
    def mark(self) -> str:
        """The comment of each role; no role without it is ever dropped."""
        return f"{self.marks}{self.connection}"

    @property
    def marks(self) -> str:
        """How the mark of every role of this installation in this database begins."""
        return f"maskgate {self.installation} {self.database} "

    @property
    def stem(self) -> str:
        return f"{PREFIX}{self.installation[:8]}_"

    def name(self, columns: ColumnSet) -> str:
        digest = hashlib.sha256(f"{self.mark}\n{columns.items}".encode())
        return f"{self.stem}{digest.hexdigest()[:32]}"
