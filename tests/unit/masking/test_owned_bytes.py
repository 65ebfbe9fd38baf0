"""What leaves the masker holds what its treatment lets through and nothing else.

Values are planted where no row shows them (behind slices, under NULLs, in dictionaries' unused
values, between views, in lists and structs that are NULL, in metadata) and, where the treatment
takes every value out, in the rows themselves. Then every byte of the result is searched: the
buffers as they are, and the Arrow and Parquet that are written from them.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.masking import Masker, TokenKey

KEY = TokenKey(bytes(range(32)), "k1")
#: Longer than a view keeps in itself, and shorter.
PLANTED = ("Zaphodqx-Beeblebroxqx", "Qqzxplant")
SAFE = ("stable", "no complaints today, follow up in two weeks", "", "żółw", "ok")
TREATMENTS: dict[str, Any] = {
    "clear": "clear",
    "redact": "redact",
    "null": "null",
    "partial": {"treatment": "partial", "last": 1},
    "token": {"treatment": "token", "domain": "d"},
    "fpe": {"treatment": "fpe", "domain": "d"},
    "zip3": "zip3",
    "bucket": {"treatment": "bucket", "width": 10},
    "scan": "scan",
}
#: Treatments after which nothing of any value is left: rows may hold planted values, too.
WHOLE = {"redact", "null", "token", "fpe", "zip3", "bucket"}


def text_layouts() -> dict[str, Any]:
    """Each makes an array of texts (None for NULL) in one layout."""

    def dictionary(values: list[str | None], keys: pa.DataType, text: pa.DataType) -> pa.Array:
        used = list(dict.fromkeys(v for v in values if v is not None))
        words = [PLANTED[0], *used, None, PLANTED[1]]
        places = [None if v is None else words.index(v) for v in values]
        return pa.DictionaryArray.from_arrays(pa.array(places, keys), pa.array(words, text))

    def runs(values: list[str | None]) -> pa.Array:
        ends = list(range(2, 2 * len(values) + 2, 2))
        array = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values))
        return array.slice(1)

    def view_of_lists(values: list[str | None]) -> pa.Array:
        child = pa.array([PLANTED[0], *values, PLANTED[1]], pa.string())
        offsets = pa.array(range(1, len(values) + 1), pa.int32())
        sizes = pa.array([1] * len(values), pa.int32())
        return pa.ListViewArray.from_arrays(offsets, sizes, child)

    def fixed_lists(values: list[str | None]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.string()), 1)

    def maps(values: list[str | None]) -> pa.Array:
        pairs = [[("k", value)] for value in values]
        return pa.array(pairs, pa.map_(pa.string(), pa.string()))

    def structs(values: list[str | None]) -> pa.Array:
        child = pa.array([PLANTED[0], *values], pa.large_string())
        return pa.StructArray.from_arrays([child, child], ["a", "b"]).slice(1)

    return {
        "utf8": lambda v: pa.array(v, pa.string()),
        "large_utf8": lambda v: pa.array(v, pa.large_string()),
        "utf8_view": lambda v: pa.array(v, pa.string_view()),
        "dictionary8": lambda v: dictionary(v, pa.int8(), pa.string()),
        "dictionary32": lambda v: dictionary(v, pa.uint32(), pa.large_string()),
        "dictionary_of_views": lambda v: dictionary(v, pa.int16(), pa.string_view()),
        "runs": runs,
        "list": lambda v: pa.array([[x, x] for x in v], pa.list_(pa.string())),
        "large_list": lambda v: pa.array([[x] for x in v], pa.large_list(pa.string_view())),
        "list_view": view_of_lists,
        "fixed_list": fixed_lists,
        "list_of_dictionaries": lambda v: pa.ListArray.from_arrays(
            pa.array(range(len(v) + 1), pa.int32()), dictionary(v, pa.int32(), pa.string())
        ),
        "struct": structs,
        "map": maps,
        "binary": lambda v: pa.array([x and x.encode() for x in v], pa.binary()),
        "large_binary": lambda v: pa.array([x and x.encode() for x in v], pa.large_binary()),
        "binary_view": lambda v: pa.array([x and x.encode() for x in v], pa.binary_view()),
        "dictionary_of_binary": lambda v: pa.DictionaryArray.from_arrays(
            pa.array(range(len(v)), pa.int32()),
            pa.array([*(x and x.encode() for x in v), PLANTED[0].encode()], pa.binary()),
        ),
    }


LAYOUTS = text_layouts()


def under_null(array: pa.Array, hidden: list[int]) -> pa.Array:
    """The array with NULL at some rows, whose bytes stay where they are."""
    if not hidden or (array.type.num_fields and pa.types.is_run_end_encoded(array.type)):
        return array
    if pa.types.is_dictionary(array.type):
        keys = under_null(array.indices, hidden)
        return pa.DictionaryArray.from_arrays(keys, array.dictionary)
    bits = bytearray(b"\xff" * ((len(array) + array.offset) // 8 + 1))
    for row in range(len(array)):
        if row in hidden or not array[row].is_valid:
            at = row + array.offset
            bits[at // 8] &= ~(1 << at % 8) & 0xFF
    children: list[pa.Array] = []
    own = 1
    if pa.types.is_struct(array.type):
        return pa.StructArray.from_arrays(
            [array.field(i) for i in range(array.type.num_fields)],
            fields=list(array.type),
            mask=pa.array([r in hidden or not array[r].is_valid for r in range(len(array))]),
        )
    if pa.types.is_map(array.type):
        entries = pa.StructArray.from_arrays(
            [array.keys, array.items], fields=[array.type.key_field, array.type.item_field]
        )
        children = [entries]
    elif array.type.num_fields:
        children = [array.values]
    if children:
        own = 3 if pa.types.is_list_view(array.type) else 2
        own = 1 if pa.types.is_fixed_size_list(array.type) else own
        buffers = [pa.py_buffer(bytes(bits)), *array.buffers()[1:own]]
        return pa.Array.from_buffers(
            array.type, len(array), buffers, offset=array.offset, children=children
        )
    buffers = [pa.py_buffer(bytes(bits)), *array.buffers()[1:]]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def exported(table: pa.Table) -> bytes:
    """Every byte of a table: its buffers, an Arrow stream, an Arrow file's worth, Parquet."""
    parts = [str(table.schema.metadata).encode(), table.schema.to_string().encode()]
    for column in table.columns:
        for chunk in column.chunks:
            parts += buffers_of(chunk)
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    parts.append(stream.getvalue())
    file = io.BytesIO()
    with suppress(pa.ArrowNotImplementedError):  # Parquet has no dictionaries of views
        pq.write_table(table, file, compression="none", use_dictionary=False)
        parts.append(file.getvalue())
    return b"\0".join(parts)


