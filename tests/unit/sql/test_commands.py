"""SHOW becomes a query that is analysed as any other; other commands are told what to send."""

from __future__ import annotations

import pytest

from gateway.errors import StatementRefused
from gateway.sql import commands, guards
from gateway.sql.statement import MAX_BYTES, read


def query(sql: str) -> str:
    return commands.as_query(read(sql), max_bytes=MAX_BYTES).text


@pytest.mark.parametrize(
    ("sql", "name", "written"),
    [
        ("show search_path", "search_path", "search_path"),
        ("SHOW TimeZone;", "timezone", "TimeZone"),
        ("/* a */ show -- b\n time /* c */ zone", "timezone", "TimeZone"),
        ('show "datestyle"', "datestyle", "DateStyle"),
        ("show transaction isolation level", "transaction_isolation", "transaction_isolation"),
    ],
)
def test_show_is_a_query(sql: str, name: str, written: str) -> None:
    assert query(sql) == f"SELECT pg_catalog.current_setting('{name}') AS \"{written}\""


@pytest.mark.parametrize(
    "sql",
    [
        "show", "show all", "show data_directory", "show search_path, timezone",
        "show 'search_path'", "show search_path timezone", "show \"x') --\"",
        "show is_superuser", "show $1",
    ],
)  # fmt: skip
def test_nothing_else_is_shown(sql: str) -> None:
    with pytest.raises(StatementRefused, match="one setting at a time") as refused:
        query(sql)
    assert "server_version" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("explain select 1", "pg_indexes"),
        ("EXPLAIN (COSTS OFF) select 1", "pg_indexes"),
        ("begin", "transaction of its own"),
        ("set search_path to x", "schema.table"),
        ("execute x(1)", "params"),
        ("insert into t values (1)", "nothing is written"),
        ("copy t to stdout", "text/csv"),
    ],
)
def test_a_command_is_told_what_to_send(sql: str, says: str) -> None:
    with pytest.raises(StatementRefused) as refused:
        query(sql)
    assert says in str(refused.value.hint)


@pytest.mark.parametrize(
    "sql", ["select 1", "with show as (select 1) select * from show", "(select 1)", "values (1)"]
)
def test_queries_stay_as_they_are(sql: str) -> None:
    assert query(sql) == sql


def test_every_setting_is_in_small_letters() -> None:
    assert all(name == name.lower() for name in guards.SETTINGS)
