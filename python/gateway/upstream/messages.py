"""The messages outside of rows: how they, their names and the gateway's own questions are written,
and what errors and notices say.

Raises IndexError or ValueError for fields that are torn.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from struct import pack

from gateway.errors import ConfigurationError
from gateway.model import Question

SYNC = b"S\0\0\0\4"
_LENGTH = 4
_FEW = 64  # OIDs of a question whose bytes are remembered


class Unexpected(Exception):
    """The server said what has no place in what was begun."""


def written(kind: bytes, body: bytes) -> bytes:
    """One message."""
    return kind + pack("!I", len(body) + _LENGTH) + body


def asked(question: Question, *lists: frozenset[int], prepared: bool) -> bytes:
    """The question, each of `lists` an array of OIDs that is one of its parameters; without a Sync.
    `prepared`: the session knows it."""
    often = sum(map(len, lists)) <= _FEW
    return (_asked_again if often else _asked)(question, lists, prepared)


def _asked(question: Question, lists: tuple[frozenset[int], ...], prepared: bool) -> bytes:
    name = question.name.encode() + b"\0"
    values = b""
    for oids in lists:
        value = ("{" + ",".join(map(str, sorted(oids))) + "}").encode()
        values += pack("!i", len(value)) + value
    # Who has left an exchange does not learn that the question was prepared in it.
    query = question.query.encode() + b"\0"
    anew = written(b"C", b"S" + name) + written(b"P", name + query + pack("!h", 0))
    return (
        (b"" if prepared else anew)
        + written(b"B", b"\0" + name + pack("!hh", 0, len(lists)) + values + pack("!h", 0))
        + written(b"E", b"\0" + pack("!i", 0))
    )


_asked_again = lru_cache(maxsize=1024)(_asked)


def quoted(identifier: str) -> str:
    """A name from the configuration as a quoted identifier."""
    if not identifier or "\0" in identifier or len(identifier.encode()) > 63:
        raise ConfigurationError(f"not a name of PostgreSQL: {identifier!r}")
    return '"' + identifier.replace('"', '""') + '"'


def tree(data: bytes, at: int, end: int) -> bytes | None:
    """The tree that the notice data[at:end] prints. Known by untranslated fields: lc_messages is
    not ours to set."""
    fields = dict(_fields(data, at, end))
    severity = fields.get(ord("V"), fields.get(ord("S")))
    if severity != b"LOG" or fields.get(ord("R")) != b"elog_node_display":
        return None
    return fields.get(ord("D"), b"")


def error(data: bytes, at: int, end: int) -> dict[str, str]:
    """The fields of the error data[at:end] by their letters."""
    return {chr(letter): said.decode(errors="replace") for letter, said in _fields(data, at, end)}


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    if data[max(at, end - 1) : end] != b"\0":
        raise ValueError
    while data[at]:
        stop = data.index(0, at, end)
        yield data[at], data[at + 1 : stop]
        at = stop + 1
