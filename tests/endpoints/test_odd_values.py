"""Values at the edge of what a type or a row may hold, through the whole corridor."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncpg
from world import World


def directly(world: World, sql: str) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        admin = await asyncpg.connect(world.server.dsn(database=world.database))
        try:
            return [dict(row) for row in await admin.fetch(sql)]
        finally:
            await admin.close()

    return asyncio.run(ask())


#: PostgreSQL's one-byte type: letters, nothing, a control character, the high bit.
ONE_BYTE = r"""select 'r'::"char" as letter, ''::"char" as empty, 0::"char" as zero,
 E'\n'::"char" as control, '\200'::"char" as lowest, '\377'::"char" as highest,
 (-128)::"char" as negative, 127::"char" as del, null::"char" as missing"""


def test_the_one_byte_type_is_its_text(world: World) -> None:
    session = world.session(grant=world.grant()["id"])
    names = re.findall(r"as (\w+)", ONE_BYTE)
    texts = ", ".join(f"{name}::text" for name in names)
    (expected,) = directly(world, f"select {texts} from ({ONE_BYTE}) t")
    assert expected["highest"] != expected["lowest"]
    assert world.rows(session, ONE_BYTE) == [expected]
    lines = world.query(session, ONE_BYTE, accept="application/x-ndjson")
    assert [json.loads(line) for line in lines.text.splitlines()] == [expected]
    kinds = "select relname, relkind, relpersistence from pg_class where relname = 'patient'"
    assert world.rows(session, kinds) == [
        {"relname": "patient", "relkind": "r", "relpersistence": "p"}
    ]


def peak_mib(world: World) -> int:
    """The most memory the gateway's process has held, as Linux counts it."""
    status = Path(f"/proc/{world.gateway.child.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) >> 10


MANY = ", ".join(f"lpad(city, 30000000, 'y') as c{number}" for number in range(12))

#: Each with the code that ends it: the allow-list, PostgreSQL's own limit, the gateway's for a row.
ENORMOUS = {
    "select repeat('x', 900000000) as v": "statement_refused",
    "select lpad('x', 900000000, 'y') as v": "upstream_failed",
    "select format('%900000000s', 'x') as v": "limit_exceeded",
    f"select {MANY} from patient limit 1": "limit_exceeded",
}


def test_a_value_of_any_length_costs_the_gateway_a_bounded_amount(fragile: World) -> None:
    fragile.grant()
    session = fragile.session()
    assert fragile.rows(session, "select 1 as one") == [{"one": 1}]
    before = peak_mib(fragile)
    codes = {sql: fragile.query(session, sql).json()["code"] for sql in ENORMOUS}
    assert codes == ENORMOUS
    # A row of at most 64 MiB is held whole, and once more while the next piece is joined to it.
    assert peak_mib(fragile) - before < 256
    assert fragile.rows(session, "select 1 as one") == [{"one": 1}]
