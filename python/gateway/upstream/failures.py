"""The server's errors as ours: its words before a row was read, its SQLSTATE class after.

A message of Parse names only what the statement itself holds, so it is passed on; hints, details
and contexts never are. Once COPY has begun a message can hold a value, so only the class leaves.
"""

from __future__ import annotations

import asyncpg

from gateway.errors import (
    InvalidRequest,
    LimitExceeded,
    MaskgateError,
    OutOfScope,
    StatementRefused,
    Ungrouped,
    UpstreamFailed,
)

# What drivers and sockets raise when the server is not there or goes away.
LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Denied(OutOfScope):
    """The database's own answer, by the rights of the role that the statement ran under."""


_TIME_LIMIT = "the statement ran longer than this connection's time limit and was cancelled"
_CLASSES = {
    "08": "the connection to the database was lost",
    "21": "a sub-select gave more rows than the statement allows",
    "22": "a value could not be computed or converted",
    "23": "a constraint of the database was violated",
    "25": "the statement cannot run in a read-only transaction",
    "40": "the database rolled the statement back; it may be sent again",
    "42": "the database refused the statement",
    "53": "the database is short of memory, disk or connections",
    "54": "the statement is beyond a limit of the database",
    "55": "an object is in use; the statement may be sent again",
    "57": "the database is shutting down, or an operator stopped the statement",
    "58": "the database met an error of its system",
}
_UNGROUPED = "42803"
# The statement is at fault, and the message says how: no row has been read.
_CALLER = ("0A", "21", "22", "2B", "34", "3D", "3F", "42", "44", "54")


def at_parse(error: asyncpg.PostgresError, text: str) -> MaskgateError:
    """The error of a Parse: the caller's fault in the server's words, or the server's own."""
    state = error.sqlstate or ""
    message = str(error.message or error)
    if state == "42601" and "multiple commands" in message:
        return StatementRefused("one request runs one statement", hint="send each on its own")
    if state == "42501":
        return OutOfScope(message)
    if state == "57014":
        return LimitExceeded(_TIME_LIMIT)
    if state == "55P03":
        return UpstreamFailed(
            "a table of the statement is locked by a change of its structure",
            hint="send the statement again later",
            sqlstate_class="55",
        )
    if state[:2] in ("23", "P0") or _in_a_function(error):
        return StatementRefused(
            "the statement runs code of users' functions, such as a domain's check, while it is "
            "parsed",
            hint="leave out the literal of that type",
        )
    if state in ("54001", "54000"):
        return StatementRefused("the statement is nested too deeply", hint="write it in parts")
    if state == _UNGROUPED and (place := _place(error, text)) is not None:
        return Ungrouped(f"{message}{_where(error, text)}", position=place)
    if state[:2] in _CALLER:
        return InvalidRequest(f"{message}{_where(error, text)}")
    return while_running(error)


def _in_a_function(error: asyncpg.PostgresError) -> bool:
    """Whether the error came from inside some function's body, whose words may be values."""
    context = str(getattr(error, "context", None) or "")
    return "function" in context


def while_running(error: asyncpg.PostgresError) -> MaskgateError:
    """The error of anything after Parse: the SQLSTATE class and a sentence of ours."""
    state = error.sqlstate or ""
    if state == "42501":
        return Denied(
            "the database role of this connection may not read a column that the statement names",
            hint="ask for a grant that covers the tables, or leave the column out",
        )
    if state == "57014":
        return LimitExceeded(_TIME_LIMIT)
    sentence = _CLASSES.get(state[:2], "the database stopped the statement")
    return UpstreamFailed(f"{sentence} (class {state[:2] or '??'})", sqlstate_class=state[:2])


def while_streaming(error: BaseException) -> MaskgateError:
    """What ended the rows, the server's error or the loss of the server."""
    return while_running(error) if isinstance(error, asyncpg.PostgresError) else lost(error)


def lost(error: BaseException) -> UpstreamFailed:
    """The server is not there, or went away."""
    if isinstance(error, asyncpg.PostgresError):
        return UpstreamFailed(
            f"the database did not let the gateway in (class {(error.sqlstate or '??')[:2]})",
            sqlstate_class=(error.sqlstate or "")[:2],
        )
    return UpstreamFailed("the connection to the database was lost", sqlstate_class="08")


def _where(error: asyncpg.PostgresError, text: str) -> str:
    place = _place(error, text)
    if place is None:
        return ""
    before = text[:place]
    return f" (line {before.count(chr(10)) + 1}, column {place - before.rfind(chr(10))})"


def _place(error: asyncpg.PostgresError, text: str) -> int | None:
    """Where in `text` the server points, counted from 0."""
    try:
        position = int(error.position or 0)
    except ValueError:
        return None
    return position - 1 if 0 < position <= len(text) + 1 else None
