"""Parameters become literals that the server itself quoted and typed; then the text is analysed.

COPY takes no parameters, and drivers that fill them in by pattern do so inside literals too. Here
each $n is a token of the scanner, its type is the one the server inferred, its value is quoted by
the server's quote_literal, and the result is parsed again like any other text. Refuses a missing or
surplus value, and a value that has no text form for its type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from gateway.errors import InvalidRequest
from gateway.sql.rewriting import quoted
from gateway.sql.server import Server
from gateway.sql.statement import Statement

MAX_PARAMETERS = 1000
_MAX_DEPTH = 6  # PostgreSQL's arrays have at most six dimensions
_MAX_INTEGER_BITS = 4096
_JSON = ("json", "jsonb")


_TYPES = """
SELECT n.nspname, t.typname, e.typname AS element
FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS u(oid, place)
JOIN pg_catalog.pg_type t ON t.oid = u.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
ORDER BY u.place
"""
_QUOTED = """
SELECT pg_catalog.quote_literal(u.value) AS literal
FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS u(value, place)
ORDER BY u.place
"""


def check_count(statement: Statement, values: Sequence[object]) -> None:
    """Every $n has its value and every value its $n, before the server is asked anything."""
    if len(values) > MAX_PARAMETERS:
        raise InvalidRequest(f"{len(values)} parameters; at most {MAX_PARAMETERS} are taken")
    used = {number for number, _ in statement.parameters()}
    if 0 in used:
        raise InvalidRequest("parameters are numbered from $1")
    missing = sorted(number for number in used if number > len(values))
    if missing:
        raise InvalidRequest(
            f"the statement uses ${missing[0]}, and {_count(len(values))} sent",
            hint="send params as a list, the value of $1 first",
        )
    surplus = [n for n in range(1, len(values) + 1) if n not in used]
    if surplus:
        raise InvalidRequest(
            f"{_count(len(values))} sent, and the statement does not use ${surplus[0]}",
            hint="send one value for each of $1, $2, …",
        )


async def inline(
    statement: Statement, values: Sequence[object], types: Sequence[int], server: Server
) -> str:
    """`statement` with each $n replaced by `(literal::type)`; `types` in the server's order."""
    if len(types) != len(values):
        raise InvalidRequest(
            f"{_count(len(values))} sent, and the server counts {len(types)} in the statement"
        )
    names: list[object] = await server.fetch(_TYPES, list(types))
    if len(names) != len(types):
        raise InvalidRequest("a parameter has a type that the server does not name")
    texts = [
        _text(value, str(row["typname"]), row["element"] is not None, number)  # type: ignore[index]
        for number, (value, row) in enumerate(zip(values, names, strict=True), 1)
    ]
    answers: list[object] = await server.fetch(_QUOTED, texts)
    literals = []
    for row, answer in zip(names, answers, strict=True):
        literal = answer["literal"]  # type: ignore[index]
        name = ".".join(quoted(str(row[part])) for part in ("nspname", "typname"))  # type: ignore[index]
        literals.append(f"({'NULL' if literal is None else literal}::{name})")
    pieces, at = [], 0
    for number, token in statement.parameters():
        pieces += [statement.text[at : token.start], literals[number - 1]]
        at = token.end
    return "".join([*pieces, statement.text[at:]])


def _count(values: int) -> str:
    return {0: "no parameter was", 1: "one parameter was"}.get(values, f"{values} parameters were")


def _text(value: object, type_name: str, is_array: bool, number: int) -> str | None:
    """What the type's input function takes; None is NULL."""
    if type_name in _JSON and isinstance(value, dict | list | tuple):
        return _document(value, number)
    if isinstance(value, dict):
        raise InvalidRequest(
            f"the value of ${number} is an object, and its type in the statement is {type_name}",
            hint=f"write ${number}::jsonb where an object is meant",
        )
    if isinstance(value, list | tuple):
        if not is_array:
            raise InvalidRequest(
                f"the value of ${number} is a list, and its type in the statement is {type_name}",
                hint=f"write = ANY(${number}) in place of = ${number} or IN (${number})",
            )
        return _array(value, type_name.removeprefix("_") in _JSON, number, 1)
    if value is None:
        return None
    return _scalar(value, number)


def _scalar(value: object, number: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() <= _MAX_INTEGER_BITS:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidRequest(f"the value of ${number} holds a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"the value of ${number} is not Unicode text") from None
        return value
    raise InvalidRequest(
        f"the value of ${number} has no form in JSON: text, numbers, true, false, null, lists"
    )


def _document(value: object, number: int) -> str:
    """A JSON document; in ASCII, so that a lone surrogate is the server's to refuse."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(f"the value of ${number} is not a JSON document") from None


def _array(values: Sequence[object], of_json: bool, number: int, depth: int) -> str:
    """An array's text form: every element in quotes, so that none can end another."""
    if depth > _MAX_DEPTH:
        raise InvalidRequest(f"the value of ${number} is a list of more than {_MAX_DEPTH} levels")
    elements = []
    for value in values:
        if value is None:
            elements.append("NULL")
        elif of_json:
            elements.append(_element(_document(value, number)))
        elif isinstance(value, list | tuple):
            elements.append(_array(value, of_json, number, depth + 1))
        else:
            elements.append(_element(_scalar(value, number)))
    return "{" + ",".join(elements) + "}"


def _element(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
