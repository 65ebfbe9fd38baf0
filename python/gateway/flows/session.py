"""Sessions: opened under a grant, numbered statements inside, closed once.

(1) who is it  (2) is a grant in force  (3) the `open` record and its ledger leaf are durable
(4) the session exists. Nobody enters another's session: to him it does not exist.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gateway.errors import (
    Conflict,
    InvalidRequest,
    LimitExceeded,
    MaskgateError,
    NotFound,
    OutOfScope,
    Refusal,
    StoreUnavailable,
)
from gateway.flows.entrance import establish
from gateway.flows.house import Connection, House
from gateway.flows.statement import Statement, receipt_of, recordable, statement_words
from gateway.grants import SessionRow
from gateway.model import Credential, Grant, GrantState, Identity

if TYPE_CHECKING:
    from gateway.flows.query import Ask


#: How many other grants, and tables of each, a hint names.
_MOST_NAMED = 5
#: Seconds that a session's end waits for the control store to know of it.
_TOLD_WITHIN = 1.0


@dataclass(eq=False, slots=True)
class LiveSession:
    """A session that this gateway process opened and has not closed."""

    id: str
    identity: Identity
    connection: Connection
    grant_id: str
    opened_at: datetime
    expires_at: datetime
    ended: Callable[[str], None]  # of a statement, with the key of the identity
    statements: int = 0
    closing: bool = False
    recorded: bool = False  # its `close` record is durable
    running: set[Statement] = field(default_factory=set)
    receipts: dict[int, dict[str, Any]] = field(default_factory=dict)
    idle: asyncio.Event = field(default_factory=asyncio.Event)  # set while nothing runs
    told: int = 0  # statements that the control store knows of
    mark: dict[str, Any] = field(default_factory=dict)  # what each of its records says as well

    def __post_init__(self) -> None:
        self.idle.set()

    def begin(self, statement: Statement) -> None:
        self.running.add(statement)
        self.idle.clear()

    def end(self, statement: Statement) -> None:
        self.running.discard(statement)
        if not self.running:
            self.idle.set()
        self.ended(self.identity.key)


class Desk:
    """The sessions that are open in this process."""

    def __init__(self) -> None:
        self._live: dict[str, LiveSession] = {}
        self._busy: Counter[str] = Counter()  # statements that run or wait, by identity
        self._background: set[asyncio.Future[None]] = set()
        self.exporting = False  # several sessions at once, which is done once at a time

    def find(self, session_id: str, identity: Identity) -> LiveSession:
        """The caller's own open session. Raises NotFound for anybody else's."""
        session = self._live.get(session_id)
        if session is None or session.identity.key != identity.key or session.closing:
            raise NotFound(
                "no such open session of this identity", hint="open one: POST /v1/sessions"
            )
        return session

    def receipt(self, session_id: str, number: int) -> dict[str, Any] | None:
        """The receipt of a statement that an open session has completed."""
        session = self._live.get(session_id)
        return None if session is None else session.receipts.get(number)

    @asynccontextmanager
    async def statement(
        self, house: House, identity: Identity, ask: Ask
    ) -> AsyncIterator[Statement]:
        """The numbered statement an Ask becomes, in its session or in one made for it alone."""
        if ask.session is None:
            async with (
                self._of_its_own(house, identity, ask) as session,
                self._numbered(house, session, ask) as statement,
            ):
                yield statement
            return
        try:
            session = self._session(ask.session, identity, ask)
        except Refusal as refusal:
            await house.log.event("refused", _refused(house, identity, ask, refusal))
            raise
        async with (
            self._numbered(house, session, ask) as statement,
            session.connection.gate.place(identity.key),
        ):
            yield statement

    @asynccontextmanager
    async def _numbered(
        self, house: House, session: LiveSession, ask: Ask
    ) -> AsyncIterator[Statement]:
        """The session's next statement, from its number to its last record."""
        try:
            statement = self._next(house, session, ask)
        except Refusal as refusal:
            await house.log.event("refused", _refused(house, session.identity, ask, refusal))
            raise
        async with statement:
            try:
                yield statement
            except OutOfScope as refusal:
                refusal.hint = await _with_other_grants(house, session, refusal.hint)
                raise

    @asynccontextmanager
    async def _of_its_own(
        self, house: House, identity: Identity, ask: Ask
    ) -> AsyncIterator[LiveSession]:
        """A session for one statement, opened when the statement has its place."""
        async with AsyncExitStack() as place:
            try:
                if ask.malformed is not None:
                    raise InvalidRequest(ask.malformed)
                if ask.connection is None:
                    raise InvalidRequest('the body needs "connection"')
                self._check_busy(house, identity)
                connection = house.connection(ask.connection)
                connection.admit(identity)
                self._busy[identity.key] += 1  # until the session counts its statement
                try:
                    await place.enter_async_context(connection.gate.place(identity.key))
                    session = await self.open(house, identity, ask.client, connection, None)
                finally:
                    self._ended(identity.key)
            except Refusal as refusal:
                # There is no session to record it in: the gateway's own session takes it.
                await house.log.event("refused", _refused(house, identity, ask, refusal))
                raise
            try:
                yield session
            finally:
                await asyncio.shield(self.close(house, session, "one-statement session"))

    def _session(self, session_id: str, identity: Identity, ask: Ask) -> LiveSession:
        session = self.find(session_id, identity)
        session.connection.admit(identity)
        if ask.connection not in (None, session.connection.name):
            raise InvalidRequest(
                f"the session is on {session.connection.name!r}, not {ask.connection!r}",
                hint="leave the connection out, or open a session on it",
            )
        return session

    def _next(self, house: House, session: LiveSession, ask: Ask) -> Statement:
        """Nothing is awaited here: a number that is taken has its statement, which has its record,
        whatever happens to the task that asked."""
        self._check_busy(house, session.identity)
        if session.statements >= house.limits.statements_per_session:
            raise LimitExceeded("the session has had its statements", hint="open a new session")
        session.statements += 1
        statement = Statement(house, session, session.statements, ask)
        self._busy[session.identity.key] += 1
        session.begin(statement)
        return statement

    def _ended(self, identity: str) -> None:
        self._busy[identity] -= 1
        if not self._busy[identity]:
            del self._busy[identity]

    def _check_busy(self, house: House, identity: Identity) -> None:
        busy = self._busy[identity.key]
        if busy >= house.limits.concurrent_statements:
            raise LimitExceeded(
                f"{busy} statements of this identity are running",
                hint="wait for one to end, or close its stream",
            )

    async def open(
        self,
        house: House,
        identity: Identity,
        client: str,
        connection: Connection,
        grant_id: str | None,
    ) -> LiveSession:
        """Open a session under the grant in force; its first record is durable on return. A caller
        who goes away meanwhile leaves a closed session, not an open one."""
        grant = await house.grants.in_force(
            identity, connection.name, house.now(), grant_id=grant_id
        )
        opening = asyncio.ensure_future(self._open(house, identity, client, connection, grant))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: self._abandon(house, done))
            raise

    async def _open(
        self, house: House, identity: Identity, client: str, connection: Connection, grant: Grant
    ) -> LiveSession:
        expires = grant.expires_at
        if expires is None:
            raise Conflict("the grant has no end and is not in force")
        session = LiveSession(
            str(uuid.uuid4()), identity, connection, grant.id, house.now(), expires, self._ended
        )
        if grant.break_glass:
            session.mark = {"break_glass": True}
        await house.log.open_session(
            session.id,
            {**session.mark, **_open_record(house, identity, client, connection, grant)},
        )
        try:
            await house.sessions.open_session(
                identity, connection.name, grant, session_id=session.id
            )
        except MaskgateError:
            reason = "the control store did not take the session"
            await house.log.close_session(
                session.id, {**session.mark, "reason": reason, "statements": 0}
            )
            raise
        self._live[session.id] = session
        return session

    def _abandon(self, house: House, opening: asyncio.Future[LiveSession]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            return
        closing = self.close(house, opening.result(), "its client went away while it was opened")
        task = asyncio.ensure_future(closing)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self, house: House, session: LiveSession, reason: str) -> None:
        """Close once: `close` record, ledger leaf and checkpoint are durable on return. The control
        store follows the log: what it cannot be told now, the clock tells it."""
        if session.closing:
            return
        session.closing = True
        for statement in list(session.running):
            statement.stop(Conflict(f"the session was closed: {reason}"))
        await session.idle.wait()
        await house.log.close_session(
            session.id, {**session.mark, "reason": reason, "statements": session.statements}
        )
        session.recorded = True
        telling = asyncio.ensure_future(self._forget(house, session))
        self._background.add(telling)
        telling.add_done_callback(self._background.discard)
        await asyncio.wait({telling}, timeout=_TOLD_WITHIN)

    async def _forget(self, house: House, session: LiveSession) -> None:
        with suppress(StoreUnavailable):
            with suppress(NotFound):  # a store put back from a copy, say
                await house.sessions.close_session(
                    session.id, session.identity, statements=session.statements
                )
            self._live.pop(session.id, None)

    def statements_of(self, session_id: str) -> int:
        """How many statements an open session has had; 0 for any other."""
        session = self._live.get(session_id)
        return 0 if session is None else session.statements

    async def tell_counts(self, house: House) -> None:
        """Let the control store know how many statements its sessions have had; called by the
        gateway's clock. What a crash leaves untold is in the log."""
        now = {one: one.statements for one in self._live.values() if one.statements > one.told}
        if now:
            await house.sessions.count({one.id: count for one, count in now.items()})
            for one, count in now.items():
                one.told = count

    async def close_ended(self, house: House) -> None:
        """Close each session whose grant's time is over; called by the gateway's clock."""
        now = house.now()
        for session in list(self._live.values()):
            if session.recorded:
                await self._forget(house, session)
            elif session.expires_at <= now and not session.running:
                await self.close(house, session, "the grant's time is over")

    async def close_all(self, house: House, reason: str) -> None:
        closing = [self.close(house, session, reason) for session in list(self._live.values())]
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error


