"""Ten patterns in a million notes, rewritten with labels, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import data
from copybytes import column, copy, opened, row, run

#: Engines that rewrite ten patterns: module, class, rounds.
PEERS = [
    ("polars", "Alternation", 5),
    ("polars", "TenPasses", 3),
    ("arrow", "Alternation", 3),
    ("arrow", "TenPasses", 1),
    ("duck", "Alternation", 3),
    ("vectorscan", "Places", 3),
]
#: Rows for the engine that is slower by orders of magnitude.
FEW = 2_000
GROWTH = (10_000, 100_000)


@pytest.mark.parametrize(("module", "name", "rounds"), PEERS)
def test_scan_peer(
    module: str, name: str, rounds: int, notes: pa.Table, engine: Any, timed: Any
) -> None:
    peer = engine("scan", module, name)
    peer.prepare(notes)
    size = _bytes(notes)
    result = timed(
        "scan", peer.name, peer.run, amount=size, unit="B", size=notes.num_rows, rounds=rounds,
        warmup=int(rounds > 1),
    )  # fmt: skip
    # Unequal work is not compared.
    assert peer.changed(result) == data.planted(notes)


@pytest.mark.parametrize("name", ["Patterns", "WithNer"])
def test_scan_presidio(name: str, notes: pa.Table, engine: Any, timed: Any) -> None:
    few = notes.slice(0, FEW)
    peer = engine("scan", "presidio", name)
    peer.prepare(few)
    result = timed(
        "scan", peer.name, peer.run, amount=_bytes(few), unit="B", size=FEW, rounds=1, warmup=0,
        note=f"{FEW:,} notes; its own recognisers",
    )  # fmt: skip
    assert peer.changed(result) > 0


def test_scan_from_copy_bytes(notes: pa.Table, timed: Any) -> None:
    """As in the gateway: COPY bytes in; decoded, scanned, encoded as Arrow IPC."""
    pieces = _pieces(notes)
    timed(
        "scan", "maskgate, COPY bytes to Arrow IPC, from Python",
        lambda: run(opened([column("note", treatment={"name": "scan"})]), pieces),
        amount=_bytes(notes), unit="B", size=notes.num_rows,
        note="decoding and encoding included",
    )  # fmt: skip


def test_scan_masker(notes: pa.Table, timed: Any, absent: Callable[[str, str, str], None]) -> None:
    """As a library over Arrow, from Python."""
    name = "maskgate, Masker, from Python"
    try:
        from gateway.masking import Masker
    except ImportError:
        absent("scan", name, "this version has no Masker")
        raise
    masker = Masker({"note": "scan"})
    batches = pa.Table.from_batches(notes.to_batches())
    result = timed(
        "scan", name, lambda: masker.mask(batches), amount=_bytes(notes), unit="B",
        size=notes.num_rows,
    )  # fmt: skip
    assert result.num_rows == notes.num_rows


def _bytes(notes: pa.Table) -> int:
    """Of the text alone."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(notes["note"])).as_py())


def _pieces(notes: pa.Table) -> list[bytes]:
    """The notes as COPY BINARY bytes in the pieces of a socket."""
    rows = (row(note.encode()) for note in notes["note"].to_pylist())
    whole = copy(*rows)
    return [whole[start : start + (1 << 18)] for start in range(0, len(whole), 1 << 18)]
