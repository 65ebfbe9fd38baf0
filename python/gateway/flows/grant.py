"""Grants: asked for by one identity, decided by another, ended by time or by revocation.

(1) who is it  (2) may it  (3) the event's record is durable  (4) the change is in force. The state
machine itself is the grants room's; this journey checks names and shows the caller only his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.errors import InvalidRequest
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.flows.scope import checked_filters, resolve
from gateway.model import Credential, Grant, Identity


async def request(
    house: House,
    credential: Credential,
    client: str,
    *,
    connection: str,
    tables: list[Any],
    purpose: str,
    duration_s: int,
    max_rows: int | None,
    filters: dict[str, str] | None = None,
    **more: Any,
) -> Grant:
    """`POST /v1/grants`: pending, or active when a rule of `auto_approve` says so, or one of
    `break_glass` and the request says that it is an emergency, and why."""
    identity = await establish(house, credential, client)
    found = house.connection(connection)
    scope = await resolve(found, tables)
    conditions = await checked_filters(found, scope.tables, filters or {})
    return await house.grants.request(
        identity,
        connection,
        scope.tables,
        purpose,
        duration_s,
        max_rows,
        columns=scope.columns,
        filters={table: [condition] for table, condition in conditions.items()},
        database=await found.upstream.which(),
        **more,
    )


async def renew(
    house: House, credential: Credential, client: str, grant_id: str, **changes: Any
) -> Grant:
    """`POST /v1/grants/{id}/renew`: a new request for the scope of the caller's own grant."""
    identity = await establish(house, credential, client)
    return await house.grants.renew(grant_id, identity, **changes)


async def decide(
    house: House,
    credential: Credential,
    client: str,
    grant_id: str,
    verb: str,
    reason: str,
    filters: dict[str, str] | None = None,
) -> Grant:
    """`POST /v1/grants/{id}/approve|deny|revoke`. Raises Forbidden, Conflict or NotFound."""
    identity = await establish(house, credential, client)
    if filters:
        if verb != "approve":
            raise InvalidRequest("filters belong to an approval")
        asked = await house.grants.get(grant_id, identity)
        found = house.connection(asked.connection)
        more = await checked_filters(found, asked.tables, filters, dict(asked.filters))
        return await house.grants.approve(grant_id, identity, reason, more)
    change = {
        "approve": house.grants.approve,
        "deny": house.grants.deny,
        "revoke": house.grants.revoke,
    }[verb]
    return await change(grant_id, identity, reason)


async def show(house: House, credential: Credential, client: str, grant_id: str) -> Grant:
    identity = await establish(house, credential, client)
    return await house.grants.get(grant_id, identity)


async def history(
    house: House, credential: Credential, client: str, grant_id: str
) -> Sequence[dict[str, Any]]:
    """`GET /v1/grants/{id}/history`: who asked, who decided, when and why; for whom `show` is."""
    identity = await establish(house, credential, client)
    return await house.grants.history(grant_id, identity)


async def list_all(house: House, credential: Credential, client: str) -> Sequence[Grant]:
    """Own grants; approvers and auditors see everybody's."""
    identity = await establish(house, credential, client)
    return await house.grants.list(identity)


async def whoami(house: House, credential: Credential, client: str) -> Identity:
    return await establish(house, credential, client)


async def connections(house: House, credential: Credential, client: str) -> list[dict[str, Any]]:
    """`GET /v1/connections`: what there is, and what this identity's grants reach of it."""
    identity = await establish(house, credential, client)
    mine = [grant for grant in await house.grants.list(identity) if grant.identity == identity.key]
    return [
        {
            "name": name,
            "grants": [
                {"id": grant.id, "state": grant.state.value, "tables": list(grant.tables)}
                for grant in mine
                if grant.connection == name
            ],
        }
        for name in sorted(house.connections)
    ]