async def close_left_over(house: House) -> int:
    """Close in the control store what a crash left open there: sessions that this gateway's log
    holds, which its recovery has ended. Called once, before the gateway takes any request; another
    gateway's log, and so its sessions, are its own."""
    return await house.sessions.close_where(house.log.ended)


async def open_session(
    house: House, credential: Credential, client: str, connection: str, grant_id: str | None
) -> dict[str, Any]:
    """`POST /v1/sessions`."""
    identity = await establish(house, credential, client)
    try:
        found = house.connection(connection)
        found.admit(identity)
        session = await house.desk.open(house, identity, client, found, grant_id)
    except Refusal as refusal:
        body = {"identity": identity.key, "connection": recordable(connection)}
        await house.log.event(
            "refused", {**body, "code": refusal.code, "detail": recordable(refusal.detail)}
        )
        raise
    return {
        "id": session.id,
        "grant": session.grant_id,
        "connection": connection,
        "expires_at": session.expires_at,
    }


async def close_session(house: House, credential: Credential, client: str, session_id: str) -> None:
    """`DELETE /v1/sessions/{id}`."""
    identity = await establish(house, credential, client)
    await house.desk.close(house, house.desk.find(session_id, identity), "closed by its owner")


async def list_sessions(house: House, credential: Credential, client: str) -> list[dict[str, Any]]:
    """Own sessions, newest first; an auditor sees all, and that he looked is recorded."""
    identity = await establish(house, credential, client)
    if house.rules.audits(identity):
        await house.log.event("sessions.listed", {"identity": identity.key, "what": "sessions"})
    return [_shown(house, row) for row in await house.sessions.list_sessions(identity)]


