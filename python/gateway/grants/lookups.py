"""How many protected values one identity has looked up within the last hour, by every gateway.

The count is in the control store and goes by its clock, so neither a restart nor a second gateway
nor a turned clock begins it anew. Refuses the lookup that would be one too many, and says when the
next one is answered. A lookup counts when it is asked for, whatever becomes of its statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.errors import LimitExceeded
from gateway.grants.store import ControlStore
from gateway.model import Identity, Permitted

_LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))"
_FORGET = """
DELETE FROM maskgate.lookups WHERE identity = $1 AND connection = $2 AND rule = $3
   AND at <= pg_catalog.now() - interval '1 hour'"""
_LATELY = """
SELECT pg_catalog.count(*) AS times,
       pg_catalog.ceil(extract(epoch FROM
           pg_catalog.min(at) + interval '1 hour' - pg_catalog.now()))::pg_catalog.int4 AS wait
  FROM (SELECT at FROM maskgate.lookups
         WHERE identity = $1 AND connection = $2 AND rule = $3
         ORDER BY at DESC LIMIT $4) AS lately"""
_COUNT = "INSERT INTO maskgate.lookups (identity, connection, rule) VALUES ($1, $2, $3)"


class Lookups:
    """The counter of one control store."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    async def charge(
        self, identity: Identity, connection: str, permitted: Iterable[Permitted]
    ) -> None:
        """Count the lookups among `permitted`: all of them or none.

        Raises LimitExceeded, with the seconds until the next one, and StoreUnavailable.
        """
        asked = sorted((one for one in permitted if one.option == "lookup"), key=_by_rule)
        if not asked:
            return
        async with self._store.transaction() as store:
            for one in asked:
                await _count(store, (identity.key, connection, one.rule), one)


async def _count(store: Any, key: tuple[str, str, str], one: Permitted) -> None:
    await store.execute(_LOCK, "\n".join(("lookups", *key)))
    await store.execute(_FORGET, *key)
    lately = await store.fetchrow(_LATELY, *key, one.per_hour)
    if lately["times"] >= one.per_hour:
        raise LimitExceeded(
            f"{one.columns[0]} may be looked up {one.per_hour} times an hour (rule {one.rule}), "
            "and that many lookups were answered",
            hint=f"the next one is answered in {lately['wait']} seconds",
            retry_after=max(1, lately["wait"]),
        )
    await store.execute(_COUNT, *key)


def _by_rule(one: Permitted) -> str:
    return one.rule
