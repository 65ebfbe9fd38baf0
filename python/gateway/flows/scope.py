"""What a grant is asked for and what it covers: tables, columns of them, one statement.

(1) names are resolved against the catalog when it is asked for, so that an approver reads what will
hold  (2) each statement is held against it: its text here, its tables and columns by the server's
own tree. Refuses names that are not there or could be two things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.errors import (
    InvalidRequest,
    LimitExceeded,
    NotUnderstood,
    OutOfScope,
    StatementRefused,
)
from gateway.flows.house import Connection
from gateway.grants import parameters_text
from gateway.model import Analysis, Grant, GrantState, all_of
from gateway.policy import decide
from gateway.sql import check_predicate, describe

if TYPE_CHECKING:
    from gateway.flows.query import Ask

MAX_TABLES = 200
_SESSION = "scope"  # the application_name of look-ups
_WITH_COLUMNS = re.compile(r"\s*([^()]+?)\s*\(([^()]*)\)\s*")


@dataclass(frozen=True, slots=True)
class Scope:
    """Resolved: `schema.table` for each, and for some the columns that are all of it."""

    tables: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]


async def resolve(connection: Connection, tables: Sequence[Any]) -> Scope:
    """A table is `schema.table`, a bare name when it is unambiguous, or `*` alone; with columns
    `schema.table(a, b)` or `{"table": …, "columns": […]}`. Raises InvalidRequest."""
    if not tables or len(tables) > MAX_TABLES:
        raise InvalidRequest(f"name 1 to {MAX_TABLES} tables, or *")
    asked = [_parsed(entry) for entry in tables]
    if ("*", None) in asked:
        return Scope(("*",), {})
    async with connection.upstream.transaction(_SESSION) as transaction:
        known: dict[str, list[str]] = {}
        for entry in await describe(transaction):
            known.setdefault(entry.table, []).append(entry.column.name)
    whole: dict[str, None] = {}
    columns: dict[str, dict[str, None]] = {}
    for name, some in asked:
        table = _resolved(name, known, connection.name)
        if some is None:
            whole[table] = None
            continue
        for column in some:
            if column not in known[table]:
                raise InvalidRequest(
                    f"{table} has no column {column!r}",
                    hint=f"GET /v1/connections/{connection.name}/schema lists them",
                )
            columns.setdefault(table, {})[column] = None
    named = dict.fromkeys([*whole, *columns])
    return Scope(tuple(named), {t: tuple(some) for t, some in columns.items() if t not in whole})


async def checked_filters(
    connection: Connection,
    tables: Sequence[str],
    filters: Mapping[str, str],
    beside: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Predicates that can be kept to, each by its table's full name; with the conditions `beside`
    them, to which they are to be added. Raises InvalidRequest, and ProtectedUse for a column that a
    policy protects: which rows come would tell its values."""
    found: dict[str, str] = {}
    if not filters:
        return found
    async with connection.upstream.transaction(_SESSION) as transaction:
        known = {entry.table: [""] for entry in await describe(transaction)}
    for name, predicate in filters.items():
        table = _resolved(name, known, connection.name)
        if table not in tables and "*" not in tables:
            raise InvalidRequest(f"a filter for {table}, which the grant does not name")
        if table in found:
            raise InvalidRequest(f"two filters for {table}")
        async with connection.upstream.transaction(_SESSION) as transaction:
            try:
                analysis = await check_predicate(
                    table, predicate.strip(), transaction, connection.analysis
                )
                if others := (beside or {}).get(table):
                    # Or each would do, and the grant be good for nothing.
                    whole = all_of([*others, predicate.strip()])
                    await check_predicate(table, whole, transaction, connection.analysis)
            except (StatementRefused, NotUnderstood) as refusal:
                raise InvalidRequest(
                    f"the filter for {table}: {refusal.detail}", hint=refusal.hint
                ) from None
        decide(_grant_for(table), analysis, connection.policy)
        found[table] = predicate.strip()
    return found


