"""Reviews: an auditor says that he has looked through a session, and what he found.

(1) who is it  (2) is he an auditor, and is the session not his own  (3) the record of the review is
durable, and the ledger names what was reviewed: the number of its records and the head of its chain
(4) the control store knows that it is no longer due. 45 CFR 164.308(a)(1)(ii)(D).

Refuses a review of what may still change, of a session of another gateway's log, and of one's own.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from datetime import datetime
from typing import Any

from gateway.errors import Conflict, Forbidden, InvalidRequest, LogUnavailable, MaskgateError
from gateway.evidence import Review
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.grants import ReviewPlace, SessionRow
from gateway.grants.access import parties
from gateway.model import Credential, Identity

NOTE_CHARS = 4000


async def review(
    house: House, credential: Credential, client: str, session_id: str, note: str
) -> dict[str, Any]:
    """`POST /v1/sessions/{id}/reviews`: who, when, and the leaf that names it."""
    identity = await auditor(house, credential, client, "reviews")
    row = await house.sessions.get_session(session_id, identity)
    _not_own(row, identity)
    words = _checked(note)
    if not house.log.ended(session_id):
        raise Conflict(
            "only a session that has ended, in this gateway's log, can be reviewed",
            hint="close it first, or ask the gateway that it ran on",
        )
    end = await asyncio.to_thread(house.log.archive().ended, session_id)
    if end is None:
        raise Conflict("the session is just being closed", hint="try again in a second")
    reviewed = {"head": end.head, "n": end.n, "session_no": end.number, "sid": session_id}
    ref = await house.log.event(
        "review",
        {"identity": identity.key, "session": session_id, "note": words, "reviewed": reviewed},
        by=identity.key,
        reviewed=reviewed,
    )
    if ref.leaf is None:
        raise LogUnavailable("the ledger gave no leaf to the review")
    leaf = json.loads(await asyncio.to_thread(house.log.archive().leaf, ref.leaf))
    place = ReviewPlace(ref.leaf, leaf["sid"], ref.index, datetime.fromisoformat(ref.ts))
    await house.reviews.add(session_id, place)
    return {
        "session": session_id,
        "reviewed_by": identity.key,
        "reviewed_at": ref.ts,
        "records": end.n,
        "head": end.head,
        "leaf": ref.leaf,
    }


async def list_reviews(
    house: House, credential: Credential, client: str, *, done: bool
) -> list[dict[str, Any]]:
    """`GET /v1/reviews`: ended sessions that nobody has reviewed, those of a broken glass first; or
    those that somebody has."""
    identity = await auditor(house, credential, client, "reviews")
    await house.log.event("sessions.listed", {"identity": identity.key, "what": "reviews"})
    rows = await house.reviews.done()
    if not done:
        # A row that the ledger does not bear out would keep a session from being looked at. The
        # sessions of another gateway are in its ledger, and that gateway's to list.
        unproven = [
            row
            for row in rows
            if house.log.ended(row.id) and not await reviews_of(house, row.id, words=False)
        ]
        due = await house.reviews.due()
        rows = sorted([*due, *unproven], key=lambda row: not row.break_glass)
    return [
        {
            "session": row.id,
            "identity": row.identity,
            "actor": row.actor,
            "connection": row.connection,
            "grant": row.grant,
            "opened_at": row.opened_at,
            "closed_at": row.closed_at,
            "statements": row.statements,
            "break_glass": row.break_glass,
            "reviews": [shown(one) for one in await reviews_of(house, row.id)] if done else [],
        }
        for row in rows
    ]


def shown(one: Review) -> dict[str, Any]:
    return {"by": one.by, "at": one.at, "note": one.note, "leaf": one.index}


async def auditor(house: House, credential: Credential, client: str, what: str) -> Identity:
    """The caller, when he is an auditor. Raises Forbidden, after the record of it."""
    identity = await establish(house, credential, client)
    if not house.rules.audits(identity):
        refusal = Forbidden(f"{what} are for auditors", hint="access.auditors says who they are")
        await house.log.event(
            "refused", {"identity": identity.key, "code": refusal.code, "detail": refusal.detail}
        )
        raise refusal
    return identity


async def reviews_of(house: House, session_id: str, *, words: bool = True) -> list[Review]:
    """The reviews that the ledger bears out; their words are in the log's own records."""
    return [
        found
        for place in await house.reviews.of(session_id)
        if (found := await asyncio.to_thread(_found, house, session_id, place, words)) is not None
    ]


def _found(house: House, session_id: str, place: ReviewPlace, words: bool) -> Review | None:
    """The review at this place of the log; None when it is none of this session."""
    archive = house.log.archive()
    try:
        data = archive.leaf(place.leaf)
        leaf = json.loads(data)
        if (leaf["type"], leaf["reviewed"]["sid"]) != ("review", session_id):
            return None
        note = ""
        if words:
            body = archive.record(leaf["sid"], leaf["n"] - 1)["body"]
            if (body["kind"], body["session"]) != ("review", session_id):
                return None
            note = str(body.get("note", "sealed for the auditor"))
        return Review(str(leaf["by"]), str(leaf["ts"]), note, place.leaf, data)
    except (MaskgateError, ValueError, KeyError, TypeError):
        return None


def _not_own(row: SessionRow, identity: Identity) -> None:
    if parties(identity) & {row.identity, row.actor}:
        raise Forbidden("nobody reviews a session of his own", hint="another auditor can")


def _checked(note: str) -> str:
    """The note as it is recorded: a person reads it later, so it must say something."""
    text = note.strip()
    if not 0 < len(text) <= NOTE_CHARS:
        raise InvalidRequest(f"note has 1 to {NOTE_CHARS} characters")
    if any(unicodedata.category(one)[0] == "C" and one not in "\n\t" for one in text):
        raise InvalidRequest("note must not hold control or invisible characters")
    return text
