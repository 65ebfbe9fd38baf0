"""`Masker`: the like of what came, in the same order, masked; refusals before the first row."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from copybytes import TOKEN_KEY, column, copy, joined, opened, row, run
from gateway._kernel import ArrowMasker
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.masking import Masker, TokenKey

KEY = TokenKey(TOKEN_KEY, "k1")
RULES: dict[str, Any] = {
    "id": "clear",
    "name": "redact",
    "mrn": {"treatment": "token", "domain": "clinic"},
    "note": "scan",
}
TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "name": ["Anna Smith", "Bob", None],
        "mrn": ["A1", "B2", "A1"],
        "note": ["call 555-123-4567", "fine", None],
    }
)


def masker(**options: Any) -> Masker:
    return Masker(RULES, key=KEY, **options)


def check(rows: dict[str, list[Any]]) -> None:
    assert rows["id"] == [1, 2, 3]
    assert rows["name"] == ["[REDACTED]", "[REDACTED]", None]
    assert rows["note"] == ["call [PHONE]", "fine", None]
    assert rows["mrn"][0] == rows["mrn"][2] != rows["mrn"][1]
    assert all(token.startswith("tok_k1_") for token in rows["mrn"])


class OnlyArray:
    """Nothing but the C interface for one batch."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        return self._batch.__arrow_c_array__()


