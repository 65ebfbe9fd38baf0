"""What has come to the tables of a statement since it was analysed, seen from another session.

Parse's lock on a table does not keep a partition from being attached to it or a table from
inheriting from it, and COPY plans anew. When COPY sends its first byte its plan stands, and every
table in that plan is locked by its backend. So two things are asked: whether there is a child that
is not known; and whether the backend holds a table that it did not hold before and that is not
known. The second sees the child that left while COPY waited for its lock: the server, which had
read its name before, plans it all the same. Refuses to answer when the server does not.

The backend itself is asked the same behind its COPY, where all that was locked still is. A short
result comes with that answer; of a longer one, whose rows are to go on before the last has come,
the session beside it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.errors import MaskgateError
from gateway.model import Question
from gateway.upstream import failures

# Of several questions at once: `known` are the relations of each, `own` those whose children are
# looked for. The locks are listed once, which costs a server more the more it holds.
_GROWN = """
WITH known (question, relation, own) AS MATERIALIZED (
  SELECT u.* FROM ROWS FROM (
    pg_catalog.unnest($1::pg_catalog.int4[]), pg_catalog.unnest($2::pg_catalog.oid[]),
    pg_catalog.unnest($3::pg_catalog.bool[])) AS u
)
SELECT k.question FROM known k JOIN pg_catalog.pg_inherits i ON i.inhparent = k.relation
WHERE k.own AND NOT EXISTS (
  SELECT FROM known o WHERE o.own AND o.question = k.question AND o.relation = i.inhrelid)
UNION
SELECT q.question FROM pg_catalog.pg_locks l
JOIN pg_catalog.unnest($4::pg_catalog.int4[]) WITH ORDINALITY AS q(pid, question) ON q.pid = l.pid
JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'f')
WHERE l.locktype = 'relation' AND l.relation >= 16384 AND NOT EXISTS (
  SELECT FROM known o WHERE o.question = q.question AND o.relation = l.relation)
"""
# Of the transaction that asks: $1 the relations, $2 with what was held before.
_OWN = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_inherits i
  WHERE i.inhparent = ANY ($1::pg_catalog.oid[]) AND i.inhrelid <> ALL ($1::pg_catalog.oid[])
) OR EXISTS (
  SELECT FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'f')
  WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384
    AND l.relation <> ALL ($2::pg_catalog.oid[])
)
"""
#: What a session is asked of itself, and the one row of the answer that is no: false.
OWN = Question("maskgate_grown", _OWN, 0)
NO = b"\0\1\0\0\0\1f"
_PLANNED_ONCE = "SET plan_cache_mode = force_generic_plan; SET jit = off"
_TIME = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    relations: frozenset[int]
    pid: int
    held: frozenset[int]
    answer: asyncio.Future[bool]


class Witness:
    """One session beside the pool. What is asked while it waits for an answer is asked together."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._session: Any = None
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    async def grown(self, relations: Collection[int], pid: int, held: Collection[int]) -> bool:
        """Whether one of `relations` has a child that is not among them, or the backend `pid` holds
        a table that is neither one of them nor one of `held`. Raises UpstreamFailed.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Question(frozenset(relations), pid, frozenset(held), answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        """Nothing that waits is left without an answer. A question is asked after it was put."""
        batch: list[_Question] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    found = await self._ask(batch)
                except (MaskgateError, asyncpg.PostgresError, *failures.LOST) as error:
                    _fail(batch, error)
                    continue
                for number, question in enumerate(batch, 1):
                    if not question.answer.done():  # whoever asked may have gone
                        question.answer.set_result(number in found)
        finally:
            self._asking = None
            _fail([*batch, *self._waiting], ConnectionError())
            self._waiting = []

    async def _ask(self, batch: list[_Question]) -> frozenset[int]:
        """The numbers, from 1, of those whose answer is yes."""
        numbers: list[int] = []
        known: list[int] = []
        own: list[bool] = []
        for number, question in enumerate(batch, 1):
            every = sorted(question.relations | question.held)
            numbers += [number] * len(every)
            known += every
            own += [relation in question.relations for relation in every]
        pids = [question.pid for question in batch]
        try:
            async with asyncio.timeout(_TIME):
                if self._session is None or self._session.is_closed():
                    self._session = await self._connect()
                    await self._session.execute(_PLANNED_ONCE)
                rows = await self._session.fetch(_GROWN, numbers, known, own, pids)
        except AttributeError:  # asyncpg's, of a session that `close` ended before it was asked
            self.close()
            raise ConnectionError from None
        except BaseException:
            self.close()  # lost, late, or cancelled in the middle of an answer
            raise
        return frozenset(row["question"] for row in rows)

    def close(self) -> None:
        """End the session; the next question opens another."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(asyncpg.InterfaceError, OSError):
                session.terminate()


def _fail(questions: list[_Question], error: Exception) -> None:
    for question in questions:
        if not question.answer.done():
            told = error if isinstance(error, MaskgateError) else failures.lost(error)
            question.answer.set_exception(told)
