"""One read-only transaction for one statement: Parse, look-ups, COPY, in the same locks.

Parse takes the locks that keep tables, views, columns and policies as the analysis saw them until
COPY has ended. Two things they do not keep: a name can come to mean another table, a table can get
a partition. Refuses to say whose tree it is when more than one was printed, and to give on a byte
before the tree of the COPY itself equals the approved one and no table of it has a child that the
analysis has not met. The transaction is never committed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Any, TypeVar, cast

import asyncpg
from asyncpg import connect_utils

from gateway import _kernel
from gateway._kernel import CopyReader
from gateway.errors import (
    InvalidRequest,
    LimitExceeded,
    NotUnderstood,
    UpstreamFailed,
)
from gateway.model import Parsed, Question
from gateway.upstream import errand, failures, messages
from gateway.upstream.copying import Copying
from gateway.upstream.errand import Errand
from gateway.upstream.exchange import Exchange, Guesses
from gateway.upstream.facts import MAY_ASK, WHICH, WHO, Facts
from gateway.upstream.meter import Meter
from gateway.upstream.witness import NO, OWN

T = TypeVar("T")
_NEVER = 86_400.0  # seconds; the settings of the session end what hangs
_GRACE = 1.0  # seconds a cancelled backend has before its session is ended
_MOMENT = 0.25  # seconds until a cancellation that may have come too early is repeated
_MOST_OF_A_ROW = (1 << 30) - 1  # the server makes none that is longer
_NO_RELATION = (0,)  # what a sub-select that is no view names
_MOST_OF_A_TREE = 20 << 20  # bytes the server may send about one statement before it runs


class Session(asyncpg.Connection):  # type: ignore[misc]
    """A pooled session; of `server` and `database`, once that is known. It knows the questions
    `prepared`."""

    __slots__ = ("database", "meter", "prepared", "server")

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.prepared: set[Question] = set()
        self.server = ""
        self.database: str | None = None
        self.meter = Meter(protocol, transport)
        transport.set_protocol(self.meter)

    async def cancel(self) -> None:
        """Ask the server, on a connection of its own, to stop what runs on this session."""
        await connect_utils._cancel(
            loop=self._loop,
            addr=self._addr,
            params=self._params,
            backend_pid=self._protocol.backend_pid,
            backend_secret=self._protocol.backend_secret,
        )


class RoleRefused(UpstreamFailed):
    """The role that a statement was to run under is not there, or the login may not take it."""


class Transaction:
    """Made by `Database.transaction`; used by one task at a time."""

    def __init__(
        self,
        session: Any,
        opening: str,
        *,
        role: str | None,
        clear_role: str | None,
        role_before_parse: bool,
        role_tried: bool = False,
        terminate: Callable[[int], Awaitable[None]],
        grown: Callable[[Collection[int], int, Collection[int]], Awaitable[bool]],
        guesses: Guesses,
        facts: Facts,
    ) -> None:
        self._session = session
        # Of the session itself: a pool that is closed takes it away from under `session`.
        self._meter: Meter = session.meter
        self._prepared: set[Question] = session.prepared
        self._facts = facts
        self._opening = opening
        self._role = role
        self._clear_role = clear_role
        self._role_before_parse = role_before_parse
        self._role_tried = role_tried
        self._taken = role
        self._terminate = terminate
        self._grown = grown
        self._guesses = guesses
        # Relations in the trees of every Parse, which holds their locks until the end.
        self._held: frozenset[int] = frozenset()
        self._held_at_mark: frozenset[int] = frozenset()
        self._before_rows: list[str] = []  # SET LOCAL, along with the role
        self._began: Errand | None = None
        self._roled: Errand | None = None
        self._ended: Errand | None = None
        self._left = False  # the driver was left in the middle of what it does
        self._unheard = False  # a cancellation is on its way, perhaps
        self._copy: Copying | None = None

    @property
    def server_major(self) -> int:
        return int(self._session.get_server_version().major)

    def begin(self) -> None:
        """Send BEGIN and every setting; what is asked next waits for the answer to both. If one of
        them is not taken, what is asked next is not answered either. Raises UpstreamFailed."""
        self._began = self._send(errand.simple(self._opening))
        if self._role_before_parse and self._role is not None:
            self._take_role(self._role)
        elif self._role_tried and self._role is not None:
            sets = [f"SET LOCAL ROLE {messages.quoted(self._role)}", "SET LOCAL ROLE NONE"]
            self._roled = self._send(errand.often(sets, self._prepared))

    def role(self, *, raw: bool) -> str | None:
        """What the rows are read under, as `stream` takes it; None is the login's own rights."""
        return self._role if raw or self._clear_role is None else self._clear_role

    async def begun(self) -> None:
        """Wait until the transaction is there. Raises UpstreamFailed."""
        await self._meter.answered(_NEVER)
        self._check_errands()

    def _send(self, one: Errand) -> Errand:
        try:
            return self._meter.send(one)
        except failures.LOST as error:
            raise failures.lost(error) from None

    def _check_errands(self) -> None:
        """Raise why what was sent along was not done; nothing that came after it counts."""
        for sent, refused in (
            (self._began, _settings_refused),
            (self._roled, self._role_refused),
        ):
            if sent is None:
                continue
            if sent.error is not None:
                error = asyncpg.PostgresError.new(sent.error)
                if (error.sqlstate or "")[:2] in ("08", "57"):
                    raise failures.while_running(error) from None
                raise refused((error.sqlstate or "??")[:2]) from None
            if not sent.finished:
                raise failures.lost(ConnectionError()) from None

    def is_over(self) -> bool:
        """Whether the server has rolled it back already, and nothing is under way; then there is
        nothing left to do for `end`."""
        ended = self._ended
        if ended is None or not ended.finished or ended.error is not None:
            return False
        if self._left or self._unheard:
            return False
        return self._copy is None and not self._session.is_closed()

    async def end(self) -> None:
        """Stop what runs and roll back; a backend that does not heed is ended."""
        await self._stop_copy()
        with contextlib.suppress(asyncpg.InterfaceError):  # the pool let go of one that died
            if not self._session.is_closed():
                await self._roll_back()
            if self._unheard:
                # It stops whatever runs when it arrives, which would be the next statement.
                self._session.terminate()

    async def _roll_back(self) -> None:
        pid = self._session.get_server_pid()
        try:
            if not await self._meter.settled(_GRACE):
                raise TimeoutError
            if self._left:
                self._meter.flush()
                async with asyncio.timeout(_GRACE):
                    await self._session.execute("ROLLBACK")
                return
            ended = self._ended or self._meter.send(self._rollback())
            if not await self._meter.answered(_GRACE) or not ended.finished or ended.error:
                raise TimeoutError
        except (asyncpg.PostgresError, *failures.LOST):
            with contextlib.suppress(asyncpg.InterfaceError):
                self._session.terminate()
            await self._terminate(pid)

    async def parse(
        self,
        text: str,
        question: Question | None = None,
        meanwhile: Callable[[str], None] | None = None,
    ) -> Parsed:
        """The server's own tree of `text`; nothing is planned or run.

        `question` is answered about the relations that the tree names, in the locks of the Parse.
        `meanwhile` is given the first tree when it has come, if that is before the answer.
        Raises as `failures.at_parse` says, and NotUnderstood unless one tree was printed.
        """
        exchange = await self._exchange(text, question, meanwhile)
        if len(exchange.trees) != 1:
            raise NotUnderstood("the server did not show exactly one tree of the statement")
        self._held |= exchange.named
        told: dict[int, str] = {}
        if question is not None and len(exchange.named) <= question.most:
            if exchange.named <= exchange.asked:
                told = {int(oid): said.decode() for oid, said in exchange.rows}
            else:
                told = dict(await self.fetch(question.query, sorted(exchange.named)))
            if exchange.named != exchange.guess:
                self._guesses.learn(text, exchange.named)
        return Parsed(
            tree=exchange.tree(),
            names=exchange.names,
            type_oids=exchange.type_oids,
            parameters=exchange.parameters,
            named=exchange.named,
            told=told,
        )

    async def _exchange(
        self, text: str, question: Question | None, meanwhile: Callable[[str], None] | None
    ) -> Exchange:
        if "\0" in text:
            raise InvalidRequest("the statement holds a NUL character")
        exchange = Exchange(
            text,
            question,
            prepared=question in self._prepared,
            guess=self._guesses.of(text) if question is not None else (),
        )
        meter = self._meter
        of_rows, meter.held = meter.limit, 0
        meter.limit = min(of_rows or _MOST_OF_A_TREE, _MOST_OF_A_TREE)
        try:
            await meter.converse(exchange, meanwhile)
        except failures.LOST as error:
            if meter.exceeded:
                raise NotUnderstood(
                    "what the server says of the statement is too large to be read",
                    hint="write it in parts",
                ) from None
            self._check_errands()
            if exchange.error is None:
                raise failures.lost(error) from None
        finally:
            meter.limit = of_rows
        self._check_errands()
        if question is not None and exchange.known:
            self._prepared.add(question)
        if exchange.error is not None:
            said = asyncpg.PostgresError.new(exchange.error)
            raise failures.while_running(said) if exchange.parsed else failures.at_parse(said, text)
        return exchange

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Rows of one of the gateway's own look-ups; never an agent's text."""
        self._meter.held = 0
        try:
            self._meter.flush()
            self._left = True
            rows = cast(list[Any], await self._session.fetch(query, *args))
        except asyncpg.PostgresError as error:
            self._check_errands()
            raise failures.while_running(error) from None
        except failures.LOST as error:
            raise failures.lost(error) from None
        self._left = False
        self._check_errands()
        return rows

    async def database(self) -> str:
        """Which database this is, for itself; empty when the login may not ask. Asked once of each
        session."""
        session: Session = self._session
        if session.database is None:
            (row,) = await self.fetch(MAY_ASK)
            session.database = (await self.fetch(WHICH))[0]["which"] if row["may"] else ""
        return session.database

    def before_rows(self, *settings: str) -> None:
        """Settings ("name = value") for the rest of the transaction, made before rows are asked
        for; they need no right."""
        self._before_rows += settings

    async def mark(self) -> None:
        """What fails after this can be undone by `return_to_mark`."""
        await self.fetch("SAVEPOINT masked")
        self._held_at_mark = self._held

    async def return_to_mark(self) -> None:
        """Undo what came after the last `mark`, locks included."""
        await self.fetch("ROLLBACK TO SAVEPOINT masked")
        self._held = self._held_at_mark

    async def once(self, load: Callable[[Any], Awaitable[T]]) -> T:
        """What `load` finds out about the server: see `Facts`."""
        session = self._session
        if not session.server:
            (row,) = await self.fetch(WHO)
            session.server = row["server"]
        return await self._facts.once(session.server, load, self)

    async def stream(
        self,
        text: str,
        digest: str,
        relations: Collection[int],
        *,
        raw: bool = True,
        lend: bool = False,
    ) -> AsyncGenerator[bytes | CopyReader, None]:
        """The rows of `text` in COPY BINARY, in pieces as they come; the server waits for it.

        `digest` is that of the approved tree, `relations` are the OIDs of all that it may read.
        Unless `raw` is set, no protected value is meant to come out, and the role is the one that
        has the right to none. Closing the iterator cancels the COPY.

        With `lend`, the last piece may be a `CopyReader` of all that comes next. Asking for what
        follows it, or closing the iterator, ends its reading.
        """
        role = None if self._role_before_parse else self.role(raw=raw)
        self._take_role(role, *self._before_rows)
        most = self._meter.limit or _MOST_OF_A_ROW
        behind = b""
        if relations:
            own = frozenset(relations)
            prepared = OWN in self._prepared
            behind = messages.asked(OWN, own, own | self._held, prepared=prepared)
        copy = Copying(text, behind, most_of_a_row=most, most_of_a_tree=_MOST_OF_A_TREE)
        try:
            self._meter.copy(copy)
            self._copy = copy
            await copy.begun()
            self._check_errands()  # outside of a transaction a role would not have been taken
            if copy.error is None and not copy.lost:
                await self._compare(copy, digest, relations)
            if copy.error is not None or copy.lost:
                copy.drop()  # what has come was compared with nothing, or has no whole answer
            while (data := await copy.take()) is not None:
                yield data
                if lend and (reader := copy.lend()) is not None:
                    yield reader
                    await self._meter.take_back()
            self._check_errands()
            if copy.error is not None:
                raise failures.while_running(asyncpg.PostgresError.new(copy.error)) from None
            if not copy.whole:
                raise ConnectionError
            if behind:
                self._prepared.add(OWN)
            # Nothing more is asked: the server ends it while the last chunks are recorded.
            self._ended = self._send(self._rollback())
            self._meter.flush()
        except failures.LOST as error:
            if copy.row_too_long:
                raise LimitExceeded(
                    f"a row of the result is larger than {most:,} bytes",
                    hint="select fewer or shorter values a row",
                ) from None
            raise failures.lost(error) from None
        finally:
            await self._stop_copy()

    async def _compare(self, copy: Copying, digest: str, relations: Collection[int]) -> None:
        """COPY parses again: its own tree (a utility), then the one of the rows it will send.

        What comes after belongs to the bodies of SQL functions, printed when they are planned.
        """
        try:
            _, rows = (tree.decode() for tree in copy.trees)
        except ValueError:  # not two of them, or a character that was cut
            raise NotUnderstood(
                "the server did not show the tree of the rows it was to send"
            ) from None
        if _kernel.digest(rows, self.server_major) != digest:
            raise NotUnderstood(
                "the statement meant something else when it was run than when it was analysed",
                hint="send it again",
            )
        unknown = set(_kernel.relations_named(copy.trees[1])).difference(relations, _NO_RELATION)
        if unknown or (relations and await self._has_grown(copy, relations)):
            raise NotUnderstood(
                "a table of the statement has a partition or an inheriting table that came after "
                "the analysis",
                hint="send it again",
            )

    async def _has_grown(self, copy: Copying, relations: Collection[int]) -> bool:
        pid = self._session.get_server_pid()
        if not copy.finished and await self._grown(relations, pid, self._held):
            return True
        # The answer behind the rows may have come meanwhile; of what has failed no row goes on.
        return copy.finished and copy.error is None and copy.told != [NO]

    async def _stop_copy(self) -> None:
        copy, self._copy = self._copy, None
        if copy is None:
            return
        await self._meter.take_back()
        copy.drop()
        sent: set[asyncio.Task[None]] = set()
        try:
            for patience in (_MOMENT, _GRACE):
                if not copy.over:
                    self._unheard = True
                    sent.add(asyncio.create_task(self._session.cancel()))
                    await copy.end(patience)
            if sent:
                heard, unheard = await asyncio.wait(sent, timeout=_GRACE)
                self._unheard = bool(unheard) or any(map(_failed, heard))
        finally:
            for cancellation in sent:
                cancellation.cancel()

    def _take_role(self, role: str | None, *settings: str) -> None:
        """Sent along with what comes next, which fails if this does."""
        sets = [f"SET LOCAL {setting}" for setting in settings]
        if role is not None:
            self._taken = role
            sets.append(f"SET LOCAL ROLE {messages.quoted(role)}")
        if sets:
            self._roled = self._send(errand.often(sets, self._prepared))

    def _rollback(self) -> Errand:
        return errand.often(["ROLLBACK"], self._prepared)

    def _role_refused(self, state: str) -> UpstreamFailed:
        return RoleRefused(f"the login may not take the role {self._taken}", sqlstate_class=state)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def _settings_refused(state: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"the database did not accept the settings of a read-only transaction (class {state})",
        sqlstate_class=state,
    )
