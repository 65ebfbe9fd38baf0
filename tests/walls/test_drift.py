"""The structure changes while the gateway runs: nothing is released unmasked.

The policy stays the one that was loaded. Each change is made between two statements, and again in a
race with statements, whose answers are either right and masked or a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import asyncpg
import pytest
from ward import GRANT, PLANTED, Ward

from gateway.errors import InvalidRequest, MaskgateError
from gateway.policy import to_hide
from gateway.sql import analyse, grouping

pytestmark = pytest.mark.pg15

CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a column is added": (
        "alter table patient add column alias text; update patient set alias = full_name",
        ("select alias from patient", "select id, alias, city from patient"),
    ),
    "a column with a default is added": (
        "alter table patient add column alias text default 'Zanthe'",
        ("select alias from patient",),
    ),
    "a protected column is renamed": (
        "alter table patient rename column ssn to social",
        ("select social from patient", "select social from patient where id = 1"),
    ),
    "a protected column takes a clear one's name": (
        "alter table patient drop column city cascade;"
        "alter table patient rename column ssn to city",
        ("select city from patient", "select id from patient where city like 'Z%'"),
    ),
    "two columns change names": (
        "alter table patient rename column city to other;"
        "alter table patient rename column full_name to city;"
        "alter table patient rename column other to full_name",
        ("select city from patient", "select full_name from patient"),
    ),
    "a protected column is retyped": (
        "alter table patient alter column dob type text using full_name",
        ("select dob from patient",),
    ),
    "a domain column is retyped": (
        "alter table patient alter column code type text using ssn",
        ("select ssn, id from patient", "select id from patient where ssn = code"),
    ),
    "a protected column is dropped and made again": (
        "alter table patient drop column ssn; alter table patient add column ssn text;"
        "update patient set ssn = full_name",
        ("select ssn from patient",),
    ),
    "a view is replaced": (
        "create or replace view roster as select id, ssn as city from patient",
        ("select city from roster", "select id from roster where city is not null"),
    ),
    "a view is replaced by a table": (
        "drop view roster; create table roster as select id, ssn as city from patient;",
        ("select city from roster",),
    ),
    "a table is swapped by renaming": (
        "create table spare as select id, full_name as city, city as ssn from patient;"
        "alter table patient rename to patient_old; alter table spare rename to patient;",
        ("select ssn from patient", "select ssn, full_name from patient_old"),
    ),
    "two tables change names": (
        "alter table archive.member set schema public;"
        "alter table person rename to person_old; alter table member rename to person;",
        ("select remark from person",),
    ),
    "a schema is renamed": (
        "alter schema archive rename to older",
        ("select note from older.event_2023", "select remark from older.member"),
    ),
    "a partition is attached": (
        "alter table event attach partition archive.event_2023"
        " for values from ('2023-01-01') to ('2024-01-01')",
        ("select note from event", "select id from event order by note", "select * from event"),
    ),
    "a child is added": (
        "alter table archive.member inherit person",
        ("select remark from person", "select count(*) from person where remark like 'Z%'"),
    ),
    "a generated column is added": (
        "alter table patient add column tag text generated always as (upper(ssn)) stored;",
        ("select tag from patient",),
    ),
    "a materialised view is made again": (
        "drop materialized view copied; create materialized view copied as select id,"
        " ssn as label from patient",
        ("select label from copied",),
    ),
    "row security is enabled": (
        "alter table stay enable row level security",
        ("select id from stay",),
    ),
    "a view of a view is made": (
        "create view over_labels as select label as city from labels;",
        ("select city from over_labels",),
    ),
    "an enum gets a value": (
        "alter type ward_mood add value 'Zanthe'",
        ("select mood from patient where id = 1",),
    ),
    "a composite type changes": (
        "alter type ward_pair add attribute c text",
        ("select pair from patient where id = 1", "select (pair).c from patient where id = 1"),
    ),
    "a domain changes": (
        "alter domain ward_code drop constraint ward_code_check",
        ("select code from patient where id = 1",),
    ),
    "a type is made again": (
        "alter table patient drop column mood; drop type ward_mood;"
        "create type ward_mood as (secret text); alter table patient add column mood ward_mood;"
        "update patient set mood = row(ssn)",
        ("select id, (mood).secret is null from patient", "select city from patient"),
    ),
    "a function takes the place of an allowed one": (
        "create function public.lower(int) returns text language sql immutable as"
        " 'select ssn from public.patient where id = $1'",
        ("select lower(id) from patient",),
    ),
}


async def answered(ward: Ward, sql: str) -> list[dict[str, Any]] | MaskgateError:
    try:
        return await ward.answer(sql)
    except MaskgateError as refusal:
        return refusal


@pytest.mark.parametrize("name", CHANGES)
async def test_after_a_change_nothing_is_unmasked(drifting: Ward, name: str) -> None:
    change, statements = CHANGES[name]
    # The sessions of the pool have met the old structure.
    for sql in ("select * from patient limit 1", "select city from roster", "select id from stay"):
        assert isinstance(await answered(drifting, sql), list | MaskgateError)
    await drifting.admin.execute(change)
    for sql in statements:
        got = await answered(drifting, sql)
        said = got.detail + (got.hint or "") if isinstance(got, MaskgateError) else str(got)
        assert PLANTED not in said, sql


async def test_a_clear_column_keeps_its_protection_from_the_name_it_had(drifting: Ward) -> None:
    """And one that was always clear stays so, whatever it is called."""
    await drifting.admin.execute(
        "alter table patient rename column city to other;"
        "alter table patient rename column ssn to city;"
        "alter table stay rename column cost to price"
    )
    analysis = await drifting.analysis("select city from patient")
    (column,) = drifting.decide(analysis).columns
    assert column.treatment.name == "redact"
    assert "public.patient.ssn" in column.reason
    price = drifting.decide(await drifting.analysis("select price from stay")).columns[0]
    assert price.treatment.name == "clear"


async def test_a_new_table_of_an_old_name_goes_by_its_name(drifting: Ward) -> None:
    await drifting.admin.execute(
        "alter table stay rename to stay_old;"
        "create table stay (id int, patient_id int, kind text, cost int);"
        "insert into stay values (1, 1, 'new', 5)"
    )
    assert await drifting.answer("select kind, cost from stay") == [{"kind": "new", "cost": 5}]


async def test_a_probe_that_is_undone_is_no_longer_held(
    drifting: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was parsed after the mark has lost its locks, and is not counted among them."""

    async def fails(*_: object) -> None:
        raise InvalidRequest("it means something else by now")

    sql = "select id, full_name from patient group by id, full_name"
    async with drifting.database.transaction("drift") as transaction:
        analysis = await analyse(sql, (), transaction, drifting.settings)
        hidden = to_hide(GRANT, analysis, drifting.policy)
        held = transaction._held
        await drifting.admin.execute(
            "create table early.patient (id int primary key, full_name text)"
        )
        monkeypatch.setattr(grouping, "attempt", fails)
        assert await grouping.without_dependents(analysis, hidden, transaction) is analysis
        assert transaction._held == held
        got = await transaction.fetch(
            "select count(*) from pg_locks where relation = 'early.patient'::regclass"
            " and pid = pg_backend_pid()"
        )
        assert got[0][0] == 0


