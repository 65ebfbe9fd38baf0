"""A template shows nothing that somebody could have put a patient into."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sql.template import CUT, LONGEST, template
from gateway.sql.vocabulary import KEYWORDS, OPERATORS, Vocabulary

KNOWN = Vocabulary(["public", "patient", "full_name", "id", "lower", "MixedCase"])
#: What a template is made of: nothing else may ever stand in one.
SHOWN = re.compile(
    r'\{s\}|\{d\}|\{p\}|\{op\}|\{n\d+\}|\{…\}|[a-z_]+|"MixedCase"|[^\w"{}]', re.ASCII
)

CASES = [
    ("select 'Nadia'", "select {s}"),
    (r"select E'Na\'dia', e'x'", "select {s}, {s}"),
    ("select U&'N\\0061dia' uescape '!'", "select {s} uescape {s}"),
    ("select $$Nadia$$, $Nadia$x$Nadia$", "select {s}, {s}"),
    ("select B'0101', X'4E', n'Nadia'", "select {s}, {s}, {s}"),
    ("select 'Na'\n  'dia'", "select {s}"),
    ("select 123456789, -1.5e-10, .5, 0x1F, 1_000, 1e+5", "select {d}, -{d}, {d}, {d}, {d}, {d}"),
    ("select id -- Nadia\n, /* 123-45 /* Nadia */ */ id", "select id , id"),
    ("select id as nadia, id nadia2 from patient", "select id as {n1}, id {n2} from patient"),
    ('select id as "Nadia P" from patient', "select id as {n1} from patient"),
    ('select "MixedCase", "patient", mixedcase', 'select "MixedCase", "patient", {n1}'),
    ("select nadia.id from patient nadia", "select {n1}.id from patient {n1}"),
    ("select FULL_NAME from Public.Patient", "select full_name from public.patient"),
    (
        "with nadia as (select 1) select * from nadia",
        "with {n1} as (select {d}) select * from {n1}",
    ),
    ("prepare nadia as select 1", "prepare {n1} as select {d}"),
    ("declare nadia cursor for select 1", "declare {n1} cursor for select {d}"),
    ("copy patient to '/tmp/nadia'", "copy patient to {s}"),
    ("copy nadia (dob) from stdin", "copy {n1} ({n2}) from stdin"),
    ("select lower(nadia => $1, x := $123456789)", "select lower({n1} => {p}, {n2} := {p})"),
    ("select id from patient where id=-5", "select id from patient where id=-{d}"),
    ("select 'a' ~~* 'b' @@@ 'c'", "select {s} ~~* {s} @@@ {s}"),
    ("select 1 `\\ 2", "select {d} {op} {d}"),
    ("select x::nadia.t, array[1][2]", "select {n1}::{n2}.{n3}, array[{d}][{d}]"),
    ("select 1; select 2", "select {d}; select {d}"),
    ("select 'Nadia", "select" + CUT),
    ("select /* Nadia", "select" + CUT),
    ('select U&"N\\0061dia"', "select" + CUT),
    ("select Nadía", "select {n1}"),
    ("nadia\x00planted", "{n1}" + CUT),
    ("", ""),
    (' {"sql": "select Nadia', "{op}{n1}:" + CUT),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[case[0][:40] for case in CASES])
def test_what_stays_and_what_does_not(text: str, expected: str) -> None:
    assert re.sub(r" +", " ", template(text, KNOWN)) == expected


def test_it_is_bounded_however_long_the_statement() -> None:
    for text in ("select " + "id, " * 500_000, "/**/" * 100_000 + "id", "+" * 200_000):
        assert len(template(text, KNOWN)) <= LONGEST + 100


def test_the_empty_vocabulary_shows_key_words_alone() -> None:
    assert template("select id from patient", Vocabulary()) == "select {n1} from {n2}"


CANARY = "zqxcanary"


def _spelled(canary: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            f"'{canary}'", f"E'{canary}\\''", f"U&'{canary}'", f"$${canary}$$", f"n'{canary}'",
            f"${canary}${canary}${canary}$", f'"{canary}"', f'"a""{canary}"', canary,
            canary.upper(), f"_{canary}$1", f"--{canary}\n", f"/*{canary}/*{canary}*/*/",
            f"${canary}$", f"'{canary}", f'"{canary}', f"/*{canary}", f"é{canary}", f"{canary}é",
            f"public.{canary}", f"{canary} => 1", f"as {canary}", f"1{canary}", f"0x{canary}",
            f"$1{canary}", f"\\{canary}", f"`{canary}`", f"{{{canary}}}", f"u&\"{canary}\"",
            f"B'{canary}'", f":{canary}", f":'{canary}'", f"@{canary}", f"#{canary}", f"e {canary}",
            f"'a'\n'{canary}'", f"'a'--\n'{canary}'", f"\u2028{canary}", f"\x00{canary}",
        ]
    )  # fmt: skip


_NOISE = st.sampled_from(
    [*sorted(KEYWORDS)[::7], *sorted(OPERATORS), " ", "\n", "\t", ",", "(", ")", "[", "]", ".", ";",
     "patient", "id", "'", '"', "$$", "$1", "1", "1e", "E'", "U&'", "--", "/*", "*/", "\\", "é",
     "{", "}"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(_NOISE, _spelled(CANARY)), max_size=25), st.sampled_from(["", " "]))
def test_a_canary_in_any_place_is_not_shown(parts: list[str], between: str) -> None:
    shown = template(between.join(parts), KNOWN)
    assert CANARY not in shown.lower()
    assert SHOWN.sub("", shown) == ""
    words = set(
        re.findall(r"[a-z_]{2,}", re.sub(r"\{[^}]*\}", " ", shown.replace("MixedCase", "")))
    )
    assert words <= KEYWORDS | {"public", "patient", "full_name", "id", "lower"}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_template_without_a_digit(text: str) -> None:
    shown = template(text, KNOWN)
    assert not re.search(r"[0-9]", re.sub(r"\{n\d+\}", "", shown))
    assert SHOWN.sub("", shown) == ""
