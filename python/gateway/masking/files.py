"""Parquet, CSV and Arrow files as streams of record batches, in bounded memory.

A few batches are in memory at a time, however large the file is. CSV is text: every value comes as
it is written (`007` stays `007`), and nothing between two commas is NULL. Refuses what it cannot
read with a sentence of its own: what the readers say may quote the data.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from gateway.errors import InvalidRequest

#: parquet; csv and tsv; arrow: the IPC file format, arrows: the IPC stream.
FORMATS = ("parquet", "csv", "tsv", "arrow", "arrows")
_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrows",
}
#: The formats that are text, and what stands between two values.
DELIMITERS = {"csv": ",", "tsv": "\t"}

#: What columns of CSV may be read as; a form of strptime is a timestamp, too.
_TYPES = {"date": pa.date32(), "timestamp": pa.timestamp("us")}

#: Rows of a batch of Parquet.
_ROWS = 1 << 16
#: A block of CSV; all of a header is shorter than the second.
_BLOCK = 8 << 20
_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A table that is read once, from the front. `total` and `done` are in one unit, whichever the
    format can tell, for a progress bar; `total` is None when nobody knows."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    format: str
    total: int | None
    done: Callable[[], int]


def format_of(name: str) -> str | None:
    """The format that a file's name tells."""
    return _SUFFIXES.get(Path(name).suffix.lower())


@contextmanager
def opened(
    path: Path | None, given: str | None, types: Mapping[str, str] | None = None
) -> Iterator[Source]:
    """The table in a file, or in the standard input for None. Its format is `given`, or what its
    first bytes tell, or its name. `types`: columns of CSV that are read as something else than
    text: "date" and "timestamp" (ISO 8601), or a form of strptime.

    Raises InvalidRequest for what is not of that format, also while batches are read, and OSError.
    """
    types = types or {}
    if path is None:
        with open(sys.stdin.fileno(), "rb", closefd=False) as pipe:
            yield _source(pipe, given or _by_magic(pipe.peek(8)), None, types)
        return
    with path.open("rb") as file:
        kind = given or _by_magic(file.peek(8)) or format_of(path.name)
        yield _source(file, kind, path.stat().st_size, types)


def _by_magic(first: bytes) -> str | None:
    known = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrows"))
    return next((name for magic, name in known if first.startswith(magic)), None)


def _source(file: Any, kind: str | None, size: int | None, types: Mapping[str, str]) -> Source:
    if kind is None:
        raise InvalidRequest(
            "neither the first bytes nor the name tell what the input is",
            hint=f"say it with --from: {', '.join(FORMATS)}",
        )
    if size is None and kind in ("parquet", "arrow"):
        raise InvalidRequest(
            f"{kind} cannot be read from a pipe: it begins at its end",
            hint="give a file, or pipe arrows (an Arrow IPC stream) or csv",
        )
    if size == 0:
        raise InvalidRequest("the input is empty: there are not even names of columns")
    if types and kind not in DELIMITERS:
        raise InvalidRequest(f"types are given to columns of CSV; {kind} says its own")
    with _said(kind):
        if kind == "parquet":
            return _parquet(file)
        if kind == "arrow":
            return _arrow(file)
        if kind == "arrows":
            return _arrows(file, size)
        return _csv(file, kind, size, types)


def _parquet(file: io.BufferedReader) -> Source:
    # A buffer, so that pages are read as they are needed and not a row group at a time.
    table = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    read = [0]

    def batches() -> Iterator[pa.RecordBatch]:
        with _said("parquet"):
            for batch in table.iter_batches(batch_size=_ROWS):
                read[0] += batch.num_rows
                yield batch

    return Source(
        table.schema_arrow, batches(), "parquet", table.metadata.num_rows, lambda: read[0]
    )


def _arrow(file: io.BufferedReader) -> Source:
    reader = pa.ipc.open_file(file)
    read = [0]

    def batches() -> Iterator[pa.RecordBatch]:
        with _said("arrow"):
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)
                read[0] += 1

    return Source(reader.schema, batches(), "arrow", reader.num_record_batches, lambda: read[0])


