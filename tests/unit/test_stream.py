"""`MaskedStream` on COPY bytes made by hand: what comes out, what is refused, what never leaves."""

from __future__ import annotations

import csv
import io
import json
import struct

import blake3
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copybytes import (
    HEADER,
    TOKEN_KEY,
    TRAILER,
    column,
    copy,
    int4,
    int8,
    joined,
    opened,
    plan,
    row,
    run,
)
from gateway._kernel import MaskedStream
from gateway.errors import InvalidRequest, Unrepresentable, UpstreamFailed

FORMATS = ["arrow", "ndjson", "csv"]
TWO = [column("id", "int4"), column("name")]


def table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def rows_of(count: int) -> list[bytes]:
    return [row(int4(i), f"name {i}".encode()) for i in range(count)]


# what comes out


def test_arrow() -> None:
    stream = opened(TWO, metadata={"maskgate.session": "s-1"})
    chunks = run(stream, [copy(row(int4(1), b"Ada"), row(None, None), row(int4(3), b""))])
    got = table(joined(chunks))
    assert got.to_pylist() == [
        {"id": 1, "name": "Ada"},
        {"id": None, "name": None},
        {"id": 3, "name": ""},
    ]
    assert got.schema.metadata == {b"maskgate.session": b"s-1"}
    assert got.schema.field("name").metadata[b"maskgate.treatment"] == b"clear"
    assert stream.rows == 3
    assert not stream.truncated
    assert [chunk.rows for chunk in chunks] == [0, 3, 0]


def test_any_buffer_of_bytes_will_do() -> None:
    data = copy(row(int4(1), b"Ada"))
    whole = joined(run(opened(TWO), [data]))
    assert joined(run(opened(TWO), [bytearray(data)])) == whole
    assert joined(run(opened(TWO), [memoryview(data)[:30], memoryview(data)[30:]])) == whole
    stream = opened(TWO)
    stream.head()
    with pytest.raises(TypeError):
        stream.feed("text")  # type: ignore[arg-type]


def test_each_digest_is_blake3_of_its_bytes() -> None:
    for chunk in run(opened(TWO), [copy(*rows_of(2000))]):
        assert chunk.digest == blake3.blake3(chunk.data).hexdigest()


def test_ndjson() -> None:
    stream = opened(TWO, "ndjson")
    chunks = run(stream, [copy(row(int4(1), 'a"\\\n\x01é'.encode()), row(None, None))])
    assert chunks[0].data == b""
    lines = joined(chunks).decode().splitlines()
    assert lines == ['{"id":1,"name":"a\\"\\\\\\n\\u0001é"}', '{"id":null,"name":null}']


def test_ndjson_numbers_repeated_names() -> None:
    columns = [column(name, "int4") for name in ["a", "a", "a_2", "a"]]
    data = joined(run(opened(columns, "ndjson"), [copy(row(*map(int4, range(4))))]))
    (line,) = data.splitlines()
    pairs = json.loads(line, object_pairs_hook=list)
    assert [value for _, value in pairs] == [0, 1, 2, 3]
    names = [name for name, _ in pairs]
    assert names[:2] == ["a", "a_2"]
    assert len(set(names)) == 4


def test_csv_tells_null_from_empty() -> None:
    rows = [row(int4(1), b""), row(None, None), row(int4(2), b'say "x",\r\n'), row(int4(3), b"p")]
    data = joined(run(opened(TWO, "csv"), [copy(*rows)])).decode()
    assert data == 'id,name\r\n1,""\r\n,\r\n2,"say ""x"",\r\n"\r\n3,p\r\n'


def test_json_stays_on_its_line_and_in_its_place() -> None:
    columns = [column("j", "json")]
    rows = [row(b'{"a":\n [1,\r\n2]}'), row(b'1}\n{"j":2')]
    lines = joined(run(opened(columns, "ndjson"), [copy(*rows)])).decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"j": {"a": [1, 2]}}, {"j": '1}\n{"j":2'}]


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows(form: str) -> None:
    stream = opened(TWO, form)
    data = joined(run(stream, [copy()]))
    assert stream.rows == 0
    if form == "arrow":
        assert table(data).num_rows == 0
    else:
        assert data == {"ndjson": b"", "csv": b"id,name\r\n"}[form]


def test_no_columns() -> None:
    stream = opened([])
    got = table(joined(run(stream, [copy(row(), row())])))
    assert (got.num_columns, stream.rows) == (0, 2)
    assert joined(run(opened([], "ndjson"), [copy(row(), row())])) == b"{}\n{}\n"


