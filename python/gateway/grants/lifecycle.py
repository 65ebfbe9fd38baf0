"""The life of a grant: pending → active → expired | revoked, or pending → denied. No way back.

Refuses approval by a party to the request or by one person twice, any change a rule does not name,
and any answer from memory: each question is asked of the control store.

Order of a change, inside one transaction: the compare-and-swap UPDATE (which holds the row), the
history line, the record (`on_event`, durable when it returns), then COMMIT. A crash or a failed
commit between the last two leaves a record of a change that did not take effect, and a caller who
was told of a failure; never a grant in force that nobody recorded. When the record cannot be
written nothing changes, a revocation included: without a log nothing runs either.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from gateway.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitExceeded,
    LogUnavailable,
    MaskgateError,
    NoGrant,
    Refusal,
)
from gateway.grants import records, requests
from gateway.grants.access import AccessRules, BreakGlass, actor_key, parties
from gateway.grants.clock import Clock
from gateway.grants.force import as_of, ending, not_found, why_not
from gateway.grants.store import ControlStore
from gateway.grants.watch import Watch, Watcher
from gateway.grants.webhooks import Webhooks
from gateway.model import Grant, GrantState, Identity

OnEvent = Callable[[str, dict[str, Any]], Awaitable[None]]
T = TypeVar("T")

MAX_PENDING = 100  # of one identity, give or take requests sent at once: a flood of the approvers
LIST_LIMIT = 1000
BY_CLOCK = "clock"


class Grants:
    """Every question and every change about grants; one object for each gateway process.

    `on_event(name, payload)` makes one record durable, or raises and thereby stops the change; the
    names are `grant.requested`, `.endorsed` (one approval of several), `.approved`, `.break_glass`
    (begun without any), `.denied`, `.revoked`, `.expired`.
    """

    def __init__(
        self,
        store: ControlStore,
        rules: AccessRules,
        on_event: OnEvent,
        clock: Clock,
        webhooks: Webhooks | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._on_event = on_event
        self._clock = clock
        self._webhooks = webhooks
        self._watcher = Watcher(store, clock)

    async def close(self) -> None:
        """Stop watching. The store stays open: it belongs to whoever connected it."""
        await self._watcher.close()

    # -- changes ---------------------------------------------------------------------------------

    async def request(
        self,
        identity: Identity,
        connection: str,
        tables: Sequence[str],
        purpose: str,
        duration_s: int,
        max_rows: int | None = None,
        *,
        break_glass: str | None = None,
        **more: Any,
    ) -> Grant:
        """Ask for leave; active at once when a rule says so, else pending.

        `tables` are resolved by the caller ("schema.table", or "*" alone); `more` as in
        `requests.checked`. `break_glass` is the reason of an emergency: then a rule must allow it,
        and it begins now or is refused. Raises InvalidRequest, Forbidden, or LimitExceeded when too
        many requests of this identity wait already.
        """
        most = self._rules.max_duration_s
        wanted = requests.checked(
            connection, tables, purpose, duration_s, max_rows, most, now=self._clock(), **more
        )
        if break_glass is None:
            return await self._insert(identity, wanted)
        return await self._break_glass(identity, wanted, requests.checked_reason(break_glass))

    async def renew(
        self,
        grant_id: str,
        by: Identity,
        *,
        purpose: str | None = None,
        duration_s: int | None = None,
        ticket: str | None = None,
    ) -> Grant:
        """Ask for the scope of one's own grant once more: a request like any other, which has to be
        approved anew. The old grant stays what it is."""
        row = await self._row(grant_id)
        if row["identity"] != by.key:
            await self.get(grant_id, by)
            raise Forbidden("Only the holder of a grant asks for it again.")
        if row["state"] == GrantState.PENDING:
            raise Conflict(f"The grant {grant_id} waits for a decision already.")
        wanted = requests.checked(
            row["connection"],
            row["tables"],
            row["purpose"] if purpose is None else purpose,
            row["duration_s"] if duration_s is None else duration_s,
            row["max_rows"],
            self._rules.max_duration_s,
            now=self._clock(),
            ticket=row["ticket"] if ticket is None else ticket,
            hours=row["hours"],
            columns=json.loads(row["columns"]),
            filters=json.loads(row["filters"]),
            statement=row["statement"],
            params=None if row["parameters"] is None else json.loads(row["parameters"]),
            max_bytes=row["max_bytes"],
            max_concurrent=row["max_concurrent"],
            max_per_minute=row["max_per_minute"],
            database=row["database"],
        )
        return await self._insert(by, wanted, renews=grant_id)

    async def approve(
        self, grant_id: str, by: Identity, reason: str, filters: Mapping[str, str] | None = None
    ) -> Grant:
        """One approval, by an approver who is no party to the request and has not approved it yet;
        the last that is needed makes it active. `filters`, a checked condition for each table, are
        added to those that it has."""
        why = requests.checked_reason(reason)
        if not self._rules.approves(by):
            raise await self._not_an_approver(grant_id, by)
        await self._row(grant_id)

        async def change() -> Grant:
            async with self._store.change() as connection:
                row = await connection.fetchrow(records.LOCK, grant_id)
                before = await connection.fetch(records.APPROVALS, grant_id)
                self._check_approval(row, before, by)
                if filters:
                    narrowed = _narrowed(json.loads(row["filters"]), filters)
                    row = await connection.fetchrow(records.NARROW, grant_id, json.dumps(narrowed))
                await connection.execute(
                    records.APPROVE, grant_id, by.key, actor_key(by), self._clock(), why
                )
                needed = max(row["approvals_needed"], self._rules.needed(row["connection"]))
                if len(before) + 1 >= needed:
                    return records.grant(
                        await self._activate(connection, row, by.key, why, "approved")
                    )
                row = await connection.fetchrow(records.ONE, grant_id)
                await self._record(connection, row, "endorsed", by.key, why)
                return records.grant(row)

        return await _to_the_end(change())

    async def deny(self, grant_id: str, by: Identity, reason: str) -> Grant:
        """pending → denied, by an approver; or by the requester, who withdraws it."""
        return await self._decide(grant_id, by, reason, GrantState.PENDING, GrantState.DENIED)

    async def revoke(self, grant_id: str, by: Identity, reason: str) -> Grant:
        """active → revoked, by an approver; or by the holder, who gives it back."""
        return await self._decide(grant_id, by, reason, GrantState.ACTIVE, GrantState.REVOKED)

    async def expire_due(self, now: datetime | None = None) -> tuple[Grant, ...]:
        """Move every active grant whose time is over to expired; safe from several gateways.

        A grant whose time is over is out of force without this: it makes it so in the store and in
        the records. Raises StoreUnavailable and LogUnavailable; what is left is due the next time.
        A clock that is not agreed on ends nothing for the other gateways.
        """
        self._clock.check()
        moment = self._clock() if now is None else now
        due = await self._store.fetch(records.DUE, moment)
        ended = [await self._expire(row["id"], moment) for row in due]
        return tuple(grant for grant in ended if grant is not None)

    async def charge_rows(self, grant_id: str, rows: int, octets: int = 0) -> Grant:
        """Count `rows` and bytes against the grant before they leave; all of them or none.

        Raises LimitExceeded when they do not fit in what is left over the life of the grant, and
        NoGrant or GrantExpired when it is no longer in force. Atomic over all gateways.
        """
        count = requests.checked_rows(rows)
        now = self._clock()
        row = await self._store.fetchrow(records.CHARGE, grant_id, count, now, octets)
        if row is not None:
            return records.grant(row)
        present = records.grant(await self._row(grant_id))
        ended = ending(present, now)
        if ended is not None:
            raise ended
        if present.max_rows is None or present.rows_released + count <= present.max_rows:
            raise LimitExceeded(
                f"The grant {grant_id} allows {present.max_bytes} bytes in all; "
                f"{present.bytes_released} were released and {octets} more do not fit.",
                hint="Ask for a grant with a higher max_bytes, or select less.",
            )
        raise LimitExceeded(
            f"The grant {grant_id} allows {present.max_rows} rows in all; "
            f"{present.rows_released} were released and {count} more do not fit.",
            hint="Ask for a grant with a higher max_rows, or select fewer rows.",
        )

    # -- questions -------------------------------------------------------------------------------

    async def in_force(
        self,
        identity: Identity,
        connection: str,
        now: datetime | None = None,
        *,
        grant_id: str | None = None,
    ) -> Grant:
        """The grant this identity may use on this connection now: the one named, else the one that
        ends last. Raises NoGrant or GrantExpired with what to do."""
        self._clock.check()
        moment = self._clock() if now is None else now
        if grant_id is not None and not requests.is_id(grant_id):
            raise NoGrant("That is not the id of a grant.")
        rows = await self._store.fetch(records.OF_IDENTITY, identity.key, connection, grant_id)
        grants = [records.grant(row) for row in rows]
        for number, grant in enumerate(grants):
            if as_of(grant, moment).state is not grant.state:
                # What was once over stays over, even if the clock is set back later.
                grants[number] = await self._expire(grant.id, moment) or grant
        usable = [grant for grant in grants if ending(grant, moment) is None]
        if usable:
            return max(usable, key=lambda grant: (grant.expires_at or moment, grant.id))
        raise why_not(grants, connection, grant_id, moment)

    async def get(self, grant_id: str, by: Identity) -> Grant:
        """One grant, for its holder, approvers and auditors; NotFound for anybody else."""
        row = await self._row(grant_id)
        if row["identity"] != by.key and not self._rules.sees_all(by):
            raise not_found()
        return as_of(records.grant(row), self._clock())

    async def list(
        self, by: Identity, *, state: GrantState | None = None, limit: int = LIST_LIMIT
    ) -> tuple[Grant, ...]:
        """The newest grants first: one's own; approvers and auditors see everybody's."""
        whose = None if self._rules.sees_all(by) else by.key
        now, most = self._clock(), max(1, min(limit, LIST_LIMIT))
        rows = await self._store.fetch(records.LIST, whose, state, most, now)
        return tuple(as_of(records.grant(row), now) for row in rows)

    async def history(self, grant_id: str, by: Identity) -> tuple[dict[str, Any], ...]:
        """Who asked, who decided, when and why; visible as `get` is."""
        await self.get(grant_id, by)
        rows = await self._store.fetch(records.HISTORY, grant_id)
        return tuple(records.event(row) for row in rows)

    def watch(self, grant_id: str, told: Callable[[Refusal], None]) -> Watch:
        """Tells within a second that the grant has ended."""
        return self._watcher.watch(grant_id, told)

    # -- inside ----------------------------------------------------------------------------------

    async def _decide(
        self, grant_id: str, by: Identity, reason: str, before: GrantState, after: GrantState
    ) -> Grant:
        why = requests.checked_reason(reason)
        row = await self._row(grant_id)
        if row["identity"] != by.key and not self._rules.approves(by):
            raise await self._not_an_approver(grant_id, by)

        async def change() -> Grant:
            async with self._store.change() as connection:
                changed = await connection.fetchrow(
                    records.DECIDE, grant_id, before, after, by.key, self._clock(), why
                )
                if changed is None:
                    raise await self._conflict(connection, grant_id, before)
                await self._record(connection, changed, after.value, by.key, why)
                return records.grant(changed)

        return await _to_the_end(change())

    async def _insert(
        self, identity: Identity, wanted: requests.Wanted, *, renews: str | None = None
    ) -> Grant:
        rule = self._rules.automatic(identity, wanted.connection, wanted.duration_s)

        async def change() -> Grant:
            async with self._store.change() as connection:
                row = await self._pending(connection, identity, wanted, renews, glass=False)
                if rule is not None:
                    by = f"auto:{rule.name}"
                    row = await self._activate(
                        connection, row, by, "auto-approval rule", "approved"
                    )
                return records.grant(row)

        return await _to_the_end(change())

    async def _break_glass(self, identity: Identity, wanted: requests.Wanted, why: str) -> Grant:
        rule = self._emergency(identity, wanted)

        async def change() -> Grant:
            async with self._store.change() as connection:
                row = await self._pending(connection, identity, wanted, None, glass=True)
                by = f"break-glass:{rule.name}"
                row = await self._activate(connection, row, by, why, "break_glass")
                return records.grant(row)

        return await _to_the_end(change())

    def _emergency(self, identity: Identity, wanted: requests.Wanted) -> BreakGlass:
        """The rule by which this request begins at once. Raises Forbidden and InvalidRequest."""
        rule = self._rules.emergency(identity, wanted.connection)
        if rule is None:
            raise Forbidden(
                f"No rule lets you break the glass of the connection {wanted.connection!r}.",
                hint="Ask for a grant and have it approved.",
            )
        if wanted.duration_s > rule.max_duration_s:
            raise InvalidRequest(
                f"A broken glass lasts {rule.max_duration_s} s at most, not {wanted.duration_s} s."
            )
        if wanted.begins_at is not None or wanted.hours:
            raise InvalidRequest("A broken glass begins at once: not_before and hours do not fit.")
        return rule

    async def _pending(
        self,
        connection: Any,
        identity: Identity,
        wanted: requests.Wanted,
        renews: str | None,
        *,
        glass: bool,
    ) -> Any:
        waiting = await connection.fetchval(records.COUNT_PENDING, identity.key)
        if waiting >= MAX_PENDING:
            raise LimitExceeded(
                f"{waiting} requests of this identity wait for a decision already.",
                hint="Wait for a decision, or withdraw a request: deny it yourself.",
            )
        row = await connection.fetchrow(
            records.INSERT,
            f"g-{secrets.token_hex(8)}",
            identity.key,
            actor_key(identity),
            wanted.connection,
            list(wanted.tables),
            wanted.purpose,
            self._clock(),
            wanted.duration_s,
            wanted.max_rows,
            wanted.ticket,
            wanted.begins_at,
            list(wanted.hours),
            self._rules.needed(wanted.connection),
            glass,
            renews,
            wanted.columns,
            wanted.statement,
            wanted.parameters,
            wanted.max_bytes,
            wanted.max_concurrent,
            wanted.max_per_minute,
            wanted.filters,
            wanted.database,
        )
        await self._record(connection, row, "requested", identity.key, wanted.purpose)
        return row

    def _check_approval(self, row: Any, before: Sequence[Any], by: Identity) -> None:
        """Raises Forbidden and Conflict: whoever asked for it, or approved it, has had his say, and
        so has everybody who stands behind the same person."""
        if {row["identity"], row["actor"]} & parties(by):
            raise Forbidden(
                "Nobody approves a request of their own, or of an agent that acts for them.",
                hint="Ask another approver.",
            )
        if row["duration_s"] > self._rules.max_duration_s:
            raise Conflict(
                f"The request is for {row['duration_s']} s; at most {self._rules.max_duration_s} s "
                "are allowed now.",
                hint="Deny it and ask for a shorter one.",
            )
        if row["state"] != GrantState.PENDING:
            raise _wrong_state(row, GrantState.PENDING)
        if any({one["identity"], one["actor"]} & parties(by) for one in before):
            raise Conflict(
                "You, or somebody who acts for you, have approved this request already.",
                hint="Another approver must approve it as well.",
            )

    async def _activate(self, connection: Any, row: Any, by: str, why: str, event: str) -> Any:
        self._clock.check()
        now = self._clock.earliest()
        begins = now if row["begins_at"] is None else max(now, row["begins_at"])
        until = begins + timedelta(seconds=row["duration_s"])
        changed = await connection.fetchrow(
            records.ACTIVATE, row["id"], by, now, begins, until, why
        )
        if changed is None:
            raise await self._conflict(connection, row["id"], GrantState.PENDING)
        told = row["identity"] if event == "break_glass" else by
        await self._record(connection, changed, event, told, why)
        return changed

    async def _expire(self, grant_id: str, now: datetime) -> Grant | None:
        """active → expired when it is due; None when another gateway was first."""

        async def change() -> Grant | None:
            async with self._store.change() as connection:
                row = await connection.fetchrow(records.EXPIRE, grant_id, now)
                if row is None:
                    return None
                await self._record(connection, row, "expired", BY_CLOCK, None)
                return records.grant(row)

        return await _to_the_end(change())

    async def _record(
        self, connection: Any, row: Any, event: str, by: str, reason: str | None
    ) -> None:
        """The history line in this transaction, then the record outside it, durable first."""
        at = self._clock()
        await connection.execute(records.ADD_EVENT, row["id"], at, event, by, reason)
        if self._webhooks is not None:
            await self._webhooks.put(connection, row, event, by, at)
        try:
            await self._on_event(f"grant.{event}", records.payload(row, by, at, reason))
        except MaskgateError:
            raise
        except Exception as error:
            raise LogUnavailable(
                "The change of the grant could not be recorded; nothing was changed."
            ) from error

    async def _row(self, grant_id: str) -> Any:
        row = None
        if requests.is_id(grant_id):
            row = await self._store.fetchrow(records.ONE, grant_id)
        if row is None:
            raise not_found()
        return row

    async def _not_an_approver(self, grant_id: str, by: Identity) -> Refusal:
        """Forbidden for those who may see the grant, NotFound for others."""
        await self.get(grant_id, by)
        return Forbidden("Only an approver decides about grants.")

    async def _conflict(self, connection: Any, grant_id: str, expected: GrantState) -> Conflict:
        return _wrong_state(await connection.fetchrow(records.ONE, grant_id), expected)


def _narrowed(filters: Mapping[str, list[str]], more: Mapping[str, str]) -> dict[str, list[str]]:
    """Conditions are added and none is taken away; the guard of the control store sees to it."""
    added = {table: [*filters.get(table, ()), condition] for table, condition in more.items()}
    return {**filters, **added}


def _wrong_state(row: Any, expected: GrantState) -> Conflict:
    return Conflict(f"The grant {row['id']} is {row['state']}; it would have to be {expected}.")


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Finish a change although its caller has gone: a record must not outlive its rollback."""
    task = asyncio.ensure_future(change)
    _running.add(task)  # the loop alone would not keep it alive
    task.add_done_callback(_running.discard)
    return await asyncio.shield(task)


_running: set[asyncio.Future[Any]] = set()