class OnlyStream:
    """Nothing but the C interface for many."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self._table.__arrow_c_stream__()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (TABLE, pa.Table),
        (TABLE.to_batches()[0], pa.RecordBatch),
        (OnlyArray(TABLE.to_batches()[0]), pa.RecordBatch),
    ],
    ids=["table", "batch", "array interface"],
)
def test_what_is_in_memory_comes_back_as_its_like(data: Any, kind: type) -> None:
    masked = masker().mask(data)
    assert isinstance(masked, kind)
    check(masked.to_pydict())


@pytest.mark.parametrize("make", [pa.Table.to_reader, OnlyStream, pl.DataFrame])
def test_streams_come_back_as_readers(make: Any) -> None:
    masked = masker().mask(make(TABLE))
    assert isinstance(masked, pa.RecordBatchReader)
    check(masked.read_all().to_pydict())


def test_a_stream_is_masked_as_it_is_read() -> None:
    read = []

    def batches() -> Iterator[pa.RecordBatch]:
        for i in range(1000):
            read.append(i)
            yield TABLE.to_batches()[0]

    one = masker()
    reader = one.mask(pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    assert not read
    reader.read_next_batch()
    assert len(read) <= 2
    assert one.report()["rows"] == 3


def test_no_rows_and_no_batches() -> None:
    empty = TABLE.slice(0, 0)
    assert masker().mask(empty).num_rows == 0
    assert masker().mask(empty.schema.empty_table()).schema == masker().schema(TABLE.schema)
    reader = pa.RecordBatchReader.from_batches(TABLE.schema, [])
    assert masker().mask(reader).read_all().num_rows == 0
    # Of slices without rows the interface tells no sizes of buffers.
    assert masker().mask(TABLE.slice(2, 0)).num_rows == 0
    assert masker().mask(TABLE.to_batches()[0].slice(2, 0)).num_rows == 0


def test_the_schema_is_told_without_rows() -> None:
    schema = masker().schema(TABLE.schema)
    assert schema.names == TABLE.column_names
    assert [field.metadata[b"maskgate.treatment"] for field in schema] == [
        b"clear",
        b"redact",
        b"token",
        b"scan",
    ]
    assert schema == masker().mask(TABLE).schema


def test_counts_of_all_calls() -> None:
    one = masker()
    one.mask(TABLE)
    one.mask(TABLE.to_reader()).read_all()
    given_up = one.mask(TABLE.to_reader())
    given_up.read_next_batch()
    del given_up
    gc.collect()
    report = one.report()
    assert report["rows"] == 9
    assert report["cells_masked"] == {
        "mrn": {"token": 9},
        "name": {"redact": 6},
        "note": {"scan": 3},
    }
    assert report["detectors"] == {"note": {"phone": {"cells": 3, "spans": 3}}}
    assert json.dumps(report)


def test_tokens_are_the_gateways() -> None:
    treatment = {"name": "token", "domain": "clinic", "key_id": "k1"}
    stream = opened([column("mrn", treatment=treatment)])
    theirs = pa.ipc.open_stream(joined(run(stream, [copy(row(b"A1"), row(b"B2"))]))).read_all()
    ours = masker().mask(TABLE)
    assert ours["mrn"].to_pylist()[:2] == theirs["mrn"].to_pylist()


def test_keys_ids_and_domains_make_other_tokens(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(TOKEN_KEY.hex())
    file.chmod(0o600)

    def of(**options: Any) -> str:
        one = Masker({"c": "token"}, **{"key": file, "domain": "clinic", **options})
        token: str = one.mask(pa.table({"c": ["A1"]}))["c"][0].as_py()
        return token

    same = of()
    assert same == masker().mask(TABLE)["mrn"][0].as_py()
    assert len({same, of(domain="other"), of(key_id="k2"), of(key=TokenKey(bytes(32), "k1"))}) == 4


def test_a_denied_column_is_left_out() -> None:
    masked = Masker({"id": "clear"}, default="deny").mask(TABLE)
    assert masked.column_names == ["id"]
    with pytest.raises(InvalidRequest, match="no column is left"):
        Masker({}, default="deny").mask(TABLE)


def test_clear_text_is_scanned_unless_the_policy_says_otherwise() -> None:
    notes = TABLE.select(["note"])
    assert Masker({"note": "clear"}).mask(notes)["note"][0].as_py() == "call [PHONE]"
    shown = Masker({"note": "clear"}, text="clear").mask(notes)
    assert shown["note"].to_pylist() == notes["note"].to_pylist()


def test_columns_that_nobody_speaks_for_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no rule names columns 'mrn', 'note'"):
        Masker({"id": "clear", "name": "redact"}).mask(TABLE)
    safe = Masker({"id": "clear"}, default="redact").mask(TABLE)
    assert safe["note"].to_pylist() == ["[REDACTED]", "[REDACTED]", None]


def test_a_rule_without_a_column_is_refused() -> None:
    rules = {"id": "clear", "Name": "redact"}
    with pytest.raises(InvalidRequest, match="there is no column 'Name'"):
        Masker(rules, default="clear").mask(TABLE)
    masked = Masker(rules, default="redact", absent="ignore").mask(TABLE)
    assert masked["name"][0].as_py() == "[REDACTED]"


def test_equal_names_have_one_rule() -> None:
    twice = pa.table([["a"], ["b"]], names=["c", "c"])
    masked = Masker({"c": "redact"}).mask(twice)
    assert [column.to_pylist() for column in masked.columns] == [["[REDACTED]"]] * 2


@pytest.mark.parametrize(
    ("rules", "options", "sentence"),
    [
        ({"c": "hide"}, {}, "no treatment 'hide'"),
        ({"c": {"treatment": "redact", "labl": "x"}}, {}, "takes no option 'labl'"),
        ({"c": {"treatment": "partial", "first": 9}}, {}, "1 to 8"),
        ({"c": {"treatment": "redact", "lookup": True}}, {}, "takes no option 'lookup'"),
        ({"c": 5}, {}, "write a treatment's name"),
        ({"c": "token"}, {"key": KEY}, "domain is needed"),
        ({"c": {"treatment": "token", "domain": "d"}}, {}, "need a key"),
        ({}, {"default": "token", "key": KEY}, "domain is needed"),
        ({"c": "clear"}, {"text": "no"}, 'write "scan" or "clear"'),
        ({"c": "clear"}, {"absent": "no"}, 'write "refuse" or "ignore"'),
        ({"c": {"treatment": "token", "domain": "d"}}, {"key": Path("/nowhere")}, "no such key"),
    ],
)
def test_policies_that_make_no_sense(
    rules: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Masker(rules, **options)


def test_a_missing_key_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such key file"):
        masker_of_file = Masker({"c": "token"}, domain="d", key=tmp_path / "key")
        assert masker_of_file is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [pa.Table.to_reader, lambda table: table])
def test_an_impossible_treatment_is_refused_before_any_row(make: Any) -> None:
    with pytest.raises(
        InvalidRequest,
        match=r'column "id": the treatment scan cannot be given to Int64; possible: clear, redact',
    ):
        Masker({"id": "scan"}, default="redact").mask(make(TABLE))


@pytest.mark.parametrize("data", [pa.array([1]), pa.chunked_array([[1]])])
def test_arrays_without_names_are_refused(data: Any) -> None:
    with pytest.raises(InvalidRequest, match="no table"):
        masker().mask(data)


@pytest.mark.parametrize("data", [None, 5, [1], {"c": [1]}])
def test_what_is_no_arrow_is_a_type_error(data: Any) -> None:
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        masker().mask(data)


def _raw(kind: pa.DataType, rows: int, *buffers: bytes | None, **more: Any) -> pa.Array:
    found = [None if one is None else pa.py_buffer(one) for one in buffers]
    return pa.Array.from_buffers(kind, rows, found, **more)


def _ints(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


BROKEN = {
    "text that is not UTF-8": _raw(pa.string(), 1, None, _ints(0, 2), b"\xff\xfe"),
    "a character in two rows": _raw(pa.string(), 2, None, _ints(0, 1, 2), "é".encode()),
    "offsets that go backwards": _raw(pa.string(), 3, None, _ints(0, 4, 2, 5), b"abcde"),
    "offsets before the data": _raw(pa.string(), 2, None, _ints(0, -7, 5), b"abcde"),
    "a key outside the dictionary": pa.DictionaryArray.from_arrays(
        _raw(pa.int32(), 2, None, _ints(0, 7)), pa.array(["a"]), safe=False
    ),
    "a negative key": pa.DictionaryArray.from_arrays(
        _raw(pa.int32(), 2, None, _ints(0, -1)), pa.array(["a"]), safe=False
    ),
    "a view outside its buffers": _raw(
        pa.string_view(), 1, None, _ints(20) + b"abcd" + _ints(0, 90), b"abcdefghijklmnopqrstuvwxy"
    ),
    "a list outside its elements": pa.Array.from_buffers(
        pa.list_(pa.int32()),
        3,
        [None, pa.py_buffer(_ints(0, 9, 1, 2))],
        children=[pa.array([1, 2], pa.int32())],
    ),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
@pytest.mark.parametrize("treatment", ["clear", "redact", "null"])
def test_data_that_lies_is_refused(what: str, treatment: str) -> None:
    batch = pa.record_batch([BROKEN[what]], names=["c"])
    with pytest.raises(InvalidRequest, match="not valid Arrow") as refused:
        Masker({"c": treatment}).mask(batch)
    assert "abc" not in str(refused.value)


def test_a_wrong_count_of_nulls_is_not_believed() -> None:
    lying = _raw(pa.int32(), 2, b"\x03", _ints(1, 2), null_count=1)
    masked = Masker({"c": "clear"}).mask(pa.record_batch([lying], names=["c"]))
    assert (masked.column(0).null_count, masked.column(0).to_pylist()) == (0, [1, 2])


def test_a_stream_whose_offsets_reach_beyond_its_buffers_is_refused() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"c": ["aaaa", "bbbb"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    assert data.count(_ints(0, 4, 8)) == 1
    forged = data.replace(_ints(0, 4, 8), _ints(0, 4, 1 << 30))
    with pytest.raises(InvalidRequest, match="a buffer is too small"):
        Masker({"c": "clear"}).mask(pa.ipc.open_stream(forged)).read_all()


def test_another_schema_in_the_middle_of_a_stream_is_refused() -> None:
    kernel = ArrowMasker(
        pa.schema([("c", pa.string())]), '[{"treatment": {"name": "redact"}}]', TOKEN_KEY
    )
    for other in ({"c": [1]}, {"d": ["x"]}, {"c": ["x"], "d": ["x"]}, {}):
        with pytest.raises(InvalidRequest, match="another schema"):
            kernel.mask(pa.record_batch(other))


def test_nulls_where_there_may_be_none_are_refused() -> None:
    schema = pa.schema([pa.field("c", pa.string(), nullable=False)])
    batch = pa.RecordBatch.from_arrays([pa.array([None], pa.string())], schema=schema)
    with pytest.raises(InvalidRequest, match="says that it cannot"):
        Masker({"c": "clear"}).mask(batch)


def test_many_threads_share_one_masker() -> None:
    one = masker()
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                check(one.mask(TABLE).to_pydict())
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert one.report()["rows"] == 6 * 20 * 3


class Ready:
    """Capsules made before: getting them lets no other thread run."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._capsules = batch.__arrow_c_array__()

    def __arrow_c_array__(self) -> Any:
        return self._capsules


