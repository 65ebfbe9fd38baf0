"""Which functions a statement may call: by OID, from the server's own list of them.

Allowed are the IMMUTABLE functions that came with PostgreSQL, less a few, plus STABLE and VOLATILE
ones grown from everyday statements. Refused is everything else: what runs SQL text, reads files,
settings, statistics or other sessions, takes locks, sleeps, writes, or was made by a user. A user's
function runs only when the configuration declares it pure; it then carries all its arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import StatementRefused
from gateway.sql import guards
from gateway.sql.server import Server

# OIDs below this came with the server (initdb); no user's object ever has one.
FIRST_USER_OID = 16384


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# IMMUTABLE, and still not for strangers: they look up relations or roles by OID, judge the settings
# of another server, or make a value of any size out of two numbers.
_NOT_THESE = _names(
    """
    acldefault aclinsert aclremove array_fill makeaclitem pg_indexam_progress_phasename
    pg_partition_root pg_walfile_name pg_walfile_name_offset postgresql_fdw_validator
    satisfies_hash_partition ts_lexize ts_parse ts_token_type
    """
)

# STABLE: they depend on the time zone, the clock, the text-search set-up or a type's output.
_STABLE = _names(
    """
    age anytextcat array_to_json array_to_string concat concat_ws convert convert_from convert_to
    current_database current_schema current_schemas date date_add date_cmp_timestamptz
    date_eq_timestamptz date_ge_timestamptz date_gt_timestamptz date_le_timestamptz
    date_lt_timestamptz date_ne_timestamptz date_part date_subtract date_trunc enum_first enum_last
    enum_range extract format generate_series in_range interval_pl_timestamptz json_agg
    json_agg_strict json_build_array json_build_object json_object_agg json_object_agg_strict
    json_object_agg_unique json_object_agg_unique_strict json_populate_record
    json_populate_recordset json_to_record json_to_recordset json_to_tsvector jsonb_agg
    jsonb_agg_strict jsonb_build_array jsonb_build_object jsonb_path_exists_tz jsonb_path_match_tz
    jsonb_path_query_array_tz jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record
    jsonb_populate_recordset jsonb_to_record jsonb_to_recordset jsonb_to_tsvector length
    make_timestamptz money now numeric overlaps pg_typeof phraseto_tsquery plainto_tsquery
    quote_literal quote_nullable row_to_json statement_timestamp textanycat time
    timestamp timestamp_cmp_timestamptz timestamp_eq_timestamptz timestamp_ge_timestamptz
    timestamp_gt_timestamptz timestamp_le_timestamptz timestamp_lt_timestamptz
    timestamp_ne_timestamptz timestamptz timestamptz_cmp_date timestamptz_cmp_timestamp
    timestamptz_eq_date timestamptz_eq_timestamp timestamptz_ge_date timestamptz_ge_timestamp
    timestamptz_gt_date timestamptz_gt_timestamp timestamptz_le_date timestamptz_le_timestamp
    timestamptz_lt_date timestamptz_lt_timestamp timestamptz_mi_interval timestamptz_ne_date
    timestamptz_ne_timestamp timestamptz_pl_interval timetz timezone to_char to_date to_json
    to_jsonb to_number to_timestamp to_tsquery to_tsvector transaction_timestamp ts_headline
    ts_match_tq ts_match_tt version websearch_to_tsquery xml xml_is_well_formed
    """
)
# No clock that runs during a statement (clock_timestamp, uuidv7): it would time each row.
_VOLATILE = _names("array_sample array_shuffle gen_random_uuid random random_normal uuidv4")

# What the views of the information schema and a client's look at the catalog call. Each tells of
# names, types and structure only, whatever its arguments; none reads a row or runs a user's code.
# Those that take a relation's name as text look it up in the catalog, and fail if there is none:
# the name is then an argument like any other, and carries the columns it is made of.
_OF_CATALOGS = _names(
    """
    col_description format_type getdatabaseencoding obj_description pg_char_to_encoding
    pg_client_encoding pg_collation_is_visible pg_column_is_updatable pg_conversion_is_visible
    pg_encoding_to_char pg_function_is_visible pg_get_function_identity_arguments
    pg_get_function_result pg_get_keywords pg_get_serial_sequence pg_get_userbyid
    pg_is_other_temp_schema pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible
    pg_opfamily_is_visible pg_partition_ancestors pg_relation_is_publishable
    pg_relation_is_updatable pg_statistics_obj_is_visible pg_table_is_visible pg_type_is_visible
    regclass to_regclass to_regnamespace to_regtype
    """
)
# Rights, in the forms that ask for the current role, by their number of arguments: the rights of
# other roles are not the agent's to ask.
_OF_RIGHTS = {
    "has_any_column_privilege": 2,
    "has_column_privilege": 3,
    "has_database_privilege": 2,
    "has_function_privilege": 2,
    "has_schema_privilege": 2,
    "has_sequence_privilege": 2,
    "has_table_privilege": 2,
    "has_type_privilege": 2,
    "pg_has_role": 2,
}

_OWN = (
    "write the expression with PostgreSQL's own functions of text, numbers, dates, arrays and json"
)
_OF_VIEWS = (
    "pg_class with relkind 'v' or 'm' has the names of views, pg_attribute their columns and types"
)
_OF_FUNCTIONS = "pg_get_function_arguments(oid) and pg_get_function_result(oid) write the signature"
_OF_SIZES = "count(*) of the table itself says how many rows there are; sizes are not shown"
_OF_SETTINGS = f"current_setting answers for {', '.join(guards.SETTINGS)}"
# What to ask instead of the refused functions that clients know.
_INSTEAD = {
    **dict.fromkeys(("pg_get_viewdef", "pg_get_ruledef"), _OF_VIEWS),
    **dict.fromkeys(
        ("pg_get_functiondef", "pg_get_function_sqlbody", "pg_get_function_arg_default"),
        _OF_FUNCTIONS,
    ),
    **dict.fromkeys(
        (
            "pg_database_size",
            "pg_indexes_size",
            "pg_relation_size",
            "pg_table_size",
            "pg_total_relation_size",
        ),
        _OF_SIZES,
    ),
    **dict.fromkeys(("pg_show_all_settings", "set_config"), _OF_SETTINGS),
    "pg_available_extensions": "pg_extension has the extensions that are there",
}

# Arguments or results of these types are for the server's own use: internal, cstring, triggers,
# handlers, and the parse trees of the catalog.
_INSIDE = frozenset({32, 194, 269, 325, 2275, 2279, 2280, 2281, 3115, 3310, 3838})


@dataclass(frozen=True, slots=True)
class Functions:
    """The OIDs of functions and of operators that a statement may call."""

    allowed: frozenset[int]
    operators: frozenset[int]
    guarded: Mapping[int, str]  # those of `allowed` that `guards` limits, by name
    telling: frozenset[int]  # those of `allowed` whose result the catalog or a setting holds

    def tell(self, called: Collection[int]) -> bool:
        """Whether a text that one of these gives may come from elsewhere than its arguments."""
        return any(oid in self.telling or oid >= FIRST_USER_OID for oid in called)


_ALL = """
SELECT p.oid, p.proname, p.provolatile::pg_catalog.text AS volatility, n.nspname AS schema,
       p.prorettype AS result,
       p.proargtypes::pg_catalog.oid[] AS arguments
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema')
"""
_OPERATORS = """
SELECT o.oid, o.oprcode::pg_catalog.oid AS function FROM pg_catalog.pg_operator o
WHERE o.oid < 16384
"""
_BEHIND = """
SELECT o.oprcode::pg_catalog.oid AS function FROM pg_catalog.pg_operator o
WHERE o.oid = ANY($1::pg_catalog.oid[])
"""
_NAMED = """
SELECT p.oid, n.nspname AS schema, p.proname AS name,
       p.oid::pg_catalog.regprocedure::pg_catalog.text AS signature
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid = ANY($1::pg_catalog.oid[])
"""


async def load(server: Server) -> Functions:
    """The allow-list of this server; the same while a session lives."""
    every = await server.fetch(_ALL)
    allowed = frozenset(row["oid"] for row in every if _harmless(row))
    operators = await server.fetch(_OPERATORS)
    return Functions(
        allowed,
        frozenset(row["oid"] for row in operators if row["function"] in allowed),
        {row["oid"]: row["proname"] for row in every if row["proname"] in guards.GUARDED},
        frozenset(row["oid"] for row in every if row["proname"] in _OF_CATALOGS | guards.NAMES),
    )


def _harmless(row: Mapping[str, Any]) -> bool:
    name = row["proname"]
    if row["schema"] == "information_schema":
        return str(name).startswith("_pg_")
    if name in _OF_CATALOGS or name in guards.NAMES:
        return True
    if name in _OF_RIGHTS:
        return len(row["arguments"]) == _OF_RIGHTS[name]
    if row["result"] in _INSIDE or _INSIDE.intersection(row["arguments"]):
        return False
    if row["volatility"] == "i":
        return name not in _NOT_THESE
    return name in (_STABLE if row["volatility"] == "s" else _VOLATILE)


async def check(
    called: Collection[int],
    operators: Collection[int],
    functions: Functions,
    pure: frozenset[str],
    server: Server,
) -> None:
    """Refuse a statement that calls anything else. `pure`: "schema.name" of declared functions."""
    unknown = set(called) - functions.allowed
    if behind := set(operators) - functions.operators:
        rows = await server.fetch(_BEHIND, sorted(behind))
        if len(rows) < len(behind):
            raise StatementRefused("the statement uses an operator that is not known")
        unknown |= {row["function"] for row in rows} - functions.allowed
    if not unknown:
        return
    named = {row["oid"]: row for row in await server.fetch(_NAMED, sorted(unknown))}
    for oid in sorted(unknown):
        row = named.get(oid)
        if row is None:
            raise StatementRefused(f"the statement calls a function (OID {oid}) that is not known")
        if oid >= FIRST_USER_OID and f"{row['schema']}.{row['name']}" in pure:
            continue
        whose = "is not on the list of those that may be called"
        if oid >= FIRST_USER_OID:
            whose = "did not come with PostgreSQL, and the configuration does not declare it pure"
        hint = None if oid >= FIRST_USER_OID else _INSTEAD.get(row["name"])
        raise StatementRefused(f"the function {row['signature']} {whose}", hint=hint or _OWN)
