"""The life of a grant: pending → active → expired | revoked, or pending → denied. No way back.

Refuses approval by a party to the request, any change a rule does not name, and any answer from
memory: each question is asked of the control store.

Order of a change, inside one transaction: the compare-and-swap UPDATE (which holds the row), the
history line, the record (`on_event`, durable when it returns), then COMMIT. A crash or a failed
commit between the last two leaves a record of a change that did not take effect, and a caller who
was told of a failure; never a grant in force that nobody recorded. When the record cannot be
written nothing changes, a revocation included: without a log nothing runs either.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway.errors import (
    Conflict,
    Forbidden,
    GrantExpired,
    LimitExceeded,
    LogUnavailable,
    MaskgateError,
    NoGrant,
    NotFound,
    Refusal,
)
from gateway.grants import records, requests
from gateway.grants.access import AccessRules, actor_key, parties
from gateway.grants.store import ControlStore
from gateway.grants.watch import Watch, Watcher
from gateway.model import Grant, GrantState, Identity

Clock = Callable[[], datetime]
OnEvent = Callable[[str, dict[str, Any]], Awaitable[None]]
T = TypeVar("T")

MAX_PENDING = 100  # of one identity, give or take requests sent at once: a flood of the approvers
LIST_LIMIT = 1000
BY_CLOCK = "clock"
SKEW = timedelta(seconds=5)  # between the clocks of gateways that share a store


def utc_now() -> datetime:
    return datetime.now(UTC)


class Grants:
    """Every question and every change about grants; one object for each gateway process.

    `on_event(name, payload)` makes one record durable, or raises and thereby stops the change; the
    names are `grant.requested`, `.approved`, `.denied`, `.revoked`, `.expired`.
    """

    def __init__(
        self, store: ControlStore, rules: AccessRules, on_event: OnEvent, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._rules = rules
        self._on_event = on_event
        self._clock = clock
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
    ) -> Grant:
        """Ask for leave; active at once when an auto-approval rule says so, else pending.

        `tables` are resolved by the caller ("schema.table", or "*" alone). Raises InvalidRequest,
        or LimitExceeded when too many requests of this identity wait already.
        """
        wanted = requests.checked(
            connection, tables, purpose, duration_s, max_rows, self._rules.max_duration_s
        )
        rule = self._rules.automatic(identity, wanted.connection, wanted.duration_s)
        grant_id = f"g-{secrets.token_hex(8)}"

        async def change() -> Grant:
            async with self._store.transaction() as connection_:
                waiting = await connection_.fetchval(records.COUNT_PENDING, identity.key)
                if waiting >= MAX_PENDING:
                    raise LimitExceeded(
                        f"{waiting} requests of this identity wait for a decision already.",
                        hint="Wait for a decision, or withdraw a request: deny it yourself.",
                    )
                row = await connection_.fetchrow(
                    records.INSERT,
                    grant_id,
                    identity.key,
                    actor_key(identity),
                    wanted.connection,
                    list(wanted.tables),
                    wanted.purpose,
                    self._clock(),
                    wanted.duration_s,
                    wanted.max_rows,
                )
                await self._record(connection_, row, "requested", identity.key, wanted.purpose)
                if rule is not None:
                    row = await self._activate(
                        connection_, row, f"auto:{rule.name}", "auto-approval rule"
                    )
                return records.grant(row)

        return await _to_the_end(change())

    async def approve(self, grant_id: str, by: Identity, reason: str) -> Grant:
        """pending → active from now on, by an approver who is no party to the request."""
        why = requests.checked_reason(reason)
        if not self._rules.approves(by):
            raise await self._not_an_approver(grant_id, by)
        row = await self._row(grant_id)
        asking = {row["identity"], row["actor"]} - {None}
        if asking & parties(by):
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

        async def change() -> Grant:
            async with self._store.transaction() as connection:
                return records.grant(await self._activate(connection, row, by.key, why))

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
        """
        moment = self._clock() if now is None else now
        due = await self._store.fetch(records.DUE, moment)
        ended = [await self._expire(row["id"], moment) for row in due]
        return tuple(grant for grant in ended if grant is not None)

    async def charge_rows(self, grant_id: str, rows: int) -> Grant:
        """Count `rows` against the grant before they leave; all of them or none.

        Raises LimitExceeded when they do not fit in what is left over the life of the grant, and
        NoGrant or GrantExpired when it is no longer in force. Atomic over all gateways.
        """
        count = requests.checked_rows(rows)
        now = self._clock()
        row = await self._store.fetchrow(records.CHARGE, grant_id, count, now)
        if row is not None:
            return records.grant(row)
        present = records.grant(await self._row(grant_id))
        ended = ending(present, now)
        if ended is not None:
            raise ended
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
        moment = self._clock() if now is None else now
        if grant_id is not None and not requests.is_id(grant_id):
            raise NoGrant("That is not the id of a grant.")
        rows = await self._store.fetch(records.OF_IDENTITY, identity.key, connection, grant_id)
        grants = [records.grant(row) for row in rows]
        for number, grant in enumerate(grants):
            if grant.state is GrantState.ACTIVE and ending(grant, moment) is not None:
                # What was once over stays over, even if the clock is set back later.
                grants[number] = await self._expire(grant.id, moment) or grant
        usable = [grant for grant in grants if ending(grant, moment) is None]
        if usable:
            return max(usable, key=lambda grant: (grant.expires_at or moment, grant.id))
        raise _why_not(grants, connection, grant_id, moment)

    async def get(self, grant_id: str, by: Identity) -> Grant:
        """One grant, for its holder, approvers and auditors; NotFound for anybody else."""
        row = await self._row(grant_id)
        if row["identity"] != by.key and not self._rules.sees_all(by):
            raise _not_found()
        return records.grant(row)

    async def list(
        self, by: Identity, *, state: GrantState | None = None, limit: int = LIST_LIMIT
    ) -> tuple[Grant, ...]:
        """The newest grants first: one's own; approvers and auditors see everybody's."""
        whose = None if self._rules.sees_all(by) else by.key
        rows = await self._store.fetch(records.LIST, whose, state, max(1, min(limit, LIST_LIMIT)))
        return tuple(records.grant(row) for row in rows)

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
            async with self._store.transaction() as connection:
                changed = await connection.fetchrow(
                    records.DECIDE, grant_id, before, after, by.key, self._clock(), why
                )
                if changed is None:
                    raise await self._conflict(connection, grant_id, before)
                await self._record(connection, changed, after.value, by.key, why)
                return records.grant(changed)

        return await _to_the_end(change())

    async def _activate(self, connection: Any, row: Any, by: str, why: str) -> Any:
        now = self._clock()
        until = now + timedelta(seconds=row["duration_s"])
        changed = await connection.fetchrow(records.ACTIVATE, row["id"], by, now, until, why)
        if changed is None:
            raise await self._conflict(connection, row["id"], GrantState.PENDING)
        await self._record(connection, changed, "approved", by, why)
        return changed

    async def _expire(self, grant_id: str, now: datetime) -> Grant | None:
        """active → expired when it is due; None when another gateway was first."""

        async def change() -> Grant | None:
            async with self._store.transaction() as connection:
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
            raise _not_found()
        return row

    async def _not_an_approver(self, grant_id: str, by: Identity) -> Refusal:
        """Forbidden for those who may see the grant, NotFound for others."""
        await self.get(grant_id, by)
        return Forbidden("Only an approver decides about grants.")

    async def _conflict(self, connection: Any, grant_id: str, expected: GrantState) -> Conflict:
        row = await connection.fetchrow(records.ONE, grant_id)
        return Conflict(f"The grant {grant_id} is {row['state']}; it would have to be {expected}.")


