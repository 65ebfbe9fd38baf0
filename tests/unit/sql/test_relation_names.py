"""What a name that grants and policies are written in can stand for."""

from __future__ import annotations

import pytest

from gateway.errors import StatementRefused
from gateway.sql.relations import _check
from gateway.sql.structure import Relation


def relation(schema: str, table: str) -> Relation:
    return Relation(
        oid=20_000, schema=schema, table=table, kind="r", temporary=False, row_security=False,
        family=False, partition=False, generated=frozenset(), attributes={},
    )  # fmt: skip


def test_one_name_is_one_table() -> None:
    """A grant for ward."x.y" would be one for "ward.x".y as well."""
    plain, twin = relation("ward", "x.y"), relation("ward.x", "y")
    assert plain.name == twin.name
    _check(plain, "r", frozenset())
    with pytest.raises(StatementRefused, match="has a dot in the name of its schema"):
        _check(twin, "r", frozenset())