def test_the_first_chunk_is_small_and_the_next_ones_grow() -> None:
    chunks = run(opened([column("n", "int4")]), [copy(*(row(int4(i)) for i in range(30_000)))])
    assert [chunk.rows for chunk in chunks] == [0, 256, 1024, 4096, 16384, 8240, 0]


def test_enum_labels_are_sent_once() -> None:
    labels = {"kind": "enum", "labels": ["low", "high"]}
    rows = [row(b"high" if i % 3 else b"low") for i in range(3000)]
    data = joined(run(opened([column("e", labels)]), [copy(*rows)]))
    got = table(data)
    assert got.column("e").type == pa.dictionary(pa.int32(), pa.string())
    assert got.column("e").to_pylist() == ["high" if i % 3 else "low" for i in range(3000)]
    assert data.count(b"lowhigh") == 1


# cuts


@pytest.mark.parametrize("form", FORMATS)
def test_every_split_gives_the_same_chunks(form: str) -> None:
    columns = [
        column("id", "int4"),
        column("name"),
        column("secret", "text", {"name": "redact", "label": "[REDACTED]"}),
    ]
    data = copy(*(row(int4(i), b"n" * (i % 7), None if i % 5 else b"x") for i in range(12)))
    whole = [(c.rows, c.data) for c in run(opened(columns, form), [data])]
    for at in range(len(data) + 1):
        split = [(c.rows, c.data) for c in run(opened(columns, form), [data[:at], data[at:]])]
        assert split == whole
    single = run(opened(columns, form), [data[i : i + 1] for i in range(len(data))])
    assert [(c.rows, c.data) for c in single] == whole


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5000), max_size=30), st.sampled_from(FORMATS))
def test_large_results_are_cut_alike_however_they_arrive(sizes: list[int], form: str) -> None:
    data = copy(*rows_of(2000))
    whole = [c.data for c in run(opened(TWO, form), [data])]
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    assert [c.data for c in run(opened(TWO, form), [*pieces, data[at:]])] == whole


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("treatment", [{"name": "redact", "label": "[X]"}, {"name": "null"}])
def test_raw_lengths_leave_no_trace(form: str, treatment: dict[str, str]) -> None:
    """Two results that differ only in protected values are the same bytes in the same chunks."""
    columns = [column("id", "int4"), column("notes", "text", treatment)]

    def chunks(length: int) -> list[tuple[int, bytes]]:
        data = copy(*(row(int4(i), b"z" * length) for i in range(700)))
        pieces = [data[i : i + 65_536] for i in range(0, len(data), 65_536)]
        return [(c.rows, c.data) for c in run(opened(columns, form), pieces)]

    assert chunks(0) == chunks(1) == chunks(20_000)


@pytest.mark.parametrize("form", FORMATS)
def test_memory_of_a_batch_is_taken_in_portions_that_nobody_sees(form: str) -> None:
    """The raw rows of one visible batch exceed what the decoder holds at once."""
    token = {"name": "token", "domain": "d", "key_id": "k"}
    labels = {"kind": "enum", "labels": ["a", "b", "c"]}
    columns = [column("notes", "text", token), column("e", labels)]

    def chunks(length: int) -> list[int]:
        rows = (row(b"%08d" % i * length, b"abc"[i % 3 : i % 3 + 1]) for i in range(400))
        stream = opened(columns, form)
        got = run(stream, [copy(*rows)])
        if form == "arrow":
            values = table(joined(got)).column("e").to_pylist()
            assert values == ["abc"[i % 3] for i in range(400)]
        return [chunk.rows for chunk in got]

    assert chunks(1) == chunks(4000)


def test_large_clear_cells_are_cut_by_their_size() -> None:
    rows = [row(b"%04d" % i * 250_000) for i in range(20)]
    stream = opened([column("text")])
    chunks = run(stream, rows_in_pieces(rows))
    assert next(chunk.rows for chunk in chunks if chunk.rows) == 5
    assert table(joined(chunks)).column("text").to_pylist()[19] == "0019" * 250_000


def rows_in_pieces(rows: list[bytes]) -> list[bytes]:
    data = copy(*rows)
    return [data[i : i + 100_000] for i in range(0, len(data), 100_000)]


# the row limit


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("limit", [0, 1, 255, 256, 257, 700])
def test_the_limit_is_exact(form: str, limit: int) -> None:
    for count in [limit, limit + 1, limit + 500]:
        stream = opened(TWO, form, limit_rows=limit)
        chunks = run(stream, [copy(*rows_of(count))])
        assert sum(chunk.rows for chunk in chunks) == stream.rows == limit
        assert stream.truncated == (count > limit)
        if form == "arrow":
            assert table(joined(chunks)).num_rows == limit


