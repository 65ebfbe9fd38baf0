"""A partition's rows are those within the bounds of a key: naming it is a predicate on that key."""

from __future__ import annotations

import pytest
from ward import GRANT, READER, Ward

from gateway.errors import ProtectedUse
from gateway.policy import Policy, decide, to_hide

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
