"""Text that the server makes of several clear columns.

Their dates and numbers stay; what a detector finds in the rest does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from world import World

JOINED = "from patient p join encounter e on e.patient_id = p.id where e.id = 1"


@pytest.fixture(scope="module")
def session(world: World) -> Iterator[str]:
    world.grant()
    opened = world.session()
    yield opened
    world.close(opened)


KEPT = {
    "select p.city || ' ' || e.at::date as x": "Lynn 2026-01-01",
    "select p.city || ' ' || e.at as x": "Lynn 2026-01-01 00:01:00+00",
    "select concat_ws(' | ', e.id, p.city, e.at::date, e.cost) as x": (
        "1 | Lynn | 2026-01-01 | 1.25"
    ),
    "select p.city || ' ' || to_char(e.at, 'DD.MM.YYYY') as x": "Lynn 01.01.2026",
    "select p.city || ' ' || to_char(e.at, 'Mon YYYY') as x": "Lynn Jan 2026",
    "select p.city || '_' || to_char(e.at, 'YYYYMMDD') as x": "Lynn_20260101",
    "select row_to_json(r) as x from (select city, at::date as day, 4000000 + e.id as visit_no": (
        '{"city":"Lynn","day":"2026-01-01","visit_no":4000001}'
    ),
    "select json_build_object('city', p.city, 'patient_id', p.id + 4000000, 'at', e.at) as x": (
        '{"city" : "Lynn", "patient_id" : 4000002, "at" : "2026-01-01T00:01:00+00:00"}'
    ),
    "select string_agg(p.city || '@' || e.at::date, '; ') as x": "Lynn@2026-01-01",
}  # fmt: skip


@pytest.mark.parametrize("sql", KEPT)
def test_dates_and_numbers_of_clear_columns_stay(world: World, session: str, sql: str) -> None:
    closed = ") r" if "row_to_json" in sql else ""
    assert world.rows(session, f"{sql} {JOINED}{closed}") == [{"x": KEPT[sql]}]


FOUND = {
    # What the agent wrote beside a column stands in one text with it.
    "select p.city || ' call (555) 010-0001, MRN: ST-900001 ' || e.at::date as x": (
        "Lynn call [PHONE], MRN: [MRN] 2026-01-01"
    ),
    # Another form of a date than the server's, or than the one that was asked for.
    "select p.city || ' 03/04/2021 ' || e.at::date as x": "Lynn [DATE] 2026-01-01",
    "select p.city || ' 03/04/2021 ' || to_char(e.at, 'YYYY-MM') as x": "Lynn [DATE] 2026-01",
    # No date among the columns: nothing that looks like one is the server's.
    "select p.city || ' 2021-03-04 ' || e.id as x": "Lynn [DATE] 1",
    # A name before its number is one behind a slash, too; what a form writes makes no number clear.
    "select p.city || '/' || substr('MRN: ST-900001', 1, 14) || '/' || e.at::date as x": (
        "Lynn/MRN: [MRN]/[DATE]"
    ),
    "select format('%s 555-010-0001 %s', p.city, to_char(e.at, '\"555-\"DDD\"-\"YYYY')) as x": (
        "Lynn [PHONE]"
    ),
    # A string in a document keeps its context.
    "select json_build_object('mrn', p.city || '900001', 'at', e.at::date) as x": (
        '{"mrn" : "[MRN]", "at" : "2026-01-01"}'
    ),
}


@pytest.mark.parametrize("sql", FOUND)
def test_what_else_is_found_does_not(world: World, session: str, sql: str) -> None:
    assert world.rows(session, f"{sql} {JOINED}") == [{"x": FOUND[sql]}]


def test_a_protected_date_is_none_of_them(world: World, session: str) -> None:
    sql = f"select p.city || ' ' || p.dob || ' ' || e.at::date as x {JOINED}"
    assert world.rows(session, sql) == [{"x": None}]


def test_the_text_of_a_date_that_shows_its_year_is_null(world: World, session: str) -> None:
    assert world.rows(session, "select dob, dob::text as t from patient where id = 2") == [
        {"dob": None, "t": None}
    ]
