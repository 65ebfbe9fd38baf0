"""A partition's rows are those within the bounds of a key: naming it is a predicate on that key.

And children that come and go while a statement is analysed and run.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from ward import GRANT, READER, Ward, copied

from gateway.errors import MaskgateError, NotUnderstood, ProtectedUse
from gateway.model import Question
from gateway.policy import Policy, decide, to_hide
from gateway.sql import analyse, protection
from gateway.upstream import transaction as transactions

LEDGERS = """
create table ledger (id int, ssn text, city text) partition by range (ssn);
create table ledger_low partition of ledger for values from ('0') to ('5')
    partition by list (upper(city));
create table ledger_low_oslo partition of ledger_low for values in ('OSLO');
create materialized view low as select id from ledger_low;
create view low_view as select id from ledger_low_oslo;
grant select on ledger, ledger_low, ledger_low_oslo, low, low_view to {reader}
"""


@pytest.mark.parametrize(
    "sql",
    [
        "select id from ledger_low",
        "select count(*) from ledger_low_oslo",
        "select l.id from ledger_low_oslo l",
        "select id from low_view",
        "select id from low",
        "select (select max(id) from ledger_low)",
    ],
)
async def test_the_bounds_of_a_partition_are_a_predicate(drifting: Ward, sql: str) -> None:
    """Which rows are in a partition tells within what bounds their key lies."""
    await drifting.admin.execute(LEDGERS.format(reader=READER))
    analysis = await drifting.analysis(sql)
    policy = Policy(
        "ward",
        {
            **{f"public.{t}.*": "clear" for t in ("ledger", "ledger_low", "ledger_low_oslo")},
            **{f"public.{t}.*": "clear" for t in ("low", "low_view")},
            "public.ledger.ssn": "token",
        },
        expressions="mask-at-source",
    )
    with pytest.raises(ProtectedUse, match=r"ssn is protected .*the bounds of the partition"):
        decide(GRANT, analysis, policy)
    with pytest.raises(ProtectedUse, match="the bounds of the partition"):
        to_hide(GRANT, analysis, policy)
    clear = Policy("ward", {"*.*.*": "clear"})
    assert decide(GRANT, analysis, clear)


async def test_a_partition_by_a_clear_key_is_read(drifting: Ward) -> None:
    assert await drifting.answer("select id from event_2024 order by id")


async def test_a_child_that_came_and_left_is_still_in_the_plan(drifting: Ward) -> None:
    """COPY reads the child's name, waits for its lock, and plans it though it has left by then."""
    pieces: list[bytes] = []
    async with drifting.database.transaction("walls") as transaction:
        approved = await analyse("select remark from person", [], transaction)
        await drifting.admin.execute("alter table archive.member inherit person")

        async def read() -> None:
            async for piece in copied(transaction, approved):
                pieces.append(piece)

        leaving = drifting.admin.transaction()
        await leaving.start()
        await drifting.admin.execute("alter table archive.member no inherit person")
        reading = asyncio.create_task(read())
        async with asyncio.timeout(60):
            waiting = 0
            while waiting == 0:  # what the server waits for has no event here
                waiting = await drifting.admin.fetchval(
                    "select count(*) from pg_locks, pg_sleep(0.01) where not granted"
                )
        await leaving.commit()
        with pytest.raises(NotUnderstood, match="came after the analysis"):
            await reading
    assert pieces == []


