"""What a connection holds, by name: so that an agent can ask for the right tables.

(1) who is it  (2) the names and types, from the catalog  (3) what would happen to each column. It
needs no grant because it holds no row.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import Refusal
from gateway.flows.entrance import establish
from gateway.flows.house import Connection, House
from gateway.model import Credential
from gateway.policy import Policy, foreseen
from gateway.sql import Described, analyse, describe

_SESSION = "schema"  # the application_name of look-ups


async def schema(
    house: House, credential: Credential, client: str, connection: str
) -> list[dict[str, Any]]:
    """`GET /v1/connections/{c}/schema`: per column its type, its treatment for the caller, the
    reason, and the options that allow more."""
    identity = await establish(house, credential, client)
    found = house.connection(connection)
    found.admit(identity)
    policy = found.policy.for_groups(identity.groups)
    async with found.upstream.transaction(_SESSION) as transaction:
        columns = await describe(transaction)
    views = {entry.table: entry for entry in columns if entry.kind == "v"}
    traced = {name: await _through(found, policy, entry) for name, entry in views.items()}
    items = []
    for entry in columns:
        if entry.kind == "v":
            options = None
            treatment, reason = traced[entry.table].get(
                entry.column.name, ("refused", "the view computes it from a protected column")
            )
        else:
            chosen, reason = policy.treatment_of(entry.column)
            treatment = chosen.name
            options = policy.options_of(entry.column)[0].worded() or None
        items.append(
            {
                "table": entry.table,
                "kind": _KINDS[entry.kind],
                "column": entry.column.name,
                "type": entry.type_name,
                "treatment": treatment,
                "reason": reason,
                "options": options,
            }
        )
    return items


_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialised view"}


async def _through(
    connection: Connection, policy: Policy, entry: Described
) -> dict[str, tuple[str, str]]:
    """A view's columns as `select *` from it would be treated; a refused one is left out."""
    name = ".".join(f'"{part}"' for part in (entry.column.schema, entry.column.table))
    treated: dict[str, tuple[str, str]] = {}
    try:
        async with connection.upstream.transaction(_SESSION) as transaction:
            analysis = await analyse(f"select * from {name}", (), transaction)  # noqa: S608 analysed
    except Refusal:
        return treated
    for output in analysis.outputs:
        try:
            decided = foreseen(output, analysis, policy)
        except Refusal:
            continue
        treated[output.name] = (decided.treatment.name, decided.reason)
    return treated