def test_the_interpreter_is_free_while_the_kernel_works() -> None:
    """With this switch interval another thread runs only when the one at work lets it."""
    notes = pa.record_batch({"note": ["call 555-123-4567 or 555-987-6543"] * 200_000})
    kernel = ArrowMasker(notes.schema, '[{"treatment": {"name": "scan"}}]', TOKEN_KEY)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        seen_at_work = False
        for _ in range(20):
            batch, started, done = Ready(notes), threading.Event(), []

            def work(batch: Ready, started: threading.Event, done: list[int]) -> None:
                started.set()
                done.append(len(kernel.mask(batch)))

            thread = threading.Thread(target=work, args=(batch, started, done))
            thread.start()
            started.wait()
            seen_at_work = not done
            thread.join()
            if seen_at_work:
                break
    finally:
        sys.setswitchinterval(before)
    assert seen_at_work


POLICY = """
[mask]
default = "redact"
domain = "clinic"
key = "file:token.key"

[mask.columns]
id = "clear"
mrn = "token"
note = "scan"
"""


def test_a_policy_file(tmp_path: Path) -> None:
    (tmp_path / "token.key").write_text(TOKEN_KEY.hex() + "\n")
    (tmp_path / "token.key").chmod(0o600)
    (tmp_path / "policy.toml").write_text(POLICY)
    check(Masker.from_file(tmp_path / "policy.toml").mask(TABLE).to_pydict())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[mask", "not TOML"),
        ("", r"one section, \[mask\]"),
        ("[mask]\n[connections.a]", r"it has \[connections\]"),
        ("[mask]\ncolums = {}", "mask.colums is unknown"),
        ("[mask]\ncolumns = 5", "must be a table"),
        ("[mask]\ntext = 5", "must be text"),
        ("[mask]\nkey = 'token.key'", "write file:PATH"),
        ("[mask.types]\na = 'number'", "the type is"),
        ("[mask.types]\na = '%d/%m/%Y'\nb = '%m/%d/%Y'", "one form"),
    ],
)
def test_policy_files_that_make_no_sense(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        Masker.from_file(file)


def test_a_name_that_is_not_utf8_is_refused() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("abcdef", pa.string())])):
        pass
    forged = sink.getvalue().to_pybytes().replace(b"abcdef", b"abc\xffef")
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        Masker({}, default="redact").mask(pa.ipc.open_stream(forged))


