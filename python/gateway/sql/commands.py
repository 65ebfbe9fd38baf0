"""Statements that begin with a command's word: SHOW becomes the SELECT that says the same.

The others are refused here, before the server is asked, with what to write instead. It admits
nothing: what SHOW becomes is guarded and analysed like any other text, and a command whose word is
not known here is refused by its tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.errors import StatementRefused
from gateway.sql import guards
from gateway.sql.scanner import Kind
from gateway.sql.statement import Statement, read

_PHRASES = {
    ("time", "zone"): "timezone",
    ("transaction", "isolation", "level"): "transaction_isolation",
}
# As the server writes the names of settings, where that is not in small letters.
_WRITTEN = {"datestyle": "DateStyle", "intervalstyle": "IntervalStyle", "timezone": "TimeZone"}

_OWN_TRANSACTION = "each statement runs in a read-only transaction of its own: leave it out"
_READ_ONLY = "only SELECT, VALUES, TABLE and WITH … SELECT are run; nothing is written"
_EXPLAIN = (
    "EXPLAIN is not answered: the planner chooses by statistics of protected values and prints "
    "what views are made of"
)
_INSTEAD = {
    "explain": (
        "run the statement itself: the answer says how many rows there were. pg_indexes, or "
        "pg_index with pg_get_indexdef(indexrelid), tells which indexes there are"
    ),
    **dict.fromkeys(
        ("abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"),
        _OWN_TRANSACTION,
    ),
    **dict.fromkeys(
        ("discard", "reset", "set"),
        "settings are the gateway's; write schema.table for another schema, and AT TIME ZONE for "
        "another time zone",
    ),
    **dict.fromkeys(
        ("deallocate", "execute", "prepare"),
        "send the statement itself, with $1, $2, … and their values in params",
    ),
    **dict.fromkeys(
        ("close", "declare", "fetch", "move"),
        "send the query itself: its rows come as a stream",
    ),
    "copy": "send the query itself: ask for text/csv to get CSV",
    **dict.fromkeys(
        (
            "alter", "analyze", "call", "cluster", "comment", "create", "delete", "do", "drop",
            "grant", "import", "insert", "listen", "load", "lock", "merge", "notify", "refresh",
            "reindex", "revoke", "truncate", "update", "vacuum",
        ),
        _READ_ONLY,
    ),
}  # fmt: skip


def as_query(statement: Statement, *, max_bytes: int) -> Statement:
    """`statement`, or for SHOW the SELECT in its place. Raises StatementRefused for commands."""
    words = _words(statement)
    first = next(words, None)
    if first == "show":
        return read(_shown([*words]), max_bytes=max_bytes)
    if first in _INSTEAD:
        what = _EXPLAIN if first == "explain" else f"{first.upper()} is not run"
        raise StatementRefused(what, hint=_INSTEAD[first])
    return statement


def _shown(words: list[str]) -> str:
    name = _PHRASES.get(tuple(words)) or (words[0] if len(words) == 1 else "")
    if name not in guards.SETTINGS:
        raise StatementRefused(
            "SHOW is answered for one setting at a time, and not for this one",
            hint=f"these are: {', '.join(guards.SETTINGS)}",
        )
    return f"SELECT pg_catalog.current_setting('{name}') AS \"{_WRITTEN.get(name, name)}\""


def _words(statement: Statement) -> Iterator[str]:
    """The words of the statement, folded; what is not a word comes as it is."""
    for token in statement.tokens:
        piece = statement.text[token.start : token.end]
        if token.kind in (Kind.PLAIN, Kind.WORD):
            yield from piece.lower().split()
        elif token.kind is Kind.NAME:
            yield piece[1:-1]
        elif token.kind not in (Kind.SPACE, Kind.COMMENT):
            yield piece
