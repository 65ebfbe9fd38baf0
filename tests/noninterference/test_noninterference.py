"""Two databases that differ in protected values only give the same answers, whatever is asked."""

from __future__ import annotations

import re

import asyncpg
import pytest

import servers
from gateway.sql.catalogs import COLUMNS, VIEWS
from noninterference import campaign, relations, twins
from noninterference.work import counted

MODES = campaign.modes()
#: Statements of each version, pair and mode. `make fuzz` runs many more, from other seeds.
CASES = {"still": 700, "stirred": 350}
#: Admitted statements whose plans are counted on both sides.
COUNTED = 150

_OWN = re.compile(rb"stirred_[ab]|(?<![0-9])(1[6-9]|[2-9][0-9])[0-9]{3}(?![0-9])")
_KNOWN = """
SELECT c.relname, c.reltuples, pg_relation_size(c.oid) / 8192 AS pages, s.staattnum, s.stawidth
FROM pg_class c LEFT JOIN pg_statistic s ON s.starelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'i') ORDER BY 1, 4
"""


@pytest.mark.parametrize("expressions", MODES)
@pytest.mark.parametrize("kind", CASES)
async def test_no_answer_depends_on_a_protected_value(
    twins_server: servers.Server, kind: str, expressions: str
) -> None:
    seeds = range(CASES[kind])
    async with campaign.opened(twins_server, kind, expressions) as pair:
        report = await pair.run(seeds, twins_server.major)
    print(report)
    assert not report.found, "\n".join(map(str, report.found))
    # The check checks something: most statements are valid, many are answered, some refused.
    assert report.parsed >= 0.9
    assert report.answered >= 0.35 * report.total
    assert report.ordered >= 0.2 * report.total
    assert report.codes["ok"] >= 0.3 * report.total
    assert report.by_order <= 0.03 * report.total
    assert report.by_chance <= 0.01 * report.total


@pytest.mark.parametrize("kind", CASES)
async def test_the_sides_are_what_they_are_said_to_be(
    twins_server: servers.Server, kind: str
) -> None:
    async with campaign.opened(twins_server, kind, MODES[0]) as pair:
        for table in ("person", "visit", "event", "staff", "doctor", "v_pass", "m_copy"):
            code, found = await pair.differ(f"select * from {table} order by id")
            assert (code, found) == ("ok", None), table
    first, second = [
        await asyncpg.connect(twins_server.dsn(database=side.name)) for side in twins.pair(kind)
    ]
    try:
        for name in twins.PROTECTED:
            _, table, column = name.split(".")
            query = f"SELECT {column}::text FROM {table} ORDER BY id"
            values = [[row[0] for row in await side.fetch(query)] for side in (first, second)]
            unlike = sum(a != b for a, b in zip(*values, strict=True))
            assert unlike >= len(values[0]) / 4, f"{name} is nearly the same on both sides"
        for table, columns in relations.TABLES.items():
            shown = ", ".join(c.name for c in columns if not c.protected)
            if shown:
                query = f"SELECT {shown} FROM {table} ORDER BY 1"
                assert await first.fetch(query) == await second.fetch(query), table
        # What a planner can tell the sides apart by: nothing when still, all of it when stirred.
        known = [await side.fetch(_KNOWN) for side in (first, second)]
        assert (known[0] == known[1]) == (kind == "still")
    finally:
        await first.close()
        await second.close()


async def test_the_catalogs_tell_nothing_of_values(newest_twins: servers.Server) -> None:
    """Statistics and sizes differ between the sides of a stirred pair; no column that may be read
    shows it."""
    asked = [
        f"select {column} as shown from {catalog}"
        for catalog, columns in sorted(COLUMNS.items())
        for column in sorted(columns)
    ]
    asked += [f"select * from {view}" for view in sorted(VIEWS)]
    answered = 0
    async with campaign.opened(newest_twins, "stirred", MODES[0]) as pair:
        for sql in asked:
            first, second = await pair.ask(sql, most=None)
            # Their own names differ, and the OIDs of what a materialised view was refreshed into.
            rows = [
                sorted(_OWN.sub(b"own", answer.data).splitlines()) for answer in (first, second)
            ]
            assert (first.code, rows[0]) == (second.code, rows[1]), sql
            answered += first.code == "ok"
    assert answered >= len(asked) / 2


@pytest.mark.parametrize("expressions", MODES)
async def test_the_work_of_an_admitted_statement_depends_on_no_protected_value(
    newest_twins: servers.Server, expressions: str
) -> None:
    async with campaign.opened(newest_twins, "still", expressions) as pair:
        report = await pair.run(range(10_000, 10_000 + 3 * COUNTED), newest_twins.major)
    first, second = [
        await asyncpg.connect(newest_twins.dsn(database=side.name)) for side in twins.pair("still")
    ]
    try:
        admitted = report.admitted[:COUNTED]
        assert len(admitted) >= COUNTED / 2
        for sql in admitted:
            steps = await counted(first, sql), await counted(second, sql)
            assert steps[0] == steps[1], sql
    finally:
        await first.close()
        await second.close()


@pytest.mark.parametrize("expressions", MODES)
@pytest.mark.parametrize(
    "sql",
    [
        "select pg_sleep(age) from person",
        "select id, pg_sleep(n) from person",
        "select pg_sleep_for(gap) from person",
        "select pg_sleep_until(at) from person",
        "select id, clock_timestamp(), name from person",
        "select pg_advisory_lock(id) from person",
        "select pg_try_advisory_xact_lock(n) from person",
        "select repeat(city, 1000000) from person",
        "select array_fill(n, array[10000, 1000]) from person",
        "select nextval('x') from person",
        "select timeofday()",
    ],
)
async def test_nothing_that_waits_or_looks_at_a_clock_is_admitted(
    newest_twins: servers.Server, sql: str, expressions: str
) -> None:
    async with campaign.opened(newest_twins, "still", expressions) as pair:
        first, second = await pair.ask(sql)
    assert first.code in ("statement_refused", "invalid_request", "protected_use"), first
    assert first == second
