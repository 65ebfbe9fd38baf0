"""Whether a session may run one more statement, asked of the control store for each one.

One question for the session and its grant together, and one round trip for all who ask while
another's answer is on its way. A question is put to the store after it was put here, and no answer
is kept. Refuses a session that is closed or somebody else's, and whatever is not a grant in force;
while the store is away, everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.errors import Conflict, MaskgateError, NotFound, Refusal, StoreUnavailable
from gateway.grants import records
from gateway.grants.clock import Clock
from gateway.grants.force import ending
from gateway.grants.lifecycle import Grants
from gateway.grants.store import ControlStore
from gateway.model import Grant, Identity

_STANDING = """
SELECT q.number, s.id IS NOT NULL AS known, s.closed_at, g.*
  FROM ROWS FROM (
    pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]),
    pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[])
  ) WITH ORDINALITY AS q (session, identity, connection, grant_id, number)
  LEFT JOIN maskgate.sessions s ON s.id = q.session AND s.identity = q.identity
  LEFT JOIN maskgate.grants g
    ON g.id = q.grant_id AND g.identity = q.identity AND g.connection = q.connection"""

_MOST = 256  # questions of one round trip


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    session: str
    identity: str
    connection: str
    grant: str
    answer: asyncio.Future[Any]


class Standing:
    """The standing of all sessions of one gateway."""

    def __init__(self, store: ControlStore, grants: Grants, clock: Clock) -> None:
        self._store = store
        self._grants = grants
        self._clock = clock
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    def hold(
        self,
        session_id: str,
        identity: Identity,
        connection: str,
        grant_id: str,
        told: Callable[[Refusal], None],
    ) -> Hold:
        """For `async with`: the grant, in force; `told` is called within a second of its end.

        Raises NotFound, Conflict, NoGrant, GrantExpired and StoreUnavailable.
        """
        return Hold(self, self._grants, (session_id, identity, connection, grant_id), told)

    async def grant(
        self, session_id: str, identity: Identity, connection: str, grant_id: str
    ) -> Grant:
        """The session's grant, in force now."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Question(session_id, identity.key, connection, grant_id, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        row = await answer
        if not row["known"]:
            raise NotFound("There is no such session that you may see.")
        if row["closed_at"] is not None:
            raise Conflict("The session is closed.", hint="Open another session.")
        self._clock.check()
        now = self._clock()
        if row["id"] is not None:
            grant = records.grant(row)
            if ending(grant, now) is None:
                return grant
        # Why not is told at length; and what time has ended is ended in the store as well.
        return await self._grants.in_force(identity, connection, now, grant_id=grant_id)

    async def _ask_all(self) -> None:
        """Nothing that waits is left without an answer."""
        batch: list[_Question] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                try:
                    rows = await self._store.ask(
                        _STANDING,
                        [one.session for one in batch],
                        [one.identity for one in batch],
                        [one.connection for one in batch],
                        [one.grant for one in batch],
                    )
                except MaskgateError as error:
                    _fail(batch, error)
                    continue
                for row in rows:
                    answer = batch[row["number"] - 1].answer
                    if not answer.done():  # whoever asked may have gone
                        answer.set_result(row)
        finally:
            self._asking = None
            _fail([*batch, *self._waiting], None)
            self._waiting = []


class Hold:
    """A grant in force and the watch on it, for the length of one statement."""

    def __init__(
        self,
        standing: Standing,
        grants: Grants,
        asked: tuple[str, Identity, str, str],
        told: Callable[[Refusal], None],
    ) -> None:
        self._standing = standing
        self._asked = asked
        self._watch = grants.watch(asked[3], told)

    async def __aenter__(self) -> Grant:
        # Registered first and asked afterwards: a change in between is in one of the two.
        self._watch.register()
        try:
            grant = await self._standing.grant(*self._asked)
            self._watch.take(grant)
        except BaseException:
            self._watch.remove()
            raise
        return grant

    async def __aexit__(self, *_: object) -> None:
        self._watch.remove()


def _fail(questions: list[_Question], error: MaskgateError | None) -> None:
    """Whoever has no answer by now is told why, each by an error of his own."""
    for question in questions:
        if not question.answer.done():
            why = "the control store gave no answer" if error is None else error.detail
            hint = "Try again in a few seconds." if error is None else error.hint
            question.answer.set_exception(StoreUnavailable(why, hint=hint))
