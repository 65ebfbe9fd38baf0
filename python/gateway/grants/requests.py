"""What a request for a grant may say: parsed once, refused with the rule it breaks.

Refuses text that could not be stored or would mislead a reader (NUL, control characters, lone
surrogates) and numbers that are no whole numbers.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.errors import InvalidRequest
from gateway.grants import hours as weekly

MAX_TEXT_CHARS = 1000  # purposes and reasons; the migration says the same
MAX_TABLES = 1000
MAX_TICKET_CHARS = 200  # the migration says the same
MAX_STATEMENT_CHARS = 64 * 1024
MAX_COUNT = 1_000_000
MAX_AHEAD = timedelta(days=366)  # a grant begins within this
MAX_NAME_CHARS = 200  # "schema.table": PostgreSQL's names have at most 63 bytes each
MAX_ROWS = 2**53 - 1  # records hold integers below 2^53

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request whose every value is acceptable."""

    connection: str
    tables: tuple[str, ...]
    purpose: str
    duration_s: int
    max_rows: int | None
    ticket: str | None
    begins_at: datetime | None
    hours: tuple[str, ...]
    columns: str  # JSON
    filters: str  # JSON: of each table conditions, to which approvers add
    statement: str | None
    parameters: str | None  # JSON
    max_bytes: int | None
    max_concurrent: int | None
    max_per_minute: int | None
    database: str | None


def checked(
    connection: Any,
    tables: Any,
    purpose: Any,
    duration_s: Any,
    max_rows: Any,
    max_duration_s: int,
    *,
    now: datetime,
    ticket: Any = None,
    not_before: Any = None,
    hours: Any = (),
    columns: Mapping[str, Sequence[str]] | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
    statement: Any = None,
    params: Any = None,
    max_bytes: Any = None,
    max_concurrent: Any = None,
    max_per_minute: Any = None,
    database: str | None = None,
) -> Wanted:
    """The request, or InvalidRequest naming the value that is wrong."""
    if not _is_name(connection):
        raise InvalidRequest("connection must be the name of a connection.")
    return Wanted(
        connection=connection,
        tables=_tables(tables),
        purpose=_text(purpose, "purpose"),
        duration_s=_whole(duration_s, "duration_s", max_duration_s),
        max_rows=None if max_rows is None else _whole(max_rows, "max_rows", MAX_ROWS),
        ticket=None if ticket is None else _ticket(ticket),
        begins_at=None if not_before is None else _beginning(not_before, now),
        hours=weekly.checked(hours),
        columns=json.dumps({name: list(some) for name, some in (columns or {}).items()}),
        filters=json.dumps({table: list(some) for table, some in (filters or {}).items()}),
        statement=None if statement is None else _statement(statement),
        parameters=None if params is None else _parameters(params, statement),
        max_bytes=None if max_bytes is None else _whole(max_bytes, "max_bytes", MAX_ROWS),
        max_concurrent=_count(max_concurrent, "max_concurrent"),
        max_per_minute=_count(max_per_minute, "max_per_minute"),
        database=database,
    )


def checked_reason(reason: Any) -> str:
    """Why somebody decided: a person reads it later, so it must say something."""
    return _text(reason, "reason")


def checked_rows(rows: Any) -> int:
    """A number of rows to charge; zero only asks whether the grant is in force."""
    return 0 if rows == 0 and not isinstance(rows, bool) else _whole(rows, "rows", MAX_ROWS)


def is_id(value: Any) -> bool:
    """Whether this could be the id of a grant or a session at all; asked before the store is."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _tables(tables: Any) -> tuple[str, ...]:
    if isinstance(tables, str) or not isinstance(tables, Sequence) or not tables:
        raise InvalidRequest('tables must be a non-empty list of names, or ["*"].')
    if len(tables) > MAX_TABLES:
        raise InvalidRequest(f"tables may name at most {MAX_TABLES} tables.")
    if not all(_is_name(table) for table in tables):
        raise InvalidRequest("tables must hold names like schema.table.")
    named = tuple(dict.fromkeys(tables))
    if "*" in named and named != ("*",):
        raise InvalidRequest("tables: * stands for everything and must stand alone.")
    return named


def _count(value: Any, key: str) -> int | None:
    return None if value is None else _whole(value, key, MAX_COUNT)


def _statement(text: Any) -> str:
    """The text as it will be sent: it is compared character by character."""
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_STATEMENT_CHARS:
        raise InvalidRequest(
            f"statement must be a text of at most {MAX_STATEMENT_CHARS} characters."
        )
    if not _readable(re.sub(r"[\n\r\t]", " ", text)):
        raise InvalidRequest("statement must not hold control or invisible characters.")
    return text


def _parameters(params: Any, statement: Any) -> str:
    if statement is None:
        raise InvalidRequest("params are those of a statement: name it as well.")
    text = parameters_text(params) if isinstance(params, list) else ""
    if not text or len(text) > MAX_STATEMENT_CHARS or "\x00" in text:
        raise InvalidRequest("params must be a list of values, as a query takes them.")
    return text


def parameters_text(params: Sequence[Any]) -> str:
    """As they are compared: 1, 1.0, true and "1" are four values."""
    return json.dumps(list(params), sort_keys=True)


def _ticket(ticket: Any) -> str:
    if not isinstance(ticket, str) or not ticket.strip() or not _readable(ticket):
        raise InvalidRequest("ticket must be the number or address of a ticket.")
    if len(ticket.strip()) > MAX_TICKET_CHARS:
        raise InvalidRequest(f"ticket may have at most {MAX_TICKET_CHARS} characters.")
    return ticket.strip()


def _beginning(moment: Any, now: datetime) -> datetime:
    """A time as RFC 3339 writes it, or one that is a datetime already."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidRequest(
            "not_before must be a time with its zone.", hint="write 2026-11-30T08:00:00Z"
        )
    if not now - MAX_AHEAD <= moment <= now + MAX_AHEAD:
        raise InvalidRequest(f"not_before must lie within {MAX_AHEAD.days} days.")
    return moment.astimezone(UTC)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and _readable(value)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f"{key} must say something: a person decides by it.")
    if len(value.strip()) > MAX_TEXT_CHARS:
        raise InvalidRequest(f"{key} may have at most {MAX_TEXT_CHARS} characters.")
    if not _readable(value.replace("\n", " ").replace("\t", " ")):
        raise InvalidRequest(f"{key} must not hold control or invisible characters.")
    return value.strip()


def _readable(text: str) -> bool:
    """No control, format, surrogate, private or unassigned characters (Unicode category C)."""
    return all(unicodedata.category(character)[0] != "C" for character in text)


def _whole(value: Any, key: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidRequest(f"{key} must be a whole number from 1 to {most}.")
    return value