def _arrows(file: io.BufferedReader, size: int | None) -> Source:
    counted = _Counted(file)
    reader = pa.ipc.open_stream(counted)

    def batches() -> Iterator[pa.RecordBatch]:
        with _said("arrows"):
            yield from reader
        if not counted.ends_well():
            raise InvalidRequest("the Arrow stream was cut off: it has no end-of-stream marker")

    return Source(reader.schema, batches(), "arrows", size, lambda: counted.read_so_far)


def _csv(file: Any, kind: str, size: int | None, types: Mapping[str, str]) -> Source:
    delimiter = DELIMITERS[kind]
    names = _header(file, delimiter)
    if unknown := [name for name in types if name not in names]:
        raise InvalidRequest(f"there is no column {unknown[0]!r}, which has a type")
    known = {name: _TYPES.get(kind, pa.timestamp("s")) for name, kind in types.items()}
    forms = sorted({kind for kind in types.values() if kind not in _TYPES})
    schema = pa.schema([pa.field(name, known.get(name, pa.string())) for name in names])
    counted = _Counted(file)
    wrong: list[pacsv.InvalidRow] = []

    def remember(row: pacsv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    def batches() -> Iterator[pa.RecordBatch]:
        if not file.peek(1):
            return
        with _said(kind, wrong, names):
            yield from pacsv.open_csv(
                counted,
                read_options=pacsv.ReadOptions(column_names=names, block_size=_BLOCK),
                parse_options=pacsv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=True,
                    # Of one column, an empty line is a NULL.
                    ignore_empty_lines=len(names) > 1,
                    invalid_row_handler=remember,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=schema,
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                    timestamp_parsers=[pacsv.ISO8601, *forms],
                ),
            )

    return Source(schema, batches(), kind, size, lambda: counted.read_so_far)


def _header(file: io.BufferedReader, delimiter: str) -> list[str]:
    """The names in the first record; the file stands behind it afterwards."""

    def lines() -> Iterator[str]:
        left = _HEADER
        while line := file.readline(left):
            left -= len(line)
            if left <= 0:
                raise csv.Error("the header does not end")
            yield line.decode("utf-8-sig" if left + len(line) == _HEADER else "utf-8")

    try:
        names = next(csv.reader(lines(), delimiter=delimiter, strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        names = []
    if not any(names):
        raise InvalidRequest("the first line holds no names of columns in UTF-8")
    return names


class _Counted:
    """A file that knows how much was read from it, and its last bytes."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._last = b""
        self.read_so_far = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.read_so_far += len(data)
        self._last = (self._last + data[-8:])[-8:]
        return data

    def ends_well(self) -> bool:
        """Whether an Arrow stream's marker came last."""
        return self._last == b"\xff\xff\xff\xff\0\0\0\0"


@contextmanager
def _said(
    kind: str, wrong: Sequence[pacsv.InvalidRow] = (), names: Sequence[str] = ()
) -> Iterator[None]:
    """The readers' errors without their texts, which quote rows."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, pa.ArrowCancelled):
            raise KeyboardInterrupt from None
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if wrong:
            row = wrong[0]
            raise InvalidRequest(
                f"a row has {row.actual_columns} values, expected {row.expected_columns}: "
                "quotes or delimiters are not as in RFC 4180"
            ) from None
        # Of the text only the column's number is taken.
        if names and (found := re.search(r"CSV column #(\d+): CSV conversion error", str(error))):
            name = names[int(found[1])]
            raise InvalidRequest(
                f"column {name!r} holds a value that is not of its type, or no UTF-8"
            ) from None
        if "straddling" in str(error):
            raise InvalidRequest(f"a row is longer than {_BLOCK >> 20} MiB") from None
        utf8 = ", or not UTF-8" if kind in DELIMITERS else ""
        raise InvalidRequest(f"the input is damaged or not {kind}{utf8}") from None