def test_a_note_is_masked_because_its_row_says_so() -> None:
    table = pa.table(
        {"note": ["seen: ZAPHODQX, again", "seen: zaphodqx"], "who": ["Zaphodqx", "B"]}
    )
    rules = {"note": {"treatment": "scan", "row": ["who"]}, "who": "redact"}
    rows = Masker(rules).mask(table)
    assert "ZAPHODQX" not in rows["note"][0].as_py()
    assert rows["note"][1].as_py() == "seen: zaphodqx"
    left_out = Masker({**rules, "who": "deny"}).mask(table)
    assert left_out.column_names == ["note"]
    assert left_out["note"] == rows["note"]
    for wrong in (["nobody"], ["note"]):
        with pytest.raises(InvalidRequest, match="of its row"):
            Masker({**rules, "note": {"treatment": "scan", "row": wrong}}).mask(table)


def test_dates_are_moved_by_their_subject() -> None:
    table = pa.table(
        {
            "on": pa.array([10_000, 10_005, 10_000, None], pa.date32()),
            "who": ["a", "a", "b", "a"],
        }
    )
    rules = {"on": {"treatment": "shift", "subject": "who"}, "who": "deny"}
    moved = Masker(rules, key=KEY, domain="d").mask(table)["on"].cast(pa.int32()).to_pylist()
    assert moved[1] - moved[0] == 5
    assert moved[3] is None
    assert moved[0] != 10_000
    assert moved[0] != moved[2]
    with pytest.raises(ConfigurationError, match="need a key"):
        Masker(rules, domain="d")
