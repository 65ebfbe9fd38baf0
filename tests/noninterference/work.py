"""How much work a statement is, by the server's own count: rows and loops of each step of its plan.

Time is not judged: it depends on the machine. What a statement's time depends on is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import asyncpg

_EXPLAIN = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF, BUFFERS OFF, FORMAT JSON) "
_COUNTED = ("Node Type", "Relation Name", "Actual Rows", "Actual Loops")


async def counted(connection: asyncpg.Connection[Any], sql: str) -> str:
    """The steps of the plan with the rows and loops of each, or the class of the error."""
    try:
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL statement_timeout = '10s'; SET LOCAL jit = off")
            answer = await connection.fetchval(f"{_EXPLAIN}{sql}")
    except asyncpg.PostgresError as error:
        return f"error of class {(error.sqlstate or '??')[:2]}"
    return json.dumps(_steps(json.loads(answer)[0]["Plan"]))


def _steps(plan: Mapping[str, Any]) -> dict[str, Any]:
    step = {name: plan[name] for name in _COUNTED if name in plan}
    step |= {name: value for name, value in plan.items() if name.startswith("Rows Removed")}
    step["Plans"] = [_steps(inner) for inner in plan.get("Plans", ())]
    return step
