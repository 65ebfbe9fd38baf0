"""Whether a grant is in force at a moment, and the sentence that says why not.

Refuses by default: what is not active, not begun, over or outside its hours is not in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway.errors import GrantExpired, NoGrant, NotFound, Refusal
from gateway.grants import hours, records
from gateway.grants.clock import SKEW
from gateway.model import Grant, GrantState


def ending(grant: Grant, now: datetime) -> Refusal | None:
    """Why this grant is not in force at `now`, or None while it is."""
    if grant.state is GrantState.ACTIVE:
        if grant.expires_at is None or grant.not_before is None or now < grant.not_before - SKEW:
            begins = records.text_of(grant.not_before)
            return NoGrant(f"The grant {grant.id} is not in force yet: it begins at {begins}.")
        if now < grant.expires_at:
            if hours.closes(grant.hours, now) is not None:
                return None
            return NoGrant(
                f"The grant {grant.id} is in force at {', '.join(grant.hours)} UTC, not now."
            )
    if grant.state in (GrantState.ACTIVE, GrantState.EXPIRED):
        return GrantExpired(
            f"The grant {grant.id} ended at {records.text_of(grant.expires_at)}.",
            hint="Ask for a new grant.",
        )
    if grant.state is GrantState.PENDING:
        given, needed = len(grant.approvals), grant.approvals_needed
        return NoGrant(
            f"The grant {grant.id} waits for a decision.",
            hint="An approver must approve it first."
            if needed == 1
            else f"{given} of {needed} approvers have approved it.",
        )
    why = f" ({grant.reason})" if grant.reason else ""
    return NoGrant(f"The grant {grant.id} was {grant.state}{why}.", hint="Ask for a new grant.")


def as_of(grant: Grant, now: datetime) -> Grant:
    """The grant as it is at `now`: over when its time is, before the store was told."""
    over = grant.expires_at is not None and grant.expires_at <= now
    if grant.state is GrantState.ACTIVE and over:
        return replace(grant, state=GrantState.EXPIRED)
    return grant


def why_not(
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


def not_found() -> NotFound:
    return NotFound("There is no such grant that you may see.")


def until(grant: Grant, now: datetime) -> datetime | None:
    """When a grant that is in force at `now` ceases to be, by its end or its hours; None if it is
    not in force. Without the leeway of `ending`."""
    if grant.state is not GrantState.ACTIVE or grant.expires_at is None or grant.not_before is None:
        return None
    closes = hours.closes(grant.hours, now)
    if closes is None or not grant.not_before <= now < grant.expires_at:
        return None
    return min(closes, grant.expires_at)