async def test_a_child_that_was_away_while_its_columns_were_looked_for(
    drifting: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there when the analysis lists the children, and again when COPY plans: its own rule for
    the column was not met in between."""
    close = protection.close

    async def away(*args: Any) -> protection.Protection:
        await drifting.admin.execute("alter table archive.member no inherit person")
        try:
            return await close(*args)
        finally:
            await drifting.admin.execute("alter table archive.member inherit person")

    monkeypatch.setattr(protection, "close", away)
    pieces: list[bytes] = []
    await drifting.admin.execute("alter table archive.member inherit person")
    try:
        async with drifting.database.transaction("walls") as transaction:
            found = await analyse("select remark from person", [], transaction)
            with pytest.raises(NotUnderstood, match="came after the analysis"):
                async for piece in copied(transaction, found):
                    pieces.append(piece)
    finally:
        await drifting.admin.execute("alter table archive.member no inherit person")
    assert pieces == []


@pytest.mark.parametrize("rows", [1, 200_000])
async def test_a_child_that_came_is_met_in_a_short_result_and_in_a_long_one(
    drifting: Ward, rows: int
) -> None:
    """The one is asked behind the rows, the other beside them."""
    sql = f"select p.remark from person p, generate_series(1, {rows})"
    pieces: list[bytes] = []
    async with drifting.database.transaction("walls") as transaction:
        found = await analyse(sql, [], transaction)
        await drifting.admin.execute("alter table archive.member inherit person")
        with pytest.raises(NotUnderstood, match="came after the analysis"):
            async for piece in copied(transaction, found):
                pieces.append(piece)
    assert pieces == []
    await drifting.admin.execute("alter table archive.member no inherit person")
    async with drifting.database.transaction("walls") as transaction:
        found = await analyse(sql, [], transaction)
        async for piece in copied(transaction, found):
            pieces.append(piece)
    assert sum(map(len, pieces)) > rows


@pytest.mark.parametrize(
    "answer",
    [
        "select 1 / 0 = 1 or $1::pg_catalog.oid[] = $2::pg_catalog.oid[]",
        "select false where $1::pg_catalog.oid[] <> $1 or $2::pg_catalog.oid[] <> $2",
        "select null::bool and $1::pg_catalog.oid[] = $2::pg_catalog.oid[]",
        "select $1::pg_catalog.oid[] <> $1 from generate_series(1, 2) "
        "where $2::pg_catalog.oid[] = $2",
    ],
    ids=["an error", "no row", "NULL", "two rows"],
)
async def test_no_row_goes_on_when_what_is_asked_behind_them_has_no_answer(
    drifting: Ward, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(transactions, "OWN", Question("maskgate_none", answer, 0))
    pieces: list[bytes] = []

    async def grown(*_: object) -> bool:
        """If the first rows came before what is asked behind them: no, when that has come, too."""
        assert transaction._copy is not None
        await transaction._copy.end(60)
        return False

    async with drifting.database.transaction("walls") as transaction:
        transaction._grown = grown
        found = await analyse("select remark from person", [], transaction)
        with pytest.raises(MaskgateError):
            async for piece in copied(transaction, found):
                pieces.append(piece)
    assert pieces == []


@pytest.mark.parametrize("approved", [(), ("archive.member",)])
async def test_no_row_comes_of_a_table_that_was_not_approved(
    drifting: Ward, approved: tuple[str, ...]
) -> None:
    """Also where the tree is the approved one, nothing grew and every lock is known."""
    known = [
        await drifting.admin.fetchval("select $1::text::regclass::oid::int8", name)
        for name in approved
    ]
    pieces: list[object] = []
    async with drifting.database.transaction("walls") as transaction:
        found = await analyse("select m.id from person, archive.member m", [], transaction)
        with pytest.raises(NotUnderstood, match="came after the analysis"):
            async for piece in transaction.stream(found.server_text, found.server_tree, known):
                pieces.append(piece)
    assert pieces == []


APART = """
create table event_apart (id int, day date not null, note text);
create view member_view as select * from archive.member;
grant select on event_apart, member_view to {reader}
"""


@pytest.mark.parametrize(
    ("parent", "beside", "becoming"),
    [
        ("person", "archive.member", "alter table archive.member inherit person"),
        ("person", "member_view", "alter table archive.member inherit person"),
        (
            "event",
            "event_apart",
            "alter table event attach partition event_apart for values from ('1999-01-01') to "
            "('2000-01-01')",
        ),
    ],
)
async def test_what_a_statement_reads_does_not_become_a_child_meanwhile(
    drifting: Ward, parent: str, beside: str, becoming: str
) -> None:
    """It is known for its own sake, and as a child it would come out by its parent's rule: Parse's
    lock on it, which lasts as long as the transaction, keeps it from becoming one."""
    await drifting.admin.execute(APART.format(reader=READER))
    await drifting.admin.execute("set lock_timeout = '50ms'")
    sql = f"select b.id, (select count(*) from {parent}) from {beside} b"
    async with drifting.database.transaction("walls") as transaction:
        found = await analyse(sql, [], transaction)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await drifting.admin.execute(becoming)
        async for _ in copied(transaction, found):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await drifting.admin.execute(becoming)
    await drifting.admin.execute(becoming)
