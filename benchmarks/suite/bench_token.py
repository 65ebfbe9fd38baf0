"""Pseudonyms for 16-byte values, beside what a script would do."""

from __future__ import annotations

from typing import Any

import pytest

ROWS = 1_000_000


@pytest.mark.parametrize(
    ("module", "name", "rounds"),
    [("hashing", "Blake3Loop", 1), ("hashing", "HmacLoop", 1), ("hashing", "PolarsHash", 5)],
)
def test_token_peer(module: str, name: str, rounds: int, engine: Any, timed: Any) -> None:
    peer = engine("token", module, name)
    peer.prepare([f"{number:016}" for number in range(ROWS)])
    result = timed(
        "token", peer.name, peer.run, amount=ROWS, unit="values", size=ROWS, rounds=rounds,
        warmup=int(rounds > 1), note=peer.note,
    )  # fmt: skip
    assert len(result) == ROWS
