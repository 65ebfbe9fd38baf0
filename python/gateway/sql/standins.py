"""Catalog views that hold definitions, without them: what is put in their place in FROM.

`pg_views` has the text of each view, which is refused; its names are not. Where a statement names
such a view, a sub-select of the same columns stands for it, in which a definition is a word that
says so, or a call that `guards` limits. Nothing rests on its being right: the text it gives is
guarded and analysed like any other. A text that cannot be read comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.sql import clauses, rewriting
from gateway.sql.clauses import Unreadable
from gateway.sql.rewriting import Replacement
from gateway.sql.statement import Statement, read

_COLUMNS = """
    table_catalog table_schema table_name column_name ordinal_position column_default is_nullable
    data_type character_maximum_length character_octet_length numeric_precision
    numeric_precision_radix numeric_scale datetime_precision interval_type interval_precision
    character_set_catalog character_set_schema character_set_name collation_catalog
    collation_schema collation_name domain_catalog domain_schema domain_name udt_catalog
    udt_schema udt_name scope_catalog scope_schema scope_name maximum_cardinality dtd_identifier
    is_self_referencing is_identity identity_generation identity_start identity_increment
    identity_maximum identity_minimum identity_cycle is_generated generation_expression
    is_updatable
"""

_OF_DOMAINS = """
    domain_catalog domain_schema domain_name data_type character_maximum_length
    character_octet_length character_set_catalog character_set_schema character_set_name
    collation_catalog collation_schema collation_name numeric_precision numeric_precision_radix
    numeric_scale datetime_precision interval_type interval_precision domain_default udt_catalog
    udt_schema udt_name scope_catalog scope_schema scope_name maximum_cardinality dtd_identifier
"""

_ABSENT = "'NULL /* not shown */'"

_RIGHTS = (
    "pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, "
    "'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR "
    "has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')"
)


def _yes(condition: str, name: str) -> str:
    return f"CASE WHEN {condition} THEN 'YES' ELSE 'NO' END::information_schema.yes_or_no AS {name}"


def _triggered(bits: int, name: str) -> str:
    own = f"SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & {bits} = {bits}"
    return _yes(f"EXISTS ({own})", name)


# ruff: noqa: S608 all of it is made of constants
# By schema and name, each with the columns, names and types of the view itself.
_VIEWS = {
    ("information_schema", "columns"): (
        f"SELECT {', '.join(f'm.{name} AS {name}' for name in _COLUMNS.split())}"
        " FROM information_schema.columns AS m"
    ),
    ("information_schema", "domains"): (
        f"SELECT {', '.join(f'm.{name} AS {name}' for name in _OF_DOMAINS.split())}"
        " FROM information_schema.domains AS m"
    ),
    ("information_schema", "views"): (
        "SELECT current_database()::information_schema.sql_identifier AS table_catalog,"
        " n.nspname::information_schema.sql_identifier AS table_schema,"
        " c.relname::information_schema.sql_identifier AS table_name,"
        f" {_ABSENT}::information_schema.character_data AS view_definition,"
        " CASE WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED'"
        " WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL' ELSE 'NONE'"
        " END::information_schema.character_data AS check_option, "
        + _yes("pg_relation_is_updatable(c.oid, false) & 20 = 20", "is_updatable")
        + ", "
        + _yes("pg_relation_is_updatable(c.oid, false) & 8 = 8", "is_insertable_into")
        + ", "
        + _triggered(81, "is_trigger_updatable")
        + ", "
        + _triggered(73, "is_trigger_deletable")
        + ", "
        + _triggered(69, "is_trigger_insertable_into")
        + " FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid"
        f" WHERE c.relkind = 'v' AND NOT pg_is_other_temp_schema(n.oid) AND ({_RIGHTS})"
    ),
    ("pg_catalog", "pg_views"): (
        "SELECT n.nspname AS schemaname, c.relname AS viewname,"
        f" pg_get_userbyid(c.relowner) AS viewowner, {_ABSENT}::text AS definition"
        " FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v'"
    ),
    ("pg_catalog", "pg_matviews"): (
        "SELECT n.nspname AS schemaname, c.relname AS matviewname,"
        " pg_get_userbyid(c.relowner) AS matviewowner, t.spcname AS tablespace,"
        " c.relhasindex AS hasindexes, c.relispopulated AS ispopulated,"
        f" {_ABSENT}::text AS definition"
        " FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.relkind = 'm'"
    ),
    ("pg_catalog", "pg_indexes"): (
        "SELECT n.nspname AS schemaname, c.relname AS tablename, i.relname AS indexname,"
        " t.spcname AS tablespace, pg_get_indexdef(i.oid) AS indexdef"
        " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
        " JOIN pg_class i ON i.oid = x.indexrelid"
        " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_tablespace t ON t.oid = i.reltablespace"
        " WHERE c.relkind IN ('r', 'm', 'p') AND i.relkind IN ('i', 'I')"
    ),
    ("pg_catalog", "pg_sequences"): (
        "SELECT n.nspname AS schemaname, c.relname AS sequencename,"
        " pg_get_userbyid(c.relowner) AS sequenceowner, s.seqtypid::regtype AS data_type,"
        " s.seqstart AS start_value, s.seqmin AS min_value, s.seqmax AS max_value,"
        " s.seqincrement AS increment_by, s.seqcycle AS cycle, s.seqcache AS cache_size,"
        " NULL::bigint AS last_value FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid"
        " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT pg_is_other_temp_schema(n.oid) AND c.relkind = 'S'"
    ),
}
# A text that names their columns is guarded where it names them.
_NAMED = frozenset({"columns", "domains"})
#: The views that something stands in for.
NAMES = frozenset(f"{schema}.{view}" for schema, view in _VIEWS)
# The server looks into pg_catalog first.
_OWN = {view: schema for schema, view in _VIEWS if schema == "pg_catalog"}


@dataclass(frozen=True, slots=True)
class _StandIn(Replacement):
    def select(self, *, only: bool) -> str:
        return f"({_VIEWS[self.schema, self.table]})"


def stand_in(statement: Statement, *, max_bytes: int) -> Statement:
    """`statement` with what stands in for such views; itself if it names none."""
    folded = statement.text.lower()
    every = "*" in folded
    if not any(view in folded and (every or view not in _NAMED) for _, view in _VIEWS):
        return statement
    try:
        found = clauses.read(statement.text)
        named = {rewriting.key(item, _OWN) for item in found.items}
        views = {name for name in named if name[:2] in _VIEWS and (every or name[1] not in _NAMED)}
        replaced = [_StandIn(*name, ()) for name in sorted(views)]
        text = rewriting.rewrite(statement.text, found, replaced, _OWN)
    except Unreadable:
        return statement
    return read(text, max_bytes=max_bytes * 2) if views else statement
