"""Statements nobody writes by hand, by name: what they are made of and what may become of them.

A status that is listed for a statement is right for it; the bound on memory holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MEGABYTE = 1 << 20
ANSWERED, REFUSED = (200,), (422,)
EITHER = (200, 422)


@dataclass(frozen=True)
class Monster:
    name: str
    text: str
    status: tuple[int, ...]
    says: str = ""  # part of the refusal


def _chain(count: int, how: str = "", again: str = "") -> str:
    """WITH queries, each of the one before."""
    first = f"with c0 as {how} (select id from patient)"
    rest = "".join(
        f", c{n} as {how} (select a.id from c{n - 1} a {again.format(n - 1)})"
        for n in range(1, count)
    )
    return f"{first}{rest} select count(*) from c{count - 1}"


def _wrapped(count: int, left: str, middle: str, right: str) -> str:
    return "select " + left * count + middle + right * count


def _nested_from(count: int) -> str:
    closing = "".join(f") q{n}" for n in range(count))
    return "select id from " + "(select id from " * count + "patient" + closing


def _nested_exists(count: int) -> str:
    opening = "".join(
        f"exists (select from encounter e{n} where e{n}.id = {'p.id' if n == 1 else f'e{n - 1}.id'}"
        " and "
        for n in range(1, count)
    )
    return f"select id from patient p where {opening}true{')' * (count - 1)}"


def _joins(count: int, kind: str) -> str:
    rest = " ".join(f"{kind} join patient t{n} on t{n}.id = t{n - 1}.id" for n in range(1, count))
    return f"select count(*) from patient t0 {rest}"


def _tables(count: int) -> str:
    return ", ".join(f"patient p{n}" for n in range(count))


def _with_flat(count: int) -> str:
    return "with " + ", ".join(f"c{n} as (select {n} as x)" for n in range(count)) + " select 1"


def _with_inside(count: int) -> str:
    opening = "".join(f"with c{n} as (" for n in range(count))
    closing = "".join(f") select x from c{n}" for n in reversed(range(count)))
    return f"{opening}select 1 as x{closing}"


def _columns(count: int) -> str:
    return "select " + ", ".join(f"id as c{n}" for n in range(count)) + " from patient where id = 1"


def _numbers(count: int) -> str:
    return ", ".join(map(str, range(count)))


def _cube(count: int) -> str:
    terms = ", ".join(f"id + {n}" for n in range(count))
    return f"select count(*) from patient group by cube ({terms})"


def _comments(count: int) -> str:
    return "select /*" + "/*" * count + " deep " + "*/" * count + "*/ 1 as x"


LONG = "x" * 5000
ONE = "from patient where id = 1"


def _monsters() -> list[Monster]:
    deep = "nested too deeply"
    make: list[tuple[str, Callable[[], str], tuple[int, ...], str]] = [
        ("10 MB of blanks", lambda: "select 1" + " " * (10 * MEGABYTE), REFUSED, "too large"),
        ("10 MB of a comment", lambda: f"/*{'x' * 10 * MEGABYTE}*/ select 1", REFUSED, "too large"),
        ("10 MB of a literal", lambda: f"select '{'x' * 10 * MEGABYTE}'", REFUSED, "too large"),
        (
            "10 MB of parentheses",
            lambda: _wrapped(5 * MEGABYTE, "(", "1", ")"),
            REFUSED,
            "too large",
        ),
        ("1 MB of commas", lambda: "select " + "," * 1_000_000, REFUSED, ""),
        ("1 MB of semicolons", lambda: "select 1" + ";" * 1_000_000, REFUSED, "more than 400,000"),
        ("1 MB of quotes", lambda: "select " + "'" * 1_000_000, EITHER, ""),
        ("1 MB of dollars", lambda: "select " + "$" * 1_000_000, REFUSED, ""),
        ("1 MB of one word", lambda: "select " + "x" * 1_000_000, REFUSED, ""),
        ("1 MB of openings", lambda: "select " + "(" * 1_000_000, REFUSED, ""),
        ("1 MB of comment openings", lambda: "select " + "/*" * 500_000, REFUSED, "nested"),
        ("1 MB of a literal", lambda: f"select '{'x' * 1_000_000}' as x", ANSWERED, ""),
        ("1 MB of bytea", lambda: f"select '\\x{'ab' * 400_000}'::bytea as x", ANSWERED, ""),
        ("100,000 numbers", lambda: f"select 1 as x where 1 in ({_numbers(100_000)})", EITHER, ""),
        ("100,000 values", lambda: f"values {_numbers(100_000).replace(',', '),(')}", REFUSED, ""),
        ("5,000 parentheses", lambda: _wrapped(5000, "(", "1", ")"), EITHER, ""),
        ("400,000 parentheses", lambda: _wrapped(400_000, "(", "1", ")"), REFUSED, ""),
        ("5,000 calls", lambda: _wrapped(5000, "abs(", "1", ")"), REFUSED, ""),
        ("5,000 arrays", lambda: _wrapped(5000, "array[", "1", "]"), REFUSED, ""),
        ("5,000 CASE", lambda: _wrapped(5000, "case when true then ", "1", " end"), REFUSED, ""),
        ("5,000 NOT", lambda: f"select 1 where {'not ' * 5000} true", REFUSED, deep),
        ("5,000 minus signs", lambda: f"select {'- ' * 5000} 1", EITHER, ""),
        ("20,000 plus", lambda: f"select {'+'.join(['1'] * 20_000)}", REFUSED, ""),
        ("5,000 casts", lambda: f"select 1{'::text::int' * 2500}", EITHER, ""),
        ("5,000 subscripts", lambda: f"select ('{{1}}'::int[]){'[1]' * 5000}", REFUSED, ""),
        ("5,000 OR", lambda: f"select id {ONE} or {' or '.join(['id = 1'] * 5000)}", EITHER, ""),
        ("500 calls", lambda: _wrapped(500, "abs(", "1", ")"), REFUSED, deep),
        (
            "1,000 scalar sub-selects",
            lambda: _wrapped(1000, "(select ", "1", ")"),
            REFUSED,
            "at most",
        ),
        ("1,000 derived tables", lambda: _nested_from(1000), REFUSED, "at most"),
        ("60 derived tables", lambda: _nested_from(60), REFUSED, "one inside the other"),
        ("30 derived tables", lambda: _nested_from(30), ANSWERED, ""),
        ("300 EXISTS in EXISTS", lambda: _nested_exists(300), REFUSED, ""),
        ("30 EXISTS in EXISTS", lambda: _nested_exists(30), ANSWERED, ""),
        ("2,000 WITH", lambda: _with_flat(2000), REFUSED, "at most"),
        ("150 WITH", lambda: _with_flat(150), REFUSED, "at most 100"),
        ("90 WITH", lambda: _with_flat(90), ANSWERED, ""),
        ("2,000 WITH of one another", lambda: _chain(2000), REFUSED, "at most"),
        ("90 WITH of one another", lambda: _chain(90), ANSWERED, ""),
        ("500 WITH inside WITH", lambda: _with_inside(500), REFUSED, ""),
        (
            "30 WITH copied twice each",
            lambda: _chain(30, "not materialized", "join c{} b using (id)"),
            REFUSED,
            "NOT MATERIALIZED",
        ),
        (
            "30 WITH read twice each",
            lambda: _chain(30, "materialized", "join c{} b using (id) where a.id < 3"),
            ANSWERED,
            "",
        ),
        (
            "1,000 arms",
            lambda: " union all ".join(["select id from patient"] * 1000),
            REFUSED,
            "",
        ),
        ("700 tables", lambda: f"select 1 from {_tables(700)}", REFUSED, "at most 600"),
        ("100 tables", lambda: f"select 1 from {_tables(100)} where false", ANSWERED, ""),
        ("100 arms", lambda: " union all ".join([f"select id {ONE}"] * 100), ANSWERED, ""),
        ("500 joins", lambda: _joins(500, ""), REFUSED, ""),
        ("500 left joins", lambda: _joins(500, "left"), REFUSED, ""),
        ("50 joins", lambda: _joins(50, ""), ANSWERED, ""),
        ("1,000 tables", lambda: f"select 1 from patient{', patient' * 999}", REFUSED, ""),
        ("1,600 columns", lambda: _columns(1600), ANSWERED, ""),
        ("1,700 columns", lambda: _columns(1700), REFUSED, ""),
        ("10,000 numbers", lambda: f"select id {ONE} and id in ({_numbers(10_000)})", ANSWERED, ""),
        ("a cube of 20", lambda: _cube(20), REFUSED, ""),
        ("1,000 comments deep", lambda: _comments(998), ANSWERED, ""),
        ("5,000 comments deep", lambda: _comments(5000), REFUSED, "nested"),
        ("a long literal", lambda: f"select '{LONG}' as x, id {ONE}", ANSWERED, ""),
        ("a long escape string", lambda: f"select E'{LONG}\\n' as x {ONE}", ANSWERED, ""),
        ("a long dollar quote", lambda: f"select $a${LONG}$a$ as x {ONE}", ANSWERED, ""),
        ("a long json path", lambda: f"select '{{}}'::jsonb -> '{LONG}' as x", ANSWERED, ""),
        ("a long pattern", lambda: f"select city like '{LONG}' as x {ONE}", ANSWERED, ""),
        ("a long name", lambda: f"select 1 as {'n' * 64}", EITHER, ""),
        ("a name of 63", lambda: f"select 1 as {'n' * 63}", ANSWERED, ""),
        ("many long names", lambda: _long_names(30), ANSWERED, ""),
        ("a name of Unicode escapes", lambda: 'select 1 as U&"\\0061"', REFUSED, "Unicode escapes"),
        ("a string of Unicode escapes", lambda: "select U&'\\0061' as x", ANSWERED, ""),
    ]
    return [Monster(name, text(), status, says) for name, text, status, says in make]


def _long_names(count: int) -> str:
    names = [f"{'n' * 60}{n:03}" for n in range(count)]
    inner = ", ".join(f"id as {name}" for name in names)
    return f"select {', '.join(names)} from (select {inner} {ONE}) {'q' * 63}"


MONSTERS = _monsters()

#: A name as it stands between double quotes, and whether a column may be called so.
NAMES: dict[str, bool] = {
    "select": True,
    "a b": True,
    "a$b": True,
    "Größe": True,
    "имя": True,
    "名前": True,
    "_": True,
    "n" * 63: True,
    "é" * 31: True,
    "é" * 32: False,
    "n" * 64: False,
    "": False,
    " a": False,
    'a""b': False,
    "a :resno 7": False,
    "}": False,
    "{QUERY": False,
    "\\": False,
    "a\nb": False,
    "a\tb": False,
    "/*": False,
    "e\u0301": False,
    "a\u200bb": False,
    "a\u202eb": False,
    "a\u00a0b": False,
    "😀": False,
    "<script>": False,
    "${x}": False,
}
#: What only a column may be called: the headings of reports.
HEADINGS = ("1a", "$a", "a'b", "a.b", "a;b", "(", "a--b", "%s", "Total %", "a/b, c", "Cost (€)")

#: Bodies that hold no statement: bytes, and the status they get.
BODIES: list[tuple[str, bytes, tuple[int, ...]]] = [
    ("a NUL", b'{"sql": "select 1 \\u0000"}', REFUSED),
    ("a lone surrogate", b'{"sql": "select \'\\ud800\'"}', REFUSED),
    ("a lone low surrogate", b'{"sql": "select \'\\udc00x\'"}', REFUSED),
    ("a pair of surrogates", b'{"sql": "select \'\\ud83d\\ude00\' as x"}', ANSWERED),
    ("a surrogate in a parameter", b'{"sql": "select $1::text", "params": ["\\udfff"]}', REFUSED),
    ("a NUL in a parameter", b'{"sql": "select $1::text", "params": ["\\u0000"]}', REFUSED),
    ("a surrogate in a document", b'{"sql": "select $1::jsonb", "params": [{"a": "\\ud800"}]}',
     (422, 502)),
    ("a byte that is no UTF-8", b'{"sql": "select \'\xff\'"}', REFUSED),
    ("a number of 5,000 digits", b'{"sql": "select $1", "params": [' + b"9" * 5000 + b"]}",
     REFUSED),
    ("100,000 parameters",
     b'{"sql": "select 1", "params": [' + b",".join([b"1"] * 100_000) + b"]}", REFUSED),
    ("nested lists", b'{"sql": "select 1", "params": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
     REFUSED),
    ("nothing", b"", REFUSED),
    ("a list", b"[]", REFUSED),
    ("half a document", b'{"sql": "sel', REFUSED),
    ("no text", b'{"sql": 1}', REFUSED),
]  # fmt: skip
