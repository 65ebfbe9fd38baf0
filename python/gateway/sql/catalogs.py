"""Which system catalogs a statement may read, and which of their columns.

Allowed is what an agent needs to find its way: names of schemas, tables, columns, types and their
constraints. Refused is what holds or describes values and other people's work: statistics, function
bodies, view definitions, stored trees, large objects, roles, settings, activity, estimates of rows.
The views of the information schema on the list are taken as one piece with what is below them.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.errors import StatementRefused

SCHEMAS = ("pg_catalog", "information_schema")

# Columns of base catalogs that a statement may name itself.
_COLUMNS = {
    "pg_attribute": "attrelid attname atttypid attlen attnum atttypmod attndims attbyval "
    "attalign attnotnull atthasdef attidentity attgenerated attisdropped attislocal attinhcount "
    "attcollation",
    "pg_class": "oid relname relnamespace reltype reloftype relowner relam relhasindex relisshared "
    "relpersistence relkind relnatts relchecks relhasrules relhastriggers relhassubclass "
    "relrowsecurity relforcerowsecurity relispartition",
    "pg_collation": "oid collname collnamespace collprovider collisdeterministic collencoding",
    "pg_constraint": "oid conname connamespace contype condeferrable condeferred convalidated "
    "conrelid contypid conindid conparentid confrelid confupdtype confdeltype confmatchtype "
    "conislocal coninhcount connoinherit conkey confkey",
    "pg_database": "oid datname",
    "pg_description": "objoid classoid objsubid description",
    "pg_enum": "oid enumtypid enumsortorder enumlabel",
    "pg_index": "indexrelid indrelid indnatts indnkeyatts indisunique indisprimary indisexclusion "
    "indisvalid indkey",
    "pg_inherits": "inhrelid inhparent inhseqno",
    "pg_namespace": "oid nspname",
    "pg_range": "rngtypid rngsubtype rngmultitypid rngcollation",
    "pg_type": "oid typname typnamespace typlen typbyval typtype typcategory typispreferred "
    "typisdefined typdelim typrelid typelem typarray typnotnull typbasetype typtypmod typndims "
    "typcollation",
}
COLUMNS = {f"pg_catalog.{table}": frozenset(names.split()) for table, names in _COLUMNS.items()}

# Views taken as one piece, each with the base catalogs it reads.
_VIEWS = {
    "columns": "pg_attrdef pg_attribute pg_class pg_collation pg_depend pg_namespace pg_sequence "
    "pg_type",
    "key_column_usage": "pg_attribute pg_class pg_constraint pg_namespace",
    "referential_constraints": "pg_class pg_constraint pg_depend pg_namespace",
    "schemata": "pg_authid pg_namespace",
    "table_constraints": "pg_attribute pg_class pg_constraint pg_index pg_namespace",
    "tables": "pg_class pg_namespace pg_type",
}
VIEWS = {
    f"information_schema.{view}": frozenset(f"pg_catalog.{name}" for name in below.split())
    for view, below in _VIEWS.items()
}
_INSTEAD = (
    "information_schema.tables, information_schema.columns, pg_class, pg_attribute, pg_type and "
    "pg_namespace tell the structure"
)


def check_relations(read: Collection[tuple[str, str, bool]]) -> None:
    """Refuse catalogs that are not on the list: ("schema.relation", relkind, named directly).

    A base catalog that the statement reaches through a view only must be below a listed view that
    the statement reads, or be one whose listed columns it may name itself; those are checked then.
    """
    below = set[str]().union(*(VIEWS.get(name, ()) for name, _, _ in read))
    for name, kind, direct in read:
        known = name in VIEWS if kind == "v" else name in COLUMNS or (not direct and name in below)
        if not known:
            raise StatementRefused(f"the system catalog {name} may not be read", hint=_INSTEAD)


def through_view(name: str, read: Collection[tuple[str, str, bool]]) -> bool:
    """Whether every mention of the base catalog `name` is a listed view's own."""
    direct = any(other == name and named for other, _, named in read)
    return not direct and any(name in VIEWS.get(other, ()) for other, _, _ in read)


def check_column(name: str, column: str) -> None:
    """Refuse a column of a directly named catalog that is not on the list."""
    allowed = COLUMNS.get(name, frozenset())
    if column not in allowed:
        raise StatementRefused(
            f"the column {column} of the system catalog {name} may not be read",
            hint=f"of {name} these may be named: {', '.join(sorted(allowed))}",
        )
