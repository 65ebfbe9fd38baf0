"""Treatments as a rule words them: the policy's option, the decision, the kernel, the bytes."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from analysed import analysis, grant

from copybytes import TOKEN_KEY, copy, int4, int8, joined, row, run
from gateway._kernel import MaskedStream
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.masking import TokenKey, open_stream
from gateway.model import Column, Output, Shape
from gateway.policy import Policy, decide

TEXT = {"kind": "text"}
WHOLE = {"kind": "numeric", "precision": 9, "scale": 0}


def opened(rule: Any, kind: dict[str, Any], encoding: str = "arrow") -> MaskedStream:
    """The stream of `select c` for a column of this type under this rule."""
    policy = Policy("clinic", {"public.patient.c": rule})
    column = Column(1, 1, "public", "patient", "c", 25)
    statement = analysis(Output("c", kind, Shape.BARE, (column,)))
    return open_stream(
        statement,
        decide(grant(), statement, policy),
        TokenKey(TOKEN_KEY, "k1"),
        encoding=encoding,
        metadata={},
        limit_rows=None,
        infinity="error",
        token_domain="clinic",
    )


def treated(rule: Any, kind: dict[str, Any], cells: Sequence[bytes | None]) -> list[Any]:
    """What the cells of a column become, as a client reads them; each value is counted."""
    stream = opened(rule, kind)
    data = joined(run(stream, [copy(*(row(cell) for cell in cells))]))
    for cell in cells:
        assert cell is None or len(cell) < 5 or cell not in data
    values: list[Any] = pa.ipc.open_stream(data).read_all()["c"].to_pylist()
    elements = [
        each for value in values for each in (value if isinstance(value, list) else [value])
    ]
    name = rule if isinstance(rule, str) else rule["treatment"]
    counted = sum(element is not None for element in elements)
    assert json.loads(stream.report())["cells_masked"] == {"c": {name: counted}}
    return values


def numeric(value: int) -> bytes:
    """A whole number of at most four digits, as numeric is sent."""
    return struct.pack(">hhhhh", 1, 0, 0, 0, value)


def float4(value: float) -> bytes:
    return struct.pack(">f", value)


def float8(value: float) -> bytes:
    return struct.pack(">d", value)


def texts(*cells: bytes | None) -> bytes:
    """A text array."""
    parts = [struct.pack(">iiiii", 1, 1, 25, len(cells), 1)]
    for cell in cells:
        parts.append(struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell)
    return b"".join(parts)


ZIP3: list[tuple[Any, dict[str, Any], list[bytes | None], list[Any]]] = [
    ("zip3", TEXT, [b"02139", b"02139-4307", None, b"nowhere"], ["021", "021", None, "000"]),
    ("zip3", TEXT, [b"36904", b"09012", b"00501"], ["000", "000", "000"]),
    ({"treatment": "zip3", "census": 2000}, TEXT, [b"36904", b"06320"], ["369", "000"]),
    ("zip3", {"kind": "int4"}, [int4(2139), int4(601), int4(-5)], ["021", "006", "000"]),
    ("zip3", {"kind": "int8"}, [int8(2139), int8(0x5EC2E7C0FFEE), None], ["021", "000", None]),
    ("zip3", WHOLE, [numeric(2139), None], ["021", None]),
    ("zip3", {"kind": "enum", "labels": ["02139", "89301"]}, [b"89301", b"02139"], ["000", "021"]),
    (
        "zip3",
        {"kind": "array", "element": TEXT},
        [texts(b"02139", None, b"89301"), None],
        [["021", None, "000"], None],
    ),
]


@pytest.mark.parametrize(("rule", "kind", "cells", "expected"), ZIP3)
def test_zip3(
    rule: Any, kind: dict[str, Any], cells: list[bytes | None], expected: list[Any]
) -> None:
    assert treated(rule, kind, cells) == expected


AGES = {"treatment": "bucket", "edges": [18, 40, 90]}
TENS = {"treatment": "bucket", "width": 10}
BUCKETS: list[tuple[Any, dict[str, Any], list[bytes | None], list[Any]]] = [
    (TENS, {"kind": "int4"}, [int4(47), int4(-1), None], ["[40,50)", "[-10,0)", None]),
    (
        {**TENS, "origin": 5},
        {"kind": "int8"},
        [int8(47), int8(-(2**60) - 1)],
        ["[45,55)", "[-1152921504606846985,-1152921504606846975)"],
    ),
    (AGES, {"kind": "int2"}, [b"\0\x11", b"\0\x12", b"\0\x5a"], ["(,18)", "[18,40)", "[90,)"]),
    (AGES, {"kind": "float4"}, [float4(17.9), float4(float("nan"))], ["(,18)", "[REDACTED]"]),
    (TENS, {"kind": "float8"}, [float8(49.99), float8(-0.5)], ["[40,50)", "[-10,0)"]),
    (AGES, {"kind": "float8"}, [float8(float("inf")), float8(float("-inf"))], ["[90,)", "(,18)"]),
    (TENS, {"kind": "float8"}, [float8(float("inf")), None], ["[REDACTED]", None]),
    (TENS, WHOLE, [numeric(4711)], ["[4710,4720)"]),
    (TENS, {"kind": "numeric"}, [numeric(4711), None], ["[4710,4720)", None]),
    (TENS, TEXT, [b"182.5", b"-0.5", b"five"], ["[180,190)", "[-10,0)", "[REDACTED]"]),
    (TENS, {"kind": "enum", "labels": ["47"]}, [b"47", None], ["[40,50)", None]),
    (
        TENS,
        {"kind": "array", "element": {"kind": "int4"}},
        [struct.pack(">iiiiiiii", 1, 0, 23, 1, 1, 4, 4711, -1)[:-4], None],
        [["[4710,4720)"], None],
    ),
]


@pytest.mark.parametrize(("rule", "kind", "cells", "expected"), BUCKETS)
def test_bucket(
    rule: Any, kind: dict[str, Any], cells: list[bytes | None], expected: list[Any]
) -> None:
    assert treated(rule, kind, cells) == expected


NUMBER = re.compile(r"\d{3}-\d\d-\d{4}")


def test_fpe_keeps_the_form_and_equal_values_equal() -> None:
    rule = {"treatment": "fpe", "separators": "-"}
    cells = [b"123-45-6789", b"123456789", None, b"987-65-4321", b"Anna Schmidt", b"1-2-3-4-5"]
    first, plain, nothing, other, *rest = treated(rule, TEXT, cells)
    assert NUMBER.fullmatch(first)
    assert NUMBER.fullmatch(other)
    assert first not in ("123-45-6789", other)
    assert plain == first.replace("-", "")
    assert nothing is None
    assert rest == ["[REDACTED]", "[REDACTED]"]
    assert treated("fpe", {"kind": "int4"}, [int4(123456789), int4(99_999), int4(-1234567)]) == [
        plain, "[REDACTED]", "[REDACTED]",
    ]  # fmt: skip
    assert treated("fpe", {"kind": "int8"}, [int8(123456789), None]) == [plain, None]
    labels = {"kind": "enum", "labels": ["123456789", "x"]}
    assert treated("fpe", labels, [b"123456789", b"x"]) == [plain, "[REDACTED]"]
    array = {"kind": "array", "element": TEXT}
    assert treated("fpe", array, [texts(b"123456789", None), None]) == [[plain, None], None]
    assert treated({**rule, "domain": "other"}, TEXT, [b"123-45-6789"]) != [first]


def test_fpe_of_letters() -> None:
    upper = {"treatment": "fpe", "radix": 36, "separators": "-"}
    made, lower, small = treated(upper, TEXT, [b"ST-998877", b"st-998877", b"S-T9"])
    assert re.fullmatch("[0-9A-Z]{2}-[0-9A-Z]{6}", made)
    assert made != "ST-998877"
    assert (lower, small) == ("[REDACTED]", "[REDACTED]")
    assert treated({**upper, "letters": "lower"}, TEXT, [b"st-998877"]) == [made.lower()]
    assert treated({**upper, "radix": 10}, TEXT, [b"998877"]) != treated(upper, TEXT, [b"998877"])


IMPOSSIBLE: list[tuple[Any, list[Any]]] = [
    ("zip3", ["bool", "float8", "date", "timestamptz", "bytea", "uuid", "json", "interval"]),
    ("fpe", ["bool", "float4", "date", "time", "timestamp", "bytea", "uuid", "json", "interval"]),
    ("fpe", [{"kind": "numeric", "precision": 9, "scale": 2}]),
    (TENS, ["bool", "date", "time", "timestamptz", "bytea", "uuid", "jsonb", "interval"]),
]


@pytest.mark.parametrize(("rule", "kinds"), IMPOSSIBLE)
def test_a_type_that_cannot_take_it_is_refused_with_what_it_can(
    rule: Any, kinds: list[Any]
) -> None:
    name = rule if isinstance(rule, str) else rule["treatment"]
    for kind in kinds:
        plain = {"kind": kind} if isinstance(kind, str) else kind
        for column in (plain, {"kind": "array", "element": plain}):
            with pytest.raises(InvalidRequest, match=f"{name}.* possible: clear, redact, null"):
                opened(rule, column)


WRONG = [
    ({"treatment": "zip3", "census": 1990}, "census is one of 2000, 2010, 2020"),
    ({"treatment": "zip3", "census": "2020"}, "census must be a int"),
    ({"treatment": "zip3", "census": True}, "census must be a int"),
    ({"treatment": "zip3", "label": "x"}, "zip3 takes no option 'label'"),
    ({"treatment": "fpe", "radix": 16}, "radix is 10 .* or 36"),
    ({"treatment": "fpe", "letters": "upper"}, "letters are for radix 36"),
    ({"treatment": "fpe", "radix": 36, "letters": "both"}, "letters is upper or lower"),
    ({"treatment": "fpe", "separators": "-x"}, "separators are blanks and ASCII punctuation"),
    ({"treatment": "fpe", "separators": "\u2013"}, "separators are blanks and ASCII punctuation"),
    ({"treatment": "fpe", "domain": ""}, "domain must not be empty"),
    ({"treatment": "fpe", "tweak": "x"}, "fpe takes no option 'tweak'"),
    ("bucket", "takes a width, .* or edges"),
    ({**TENS, "edges": [0, 10]}, "takes a width, .* or edges"),
    ({**AGES, "origin": 5}, "takes a width, .* or edges"),
    ({"treatment": "bucket", "origin": 5}, "takes a width, .* or edges"),
    ({"treatment": "bucket", "width": 4}, "width is at least 5"),
    ({"treatment": "bucket", "width": -10}, "width is at least 5"),
    ({"treatment": "bucket", "width": 10**16}, "width is at least 5"),
    ({"treatment": "bucket", "width": 10.0}, "width must be a int"),
    ({**TENS, "origin": -(10**16)}, "origin is no farther"),
    ({"treatment": "bucket", "edges": []}, "edges are 1 to 1000"),
    ({"treatment": "bucket", "edges": [0.5]}, "edges are 1 to 1000"),
    ({"treatment": "bucket", "edges": [True]}, "edges are 1 to 1000"),
    ({"treatment": "bucket", "edges": [0, 10**16]}, "edges are 1 to 1000"),
    ({"treatment": "bucket", "edges": list(range(0, 5005, 5))}, "edges are 1 to 1000"),
    ({"treatment": "bucket", "edges": [0, 4]}, "at least 5 above"),
    ({"treatment": "bucket", "edges": [10, 0]}, "at least 5 above"),
]


@pytest.mark.parametrize(("rule", "said"), WRONG)
def test_options_that_make_no_sense_do_not_load(rule: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        Policy("clinic", {"public.patient.c": rule})
    assert "public.patient.c" in caught.value.detail


def test_what_a_rule_leaves_out_stands_in_the_text_of_the_policy() -> None:
    assert 'treatment = "zip3", census = 2020' in Policy("c", {"a.b.c": "zip3"}).text
    assert "edges = [18, 40, 90]" in Policy("c", {"a.b.c": AGES}).text