async def show_session(
    house: House, credential: Credential, client: str, session_id: str
) -> dict[str, Any]:
    """One session that the caller may see. Raises NotFound otherwise."""
    identity = await establish(house, credential, client)
    return _shown(house, await _seen(house, identity, session_id, "session"))


async def _seen(house: House, identity: Identity, session_id: str, what: str) -> SessionRow:
    """The session, when the caller may see it; that somebody looks at another's is recorded."""
    row = await house.sessions.get_session(session_id, identity)
    if row.identity != identity.key:
        seen = {"identity": identity.key, "session": row.id, "what": what}
        await house.log.event("sessions.shown", seen)
    return row


def _shown(house: House, row: SessionRow) -> dict[str, Any]:
    """A session as the control store has it. Of one that is open here the number of statements is
    known to the last."""
    return asdict(row) | {"statements": max(row.statements, house.desk.statements_of(row.id))}


async def receipt(
    house: House, credential: Credential, client: str, session_id: str, number: int
) -> dict[str, Any]:
    """The signed receipt of one statement; of an ended session, from the log's own bytes."""
    identity = await establish(house, credential, client)
    await _seen(house, identity, session_id, "receipt")
    kept = house.desk.receipt(session_id, number)
    if kept is not None:
        return await asyncio.to_thread(house.log.signed_receipt, kept)
    lines = (await house.log.session_bytes(session_id, wait=0)).records.splitlines()
    for line, following in itertools.pairwise(lines):
        record = json.loads(line)
        if record["type"] == "release" and record["body"]["statement_no"] == number:
            # A record's hash is what the next one carries as `prev`.
            found = receipt_of(session_id, number, json.loads(following)["prev"], record["body"])
            return await asyncio.to_thread(house.log.signed_receipt, found)
    raise NotFound("no completed statement of that number in the session")


