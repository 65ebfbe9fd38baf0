"""One file masked into another: batch by batch, whole or not at all, with a report without values.

Refuses before the first row what the masker and the format of the output refuse. Whatever stops it,
nothing is left under the output's name; the report appears after the output, or not either.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gateway.appearing import appearing, check_target
from gateway.errors import ConfigurationError, Failure, InvalidRequest
from gateway.masking.files import FORMATS, Source, format_of, opened
from gateway.masking.masker import Masker
from gateway.masking.sample import Sample
from gateway.masking.sinks import check_writable, sink_for

#: Told after each batch: what is done and the whole, in the unit of the format, and rows so far.
Moved = Callable[[int, int | None, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. `columns`: name, type before, type after (None for what was left out),
    treatment, in the order of the input. `left_out`: by column, the detectors that its scan did not
    ask."""

    rows: int
    bytes_in: int
    bytes_out: int
    seconds: float
    format_in: str
    format_out: str
    columns: tuple[tuple[str, str, str | None, str], ...]
    left_out: dict[str, list[str]]
    counts: dict[str, Any]
    sample: dict[str, list[str]]

    @property
    def megabytes_per_second(self) -> float:
        """Of the input's bytes, 10^6 each."""
        return self.bytes_in / 1e6 / self.seconds if self.seconds > 0 else 0.0

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    def report(self) -> dict[str, Any]:
        """As JSON: counts, types and shapes. Neither a value nor the name of a file is in it."""
        names = ("name", "type", "type_after", "treatment")
        return {
            "rows": self.rows,
            "input": {"format": self.format_in, "bytes": self.bytes_in},
            "output": {"format": self.format_out, "bytes": self.bytes_out},
            "seconds": round(self.seconds, 3),
            "megabytes_per_second": round(self.megabytes_per_second, 1),
            "rows_per_second": round(self.rows_per_second),
            "columns": [dict(zip(names, column, strict=True)) for column in self.columns],
            "detectors_left_out": self.left_out,
            "cells_masked": self.counts["cells_masked"],
            "detectors": self.counts["detectors"],
            "sample": self.sample,
        }


def mask_file(
    masker: Masker,
    source: Path | None,
    target: Path | None,
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    types: Mapping[str, str] | None = None,
    report: Path | None = None,
    force: bool = False,
    moved: Moved = lambda done, total, rows: None,
) -> Outcome:
    """Mask `source` (None: the standard input) into `target` (None: the standard output).

    Formats are those of `files.FORMATS`; without one the first bytes and the name tell. `types` are
    those of CSV's columns that are no text, as `files.opened` has them. `report`
    gets `Outcome.report` as JSON. `force` replaces `target` and `report`, never `source`.

    Raises ConfigurationError for formats nobody can tell, Conflict for a target that may not be
    written, InvalidRequest for columns, types and files that are refused, Failure when reading or
    writing fails.
    """
    kind = _format(target, to_format)
    _check_places(source, target, report, force=force)
    try:
        with opened(source, from_format, types) as table, ExitStack() as appear:
            schema = _planned(masker, table)
            check_writable(schema, kind)
            told = appear.enter_context(appearing(report, force=force)) if report else None
            file: Any = sys.stdout.buffer
            if target is not None:
                file = appear.enter_context(appearing(target, force=force))
            written = _Written(file)
            appear.callback(written.end)  # before the file is closed or taken away
            sample = Sample(masker.labels())
            began = time.monotonic()
            sink = sink_for(kind, written, schema)
            rows = 0
            reader = pa.RecordBatchReader.from_batches(table.schema, table.batches)
            for batch in masker.mask(reader):
                sample.look(batch)
                sink.write(batch)
                rows += batch.num_rows
                moved(table.done(), table.total, rows)
            sink.close()
            file.flush()
            outcome = Outcome(
                rows,
                table.done() if source is None else source.stat().st_size,
                written.size,
                time.monotonic() - began,
                table.format,
                kind,
                _columns(masker, table.schema, schema),
                masker.left_out(table.schema.names),
                masker.report(),
                sample.shapes(),
            )
            if told is not None:
                told.write(json.dumps(outcome.report(), indent=2, ensure_ascii=False).encode())
                told.write(b"\n")
            return outcome
    except BrokenPipeError:
        raise Failure("whoever reads the output has gone") from None
    except OSError as error:
        raise Failure(
            f"{error.strerror or 'input or output failed'}; no file was written"
        ) from None
    except MemoryError:
        raise Failure("a batch of the input does not fit in memory; no file was written") from None
    except pa.ArrowException:
        # What the writers say may quote the data.
        raise Failure(f"the rows cannot be written as {kind}; no file was written") from None


def _planned(masker: Masker, table: Source) -> pa.Schema:
    try:
        return masker.schema(table.schema)
    except InvalidRequest as refused:
        if "the treatment year" in refused.detail and table.format in ("csv", "tsv"):
            refused.hint = "columns of CSV are text: say with --type NAME=date that it is a date"
        raise


class _Written:
    """A file that counts what is written to it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ended = False
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if not self._ended:
            self._file.write(data)
            self.size += size
        return size

    def end(self) -> None:
        """Take nothing more: a writer that is given up writes its last words when it is deleted."""
        self._ended = True

    def flush(self) -> None:
        """The file is flushed by who opened it."""

    def close(self) -> None:
        """The file is closed by who opened it: it is not whole before the disk has it."""


def _columns(
    masker: Masker, before: pa.Schema, after: pa.Schema
) -> tuple[tuple[str, str, str | None, str], ...]:
    types = iter(after.types)
    return tuple(
        (field.name, str(field.type), None if name == "deny" else str(next(types)), name)
        for field, name in zip(before, masker.treatments(before.names), strict=True)
    )


def _format(target: Path | None, given: str | None) -> str:
    kind = given or (format_of(target.name) if target is not None else None)
    if kind is None:
        raise ConfigurationError(
            f"the name of the output does not tell its format: --format is one of "
            f"{', '.join(FORMATS)}"
        )
    return kind


def _check_places(
    source: Path | None, target: Path | None, report: Path | None, *, force: bool
) -> None:
    for place in (target, report):
        if place is not None:
            check_target(place, source, force=force)
    if target is not None and report is not None and target.resolve() == report.resolve():
        raise ConfigurationError("the output and the report are one file: give two names")
