"""Which system catalogs a statement may read, and which of their columns.

Allowed is what an agent needs to find its way, and what psql, SQLAlchemy and JDBC ask for it: names
of schemas, tables, columns, types, keys, indexes, policies and owners. Refused is what holds or
describes values and other people's work: statistics, estimates of rows and pages, function bodies,
view definitions, stored trees but for what `guards` lets through of some, the last value of a
sequence, large objects, roles' secrets, settings, activity, replication.

Views on the list are taken as one piece with what is below them; of base catalogs that hold more
than names and types, even they show only listed columns.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.errors import StatementRefused
from gateway.sql import guards

SCHEMAS = ("pg_catalog", "information_schema")

# Columns of base catalogs that a statement may name itself. None can depend on a row of a user's
# table. Stored trees (adbin, indpred, relpartbound, polqual, …) have no form but what a guarded
# function of `definitions` makes of them: their type is refused as a result and in casts.
_COLUMNS = {
    "pg_am": "oid amname amtype",
    "pg_attrdef": "oid adrelid adnum adbin",
    "pg_attribute": "attrelid attname atttypid attlen attnum atttypmod attndims attbyval "
    "attalign attstorage attcompression attstattarget attnotnull atthasdef attidentity "
    "attgenerated attisdropped attislocal attinhcount attcollation",
    "pg_class": "oid relname relnamespace reltype reloftype relowner relam reltablespace "
    "reltoastrelid relhasindex relisshared relpersistence relkind relnatts relchecks relhasrules "
    "relhastriggers relhassubclass relrowsecurity relforcerowsecurity relispopulated relreplident "
    "relispartition reloptions relpartbound",
    "pg_collation": "oid collname collnamespace collprovider collisdeterministic collencoding",
    "pg_constraint": "oid conname connamespace contype condeferrable condeferred conenforced "
    "convalidated conrelid contypid conindid conparentid confrelid confupdtype confdeltype "
    "confmatchtype conislocal coninhcount connoinherit conperiod conkey confkey",
    "pg_database": "oid datname datdba encoding datlocprovider datistemplate datallowconn "
    "datcollate datctype datlocale daticulocale daticurules datcollversion datacl",
    "pg_depend": "classid objid objsubid refclassid refobjid refobjsubid deptype",
    "pg_description": "objoid classoid objsubid description",
    "pg_enum": "oid enumtypid enumsortorder enumlabel",
    "pg_extension": "oid extname extnamespace extversion",
    "pg_index": "indexrelid indrelid indnatts indnkeyatts indisunique indnullsnotdistinct "
    "indisprimary indisexclusion indimmediate indisclustered indisvalid indisready indislive "
    "indisreplident indkey indcollation indclass indoption indpred",
    "pg_inherits": "inhrelid inhparent inhseqno inhdetachpending",
    "pg_language": "oid lanname",
    "pg_namespace": "oid nspname nspowner nspacl",
    "pg_opclass": "oid opcmethod opcname opcnamespace opcfamily opcintype opcdefault opckeytype",
    "pg_partitioned_table": "partrelid partstrat partnatts partdefid partattrs",
    "pg_policy": "oid polname polrelid polcmd polpermissive polroles polqual polwithcheck",
    "pg_proc": "oid proname pronamespace proowner prolang provariadic prokind prosecdef "
    "proleakproof proisstrict proretset provolatile proparallel pronargs pronargdefaults "
    "prorettype proargtypes proallargtypes proargmodes proargnames",
    "pg_publication": "oid pubname puballtables",
    "pg_publication_namespace": "oid pnpubid pnnspid",
    "pg_publication_rel": "oid prpubid prrelid prqual prattrs",
    "pg_range": "rngtypid rngsubtype rngmultitypid rngcollation",
    "pg_sequence": "seqrelid seqtypid seqstart seqincrement seqmax seqmin seqcache seqcycle",
    "pg_statistic_ext": "oid stxrelid stxname stxnamespace stxowner stxkeys stxstattarget stxkind",
    "pg_tablespace": "oid spcname",
    "pg_trigger": "oid tgrelid tgparentid tgname tgfoid tgtype tgenabled tgisinternal "
    "tgconstrrelid tgconstrindid tgconstraint tgdeferrable tginitdeferred tgnargs tgattr",
    # typdefault is the default of a domain as it was typed, and guarded; SQLAlchemy asks for it
    # with any column.
    "pg_type": "oid typname typnamespace typowner typlen typbyval typtype typcategory "
    "typispreferred typisdefined typdelim typrelid typelem typarray typinput typnotnull "
    "typbasetype typtypmod typndims typcollation typdefault typacl",
}
COLUMNS = {f"pg_catalog.{table}": frozenset(names.split()) for table, names in _COLUMNS.items()}

# Views taken as one piece, each with the base catalogs it reads.
_VIEWS = {
    "information_schema.character_sets": "pg_collation pg_database pg_namespace",
    "information_schema.column_column_usage": "pg_attrdef pg_attribute pg_class pg_depend "
    "pg_namespace",
    "information_schema.column_domain_usage": "pg_attribute pg_class pg_namespace pg_type",
    "information_schema.column_udt_usage": "pg_attribute pg_class pg_namespace pg_type",
    "information_schema.columns": "pg_attrdef pg_attribute pg_class pg_collation pg_depend "
    "pg_namespace pg_sequence pg_type",
    "information_schema.constraint_column_usage": "pg_attribute pg_class pg_constraint pg_depend "
    "pg_namespace",
    "information_schema.constraint_table_usage": "pg_class pg_constraint pg_namespace",
    "information_schema.domain_constraints": "pg_constraint pg_namespace pg_type",
    "information_schema.domain_udt_usage": "pg_namespace pg_type",
    "information_schema.domains": "pg_collation pg_namespace pg_type",
    "information_schema.information_schema_catalog_name": "",
    "information_schema.key_column_usage": "pg_attribute pg_class pg_constraint pg_namespace",
    "information_schema.referential_constraints": "pg_class pg_constraint pg_depend pg_namespace",
    "information_schema.routines": "pg_language pg_namespace pg_proc pg_type",
    "information_schema.schemata": "pg_authid pg_namespace",
    "information_schema.sequences": "pg_class pg_depend pg_namespace pg_sequence",
    "information_schema.table_constraints": "pg_attribute pg_class pg_constraint pg_index "
    "pg_namespace",
    "information_schema.tables": "pg_class pg_namespace pg_type",
    "information_schema.user_defined_types": "pg_class pg_namespace pg_type",
    "information_schema.view_column_usage": "pg_attribute pg_class pg_depend pg_namespace",
    "information_schema.view_table_usage": "pg_class pg_depend pg_namespace",
    "pg_catalog.pg_roles": "pg_authid pg_db_role_setting",
    "pg_catalog.pg_tables": "pg_class pg_namespace pg_tablespace",
}
VIEWS = {
    view: frozenset(f"pg_catalog.{name}" for name in below.split())
    for view, below in _VIEWS.items()
}
# What a listed view may show besides of a base catalog that no statement names itself.
_THROUGH_VIEWS = {
    "pg_catalog.pg_authid": frozenset({"oid", "rolname"}),
    "pg_catalog.pg_collation": frozenset({"collcollate", "collctype"}),
    "pg_catalog.pg_db_role_setting": frozenset({"setdatabase", "setrole"}),
}
# Listed views hand whole rows of these to functions that find out a column's type.
_WHOLE_ROWS = ("pg_catalog.pg_attribute", "pg_catalog.pg_type")

_STRUCTURE = (
    "information_schema.tables, information_schema.columns, pg_class, pg_attribute, pg_type and "
    "pg_namespace tell the structure"
)
_TREES = (
    "name the columns of information_schema.columns one by one; pg_get_expr(adbin, adrelid) and "
    "the like write a definition where it holds no literal"
)
_ROWS = "count(*) of the table itself says how many rows there are; estimates are not shown"
_KEYS = (
    "pg_constraint has the names, kinds and columns of constraints; pg_get_constraintdef(oid) "
    "writes one where it holds no literal"
)
_INDEXES = (
    "pg_index joined with pg_class has the names and columns of indexes; "
    "pg_get_indexdef(indexrelid) writes one where it holds no literal"
)
_VIEWS_OF_OTHERS = (
    "pg_class with relkind 'v' or 'm' has the names of views, pg_attribute their columns; "
    "information_schema.view_column_usage says what they read, to their owner"
)
_FUNCTIONS = (
    "pg_proc has names, kinds and types of functions; pg_get_function_arguments(oid) and "
    "pg_get_function_result(oid) write the signature"
)
_RIGHTS = (
    "has_table_privilege, has_column_privilege and has_schema_privilege say what this connection "
    "may read; pg_get_userbyid gives an owner's name"
)
_SETTINGS = f"current_setting answers for {', '.join(guards.SETTINGS)}"
# What to ask instead, by the refused relation or column; the names are those of pg_catalog.
_INSTEAD = {
    **dict.fromkeys(
        ("pg_class.reltuples", "pg_class.relpages", "pg_class.relallvisible",
         "pg_class.relallfrozen", "pg_statistic", "pg_stats", "pg_stats_ext",
         "pg_stats_ext_exprs", "pg_statistic_ext_data", "pg_sequences"),
        _ROWS,
    ),
    **dict.fromkeys(("pg_constraint.conbin", "information_schema.check_constraints"), _KEYS),
    **dict.fromkeys(("pg_indexes", "pg_index.indexprs"), _INDEXES),
    **dict.fromkeys(
        ("pg_views", "pg_matviews", "pg_rewrite", "pg_rules", "information_schema.views"),
        _VIEWS_OF_OTHERS,
    ),
    **dict.fromkeys(
        ("pg_proc.prosrc", "pg_proc.probin", "pg_proc.prosqlbody", "pg_proc.proargdefaults",
         "information_schema.parameters"),
        _FUNCTIONS,
    ),
    **dict.fromkeys(
        ("pg_authid", "pg_auth_members", "pg_shadow", "pg_user", "pg_group", "pg_class.relacl",
         "pg_attribute.attacl", "pg_proc.proacl", "information_schema.table_privileges",
         "information_schema.column_privileges", "information_schema.role_table_grants",
         "information_schema.role_column_grants"),
        _RIGHTS,
    ),
    **dict.fromkeys(("pg_settings", "pg_file_settings", "pg_db_role_setting", "pg_config"),
                    _SETTINGS),
}  # fmt: skip


def check_relations(read: Collection[tuple[str, str, bool]]) -> None:
    """Refuse catalogs that are not on the list: ("schema.relation", relkind, named directly).

    A base catalog that the statement reaches through a view only must be below a listed view that
    the statement reads, or be one whose listed columns it may name itself; those are checked then.
    """
    below = set[str]().union(*(VIEWS.get(name, ()) for name, _, _ in read))
    # What the text names comes first: the sentence is about what somebody wrote.
    for name, kind, direct in sorted(read, key=lambda one: not one[2]):
        known = name in VIEWS if kind == "v" else name in COLUMNS or (not direct and name in below)
        if not known:
            raise StatementRefused(
                f"the system catalog {name} may not be read",
                hint=_INSTEAD.get(name.removeprefix("pg_catalog."), _STRUCTURE),
            )


def through_view(name: str, read: Collection[tuple[str, str, bool]]) -> bool:
    """Whether every mention of the base catalog `name` is a listed view's own."""
    direct = any(other == name and named for other, _, named in read)
    return not direct and any(name in VIEWS.get(other, ()) for other, _, _ in read)


def check_column(name: str, column: str, *, through_view: bool, trees: bool, whole: bool) -> None:
    """Refuse a column of a base catalog that is not on the list.

    `through_view`: a listed view reads it, nobody else; `trees`: what is guarded may read those,
    and what else the statement reads has been seen to be none; `whole`: its row is read as one.
    """
    allowed = COLUMNS.get(name, frozenset())
    if through_view and name in _WHOLE_ROWS and (whole or column not in guards.TYPED):
        return
    if through_view:
        allowed |= _THROUGH_VIEWS.get(name, frozenset())
    if not trees:
        allowed -= guards.TYPED
    if column not in allowed:
        known = name.removeprefix("pg_catalog.")
        instead = _INSTEAD.get(f"{known}.{column}") or _INSTEAD.get(known)
        if column in guards.TYPED:
            instead = _TREES
        named = f"of {name} these may be named: {', '.join(sorted(allowed))}"
        raise StatementRefused(
            f"the column {column} of the system catalog {name} may not be read",
            hint=instead or (_STRUCTURE if through_view else named),
        )
