"""`import gateway.polars`: treatments as polars expressions, `pl.col("note").mask.scan()`.

A namespace `mask` on expressions and series. The kernel takes a column's chunks as they are in
memory and gives new ones: no value becomes a Python object, and the streaming engine may hand it
any piece of a column. Results equal those of `gateway.masking.Masker`. Refuses a treatment that the
column's type cannot take when the query's schema is made out, before any row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from gateway.errors import InvalidRequest
from gateway.masking import Masker, TokenKey

try:
    import polars as pl
except ImportError as error:
    raise ImportError("gateway.polars needs polars: pip install polars") from error

Key = TokenKey | Path | str
_Column = TypeVar("_Column", pl.Expr, pl.Series)


class Treatments(Generic[_Column]):
    """The treatments of docs/policy.md; each gives a column of as many rows, NULL where one was.

    `key`: a TokenKey or the file that holds one. Raises ConfigurationError for options that make no
    sense, InvalidRequest for a type that cannot take the treatment.
    """

    def __init__(self, column: _Column) -> None:
        self._column: _Column = column

    def redact(self, label: str | None = None) -> _Column:
        """`[REDACTED]` or the label for text, NULL for other types."""
        return self._masked("redact", label=label)

    def null(self) -> _Column:
        """NULL in every row."""
        return self._masked("null")

    def partial(self, *, first: int = 0, last: int = 0, char: str = "*") -> _Column:
        """The first and last characters of a text; whole where half or more would show."""
        return self._masked("partial", first=first, last=last, char=char)

    def token(self, *, domain: str, key: Key, key_id: str = "k1") -> _Column:
        """A keyed pseudonym, equal for equal values of one domain."""
        return self._masked("token", key, key_id, domain=domain)

    def fpe(
        self,
        *,
        domain: str,
        key: Key,
        key_id: str = "k1",
        radix: int = 10,
        letters: str | None = None,
        separators: str = "",
    ) -> _Column:
        """Another value of the same form by FF1; the key leads back."""
        return self._masked(
            "fpe",
            key,
            key_id,
            domain=domain,
            radix=radix,
            letters=letters,
            separators=separators,
        )

    def year(self) -> _Column:
        """The year of a date as text, with one class for ages over 89."""
        return self._masked("year")

    def zip3(self, *, census: int = 2020) -> _Column:
        """The first three digits of a ZIP code, 000 where few people live."""
        return self._masked("zip3", census=census)

    def bucket(
        self,
        *,
        width: int | None = None,
        origin: int | None = None,
        edges: list[int] | None = None,
    ) -> _Column:
        """The range that a number lies in, as text: `[40,50)`."""
        return self._masked("bucket", width=width, origin=origin, edges=edges)

    def scan(
        self,
        *,
        detectors: list[str] | None = None,
        without: list[str] | None = None,
        patterns: Mapping[str, Mapping[str, Any]] | None = None,
        dictionaries: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> _Column:
        """Free text, each identifier that a detector finds replaced by its label; by all
        detectors, by those named alone, or by all but some; and by patterns and dictionaries of
        one's own, by name."""
        own = {"patterns": patterns, "dictionaries": dictionaries}
        return self._masked("scan", own=own, detectors=detectors, without=without)

    def _masked(
        self,
        name: str,
        key: Key | None = None,
        key_id: str = "k1",
        *,
        own: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> _Column:
        given = {option: value for option, value in options.items() if value is not None}
        rule = {"treatment": name, **given}
        masker = Masker({}, default=rule, key=key, key_id=key_id, **(own or {}))
        return self._apply(lambda series: _of_series(masker, series))

    @abstractmethod
    def _apply(self, mask: Callable[[pl.Series], pl.Series]) -> _Column:
        """The column with `mask` over its values."""


@pl.api.register_expr_namespace("mask")
class ExprTreatments(Treatments[pl.Expr]):
    """`pl.col("note").mask`."""

    def _apply(self, mask: Callable[[pl.Series], pl.Series]) -> pl.Expr:
        def typed(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
            # No rows yet: here a treatment that the type cannot take is refused, by its own words.
            name = column.meta.output_name(raise_if_undetermined=False) or ""
            after = mask(pl.Series(name, [], dtype=dtype)).dtype
            return column.map_batches(mask, return_dtype=after, is_elementwise=True)

        masked: pl.Expr = self._column.pipe_with_dtype(typed)
        return masked


@pl.api.register_series_namespace("mask")
class SeriesTreatments(Treatments[pl.Series]):
    """`series.mask`."""

    def _apply(self, mask: Callable[[pl.Series], pl.Series]) -> pl.Series:
        return mask(self._column)


def _of_series(masker: Masker, series: pl.Series) -> pl.Series:
    try:
        column = pa.chunked_array(series)
    except pa.ArrowInvalid:
        raise InvalidRequest(
            f"column {series.name!r}: the type {series.dtype} has no form in Arrow"
        ) from None
    masked = masker.mask(pa.table([column], names=[series.name])).column(0)
    result = pl.from_arrow(masked)
    if not isinstance(result, pl.Series):
        raise InvalidRequest(f"column {series.name!r}: polars made no series of the result")
    return result.alias(series.name)