def test_below_the_limit_the_trailer_must_come() -> None:
    stream = opened(TWO, limit_rows=5)
    stream.head()
    stream.feed(HEADER + b"".join(rows_of(4)))
    with pytest.raises(UpstreamFailed):
        stream.finish()


def test_at_the_limit_the_stream_may_be_left_unread() -> None:
    stream = opened(TWO, limit_rows=4)
    stream.head()
    (chunk,) = stream.feed(HEADER + b"".join(rows_of(4)))
    assert (chunk.rows, stream.truncated) == (4, False)
    (end,) = stream.finish()
    assert end.rows == 0


# bytes that are not the promised stream

GOOD = copy(row(int4(1), b"Ada"))
BAD = {
    "empty": b"",
    "text format": b"1\tAda\n\\.\n",
    "bad signature": b"PGCOPX" + GOOD[6:],
    "flags": GOOD[:11] + b"\0\1\0\0" + GOOD[15:],
    "negative extension": GOOD[:15] + b"\xff" * 4 + GOOD[19:],
    "huge extension": GOOD[:15] + b"\x7f" + b"\xff" * 3 + GOOD[19:],
    "no trailer": GOOD[:-2],
    "half a trailer": GOOD[:-1],
    "half a row": GOOD[:-5],
    "bytes after the trailer": GOOD + b"\0",
    "a row after the trailer": GOOD + row(int4(2), b"Eve"),
    "a field too few": copy(row(int4(1))),
    "a field too many": copy(row(int4(1), b"a", b"b")),
    "a negative field count": HEADER + struct.pack(">h", -2) + TRAILER,
    "another count in the second row": copy(row(int4(1), b"a"), row(int4(1))),
    "length -2": HEADER + struct.pack(">hi", 2, -2) + TRAILER,
    "length minimum": HEADER + struct.pack(">hi", 2, -(2**31)) + TRAILER,
    "length maximum": HEADER + struct.pack(">hi", 2, 2**31 - 1) + TRAILER,
    "a length beyond the end": HEADER + struct.pack(">hi", 2, 100) + TRAILER,
    "an integer of three bytes": copy(row(b"abc", b"Ada")),
    "not UTF-8": copy(row(int4(1), b"\xff\xfe")),
    "a character split over two cells": copy(row(int4(1), b"\xc3"), row(int4(1), b"\xa9")),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("form", FORMATS)
def test_bad_streams_fail(name: str, form: str) -> None:
    for step in (1, len(BAD[name]) + 1):
        stream = opened(TWO, form)
        with pytest.raises(UpstreamFailed):
            run(stream, [BAD[name][i : i + step] for i in range(0, len(BAD[name]), step)])
        for call in (stream.head, stream.finish, lambda s=stream: s.feed(b"")):
            with pytest.raises(UpstreamFailed):
                call()
        assert stream.rows == 0
        assert json.loads(stream.report())["infinities"] == 0


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_many_pieces_at_once_are_as_one_after_the_other(kind: type[bytes]) -> None:
    data = copy(*rows_of(20_000))
    pieces = [kind(data[at : at + 777]) for at in range(0, len(data), 777)]
    one_by_one = run(opened(TWO), pieces)
    stream = opened(TWO)
    at_once = [stream.head(), *stream.feed_all(pieces), *stream.finish()]
    assert [(c.rows, c.data) for c in at_once] == [(c.rows, c.data) for c in one_by_one]


def test_an_error_in_many_pieces_waits_for_the_chunks_before_it() -> None:
    stream = opened(TWO)
    stream.head()
    good = HEADER + b"".join(rows_of(1_000))
    chunks = stream.feed_all([good, b"\x00\x07rubbish", good])
    assert sum(chunk.rows for chunk in chunks) == 256
    for call in (lambda: stream.feed_all([]), lambda: stream.feed_all([good]), stream.finish):
        with pytest.raises(UpstreamFailed):
            call()


def test_chunks_that_were_full_leave_before_the_error() -> None:
    data = HEADER + b"".join(rows_of(300)) + struct.pack(">h", 9)
    stream = opened(TWO)
    stream.head()
    (chunk,) = stream.feed(data)
    assert chunk.rows == stream.rows == 256
    with pytest.raises(UpstreamFailed):
        stream.feed(b"")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.sampled_from(FORMATS))
