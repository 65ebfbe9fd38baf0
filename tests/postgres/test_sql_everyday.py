"""Every everyday statement is admitted and gives the rows that the corpus has for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from corpus import clinic as corpus
from gateway.sql import analyse
from gateway.upstream import Database

pytestmark = pytest.mark.pg15
STATEMENTS = corpus.load("everyday.toml", "statement")


@pytest.fixture(scope="module")
async def direct(clinic_dsn: str, clinic: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the gateway, with the same rights."""
    connection = await asyncpg.connect(clinic_dsn, server_settings={"timezone": "UTC"})
    await connection.execute(f"SET ROLE {corpus.READER}")
    yield connection
    await connection.close()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s["name"].split()[0])
async def test_rows(
    clinic: Database, direct: asyncpg.Connection, statement: dict[str, Any]
) -> None:
    async with clinic.transaction("everyday") as transaction:
        analysis = await analyse(statement["sql"], statement["params"], transaction)
        assert corpus.refuse(analysis) != "protected"
        pieces = transaction.stream(analysis.server_text, analysis.server_tree, analysis.relations)
        copied = corpus.rows(b"".join([piece async for piece in pieces]))
    masked = corpus.hidden(analysis)
    names = [f'"c{n}"' for n in range(len(masked))]
    shown = await direct.fetch(
        f"SELECT {', '.join(f'q.{name}::text' for name in names)} "
        f"FROM (\n{analysis.server_text}\n) AS q({', '.join(names)})"
    )
    texts = [
        [
            "***" if hit else "~" if value is None else value
            for value, hit in zip(row, masked, strict=True)
        ]
        for row in shown
    ]
    assert texts == statement["rows"]
    assert [len(row) for row in copied] == [len(masked)] * len(texts)
    for row, text_row in zip(copied, texts, strict=True):
        for field, text, output in zip(row, text_row, analysis.outputs, strict=True):
            if text != "***":
                assert (field is None) == (text == "~")
                if field is not None and output.type["kind"] == "text":
                    assert field.decode().rstrip(" ") == text.rstrip(" ")


def test_the_corpus_is_large_enough() -> None:
    names = [statement["name"] for statement in STATEMENTS]
    assert len(names) == len(set(names)) >= 120
