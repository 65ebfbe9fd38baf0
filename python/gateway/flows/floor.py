"""What the database itself enforces on a connection, for whoever sets it up: `maskgate check`.

Wrong is what breaks a promise: a role that cannot be taken, a protected column in reach of the role
that is to have none. The rest are rights that the gateway does not need and a hole in it could use.
Reads the catalog and no row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import MaskgateError
from gateway.model import Column
from gateway.sql import analyse, selecting

if TYPE_CHECKING:
    from gateway.flows.house import Connection

_NAMED = 5  # examples in one sentence

_READABLE = """
SELECT n.nspname, c.relname, c.relkind::pg_catalog.text AS kind, c.oid,
  pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum) AS names,
  pg_catalog.array_agg(a.attnum ORDER BY a.attnum) AS numbers
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege($1::pg_catalog.name, n.oid, 'USAGE')
  AND pg_catalog.has_column_privilege($1::pg_catalog.name, c.oid, a.attnum, 'SELECT')
GROUP BY n.nspname, c.relname, c.relkind, c.oid
ORDER BY n.nspname, c.relname
"""
_MAKES = """
SELECT pg_catalog.has_database_privilege($1::pg_catalog.name, pg_catalog.current_database(), 'TEMP')
    AS temporary,
  ARRAY(SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n
        WHERE n.nspname !~ '^pg_'
          AND pg_catalog.has_schema_privilege($1::pg_catalog.name, n.oid, 'CREATE')
        ORDER BY 1) AS schemas
"""
_DEFINERS = """
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS signature
FROM pg_catalog.pg_proc p
WHERE p.prosecdef AND p.oid >= 16384
  AND pg_catalog.has_function_privilege($1::pg_catalog.name, p.oid, 'EXECUTE')
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """Sentences for an operator."""

    wrong: tuple[str, ...]
    loose: tuple[str, ...]


async def inspect(connection: Connection) -> Findings:
    """What is wrong and what is loose. Raises UpstreamFailed when the database does not answer."""
    wrong: list[str] = []
    loose = list(await connection.upstream.posture(provisioned=connection.provisioned))
    for key, role in (("role", connection.role), ("clear_role", connection.clear_role)):
        if role is None:
            continue
        try:
            await connection.upstream.try_role(role)
        except MaskgateError as error:
            wrong.append(f"{key} {role}: {error.detail}")
            continue
        loose += await _rights(connection, role)
        if key == "role":
            loose += await _unnamed(connection, role)
        else:
            wrong += await _protected(connection, role)
    return Findings(tuple(wrong), tuple(dict.fromkeys(loose)))


async def _rights(connection: Connection, role: str) -> list[str]:
    """Rights to make things and to run others' code."""
    async with connection.upstream.transaction("check") as transaction:
        (makes,) = await transaction.fetch(_MAKES, role)
        definers = await transaction.fetch(_DEFINERS, role)
    found = []
    if makes["temporary"]:
        found.append(
            f"the role {role} may make temporary tables: REVOKE TEMP ON DATABASE … FROM PUBLIC"
        )
    if makes["schemas"]:
        found.append(f"the role {role} may CREATE in the schemas {_list(makes['schemas'])}")
    if definers:
        signatures = _list([row["signature"] for row in definers])
        found.append(
            f"the role {role} may run SECURITY DEFINER functions, which have their owner's rights: "
            f"REVOKE EXECUTE ON {signatures} FROM PUBLIC"
        )
    return found


async def _unnamed(connection: Connection, role: str) -> list[str]:
    """Columns that the role may read and nobody has classified."""
    async with connection.upstream.transaction("check") as transaction:
        rows = await transaction.fetch(_READABLE, role)
    columns = [column for row in rows if row["kind"] != "v" for column in _columns(row)]
    unnamed = [str(column) for column in columns if not connection.policy.names(column)]
    if not unnamed:
        return []
    return [f"the role {role} may read {len(unnamed)} columns that no rule names: {_list(unnamed)}"]


async def _protected(connection: Connection, role: str) -> list[str]:
    """Protected columns in reach of the role that is to have none, also through a view."""
    async with connection.upstream.transaction("check") as transaction:
        rows = await transaction.fetch(_READABLE, role)
    wrong = []
    for row in rows:
        table = f"{row['nspname']}.{row['relname']}"
        text = selecting(row["nspname"], row["relname"], row["names"])
        try:
            async with connection.upstream.transaction("check") as transaction:
                analysis = await analyse(text, (), transaction, connection.analysis)
        except MaskgateError as error:
            wrong.append(f"clear_role {role} may read {table}, which is refused: {error.detail}")
            continue
        for name, output in zip(row["names"], analysis.outputs, strict=True):
            reasons = [
                reason
                for treatment, reason in (
                    connection.policy.treatment_of(
                        column, analysis.related.get(column, ()), analysis.inherited
                    )
                    for column in output.columns
                )
                if treatment.protects
            ]
            if reasons:
                wrong.append(
                    f"clear_role {role} may read {table}.{name}, which is protected ({reasons[0]})"
                )
    return wrong


def _columns(row: Any) -> list[Column]:
    return [
        Column(row["oid"], number, row["nspname"], row["relname"], name, 0)
        for number, name in zip(row["numbers"], row["names"], strict=True)
    ]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
