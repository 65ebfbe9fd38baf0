"""Masked record batches into Parquet, CSV and Arrow, in bounded memory.

Refuses, before any row, columns whose type the format does not have. Statistics, indexes and
dictionaries are made by the writers from what they are given: masked rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from gateway.errors import InvalidRequest
from gateway.masking.files import DELIMITERS

#: What a row group of Parquet holds at most, whichever is reached first.
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Sink:
    """Where masked batches go; `close` writes what the format has at its end."""

    write: Callable[[pa.RecordBatch], None]
    close: Callable[[], None]


def sink_for(kind: str, file: Any, schema: pa.Schema) -> Sink:
    """A writer of batches of `schema` to a file-like object, as far as the format has its types."""
    kept = pa.schema([field.with_type(_kept_as(field.type, kind)) for field in schema])
    sink = _sink(kind, file, kept)
    if kept == schema:
        return sink

    def write(batch: pa.RecordBatch) -> None:
        columns = [_as(column, to) for column, to in zip(batch.columns, kept.types, strict=True)]
        sink.write(pa.RecordBatch.from_arrays(columns, schema=kept))

    return Sink(write, sink.close)


def _sink(kind: str, file: Any, schema: pa.Schema) -> Sink:
    if kind == "parquet":
        return _parquet_sink(file, schema)
    if kind == "arrows":
        writer = pa.ipc.new_stream(file, schema)
    elif kind == "arrow":
        writer = pa.ipc.new_file(file, schema)
    else:
        options = pacsv.WriteOptions(delimiter=DELIMITERS[kind])
        writer = pacsv.CSVWriter(file, schema, write_options=options)
    return Sink(writer.write_batch, writer.close)


def _kept_as(of: pa.DataType, kind: str) -> pa.DataType:
    """The type that a column has in a format. An IPC file has one dictionary a column for good;
    Parquet has no dictionaries of views; CSV has no dictionaries, views or extensions."""
    if kind == "arrows":
        return of
    csv = kind in DELIMITERS
    encoded = pa.types.is_dictionary(of)
    if encoded and (kind != "parquet" or pa.types.is_string_view(of.value_type)):
        of = of.value_type
    if csv and isinstance(of, pa.BaseExtensionType):
        of = of.storage_type
    if (csv or encoded) and pa.types.is_string_view(of):
        return pa.large_string()
    return of


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        values = _as(column.dictionary, kind)
        return pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()
    return column.cast(kind)


def _parquet_sink(file: Any, schema: pa.Schema) -> Sink:
    """Row groups of many batches: one of each batch's size would be read slowly."""
    writer = pq.ParquetWriter(file, schema, compression="zstd", compression_level=1)
    waiting: list[pa.RecordBatch] = []

    def flush() -> None:
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting), row_group_size=_GROUP_ROWS)
            waiting.clear()

    def write(batch: pa.RecordBatch) -> None:
        waiting.append(batch)
        rows = sum(one.num_rows for one in waiting)
        if rows >= _GROUP_ROWS or sum(one.nbytes for one in waiting) >= _GROUP_BYTES:
            flush()

    def close() -> None:
        flush()
        writer.close()

    return Sink(write, close)


def _is_binary(kind: pa.DataType) -> bool:
    of = pa.types
    return bool(
        of.is_binary(kind)
        or of.is_large_binary(kind)
        or of.is_binary_view(kind)
        or of.is_fixed_size_binary(kind)
    )


def check_writable(schema: pa.Schema, kind: str) -> None:
    """Raises InvalidRequest for columns whose type the format does not have, before any row."""
    wrong = []
    for field in schema:
        alone = pa.schema([field.with_nullable(True)])
        row = pa.RecordBatch.from_arrays([pa.nulls(1, field.type)], schema=alone)
        try:
            if kind in DELIMITERS and _is_binary(_kept_as(field.type, kind)):
                raise pa.ArrowInvalid("bytes are no text")
            sink = sink_for(kind, pa.BufferOutputStream(), alone)
            sink.write(row)
            sink.close()
        except pa.ArrowException:
            wrong.append(f"{field.name!r} ({field.type})")
    if wrong:
        raise InvalidRequest(
            f"{kind} cannot hold column {', '.join(wrong)}",
            hint="write arrow instead, or leave the column out with deny",
        )