async def test_a_type_is_asked_for_anew(drifting: Ward) -> None:
    """A session that has met a type answers with what the type is now."""
    sql = "select id, mood, pair from patient where id = 1"
    assert await drifting.answer(sql) == [{"id": 1, "mood": "calm", "pair": "(x,y)"}]
    await drifting.admin.execute(
        "alter type ward_mood add value 'hopeful' before 'calm';"
        "alter type ward_mood rename value 'calm' to 'quiet';"
        "alter type ward_pair add attribute c int"
    )
    assert await drifting.answer(sql) == [{"id": 1, "mood": "quiet", "pair": "(x,y,)"}]
    await drifting.admin.execute("update patient set mood = 'hopeful', pair = row('a', 'b', 3)")
    assert await drifting.answer(sql) == [{"id": 1, "mood": "hopeful", "pair": "(a,b,3)"}]
    await drifting.admin.execute(
        "alter table patient alter mood type text; drop type ward_mood;"
        "create domain ward_mood as int; alter table patient alter mood type ward_mood using 7"
    )
    assert await drifting.answer(sql) == [{"id": 1, "mood": 7, "pair": "(a,b,3)"}]


# ------------------------------------------------------------------ races

#: There and back, in one table after the other; after each pair the structure is as before.
RACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "columns change names": (
        (
            "begin; alter table patient rename column city to other;"
            "alter table patient rename column ssn to city; commit",
            "begin; alter table patient rename column city to ssn;"
            "alter table patient rename column other to city; commit",
        ),
        ("select city from patient", "select id, city, ssn from patient"),
    ),
    "a view is replaced": (
        (
            "create or replace view roster as select id, full_name as city from patient",
            "create or replace view roster as select id, city from patient",
        ),
        ("select city from roster", "select id from roster order by city"),
    ),
    "tables change names": (
        (
            "begin; alter table person rename to person_old;"
            "alter table archive.member set schema public; alter table member rename to person;"
            "commit",
            "begin; alter table person rename to member; alter table member set schema archive;"
            "alter table person_old rename to person; commit",
        ),
        ("select remark from person", "select id, remark from person"),
    ),
    "a child comes and goes": (
        (
            "alter table archive.member inherit person",
            "alter table archive.member no inherit person",
        ),
        ("select remark from person", "select count(*) from person where remark is not null"),
    ),
    "a partition comes and goes": (
        (
            "alter table event attach partition archive.event_2023"
            " for values from ('2023-01-01') to ('2024-01-01')",
            "alter table event detach partition archive.event_2023",
        ),
        ("select note from event", "select id, note from event"),
    ),
    "a column comes and goes": (
        (
            "alter table patient add column alias text default 'Zanthe'",
            "alter table patient drop column alias",
        ),
        ("select alias from patient", "select alias, id from patient"),
    ),
    "a column is retyped": (
        (
            "alter table stay alter column cost type text using 'Zanthe'",
            "alter table stay alter column cost type int using 1",
        ),
        ("select id from stay", "select patient_id, kind from stay"),
    ),
    "a table appears in a schema that is searched before": (
        (
            "create table early.person as select 1 as id, 'Zanthe'::text as remark;"
            "grant select on early.person to public",
            "drop table early.person",
        ),
        ("select remark from person", "select remark || '' from person"),
    ),
    "an enum's values change names": (
        (
            "alter type ward_mood rename value 'calm' to 'quiet'",
            "alter type ward_mood rename value 'quiet' to 'calm'",
        ),
        ("select mood from patient", "select mood, ssn from patient"),
    ),
}
_ROUNDS = 12  # there and back
_READERS = 3
_FEWEST = 40  # statements that have run beside them


