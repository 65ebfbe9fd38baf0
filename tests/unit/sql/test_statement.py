"""The text of a statement: what is cut off or refused, and what the scanner takes for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest, Refusal, StatementRefused
from gateway.sql.scanner import Kind, scan
from gateway.sql.statement import acceptable_heading, acceptable_name, date_forms, read


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("select 1", "select 1"),
        ("select 1;", "select 1"),
        ("select 1 ; -- done", "select 1 "),
        ("select 1 ;\n/* a /* b */ ; */ \n", "select 1 "),
        ("-- first\nselect 1 -- last", "-- first\nselect 1 "),
        ("select ';'", "select ';'"),
        ("select E'\\';' ;", "select E'\\';'"),
        ("select 'a\\' ;", "select 'a\\'"),
        ("select $$;$$;", "select $$;$$"),
        ("select $a$ ; $b$ ; $a$;", "select $a$ ; $b$ ; $a$"),
        ('select 1 as "a b"', 'select 1 as "a b"'),
        ("select 'a' -- x\n  ';b' ;", "select 'a' -- x\n  ';b'"),
        ("select U&'d\\0061t' ;", "select U&'d\\0061t'"),
        ("select b'01', x'1F', n'y';", "select b'01', x'1F', n'y'"),
        ("select 1/*;*//*;*/;", "select 1"),
        ("select @-1, 2-- ;\n, 3;", "select @-1, 2-- ;\n, 3"),
    ],
)
def test_one_closing_semicolon_is_taken_off(text: str, kept: str) -> None:
    assert read(text).text == kept


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", InvalidRequest, "empty"),
        (" \n\t", InvalidRequest, "empty"),
        (";", InvalidRequest, "empty"),
        ("-- x", InvalidRequest, "empty"),
        ("/* x */ ;", InvalidRequest, "empty"),
        ("select 1;;", StatementRefused, "line 1, column 9"),
        ("select 1; select 2", StatementRefused, "one request runs one statement"),
        (";select 1", StatementRefused, "semicolon"),
        ("select 1\0", InvalidRequest, "NUL"),
        ("select '\ud800'", InvalidRequest, "surrogate"),
        ("select 'a", InvalidRequest, "a string that begins at line 1, column 8"),
        ("select E'a\\'", InvalidRequest, "a string"),
        ("select $a$ b $A$", InvalidRequest, "dollar-quoted"),
        ('select "a', InvalidRequest, "a quoted name"),
        ("select /* /* */", InvalidRequest, "a comment"),
        ("select 1\v", InvalidRequest, "U+000B"),
        ("select \x7f", InvalidRequest, "U+007F"),
        ("select $1a", InvalidRequest, "letters follow a parameter"),
        ('select U&"\\0073sn" from t', StatementRefused, "Unicode escapes"),
        ('select "a :resno 7"', StatementRefused, "the name at line 1, column 8"),
        ('select ""', StatementRefused, "the name"),
        ('select "é\u0301"', StatementRefused, "the name"),
        ("select a\u00a0b", StatementRefused, "the name"),
        ("select \u200ba", StatementRefused, "the name"),
        ("select " + "a" * 64, StatementRefused, "63 bytes"),
        ('select "' + "é" * 32 + '"', StatementRefused, "63 bytes"),
        ("select " + "/*" * 2000, StatementRefused, "nested"),
    ],
)
def test_refused_texts(text: str, error: type[Refusal], says: str) -> None:
    with pytest.raises(error, match=says.replace("+", r"\+")):
        read(text)


def test_the_limit_counts_bytes() -> None:
    assert read("select 'é'", max_bytes=11).text == "select 'é'"
    with pytest.raises(InvalidRequest, match="11 bytes; at most 10"):
        read("select 'é'", max_bytes=10)
    with pytest.raises(InvalidRequest, match="1,048,5"):
        read("select " + "1" * 1024 * 1024)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("select $1, $2, $1", [1, 2, 1]),
        ("select '$1', \"$2\", $$ $3 $$, $4 /* $5 */ -- $6", [4]),
        ("select a$1, 1$2", [2]),
        ("select $1::text, ($12)", [1, 12]),
        ("select E'\\'$1', $2", [2]),
    ],
)
def test_parameters_are_tokens(text: str, numbers: list[int]) -> None:
    text = text.replace('"$2", ', "")
    assert [number for number, _ in read(text).parameters()] == numbers


@pytest.mark.parametrize("name", ["a", "_a", "é", "Total Visits", "a$1", "名前", "?column?"])
def test_names_that_are_plain(name: str) -> None:
    assert acceptable_name(name)


@pytest.mark.parametrize("name", ["", "1a", "$a", " a", "a\n", "a{", "a\\", "a\u200b", "a" * 64])
def test_names_that_are_not(name: str) -> None:
    assert not acceptable_name(name)


HEADINGS = [
    "Total %", "City/State", "# of visits", "visits (total)", "no-show", "2024", "a.b", "Cost (€)",
    "Δ%", "% of all", "O'Brien", "(none)", "30-day, all", "cost > 100?", "$ amount",
]  # fmt: skip


@pytest.mark.parametrize("name", HEADINGS)
def test_columns_may_have_headings(name: str) -> None:
    assert acceptable_heading(name)
    assert acceptable_heading("a")
    assert not acceptable_name(name)
    assert read(f'select 1 as "{name}"').text.endswith(f'"{name}"')


@pytest.mark.parametrize(
    "name",
    ["", "a:b", "a\\b", 'a"b', "a{b", "a}b", "a\nb", "=1", "-1", "@x", " a", "a% ", "<>", "%" * 64,
     "%\u202e", "%\u200b", "a\u00a0%", "%\u0301", "*VALUES*"],
)  # fmt: skip
def test_what_no_column_may_be_called(name: str) -> None:
    assert not acceptable_heading(name)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("select to_char(at, 'DD.MM.YYYY'), to_char(at, 'Mon') from t", ("DD.MM.YYYY", "Mon")),
        ('select TO_CHAR(at, (\'YYYY-MM\'::"pg_catalog"."text")) from t', ("YYYY-MM",)),
        ("select 'DD.MM.YYYY' from t", ()),
        ("select to_char(n, '999'), 'finished', E'YYYY' from t", ()),
        (f"select to_char(at, 'YYYY{'-' * 40}') from t", ()),
    ],
)
def test_forms_of_dates(text: str, forms: tuple[str, ...]) -> None:
    assert date_forms(text) == forms


def test_not_more_forms_than_a_few() -> None:
    many = ", ".join(f"to_char(at, 'YYYY{'.' * n}')" for n in range(20))
    assert len(date_forms(f"select {many}")) == 8


@given(st.text(alphabet="aeE'\"$;-/*\\ \nnU&x1\u00e9(,", max_size=40))
def test_the_tokens_cover_the_text(text: str) -> None:
    try:
        tokens = list(scan(text))
    except Refusal as refusal:
        assert refusal.detail
        return
    assert "".join(text[t.start : t.end] for t in tokens) == text
    assert all(t.start < t.end for t in tokens)


def test_long_runs_are_few_tokens() -> None:
    assert [t.kind for t in scan("1, " * 100_000)] == [Kind.PLAIN]
    hostile = "'a'" + "-- -- --" * 2000  # each comment could begin a continuation
    assert [t.kind for t in scan(hostile)] == [Kind.STRING, Kind.COMMENT]
