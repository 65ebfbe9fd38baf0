"""DuckDB: `regexp_replace` (RE2) with one alternation over a table in memory, one thread."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from engines import altered
from engines.patterns import ALTERNATION


class Alternation:
    name = "DuckDB, one alternation"

    def prepare(self, notes: pa.Table) -> None:
        self._before = notes["note"]
        self._database = duckdb.connect(config={"threads": 1, "preserve_insertion_order": True})
        self._database.register("arriving", notes)
        self._database.execute("CREATE TABLE notes AS SELECT note FROM arriving")

    def run(self) -> Any:
        pattern = ALTERNATION.replace("'", "''")
        return self._database.sql(
            f"SELECT regexp_replace(note, '{pattern}', '[REDACTED]', 'g') AS note FROM notes"
        ).to_arrow_table()

    def changed(self, result: Any) -> int:
        return altered(self._before, result["note"])
