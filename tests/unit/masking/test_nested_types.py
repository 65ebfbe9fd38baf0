"""Types within types, sliced anywhere: what is clear comes back as it was and alone."""

from __future__ import annotations

import datetime
import decimal
import random
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_owned_bytes import buffers_of

from gateway.masking import Masker

PLANTED = "Zaphodqx-Beeblebroxqx"
LEAVES = [
    pa.bool_(),
    pa.int8(),
    pa.uint64(),
    pa.float32(),
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.binary_view(),
    pa.binary(3),
    pa.date32(),
    pa.decimal128(9, 2),
    pa.decimal256(40, 2),
    pa.timestamp("ms"),
    pa.null(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.int64()),
]


def some_type(dice: random.Random, depth: int) -> pa.DataType:
    if depth == 0 or dice.random() < 0.4:
        return dice.choice(LEAVES)
    inner = some_type(dice, depth - 1)
    return dice.choice(
        [
            pa.list_(inner),
            pa.large_list(inner),
            pa.list_(inner, 2),
            pa.list_view(inner),
            pa.map_(pa.string(), inner),
            pa.struct([("a", inner), ("b", pa.bool_())]),
            pa.struct([("a", some_type(dice, depth - 1)), ("b", inner), ("c", pa.string())]),
        ]
    )


def some_value(dice: random.Random, kind: pa.DataType, text: str) -> Any:
    of = pa.types
    if dice.random() < 0.25 or of.is_null(kind):
        return None
    if of.is_dictionary(kind):
        return some_value(dice, kind.value_type, text)
    if of.is_struct(kind):
        return {field.name: some_value(dice, field.type, text) for field in kind}
    if of.is_map(kind):
        return [(text, some_value(dice, kind.item_type, text)) for _ in range(dice.randrange(3))]
    if of.is_nested(kind):
        many = 2 if of.is_fixed_size_list(kind) else dice.randrange(4)
        return [some_value(dice, kind.value_type, text) for _ in range(many)]
    number = dice.randrange(100)
    simple = {
        "bool": bool(number % 2),
        "fixed_size_binary[3]": b"abc",
        "date32[day]": datetime.date(2000, 1, 1 + number % 28),
        "timestamp[ms]": datetime.datetime(2000, 1, 1 + number % 28),  # noqa: DTZ001
        "binary": text.encode(),
        "binary_view": text.encode(),
        "float": number / 2,
    }
    if str(kind) in simple:
        return simple[str(kind)]
    if of.is_decimal(kind):
        return decimal.Decimal(number).scaleb(-2)
    return number if of.is_integer(kind) else text


@given(seed=st.integers(0, 2**63))
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_clear_comes_back_alone(seed: int) -> None:
    dice = random.Random(seed)
    kind = some_type(dice, 3)
    before, rows, after = (dice.randrange(6) for _ in range(3))
    visible = ["", "x", "żółw", "a rather long text, longer than a view"]
    values = [some_value(dice, kind, PLANTED) for _ in range(before)]
    values += [some_value(dice, kind, dice.choice(visible)) for _ in range(rows)]
    values += [some_value(dice, kind, PLANTED) for _ in range(after)]
    try:
        array = pa.array(values, kind).slice(before, rows)
        array.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return  # pyarrow makes no such array, or an invalid one
    batch = pa.record_batch([array], names=["c"])
    for text in ("clear", "scan"):
        masked = Masker({"c": "clear"}, text=text).mask(batch)
        masked.validate(full=True)
        assert masked.column(0).to_pylist() == array.to_pylist(), kind
        assert PLANTED.encode() not in b"\0".join(buffers_of(masked.column(0))), kind
