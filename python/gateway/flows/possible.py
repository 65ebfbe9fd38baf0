"""What `maskgate check` says of treatments that the columns' types cannot take.

A statement that selects such a column is refused before a row is read; whoever writes the policy
should know before anybody does. It reads no row, and it leaves out what it cannot analyse: step 4
has the last word.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.errors import InvalidRequest, Refusal
from gateway.flows.house import Connection
from gateway.masking import TokenKey, open_stream
from gateway.model import Analysis, ColumnDecision, Decision
from gateway.policy import unreadable_beside
from gateway.sql import Described, analyse, describe, selecting
from gateway.treatments import companions

_SESSION = "check"  # the application_name of look-ups
#: Treatments that every type can take, or that never reach the kernel.
_OF_EVERY_TYPE = frozenset({"clear", "redact", "null", "deny"})
#: Whether a treatment is possible is no matter of the key.
_NO_KEY = TokenKey(bytes(32), "none")


async def impossible(connection: Connection) -> list[str]:
    """A sentence for each column whose treatment its type cannot take, with what it can."""
    policy = connection.policy
    async with connection.upstream.transaction(_SESSION) as transaction:
        columns = await describe(transaction)
    tables: dict[str, list[Described]] = {}
    for entry in columns:
        if entry.kind != "v":
            tables.setdefault(entry.table, []).append(entry)
    found = []
    for entries in tables.values():
        every = {entry: policy.treatment_of(entry.column) for entry in entries}
        treated = {e: found for e, found in every.items() if found[0].name not in _OF_EVERY_TYPE}
        beside = {name for found, _ in treated.values() for name in companions(found)}
        named = [entry for entry in entries if entry in treated or entry.column.name in beside]
        analysis = await _analysed(connection, named) if treated else None
        if analysis is None:
            continue
        outputs = dict(zip((entry.column.name for entry in named), analysis.outputs, strict=True))
        for entry, (treatment, reason) in treated.items():
            output = outputs[entry.column.name]
            decided = ColumnDecision(output.name, treatment, reason, (str(entry.column),))
            alone = replace(analysis, outputs=(output,))
            said = _refused(alone, decided, connection)
            for name in () if said else companions(treatment):
                said = said or unreadable_beside(name, outputs.get(name))
            if said:
                found.append(f"{entry.column} ({reason}): {said}")
    return found


async def _analysed(connection: Connection, entries: list[Described]) -> Analysis | None:
    """A statement that selects the columns of one table; None if it would be refused."""
    column = entries[0].column
    text = selecting(column.schema, column.table, [entry.column.name for entry in entries])
    try:
        async with connection.upstream.transaction(_SESSION) as transaction:
            return await analyse(text, (), transaction, connection.analysis)
    except Refusal:
        return None


def _refused(analysis: Analysis, decided: ColumnDecision, connection: Connection) -> str:
    """What the kernel says against the treatment; empty if nothing."""
    try:
        open_stream(
            analysis,
            Decision(columns=(decided,), policy_hash=""),
            _NO_KEY,
            encoding="arrow",
            metadata={},
            limit_rows=None,
            infinity="error",
            token_domain=connection.token_domain,
            patterns=connection.policy.definitions.kernel,
        )
    except InvalidRequest as error:
        return error.detail
    return ""