def _grant_for(table: str) -> Grant:
    """A grant that covers this table, for the policy to judge a predicate by."""
    now = datetime.now(UTC)
    return Grant("", "", "", (table,), "", GrantState.PENDING, now, 1, None, None, None)


def check_statement(grant: Grant, ask: Ask) -> None:
    """Raises OutOfScope when the grant is for another statement, or for it with other parameters,
    and LimitExceeded when it has no bytes left."""
    if grant.statement is not None and ask.sql != grant.statement:
        raise OutOfScope(
            f"the grant {grant.id} is for one statement, and this is another text",
            hint=f"send it to the letter, as GET /v1/grants/{grant.id} shows it",
        )
    if grant.parameters is not None and parameters_text(ask.params) != grant.parameters:
        raise OutOfScope(
            f"the grant {grant.id} is for one statement with its parameters, and these are others",
            hint=f"send them as GET /v1/grants/{grant.id} shows them",
        )
    if grant.max_bytes is not None and grant.bytes_released >= grant.max_bytes:
        raise LimitExceeded(
            f"the grant's limit of {grant.max_bytes} bytes is used up", hint="ask for a new grant"
        )


def check_columns(grant: Grant, analysis: Analysis) -> None:
    """Raises OutOfScope when a column outside the grant is mentioned.

    By what the server itself checks rights on: the columns mentioned of each reference in the
    statement's own FROM clauses, in a select list as in a condition. Judged of the text the agent
    sent, before anything is added to it or taken from it.
    """
    allowed = dict(grant.columns)
    for reference in analysis.references:
        table = f"{reference.schema}.{reference.table}"
        if table not in allowed:
            continue
        outside = [name for name in reference.columns if name not in allowed[table]]
        if outside:
            raise OutOfScope(
                f"{', '.join(outside)} of {table} is outside the grant, which covers "
                f"{table}({', '.join(allowed[table])})",
                hint="name only these columns, also in conditions, and no *; or ask for a grant "
                "that names the others",
            )


def check_database(grant: Grant, database: str) -> None:
    """Raises OutOfScope for a grant that was asked for at another gateway, of another database that
    is called the same there."""
    if grant.database not in (None, database):
        raise OutOfScope(
            f"the grant {grant.id} is for another database than the connection "
            f"{grant.connection!r} of this gateway leads to",
            hint="ask for a grant here",
        )


def with_filters_told(grant: Grant, analysis: Analysis) -> Analysis:
    """With a note for each table of which the statement sees some rows only."""
    notes = [
        f"{table}: the grant covers rows where {predicate}"
        for table, predicate in grant.predicates
        if table in analysis.tables
    ]
    return replace(analysis, notes=(*analysis.notes, *notes)) if notes else analysis


def _parsed(entry: Any) -> tuple[str, tuple[str, ...] | None]:
    """A table and the columns of it that are named; None when it is all of them."""
    if isinstance(entry, str):
        found = _WITH_COLUMNS.fullmatch(entry)
        if found is None:
            return entry, None
        name, listed = found[1], [column.strip() for column in found[2].split(",")]
    elif isinstance(entry, dict) and set(entry) == {"table", "columns"}:
        name, listed = entry["table"], entry["columns"]
    else:
        name, listed = None, []
    good = isinstance(name, str) and name != "*" and isinstance(listed, list) and listed
    if not good or not all(isinstance(column, str) and column for column in listed):
        raise InvalidRequest(
            "a table is a name, or a name with columns",
            hint='write "schema.table(a, b)" or {"table": "schema.table", "columns": ["a", "b"]}',
        )
    return str(name), tuple(listed)


def _resolved(name: str, known: dict[str, list[str]], connection: str) -> str:
    if name in known:
        return name
    found = sorted(full for full in known if full.partition(".")[2] == name)
    if len(found) == 1:
        return found[0]
    said = f"it could be {' or '.join(found)}" if found else "there is none"
    raise InvalidRequest(
        f"no table {name!r} on connection {connection!r}: {said}",
        hint=f"GET /v1/connections/{connection}/schema lists them",
    )
