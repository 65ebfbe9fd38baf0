"""What a property test believes of a grant: who may do what to it, and what becomes of it then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from control import AGENT, AMIR, BILLING, DANA, ELIF, identity
from gateway.model import GrantState, Identity

FOR_DANA = identity("agent-for-dana", actor="steward-dana")
FRAN = identity("steward-fran", "data-stewards")
ALSO_ELIF = identity("elif-s-bot", "data-stewards", actor="steward-elif")
STEWARDS = (DANA, ELIF, FRAN, ALSO_ELIF)
PEOPLE = (AGENT, BILLING, FOR_DANA, *STEWARDS, AMIR)
PERSON = {ALSO_ELIF.key: ELIF.key}  # who stands behind an identity
AT_ONCE_ROWS = 20  # that a stream releases


@dataclass
class Known:
    """What the model believes of one grant."""

    holder: Identity
    duration_s: int
    max_rows: int | None
    needed: int
    begins: datetime | None = None
    break_glass: bool = False
    window: tuple[datetime, datetime] | None = None  # its hours, in the week it was asked for
    approved_by: set[str] = field(default_factory=set)
    state: GrantState = GrantState.PENDING
    ends: datetime | None = None
    released: int = 0

    def may_approve(self, by: Identity) -> bool:
        """Of those who decide at all."""
        person = PERSON.get(by.key, by.key)
        holder = DANA.key if self.holder is FOR_DANA else self.holder.key
        fresh = person not in self.approved_by and person != PERSON.get(holder, holder)
        return by in STEWARDS and fresh and self.state is GrantState.PENDING

    def approve(self, by: Identity, now: datetime) -> None:
        self.approved_by.add(PERSON.get(by.key, by.key))
        if len(self.approved_by) >= self.needed:
            begins = now if self.begins is None else max(now, self.begins)
            self.state = GrantState.ACTIVE
            self.ends = begins + timedelta(seconds=self.duration_s)

    def after(self, moves: Any, now: datetime) -> tuple[Known, tuple[bool, ...]]:
        """What becomes of it when these are done one after the other, and which of them succeed."""
        known = replace(self, approved_by=set(self.approved_by))
        return known, tuple(known.do(verb, by, now) for verb, by in moves)

    def do(self, verb: str, by: Identity | None, now: datetime) -> bool:
        ended = self.ends is not None and self.ends <= now
        decides = by in STEWARDS or by is self.holder
        if verb == "approve" and by is not None and self.may_approve(by):
            self.approve(by, now)
        elif verb == "deny" and decides and self.state is GrantState.PENDING:
            self.state = GrantState.DENIED
        elif verb == "revoke" and decides and self.state is GrantState.ACTIVE:
            self.state = GrantState.REVOKED
        elif verb == "expire" and self.state is GrantState.ACTIVE and ended:
            self.state = GrantState.EXPIRED
        elif (
            verb == "charge"
            and self.state is GrantState.ACTIVE
            and not ended
            and (self.max_rows is None or self.released + AT_ONCE_ROWS <= self.max_rows)
        ):
            self.released += AT_ONCE_ROWS
        else:
            return False
        return True