@pytest.mark.parametrize("name", RACES)
async def test_nothing_is_unmasked_in_a_race(drifting: Ward, name: str) -> None:
    there_and_back, statements = RACES[name]
    outcomes: Counter[str] = Counter()
    done = asyncio.Event()

    async def change() -> None:
        await drifting.admin.execute("set lock_timeout = '2s'")
        for step in range(2 * _ROUNDS):
            changed = False
            while not changed:
                with contextlib.suppress(
                    asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError
                ):
                    await drifting.admin.execute(there_and_back[step % 2])
                    changed = True
                if not changed:
                    await drifting.admin.execute("rollback")
            ran = sum(outcomes.values())
            while sum(outcomes.values()) < ran + _READERS:  # noqa: ASYNC110 any of them, any way
                await asyncio.sleep(0)
        done.set()

    async def read(number: int) -> None:
        while not done.is_set() or sum(outcomes.values()) < _FEWEST:
            sql = statements[(number + sum(outcomes.values())) % len(statements)]
            got = await answered(drifting, sql)
            if isinstance(got, MaskgateError):
                assert PLANTED not in got.detail + (got.hint or "")
                outcomes[got.code] += 1
            else:
                assert PLANTED not in str(got), sql
                outcomes["rows"] += 1

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(change())
        for number in range(_READERS):
            tasks.create_task(read(number))
    assert outcomes["rows"] > 0, outcomes
    assert set(outcomes) <= {
        "rows", "protected_use", "invalid_request", "not_understood", "out_of_scope",
        "upstream_failed", "statement_refused", "unrepresentable",
    }  # fmt: skip