def buffers_of(array: pa.Array) -> list[bytes]:
    found = [buffer.to_pybytes() for buffer in array.buffers() if buffer is not None]
    children: list[pa.Array] = []
    if pa.types.is_dictionary(array.type):
        children = [array.dictionary]
    elif pa.types.is_struct(array.type):
        children = [array.field(i) for i in range(array.type.num_fields)]
    elif pa.types.is_map(array.type):
        children = [array.keys, array.items]
    elif array.type.num_fields:
        children = [array.values]
    return [*found, *(one for child in children for one in buffers_of(child))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, pa.Array, list[Any]]:
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    treatment = draw(st.sampled_from(sorted(TREATMENTS)))
    shown = st.sampled_from([*SAFE, *PLANTED] if treatment in WHOLE else SAFE)
    rows = draw(st.lists(st.one_of(st.none(), shown), max_size=12))
    before = draw(st.lists(st.sampled_from(PLANTED), max_size=9))
    after = draw(st.lists(st.sampled_from(PLANTED), max_size=3))
    hidden = draw(st.sets(st.integers(0, 11), max_size=4))
    values = [PLANTED[i % 2] if i in hidden else value for i, value in enumerate(rows)]
    if not values and not before and not after:
        before = [PLANTED[0]]
    whole = LAYOUTS[layout]([*before, *values, *after])
    scale = len(whole) // max(1, len(before) + len(values) + len(after))
    at = [
        len(before) * scale + i * scale + j for i in hidden if i < len(values) for j in range(scale)
    ]
    if pa.types.is_run_end_encoded(whole.type):
        values = list(rows)
        whole = LAYOUTS[layout]([*before, *values, *after])
        array = whole.slice(2 * len(before), max(0, 2 * len(values) - 1))
    else:
        array = under_null(whole, at).slice(len(before), len(values))
    return layout, treatment, array, rows


@given(case=cases())
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_planted_value_is_in_any_byte(case: tuple[str, str, pa.Array, list[Any]]) -> None:
    layout, treatment, array, _ = case
    masker = Masker({"c": TREATMENTS[treatment]}, key=KEY)
    batch = pa.record_batch([array], names=["c"])
    batch.validate(full=True)
    try:
        masked = masker.mask(batch)
    except InvalidRequest as refused:
        assert "cannot be given" in str(refused), (layout, treatment)
        return
    masked.validate(full=True)
    assert masked.num_rows == batch.num_rows
    found = exported(pa.Table.from_batches([masked]))
    for planted in PLANTED:
        assert planted.encode() not in found, (layout, treatment)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_clear_values_come_through_every_layout(layout: str) -> None:
    values = ["stable", None, "ok", "żółw"]
    array = LAYOUTS[layout]([PLANTED[0], *values])
    scale = 2 if layout == "runs" else 1
    array = array.slice(scale * 1, len(array) - scale)
    masked = Masker({"c": "clear"}).mask(pa.table({"c": array}))["c"]
    assert masked.to_pylist() == array.to_pylist()


def test_the_search_finds_what_is_planted() -> None:
    """The teeth of the search: arrays that were not masked hold what was planted in them."""
    for layout, make in LAYOUTS.items():
        if layout == "runs":
            continue  # under_null leaves them as they are
        array = make([PLANTED[0], "ok"])
        hidden = under_null(array, [0])
        found = b"\0".join(buffers_of(hidden))
        assert PLANTED[0].encode() in found, layout


def test_metadata_does_not_come_through() -> None:
    secret = PLANTED[0]
    field = pa.field("c", pa.string(), metadata={"_PL_ENUM_VALUES2": f"21;{secret}"})
    inner = pa.field("x", pa.string(), metadata={"note": secret})
    nested = pa.field("n", pa.struct([inner]), metadata={"ARROW:extension:name": secret})
    schema = pa.schema([field, nested], metadata={"pandas": secret})
    table = pa.table([["ok"], [{"x": "ok"}]], schema=schema)
    masked = Masker({"c": "clear", "n": "clear"}).mask(table)
    assert secret.encode() not in exported(masked)
    assert masked.to_pydict() == table.to_pydict()


def test_statistics_and_dictionaries_of_parquet_are_those_of_the_masked_rows(
    tmp_path: Any,
) -> None:
    table = pa.table({"c": [PLANTED[0], PLANTED[1]] * 50})
    masked = Masker({"c": "redact"}).mask(table)
    pq.write_table(masked, tmp_path / "out.parquet", compression="none", write_page_index=True)
    data = (tmp_path / "out.parquet").read_bytes()
    assert b"REDACTED" in data
    assert not any(planted.encode() in data for planted in PLANTED)
