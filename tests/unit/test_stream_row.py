"""`hidden` and `row` of a `MaskedStream`'s plan: what a row's own columns hold is masked in its
texts, and a column that is only looked at leaves no trace."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copybytes import column, copy, int4, int8, joined, opened, row, run
from gateway.errors import InvalidRequest

FORMATS = ["arrow", "ndjson", "csv"]
SCAN = {"name": "scan"}
ARRAY_OF_TEXT = {"kind": "array", "element": {"kind": "text"}}


def hidden(name: str, kind: str | dict[str, Any] = "text") -> dict[str, Any]:
    return column(name, kind, {"name": "redact"}) | {"hidden": True}


def note(*beside: int, kind: str | dict[str, Any] = "text") -> dict[str, Any]:
    return column("note", kind, SCAN) | {"row": list(beside)}


def texts(columns: list[dict[str, Any]], *rows: bytes) -> list[dict[str, Any]]:
    got = joined(run(opened(columns), [copy(*rows)]))
    found: list[dict[str, Any]] = pa.ipc.open_stream(got).read_all().to_pylist()
    return found


def array_of_text(*items: bytes) -> bytes:
    head = int4(1) + int4(0) + int4(25) + int4(len(items)) + int4(1)
    return head + b"".join(int4(len(item)) + item for item in items)


def test_a_hidden_column_is_looked_for() -> None:
    columns = [hidden("name"), note(0)]
    got = texts(
        columns,
        row("García".encode(), b"GARCIA's wife called"),
        row(None, b"garcia called"),
        row(b"Lopez", None),
    )
    assert got == [{"note": "[ROW] wife called"}, {"note": "garcia called"}, {"note": None}]


@pytest.mark.parametrize("name", ["redact", "null", "clear", "token"])
def test_a_shown_column_is_looked_for_whatever_becomes_of_it(name: str) -> None:
    treatment = {"name": name}
    if name == "token":
        treatment |= {"domain": "d", "key_id": "k"}
    got = texts([column("name", "text", treatment), note(0)], row(b"Okonkwo", b"mr okonkwo"))
    assert got[0]["note"] == "mr [ROW]"
    assert (got[0]["name"] == "Okonkwo") == (name == "clear")


def test_values_of_every_type() -> None:
    key = uuid.UUID("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
    labels = {"kind": "enum", "labels": ["Okonkwo"]}
    cases: list[tuple[str | dict[str, Any], bytes, bytes]] = [
        ("int2", (9988).to_bytes(2, "big"), b"9988"),
        ("int4", int4(998877), b"998-877"),
        ("int8", int8(998877), b"00998877"),
        (
            {"kind": "numeric", "precision": 8, "scale": 0},
            bytes.fromhex("0002000100000000006322ad"),
            b"998877",
        ),
        ("uuid", key.bytes, str(key).upper().encode()),
        (labels, b"Okonkwo", b"OKONKWO"),
        (ARRAY_OF_TEXT, array_of_text(b"Adaeze", b"Okonkwo"), b"okonkwo, adaeze"),
    ]
    for kind, value, written in cases:
        got = texts([note(1), hidden("own", kind)], row(b"x " + written + b" y", value))
        assert got == [{"note": "x [ROW] y"}], kind


def test_json_and_lists_are_looked_through() -> None:
    got = texts([note(1, kind="json"), hidden("name")], row(b'{"a":["Dr Garcia",1]}', b"Garcia"))
    assert got == [{"note": '{"a":["Dr [ROW]",1]}'}]
    got = texts(
        [note(1, kind=ARRAY_OF_TEXT), hidden("name")],
        row(array_of_text(b"Plugh", b"saw garcia"), b"Garcia"),
        row(array_of_text(b"Plugh", b"saw garcia"), b"Plugh"),
    )
    assert got == [{"note": ["Plugh", "saw [ROW]"]}, {"note": ["[ROW]", "saw garcia"]}]


@pytest.mark.parametrize("form", FORMATS)
def test_a_hidden_column_leaves_no_trace(form: str) -> None:
    shown = [column("id", "int4"), column("note", "text", SCAN)]
    rows = [(i, f"note {i}".encode()) for i in range(2000)]

    def taken(columns: list[dict[str, Any]], *cells: bytes | None) -> list[Any]:
        stream = opened(columns, form, metadata={"k": "v"})
        body = copy(*(row(int4(i), text, *cells) for i, text in rows))
        pieces = [body[i : i + 65536] for i in range(0, len(body), 65536)]
        chunks = run(stream, pieces)
        return [[(c.data, c.rows, c.digest) for c in chunks], stream.rows, stream.report()]

    plain = taken(shown)
    secret = [column("id", "int4"), column("note", "text", SCAN) | {"row": [2, 3]}]
    secret += [hidden("sëcret"), hidden("array", ARRAY_OF_TEXT), hidden("when", "date")]
    for name in (b"Okonkwo", b"Zq" * 3_000, None):
        assert taken(secret, name, None, int4(2**31 - 1)) == plain


@settings(max_examples=50, deadline=None)
@given(
    name=st.sampled_from(["Okonkwo", "García", "O'Brien", "Łukasz", "998877", "ST-99"]),
    before=st.text(" .,;:\n-(", max_size=4),
    form=st.sampled_from(FORMATS),
    upper=st.booleans(),
)
def test_the_raw_bytes_never_come_out(name: str, before: str, form: str, upper: bool) -> None:
    written = name.upper() if upper else name
    columns = [hidden("name"), column("raw", "text", {"name": "redact"}), note(0, 1)]
    text = f"seen{before} {written}."
    stream = opened(columns, form)
    out = joined(run(stream, [copy(row(name.encode(), name.encode(), text.encode()))]))
    assert written.encode() not in out and name.encode() not in out
    assert b"[ROW]" in out
    assert json.loads(stream.report())["detectors"]["note"]["row"] == {"cells": 1, "spans": 1}


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param([note(1)], id="out of range"),
        pytest.param([note(0)], id="itself"),
        pytest.param([hidden("a"), hidden("b")], id="every column hidden"),
        pytest.param([column("a"), hidden("b") | {"row": [0]}], id="beside a hidden column"),
        pytest.param([column("a"), column("b") | {"row": [0]}], id="not scanned"),
        pytest.param(
            [column("a"), column("b", "int4", {"name": "clear"}) | {"row": [0]}], id="no text"
        ),
        pytest.param(
            [column("a"), column("b", {"kind": "enum", "labels": ["x"]}, SCAN) | {"row": [0]}],
            id="an enum",
        ),
        pytest.param([column("a"), note(0, -1)], id="negative"),
        *(
            pytest.param([note(1), hidden("a", kind)], id=str(kind))
            for kind in (
                "date",
                "timestamptz",
                "timetz",
                "bool",
                "float8",
                "bytea",
                "json",
                "jsonb",
                "bit",
                {"kind": "numeric", "precision": 8, "scale": 2},
                {"kind": "array", "element": {"kind": "date"}},
                {"kind": "array", "element": {"kind": "timetz"}},
            )
        ),
    ],
)
def test_plans_that_are_refused(columns: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest):
        opened(columns)
