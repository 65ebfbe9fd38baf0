"""Where a view that holds definitions is named, and where only its name stands."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidRequest
from gateway.sql import standins
from gateway.sql.statement import MAX_BYTES, read


def stood(sql: str) -> str:
    return standins.stand_in(read(sql), max_bytes=MAX_BYTES).text


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "select 'pg_views'",
        "select pg_views from t",
        "select * from public.pg_views",
        "with pg_views as (select 1) select * from pg_views",
        "select * from information_schema.tables /* pg_views */ where true",
        "select column_name from information_schema.columns",
        "select * from columns, views",
        "select * from pg_views, (",
        'select * from "PG_VIEWS"',
    ],
)
def test_nothing_else_is_touched(sql: str) -> None:
    assert stood(sql) == sql


@pytest.mark.parametrize(
    ("sql", "before", "after"),
    [
        ("select viewname from pg_views where x", "select viewname from (SELECT ",
         "c.relkind = 'v') AS \"pg_views\" where x"),
        ("select 1 from PG_CATALOG.Pg_Views as v", "select 1 from (SELECT ", "= 'v') as v"),
        ("table pg_views", "SELECT * FROM (SELECT ", "AS \"pg_views\""),
        ("select information_schema.views.x from information_schema.views",
         "select views.x from (SELECT ", ") AS \"views\""),
        ("select * from information_schema.columns c", "select * from (SELECT m.table_catalog AS ",
         " FROM information_schema.columns AS m) c"),
    ],
)  # fmt: skip
def test_a_sub_select_stands_for_the_view(sql: str, before: str, after: str) -> None:
    text = stood(sql)
    assert text.startswith(before)
    assert text.endswith(after)


def test_the_text_is_bounded() -> None:
    with pytest.raises(InvalidRequest):
        stood("select * from " + ", ".join(f"information_schema.columns c{n}" for n in range(5000)))