async def _with_other_grants(house: House, session: LiveSession, hint: str | None) -> str | None:
    """The hint of a refusal for scope, with the other grants that the caller could have named."""
    try:
        held = await house.grants.list(session.identity, state=GrantState.ACTIVE)
    except StoreUnavailable:
        return hint
    others = [
        f"{grant.id} ({', '.join(grant.tables[:_MOST_NAMED])})"
        for grant in held
        if (grant.identity, grant.connection) == (session.identity.key, session.connection.name)
        and grant.id != session.grant_id
        and grant.expires_at is not None
        and grant.expires_at > house.now()
    ]
    if not others:
        return hint
    more = (
        f"this session runs under {session.grant_id} alone; you also hold "
        f"{', '.join(others[:_MOST_NAMED])}: name one when you open a session"
    )
    return more if hint is None else f"{more}; or {hint}"


def _open_record(
    house: House, identity: Identity, client: str, connection: Connection, grant: Grant
) -> dict[str, Any]:
    return {
        "identity": identity.key,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "name": identity.name,
        "actor": identity.actor,
        "groups": sorted(identity.groups),
        "token_fingerprint": identity.token_fingerprint,
        "jkt": identity.jkt,
        "credential": identity.credential,
        "client": client,
        "connection": connection.name,
        "grant": grant_record(grant),
        "purpose": grant.purpose,
        "policy_hash": connection.policy.hash,
        "gateway_version": house.version,
        "database_floor": connection.database_floor,
    }


def grant_record(grant: Grant) -> dict[str, Any]:
    """A grant as records and evidence carry it."""

    def stamp(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat().replace("+00:00", "Z")

    return {
        "id": grant.id,
        "identity": grant.identity,
        "connection": grant.connection,
        "tables": list(grant.tables),
        "purpose": grant.purpose,
        "state": grant.state.value,
        "requested_at": stamp(grant.requested_at),
        "not_before": stamp(grant.not_before),
        "expires_at": stamp(grant.expires_at),
        "max_rows": grant.max_rows,
        "decided_by": grant.decided_by,
        "decided_at": stamp(grant.decided_at),
        "reason": grant.reason,
        "ticket": grant.ticket,
        "begins_at": stamp(grant.begins_at),
        "hours": list(grant.hours),
        "approvals_needed": grant.approvals_needed,
        "approvals": list(grant.approvals),
        "break_glass": grant.break_glass,
        "renews": grant.renews,
        "columns": {table: list(names) for table, names in grant.columns},
        "filters": dict(grant.predicates),
        "statement": grant.statement,
        "parameters": grant.parameters,
        "max_bytes": grant.max_bytes,
        "max_concurrent": grant.max_concurrent,
        "max_per_minute": grant.max_per_minute,
    }


def _refused(house: House, identity: Identity, ask: Ask, error: MaskgateError) -> dict[str, Any]:
    return {
        "identity": identity.key,
        "session": recordable(ask.session) if ask.session else None,
        "connection": recordable(ask.connection) if ask.connection else None,
        **statement_words(ask, house.limits.statement_bytes),
        "code": error.code,
        "detail": recordable(error.detail),
    }
