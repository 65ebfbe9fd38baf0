"""Values become text that their types' input functions read; what has no such text is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.sql.parameters import check_count, inline
from gateway.sql.statement import read


class Quoting:
    """Answers the two look-ups of `inline` as the server does."""

    def __init__(self, *types: tuple[str, str | None]) -> None:
        self.types = types

    async def fetch(self, query: str, *args: object) -> list[Any]:
        if "quote_literal" in query:
            (texts,) = args
            assert isinstance(texts, list)
            return [{"literal": None if t is None else _quoted(t)} for t in texts]
        return [
            {"nspname": "pg_catalog", "typname": name, "element": element}
            for name, element in self.types
        ]


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{doubled}'" if "\\" in text else f"'{doubled}'"


async def _inlined(value: object, type_name: str, element: str | None = None) -> str:
    server: Any = Quoting((type_name, element))
    return await inline(read("select $1"), [value], [0], server)


@pytest.mark.parametrize(
    ("value", "type_name", "literal"),
    [
        ("it's", "text", "('it''s'::\"pg_catalog\".\"text\")"),
        ("a\\", "text", '(E\'a\\\\\'::"pg_catalog"."text")'),
        (7, "int4", '(\'7\'::"pg_catalog"."int4")'),
        (-1.5e300, "float8", '(\'-1.5e+300\'::"pg_catalog"."float8")'),
        (True, "bool", '(\'true\'::"pg_catalog"."bool")'),
        (None, "date", '(NULL::"pg_catalog"."date")'),
        ({"a": [1]}, "jsonb", '(\'{"a": [1]}\'::"pg_catalog"."jsonb")'),
        ([1, 2], "json", '(\'[1, 2]\'::"pg_catalog"."json")'),
        ('{"a": 1}', "jsonb", '(\'{"a": 1}\'::"pg_catalog"."jsonb")'),
    ],
)
async def test_scalars(value: object, type_name: str, literal: str) -> None:
    assert await _inlined(value, type_name) == f"select {literal}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "{}"),
        (["a", None, 'b"c'], '{"a",NULL,"b\\"c"}'),
        ([["a"], ["b,}"]], '{{"a"},{"b,}"}}'),
        ([1, True, "NULL"], '{"1","true","NULL"}'),
    ],
)
async def test_arrays_quote_every_element(value: list[object], text: str) -> None:
    quoted = _quoted(text)
    assert await _inlined(value, "_text", "text") == f'select ({quoted}::"pg_catalog"."_text")'


@pytest.mark.parametrize(
    ("value", "type_name", "element", "says"),
    [
        ({"a": 1}, "text", None, "is an object"),
        ([1], "int4", None, "is a list"),
        ("a\0", "text", None, "NUL"),
        ("\ud800", "text", None, "not Unicode"),
        (float("nan"), "float8", None, "no form in JSON"),
        (float("inf"), "float8", None, "no form in JSON"),
        (2**4097, "numeric", None, "no form in JSON"),
        (b"x", "bytea", None, "no form in JSON"),
        ([[[[[[[1]]]]]]], "_int4", "int4", "more than 6 levels"),
        ([float("nan")], "json", None, "not a JSON document"),
        ([{"a": 1}], "_text", "text", "no form in JSON"),
    ],
)
async def test_values_without_a_form(
    value: object, type_name: str, element: str | None, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        await _inlined(value, type_name, element)


async def test_only_tokens_are_replaced() -> None:
    server: Any = Quoting(("text", None), ("int4", None))
    text = "select '$1', $$ $2 $$, $2 -- $1\n, $1"
    filled = await inline(read(text), ["||ssn||", 5], [25, 23], server)
    assert filled == (
        "select '$1', $$ $2 $$, ('5'::\"pg_catalog\".\"int4\") -- $1\n, "
        '(\'||ssn||\'::"pg_catalog"."text")'
    )


async def test_the_server_counts_too() -> None:
    server: Any = Quoting()
    with pytest.raises(InvalidRequest, match="the server counts 0"):
        await inline(read("select $1"), [1], [], server)


@pytest.mark.parametrize(
    ("text", "values", "says"),
    [
        ("select $1", [], r"uses \$1, and no parameter was sent"),
        ("select $1, $3", [1, 2], r"uses \$3, and 2 parameters were sent"),
        ("select $1", [1, 2], r"does not use \$2"),
        ("select 1", [1], r"one parameter was sent, and the statement does not use \$1"),
        ("select $0", [1], "numbered from"),
        ("select $1", [1] * 1001, "at most 1000"),
    ],
)
def test_the_count_is_checked(text: str, values: list[object], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_count(read(text), values)