def test_no_soup_of_bytes_does_worse_than_fail(soup: bytes, framed: bool, form: str) -> None:
    kinds = ["int4", "text", "numeric", "timestamptz", "inet", "jsonb", "bit"]
    columns = [column(kind, kind) for kind in kinds]
    columns.append(column("a", {"kind": "array", "element": {"kind": "numeric"}}))
    stream = opened(columns, form)
    try:
        run(stream, [(HEADER if framed else b"") + soup])
    except (UpstreamFailed, Unrepresentable):
        assert stream.rows == 0


# values without an Arrow form

UNREPRESENTABLE = {
    "timestamp": int8(2**63 - 1),
    "timestamptz": int8(-(2**63)),
    "date": int4(2**31 - 1),
    "time": int8(86_400_000_000),
    "interval": struct.pack(">qii", 2**63 - 1, 2**31 - 1, 2**31 - 1),
}


@pytest.mark.parametrize("kind", UNREPRESENTABLE)
def test_a_value_without_an_arrow_form_names_the_column_and_the_cast(kind: str) -> None:
    stream = opened([column('odd "name', kind)])
    with pytest.raises(Unrepresentable) as caught:
        run(stream, [copy(row(UNREPRESENTABLE[kind]))])
    assert 'odd \\"name' in caught.value.detail
    assert caught.value.hint == 'cast it to text: "odd ""name"::text'


def test_infinities_may_be_null_and_are_counted() -> None:
    kinds = ["timestamp", "timestamptz", "date", "interval"]
    stream = opened([column(kind, kind) for kind in kinds], infinity="null")
    data = copy(row(*(UNREPRESENTABLE[kind] for kind in kinds)))
    assert table(joined(run(stream, [data]))).to_pylist() == [dict.fromkeys(kinds)]
    assert json.loads(stream.report())["infinities"] == 4


def test_an_error_holds_no_value() -> None:
    secret = b"123-45-6789"
    for kind in ["int4", "numeric", "uuid", "inet", "jsonb", "timetz", "bit", "bool", "interval"]:
        with pytest.raises(UpstreamFailed) as caught:
            run(opened([column("c", kind)]), [copy(row(secret))])
        assert "123" not in repr(caught.value)


# plans


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        plan(TWO, "parquet"),
        plan([column("a", "composite")]),
        plan([column("a", {"kind": "array", "element": {"kind": "array"}})]),
        plan([column("a", "text", {"name": "deny"})]),
        plan([column("a", "int4", {"name": "partial", "first": 1, "last": 1, "char": "*"})]),
        plan([column("a", "bool", {"name": "year"})]),
        plan(TWO, infinity="maybe"),
        plan(TWO, limit_rows=-1),
        plan(TWO, surprise=1),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        MaskedStream(text, TOKEN_KEY)


def test_the_key_has_32_bytes() -> None:
    with pytest.raises(InvalidRequest):
        MaskedStream(plan(TWO), TOKEN_KEY[:31])


def test_the_order_of_calls() -> None:
    stream = opened(TWO)
    with pytest.raises(InvalidRequest):
        stream.feed(GOOD)
    with pytest.raises(InvalidRequest):
        stream.head()
    stream = opened(TWO)
    run(stream, [GOOD])
    with pytest.raises(InvalidRequest):
        stream.feed(b"")


# what never leaves

SSN = "123-45-6789"
TREATMENTS = {
    "redact": {"name": "redact", "label": "[REDACTED]"},
    "null": {"name": "null"},
    "partial": {"name": "partial", "first": 0, "last": 4, "char": "*"},
    "token": {"name": "token", "domain": "ssn", "key_id": "k1"},
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", TREATMENTS)
def test_a_masked_value_is_nowhere_in_the_bytes(form: str, name: str) -> None:
    labels = {"kind": "enum", "labels": [SSN, "other"]}
    columns = [
        column("t", "text", TREATMENTS[name]),
        column("a", {"kind": "array", "element": {"kind": "text"}}, TREATMENTS[name]),
        column("e", labels, TREATMENTS[name]),
    ]
    ssn = SSN.encode()
    array = struct.pack(">iiiii", 1, 0, 25, 1, 1) + struct.pack(">i", len(ssn)) + ssn
    rows = [row(ssn, array, ssn) if i % 3 else row(ssn, None, None) for i in range(2000)]
    stream = opened(columns, form)
    data = joined(run(stream, [copy(*rows)]))
    assert SSN.encode() not in data
    assert b"123-45" not in data
    assert b"12345678" not in data.replace(b"-", b"")
    counts = json.loads(stream.report())["cells_masked"]
    assert counts["t"] == {name: 2000}
    if form == "csv":
        lines = list(csv.reader(io.StringIO(data.decode())))
        assert len(lines) == 2001
