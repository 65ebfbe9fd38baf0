"""A column of text replaced by one constant."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest


@pytest.mark.parametrize("name", ["PolarsLit", "ArrowRepeat"])
@pytest.mark.parametrize("rows", [10_000, 100_000, 1_000_000])
def test_redact_peer(name: str, rows: int, notes: pa.Table, engine: Any, timed: Any) -> None:
    peer = engine("redact", "constant", name)
    peer.prepare(notes.slice(0, rows).combine_chunks())
    result = timed(
        "redact", peer.name, peer.run, amount=rows, unit="values", size=rows, rounds=20,
        note=peer.note,
    )  # fmt: skip
    assert len(result) == rows
