"""How grants stand in the control store, and in the record of each change.

The statements are here, the rules in lifecycle.py. Each change of state is one compare-and-swap: it
names the state it expects, and returns no row when another was first. Records hold no floats and no
integers of 2^53 or more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gateway.model import Grant, GrantState, all_of

INSERT = """
INSERT INTO maskgate.grants (id, identity, actor, connection, tables, purpose, state, requested_at,
                             duration_s, max_rows, ticket, begins_at, hours, approvals_needed,
                             break_glass, renews, columns, statement, parameters, max_bytes,
                             max_concurrent, max_per_minute, filters, database)
VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        $19, $20, $21, $22, $23) RETURNING *"""

NARROW = """
UPDATE maskgate.grants SET filters = $2 WHERE id = $1 AND state = 'pending' RETURNING *"""

# Holds the row to the end of the transaction: of two approvals at once the second sees the first.
LOCK = "SELECT * FROM maskgate.grants WHERE id = $1 FOR UPDATE"

# Its trigger counts it in the grant.
APPROVE = """
INSERT INTO maskgate.grant_approvals (grant_id, identity, actor, at, reason)
VALUES ($1, $2, $3, $4, $5)"""

APPROVALS = "SELECT identity, actor FROM maskgate.grant_approvals WHERE grant_id = $1 ORDER BY seq"

ACTIVATE = """
UPDATE maskgate.grants
   SET state = 'active', decided_by = $2, decided_at = $3, not_before = $4, expires_at = $5,
       reason = $6
 WHERE id = $1 AND state = 'pending' RETURNING *"""

DECIDE = """
UPDATE maskgate.grants SET state = $3, decided_by = $4, decided_at = $5, reason = $6
 WHERE id = $1 AND state = $2 RETURNING *"""

EXPIRE = """
UPDATE maskgate.grants SET state = 'expired'
 WHERE id = $1 AND state = 'active' AND expires_at <= $2 RETURNING *"""

CHARGE = """
UPDATE maskgate.grants SET rows_released = rows_released + $2, bytes_released = bytes_released + $4
 WHERE id = $1 AND state = 'active' AND expires_at > $3
   AND (max_rows IS NULL OR rows_released + $2 <= max_rows)
   AND (max_bytes IS NULL OR bytes_released + $4 <= max_bytes) RETURNING *"""

ADD_EVENT = """
INSERT INTO maskgate.grant_events (grant_id, at, event, by, reason) VALUES ($1, $2, $3, $4, $5)"""

DUE = """
SELECT id FROM maskgate.grants WHERE state = 'active' AND expires_at <= $1
 ORDER BY expires_at LIMIT 1000"""

COUNT_PENDING = """
SELECT count(*) FROM maskgate.grants WHERE identity = $1 AND state = 'pending'"""

ONE = "SELECT * FROM maskgate.grants WHERE id = $1"

# Every active grant, and the newest one of the others, which says why there is none.
OF_IDENTITY = """
SELECT * FROM maskgate.grants
 WHERE identity = $1 AND connection = $2 AND ($3::text IS NULL OR id = $3) AND state = 'active'
 UNION ALL
(SELECT * FROM maskgate.grants
  WHERE identity = $1 AND connection = $2 AND ($3::text IS NULL OR id = $3) AND state <> 'active'
  ORDER BY requested_at DESC, id LIMIT 1)"""

# A grant whose time is over is expired, before its row says so.
LIST = """
SELECT * FROM maskgate.grants
 WHERE ($1::text IS NULL OR identity = $1)
   AND ($2::text IS NULL
        OR $2 = CASE WHEN state = 'active' AND expires_at <= $4 THEN 'expired' ELSE state END)
 ORDER BY requested_at DESC, id LIMIT $3"""

HISTORY = """
SELECT seq, at, event, by, reason FROM maskgate.grant_events WHERE grant_id = $1 ORDER BY seq"""

STATES = "SELECT id, state FROM maskgate.grants WHERE id = ANY ($1::text[])"


def grant(row: Any) -> Grant:
    return Grant(
        id=row["id"],
        identity=row["identity"],
        connection=row["connection"],
        tables=tuple(row["tables"]),
        purpose=row["purpose"],
        state=GrantState(row["state"]),
        requested_at=row["requested_at"],
        duration_s=row["duration_s"],
        not_before=row["not_before"],
        expires_at=row["expires_at"],
        max_rows=row["max_rows"],
        rows_released=row["rows_released"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        reason=row["reason"],
        ticket=row["ticket"],
        begins_at=row["begins_at"],
        hours=tuple(row["hours"]),
        approvals_needed=row["approvals_needed"],
        approvals=tuple(row["approvals"]),
        break_glass=row["break_glass"],
        renews=row["renews"],
        columns=_columns(row["columns"]),
        filters=_filters(row["filters"]),
        statement=row["statement"],
        parameters=row["parameters"],
        max_bytes=row["max_bytes"],
        bytes_released=row["bytes_released"],
        max_concurrent=row["max_concurrent"],
        max_per_minute=row["max_per_minute"],
        database=row["database"],
    )


def _columns(stored: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if stored == "{}":
        return ()
    return tuple((table, tuple(names)) for table, names in sorted(json.loads(stored).items()))


def _filters(stored: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if stored == "{}":
        return ()
    return tuple((table, tuple(some)) for table, some in sorted(json.loads(stored).items()))


def event(row: Any) -> dict[str, Any]:
    """One line of a grant's history, as JSON can hold it."""
    return {
        "seq": row["seq"],
        "at": text_of(row["at"]),
        "event": row["event"],
        "by": row["by"],
        "reason": row["reason"],
    }


def payload(row: Any, by: str, at: datetime, reason: str | None) -> dict[str, Any]:
    """What the record of a change says: who, when, why, and the whole scope after it."""
    return {
        "grant": row["id"],
        "identity": row["identity"],
        "actor": row["actor"],
        "connection": row["connection"],
        "tables": list(row["tables"]),
        "purpose": row["purpose"],
        "ticket": row["ticket"],
        "state": row["state"],
        "duration_s": row["duration_s"],
        "not_before": text_of(row["not_before"]),
        "expires_at": text_of(row["expires_at"]),
        "max_rows": row["max_rows"],
        "rows_released": row["rows_released"],
        "begins_at": text_of(row["begins_at"]),
        "hours": list(row["hours"]),
        "approvals_needed": row["approvals_needed"],
        "approvals": list(row["approvals"]),
        "break_glass": row["break_glass"],
        "renews": row["renews"],
        "columns": json.loads(row["columns"]),
        "filters": {table: all_of(some) for table, some in json.loads(row["filters"]).items()},
        "statement": row["statement"],
        "parameters": row["parameters"],
        "max_bytes": row["max_bytes"],
        "bytes_released": row["bytes_released"],
        "max_concurrent": row["max_concurrent"],
        "max_per_minute": row["max_per_minute"],
        "database": row["database"],
        "by": by,
        "at": text_of(at),
        "reason": reason,
    }


def text_of(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds, as records write times."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