def ending(grant: Grant, now: datetime) -> Refusal | None:
    """Why this grant is not in force at `now`, or None while it is."""
    if grant.state is GrantState.ACTIVE:
        if grant.expires_at is None or grant.not_before is None or now < grant.not_before - SKEW:
            return NoGrant(f"The grant {grant.id} is not in force yet.")
        if now < grant.expires_at:
            return None
    if grant.state in (GrantState.ACTIVE, GrantState.EXPIRED):
        return GrantExpired(
            f"The grant {grant.id} ended at {records.text_of(grant.expires_at)}.",
            hint="Ask for a new grant.",
        )
    if grant.state is GrantState.PENDING:
        return NoGrant(
            f"The grant {grant.id} waits for a decision.",
            hint="An approver must approve it first.",
        )
    why = f" ({grant.reason})" if grant.reason else ""
    return NoGrant(f"The grant {grant.id} was {grant.state}{why}.", hint="Ask for a new grant.")


def _why_not(
    grants: Sequence[Grant], connection: str, grant_id: str | None, now: datetime
) -> Refusal:
    """The reason of the most recent request; the same for a stranger's grant as for none."""
    if grants:
        refusal = ending(max(grants, key=lambda grant: grant.requested_at), now)
        if refusal is not None:
            return refusal
    if grant_id is not None:
        return NoGrant(f"You hold no grant {grant_id} for the connection {connection!r}.")
    return NoGrant(
        f"You hold no grant for the connection {connection!r}.",
        hint="Ask for one: tables, purpose and duration (POST /v1/grants).",
    )


def _not_found() -> NotFound:
    return NotFound("There is no such grant that you may see.")


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Finish a change although its caller has gone: a record must not outlive its rollback."""
    task = asyncio.ensure_future(change)
    _running.add(task)  # the loop alone would not keep it alive
    task.add_done_callback(_running.discard)
    return await asyncio.shield(task)


_running: set[asyncio.Future[Any]] = set()
