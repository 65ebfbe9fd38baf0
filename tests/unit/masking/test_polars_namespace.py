"""`pl.col(…).mask`: the results of `Masker`, on expressions, series and the streaming engine."""

from __future__ import annotations

import builtins
import datetime
import importlib
import sys
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import gateway.polars  # noqa: F401  (registers the namespaces)
from copybytes import TOKEN_KEY
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.masking import Masker, TokenKey

KEY = TokenKey(TOKEN_KEY, "k1")
FRAME = pl.DataFrame(
    {
        "note": ["call 555-123-4567", "fine", None],
        "mrn": ["MRN1234567", "B2", None],
        "ssn": ["123-45-6789", "x", None],
        "born": [datetime.date(1990, 5, 1), datetime.date(1900, 1, 1), None],
        "zip": ["02139", "x", None],
        "age": [47, 91, None],
        "notes": [["call 555-123-4567", None], [], None],
        "kind": pl.Series(["in", "out", None], dtype=pl.Enum(["in", "out", "Zaphodqx"])),
    }
)
#: column, method, its options, the policy's words for the same.
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("note", "scan", {}, {}),
    ("notes", "scan", {}, {}),
    ("kind", "scan", {}, {}),
    ("note", "scan", {"detectors": ["date", "phone"]}, {"detectors": ["phone", "date"]}),
    ("note", "scan", {"without": ["phone"]}, {"without": ["phone"]}),
    ("note", "redact", {}, {}),
    ("age", "redact", {}, {}),
    ("kind", "redact", {"label": "[K]"}, {"label": "[K]"}),
    ("note", "null", {}, {}),
    ("mrn", "partial", {"last": 2, "char": "x"}, {"last": 2, "char": "x"}),
    ("mrn", "token", {"domain": "d", "key": KEY}, {"domain": "d"}),
    ("age", "token", {"domain": "d", "key": KEY}, {"domain": "d"}),
    (
        "ssn",
        "fpe",
        {"domain": "d", "key": KEY, "separators": "-"},
        {"domain": "d", "separators": "-"},
    ),
    ("born", "year", {}, {}),
    ("zip", "zip3", {"census": 2010}, {"census": 2010}),
    ("age", "bucket", {"width": 10}, {"width": 10}),
    ("age", "bucket", {"edges": [18, 90]}, {"edges": [18, 90]}),
]


@pytest.mark.parametrize(("column", "method", "options", "words"), CASES)
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_results_are_the_maskers(
    column: str, method: str, options: dict[str, Any], words: dict[str, Any], engine: Any
) -> None:
    masker = Masker({column: {"treatment": method, **words}}, key=KEY)
    expected = pl.DataFrame(masker.mask(FRAME.select(column)))
    treated = getattr(pl.col(column).mask, method)(**options)  # type: ignore[attr-defined]
    lazy = FRAME.lazy().select(treated)
    assert lazy.collect_schema() == expected.schema
    assert lazy.collect(engine=engine).equals(expected)
    series = getattr(FRAME[column].mask, method)(**options)  # type: ignore[attr-defined]
    assert series.equals(expected.to_series(), check_names=True)


def test_many_pieces_in_the_streaming_engine() -> None:
    numbers = pl.LazyFrame({"n": range(300_000)})
    notes = numbers.select(note=pl.format("call 555-123-{} now", pl.col("n") % 9000 + 1000))
    masked = notes.select(pl.col("note").mask.scan())  # type: ignore[attr-defined]
    counted = masked.group_by("note").len().collect(engine="streaming")
    assert counted.rows() == [("call [PHONE] now", 300_000)]


def test_slices_and_no_rows() -> None:
    long = pl.Series("s", ["fine"] * 10 + ["call 555-123-4567"])
    assert long[10:].mask.scan().to_list() == ["call [PHONE]"]  # type: ignore[attr-defined]
    nothing = long.head(0).mask.scan()  # type: ignore[attr-defined]
    assert (len(nothing), nothing.dtype, nothing.name) == (0, pl.String, "s")


def test_an_impossible_treatment_is_refused_before_any_row() -> None:
    plan = FRAME.lazy().select(pl.col("age").mask.scan())  # type: ignore[attr-defined]
    with pytest.raises(InvalidRequest, match=r'column "age": the treatment scan cannot be given'):
        plan.collect_schema()
    with pytest.raises(InvalidRequest, match="no form in Arrow"):
        pl.Series("n", [1], dtype=pl.Int128).mask.redact()  # type: ignore[attr-defined]


def test_options_that_make_no_sense_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="1 to 8"):
        pl.col("mrn").mask.partial()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="width"):
        pl.col("age").mask.bucket()  # type: ignore[attr-defined]


def test_categories_that_no_row_has_do_not_come_through() -> None:
    """Polars writes an enum's categories into the field's metadata."""
    exported = pa.table(FRAME.select("kind"))
    assert "Zaphodqx" in str(exported.schema.to_string(show_field_metadata=True))
    masked = Masker({"kind": "clear"}).mask(exported)
    assert "Zaphodqx" not in masked.schema.to_string(show_field_metadata=True)
    assert masked["kind"].to_pylist() == ["in", "out", None]
    assert "Zaphodqx" not in str(masked["kind"].chunk(0).dictionary.to_pylist())


def test_without_polars_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "polars":
            raise ImportError("No module named 'polars'")
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "gateway.polars")
    with pytest.raises(ImportError, match="pip install polars"):
        importlib.import_module("gateway.polars")
