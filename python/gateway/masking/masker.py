"""`Masker`: anything that speaks Arrow's C interface in, the like of it out, masked.

The kernel alone, without a database: arrays cross by the C data interface, no value becomes a
Python object, and the interpreter is free while the kernel works. Refuses before the first row what
a treatment cannot do to a type, and every column that the policy does not speak for. What it gives
out holds nothing of what it took out: no neighbour of a slice, no unused value of a dictionary, no
bytes under a NULL, no metadata (the order of categories, say, or what pandas notes of an index).
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from gateway._kernel import ArrowMasker
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.masking.columns import ColumnRules, PolicyFile, Spec
from gateway.masking.plan import DEFAULT_LABEL, TokenKey, kernel_treatment, read_token_key
from gateway.model import Treatment
from gateway.patterns import Definitions
from gateway.treatments import left_out

#: Rows that are masked at once where the input may be cut. A cut costs a copy of what is unchanged,
#: and results have offsets of 32 bits.
_ROWS = 1 << 22


class Masker:
    """A policy for columns, ready for any number of tables.

    `columns`: exact column names to treatments, as docs/policy.md words them: `"redact"`,
    `{"treatment": "partial", "last": 4}`. `default`: the treatment of columns that no rule names;
    without it they are refused. `text`: what a `clear` text column goes through, "scan" or "clear".
    `key`: for `token`, `fpe` and `shift`, a TokenKey or the file that holds one (mode 0600, 64
    hexadecimal digits); `key_id` names the key of a file. `domain`: for those rules of them that
    name none. `absent`: "ignore" takes rules that name no column of the table; "refuse" does not,
    for a misspelt rule protects nothing. With the gateway's key, key id and domain (by default the
    name of the connection) tokens are the gateway's. `patterns` and `dictionaries`: what is looked
    for in texts beside the detectors, by name, as docs/policy.md words them; paths of their files
    begin in `folder`.

    One masker may be used by several threads at once. Raises ConfigurationError for a policy that
    makes no sense.
    """

    def __init__(
        self,
        columns: Mapping[str, Spec],
        *,
        default: Spec | None = None,
        text: str = "scan",
        key: TokenKey | Path | str | None = None,
        key_id: str = "k1",
        domain: str | None = None,
        absent: str = "refuse",
        patterns: Mapping[str, Mapping[str, Any]] | None = None,
        dictionaries: Mapping[str, Mapping[str, Any]] | None = None,
        folder: Path = Path(),
    ) -> None:
        definitions = Definitions.parse(patterns or {}, dictionaries or {}, folder)
        self._rules = ColumnRules.parse(
            columns, default=default, text=text, absent=absent, definitions=definitions
        )
        self._key = _key(self._rules, key, key_id)
        if not domain and (name := self._rules.without_domain()):
            raise ConfigurationError(
                f"{name}: a domain is needed: token, fpe and shift are made inside one"
            )
        self._domain = domain or ""
        self._lock = threading.Lock()
        self._open: set[_Run] = set()
        self._counts: dict[str, Any] = {"rows": 0, "cells_masked": {}, "detectors": {}}

    @classmethod
    def from_file(cls, path: Path | str, *, key: TokenKey | Path | str | None = None) -> Masker:
        """By the `[mask]` section of a TOML file; docs/masking-files.md has its keys."""
        policy = PolicyFile.load(Path(path))
        return cls(
            policy.columns,
            default=policy.default,
            text=policy.text,
            key=key if key is not None else policy.key,
            key_id=policy.key_id,
            domain=policy.domain,
            patterns=policy.patterns,
            dictionaries=policy.dictionaries,
            folder=policy.folder,
        )

    def schema(self, schema: Any) -> pa.Schema:
        """The schema after masking of anything with `__arrow_c_schema__`, fields in order.

        Each field's metadata has `maskgate.treatment`; a column under `deny` is left out.
        Raises InvalidRequest when a treatment cannot be given to its column's type, or a column
        is not spoken for.
        """
        return _Run(self, _schema(schema)).output

    def mask(self, data: Any) -> Any:
        """A RecordBatch for a RecordBatch, a Table for a Table; for anything else with
        `__arrow_c_stream__` a RecordBatchReader, which masks as it is read, and with
        `__arrow_c_array__` alone a RecordBatch. As many rows, in order, as there were.

        Buffers that hold the rows of an unchanged column and nothing else are shared with the
        input: do not write to them. Offsets, keys, run ends and UTF-8 are checked before
        they are believed, and the sizes of buffers as far as pyarrow knows them; a producer in the
        same process that lies about those has the process anyway.

        Raises InvalidRequest before the first row as `schema` does, and for data that is not what
        its schema says; TypeError for anything else.
        """
        if isinstance(data, pa.RecordBatch):
            return self._batch(data)
        if isinstance(data, pa.Table):
            run = _Run(self, data.schema)
            batches = list(run.masked(data.to_reader(max_chunksize=_ROWS)))
            return pa.Table.from_batches(batches, schema=run.output)
        if isinstance(data, pa.RecordBatchReader):
            return self._reader(data)
        if hasattr(data, "__arrow_c_stream__"):
            with _named_columns():
                reader = pa.RecordBatchReader.from_stream(data)
            return self._reader(reader)
        if hasattr(data, "__arrow_c_array__"):
            with _named_columns():
                batch = pa.record_batch(data)
            return self._batch(batch)
        raise TypeError(
            f"{type(data).__name__} has neither __arrow_c_stream__ nor __arrow_c_array__; "
            "give a table, a record batch, a reader or a data frame"
        )

    def treatments(self, names: Sequence[str]) -> list[str]:
        """The name of the treatment of each column of a table with these names.

        Raises InvalidRequest for columns that the policy does not speak for.
        """
        return [treatment.name for treatment in self._rules.treatments(names)]

    def left_out(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The detectors and patterns that the scan of a column of a table with these names does not
        ask, for columns where there are some."""
        patterns = self._rules.definitions.names
        found = zip(names, self._rules.treatments(names), strict=True)
        silent = {name: list(left_out(treatment, patterns)) for name, treatment in found}
        return {name: left for name, left in silent.items() if left}

    def labels(self) -> frozenset[str]:
        """What `redact`, and `scan` for the policy's own patterns, write by this policy."""
        every = [*self._rules.columns.values(), self._rules.default]
        written = {
            one.options.get("label", DEFAULT_LABEL)
            for one in every
            if one is not None and one.name == "redact"
        }
        return frozenset(written | {*self._rules.definitions.labels})

    def report(self) -> dict[str, Any]:
        """What has been done so far, over all calls: `{"rows": n, "cells_masked": {column:
        {treatment: n}}, "detectors": {column: {detector: {"cells": n, "spans": n}}}}`. No value of
        the data is in it."""
        with self._lock:
            counts: dict[str, Any] = json.loads(json.dumps(self._counts))
            for run in self._open:
                _add(counts, run.counts())
        return counts

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        (masked,) = _Run(self, batch.schema).masked([batch])
        return masked

    def _reader(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        run = _Run(self, reader.schema)
        return pa.RecordBatchReader.from_batches(run.output, run.masked(_cut(reader)))


class _Run:
    """One table's way through the kernel."""

    def __init__(self, masker: Masker, schema: pa.Schema) -> None:
        self._masker = masker
        self._rows = 0
        try:
            names = schema.names
        except UnicodeDecodeError:
            raise InvalidRequest("the name of a column is not UTF-8") from None
        treatments = masker._rules.treatments(names)
        needed = masker._rules.beside(names, treatments)
        shown = [i for i, one in enumerate(treatments) if one.name != "deny"]
        # A column that is left out may still say what to look for in another.
        self._kept = sorted({*shown, *(other for i in shown for other in needed[i])})
        self._all = len(self._kept) == len(treatments)
        plan = [
            {
                "treatment": self._words(treatments[i], names[i]),
                "row": [self._kept.index(other) for other in needed[i]] if i in shown else [],
            }
            for i in self._kept
        ]
        kept = pa.schema([schema.field(i) for i in self._kept])
        definitions = masker._rules.definitions
        self._kernel = ArrowMasker(kept, json.dumps(plan), masker._key.secret, definitions.kernel)
        self.output: pa.Schema = pa.schema(self._kernel)

    def _words(self, treatment: Treatment, column: str) -> dict[str, Any] | None:
        """The treatment as the kernel reads it; None for a column that does not come out."""
        masker = self._masker
        if treatment.name == "deny":
            return None
        if treatment.name == "clear":
            return {"name": "clear", "scan": masker._rules.scan_clear_text}
        return kernel_treatment(treatment, masker._key, masker._domain, column)

    def masked(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Each batch masked. Raises InvalidRequest for one that is not what it says."""
        masker = self._masker
        with masker._lock:
            masker._open.add(self)
        try:
            for batch in batches:
                yield self._one(batch)
        finally:
            with masker._lock:
                masker._open.discard(self)
                _add(masker._counts, self.counts())

    def counts(self) -> dict[str, Any]:
        return {"rows": self._rows, **json.loads(self._kernel.report())}

    def _one(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not self._all:
            batch = batch.select(self._kept)
        try:
            batch.validate()  # the sizes of buffers, which the C interface does not tell
        except pa.ArrowInvalid:
            raise InvalidRequest("a batch is not valid Arrow data: a buffer is too small") from None
        masked = pa.record_batch(self._kernel.mask(batch))
        self._rows += masked.num_rows
        return masked


def _cut(reader: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of at most `_ROWS` rows."""
    for batch in reader:
        for start in range(0, batch.num_rows or 1, _ROWS):
            yield batch.slice(start, _ROWS)


def _schema(schema: Any) -> pa.Schema:
    try:
        return pa.schema(schema)
    except (pa.ArrowException, TypeError):
        raise TypeError(f"{type(schema).__name__} is no Arrow schema of a table") from None


def _key(rules: ColumnRules, key: TokenKey | Path | str | None, key_id: str) -> TokenKey:
    if isinstance(key, TokenKey):
        return key
    if key is not None:
        return read_token_key(Path(key), key_id)
    if rules.needs_key():
        raise ConfigurationError(
            "token, fpe and shift need a key: give the gateway's key file, or another one"
        )
    return TokenKey(secrets.token_bytes(32), key_id)  # nothing is made with it


@contextmanager
def _named_columns() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, TypeError):
        raise InvalidRequest(
            "this is no table: its type is not a struct of named columns",
            hint="put a single array into a table: pa.table({'name': array})",
        ) from None


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value
