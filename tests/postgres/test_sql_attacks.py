"""Every attack of the corpus is refused as it says there, or yields its protected columns bare."""

from __future__ import annotations

from typing import Any

import pytest

from corpus import clinic as corpus
from gateway.errors import Refusal
from gateway.sql import analyse
from gateway.upstream import Database

pytestmark = pytest.mark.pg15
ATTACKS = corpus.load("attacks.toml", "attack")


async def _outcome(clinic: Database, attack: dict[str, Any]) -> tuple[str, list[bytes]]:
    """The outcome, and what would have left in the columns that are not masked."""
    try:
        async with clinic.transaction("attack") as transaction:
            analysis = await analyse(attack["sql"], attack["params"], transaction)
            decision = corpus.refuse(analysis)
            if decision == "protected":
                return decision, []
            pieces = transaction.stream(
                analysis.server_text, analysis.server_tree, analysis.relations
            )
            copy = b"".join([piece async for piece in pieces])
    except Refusal as refusal:
        assert refusal.detail
        return refusal.code, [refusal.detail.encode(), (refusal.hint or "").encode()]
    masked = corpus.hidden(analysis)
    fields = [
        field
        for row in corpus.rows(copy)
        for field, hit in zip(row, masked, strict=True)
        if field is not None and not hit
    ]
    return decision, fields


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["name"].split()[0])
async def test_nothing_protected_leaves(clinic: Database, attack: dict[str, Any]) -> None:
    outcome, left = await _outcome(clinic, attack)
    expected = attack["outcome"]
    assert outcome in ([expected] if isinstance(expected, str) else expected)
    said = attack["sql"] + repr(attack["params"])
    for planted in corpus.PLANTED:
        if planted not in said:  # what the attacker wrote himself tells him nothing
            assert not any(planted.encode() in field for field in left)


def test_the_corpus_covers_the_classes() -> None:
    names = [attack["name"] for attack in ATTACKS]
    assert len(names) == len(set(names)) >= 150
    for letter in "ABCDEFGH":
        assert sum(name.startswith(letter) for name in names) >= 10
