"""The record of one statement: opened before anything is decided, closed whatever happens.

Refuses to let a byte out unrecorded: `result` returns only when its record is durable. The last
record of a statement is always one of release, refused, error or cancel.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from blake3 import blake3

from gateway.errors import GrantExpired, LogUnavailable, MaskgateError
from gateway.grants import until

if TYPE_CHECKING:
    from gateway._kernel import Chunk
    from gateway.errors import Refusal
    from gateway.flows.house import Connection, House
    from gateway.flows.query import Ask
    from gateway.flows.session import LiveSession
    from gateway.grants import Bound
    from gateway.model import Analysis, Decision, Grant, RecordRef

_KEPT_OF_OVERSIZE = 4096
#: Half of what a record may hold (docs/session-log.md).
_MOST_OF_A_RECORD = 8 << 20


class Statement:
    """One numbered statement of a session; an async context manager around steps 2 to 9."""

    def __init__(self, house: House, session: LiveSession, number: int, ask: Ask) -> None:
        self._house = house
        self._session = session
        self._ask = ask
        self.number = number
        self.stopped_by: Refusal | None = None
        self._driver: asyncio.Task[Any] | None = None
        self._grant: Grant | None = None
        self._chunks = 0
        self._rows = 0
        self._digests = blake3()
        self._notes: list[str] = []
        self._released = False
        self._intended = False
        self._writing: asyncio.Future[RecordRef | None] | None = None  # the last record
        self._charging: asyncio.Future[None] | None = None
        self.bounds: Sequence[Bound] = ()  # what quotas count of it

    @property
    def session(self) -> str:
        return self._session.id

    @property
    def grant_id(self) -> str:
        return self._session.grant_id

    @property
    def connection(self) -> Connection:
        return self._session.connection

    async def intent(
        self, grant: Grant, analysis: Analysis, decision: Decision, role: str | None
    ) -> None:
        """Durable on return: what will be asked of the database under which role, and why each
        column may leave."""
        self._grant = grant
        self._notes = list(decision.notes)
        written = self._put("intent", self._intent(grant, analysis, decision, role))
        written.add_done_callback(self._intent_written)
        ref = await self._durable(written)
        # The grant may have ended while the statement was analysed, and the gateway that approved
        # it may have another clock; what the record says counts.
        moment = datetime.fromisoformat(ref.ts)
        if until(grant, moment) is None:
            if grant.not_before is None or moment < grant.not_before:
                refusal = "the grant has not begun by this gateway's clock"
                raise GrantExpired(refusal, hint="try again")
            raise GrantExpired("the grant, or its hours, ended before the statement was run")

    async def result(self, chunk: Chunk) -> None:
        """Durable on return: the digest of bytes that may leave now. Charges the grant's rows."""
        await self._charged(chunk.rows, len(chunk.data), partial(self._put_result, chunk))

    async def finish(self, last: Sequence[Chunk], report: str, *, truncated: bool) -> None:
        """Durable on return: the digests of the last chunks, and the statement's totals, which are
        also its receipt."""
        rows = sum(chunk.rows for chunk in last)
        octets = sum(len(chunk.data) for chunk in last)
        await self._charged(rows, octets, partial(self._put_last, last, report, truncated))

    def _put_result(self, chunk: Chunk) -> asyncio.Future[RecordRef | None]:
        return self._put("result", self._counted(chunk))

    def _put_last(
        self, last: Sequence[Chunk], report: str, truncated: bool
    ) -> asyncio.Future[RecordRef | None]:
        for chunk in last:
            # Taken by the log in this order and made durable by one sync: the last one's will do.
            self._put_result(chunk).add_done_callback(_heard)
        masked = json.loads(report)
        body = {
            "rows": self._rows,
            "chunks": self._chunks,
            "truncated": truncated,
            "cells_masked": masked["cells_masked"],
            "detectors": masked["detectors"],
            "infinities": masked["infinities"],
            "digest": self._digests.hexdigest(),
            "notes": self._notes,
        }
        written = self._put("release", body)
        written.add_done_callback(partial(self._release_written, body))
        return written

    async def _charged(
        self, rows: int, octets: int, put: Callable[[], asyncio.Future[RecordRef | None]]
    ) -> None:
        """Count the rows and bytes against a grant that has a limit, and against quotas, then
        record them; once it has begun to the end, even if the caller is cancelled, so that nothing
        is counted and not recorded."""
        grant = self._grant
        counted = grant is not None and (
            (grant.max_rows is not None and rows) or (grant.max_bytes is not None and octets)
        )
        if grant is None or not (counted or self.bounds):
            await self._durable(put())
            return
        charged = grant.id if counted else None
        self._charging = asyncio.ensure_future(self._charge(charged, rows, octets, put))
        await asyncio.shield(self._charging)

    async def _charge(
        self,
        grant_id: str | None,
        rows: int,
        octets: int,
        put: Callable[[], asyncio.Future[RecordRef | None]],
    ) -> None:
        await self._house.usage.charge(self.bounds, rows, octets)
        if grant_id is not None:
            await self._house.grants.charge_rows(grant_id, rows, octets)
        await self._durable(put())

    def _put(self, kind: str, body: dict[str, Any]) -> asyncio.Future[RecordRef | None]:
        """Given to the log: it will be written, whatever happens to the caller meanwhile. What this
        object believes of it follows the log, and `_ended` waits for it."""
        marked = {**self._session.mark, **body}
        written = self._house.log.put(
            self._session.id, kind, {"statement_no": self.number, **marked}
        )
        self._writing = written
        return written

    async def _durable(self, written: asyncio.Future[RecordRef | None]) -> RecordRef:
        ref = await asyncio.shield(written)
        if ref is None:
            raise LogUnavailable("the session log gave no place to a record")
        return ref

    def _intent_written(self, written: asyncio.Future[RecordRef | None]) -> None:
        self._intended = _heard(written) is not None

    def _release_written(
        self, body: dict[str, Any], written: asyncio.Future[RecordRef | None]
    ) -> None:
        ref = _heard(written)
        if ref is not None:
            self._released = True
            receipt = receipt_of(self.session, self.number, ref.hash, body)
            self._session.receipts[self.number] = receipt

    def _intent(
        self, grant: Grant, analysis: Analysis, decision: Decision, role: str | None
    ) -> dict[str, Any]:
        return {
            "statement": self._ask.sql,
            "params": _params(self._ask.params),
            "server_text": analysis.server_text,
            "analysis": _analysis(analysis),
            "decision": [
                {
                    "column": column.name,
                    "treatment": column.treatment.name,
                    "reason": column.reason,
                    "columns": list(column.columns),
                    "masked_at_source": list(column.masked_at_source),
                }
                for column in decision.columns
            ],
            "policy_hash": decision.policy_hash,
            "grant": grant.id,
            "format": self._ask.encoding,
            "role": role,
            "database_floor": self.connection.database_floor,
            "masked_at_source": _hidden(analysis),
            "permitted": [
                {
                    "option": use.option,
                    "columns": list(use.columns),
                    "rule": use.rule,
                    "parameter": use.parameter,
                }
                for use in decision.permitted
            ],
            "notes": list(decision.notes),
        }

    def _counted(self, chunk: Chunk) -> dict[str, Any]:
        """The body of a chunk's result record, which is appended next."""
        body = {
            "chunk": self._chunks,
            "rows": chunk.rows,
            "cumulative_rows": self._rows + chunk.rows,
            "bytes": len(chunk.data),
            "digest": chunk.digest,
        }
        self._chunks += 1
        self._rows += chunk.rows
        self._digests.update(bytes.fromhex(chunk.digest))
        return body

    def stop(self, because: Refusal) -> None:
        """End the statement from outside, wherever it is; its record and its client will be told
        why."""
        if self.stopped_by is None and self._driver is not None:
            self.stopped_by = because
            self._driver.cancel()

    async def __aenter__(self) -> Self:
        self._driver = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._released and self._writing is not None and self._writing.done():
            self._session.end(self)
            return
        # The task may be cancelled, and more than once: the record is written all the same, and
        # only then is the statement over.
        ending = asyncio.ensure_future(self._end(error))
        again: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as cancelled:
                again = cancelled
        ending.result()
        if again is not None and error is None:
            raise again
        if self.stopped_by is not None and isinstance(error, asyncio.CancelledError):
            # The cancellation was `stop`'s; another's passes through.
            if self._driver is not None:
                self._driver.uncancel()
            raise self.stopped_by from None

    async def _end(self, error: BaseException | None) -> None:
        try:
            if not isinstance(error, LogUnavailable):
                await self._ended(error)
        finally:
            self._session.end(self)

    async def _ended(self, error: BaseException | None) -> None:
        """The statement's last record: what never reached its intent was refused, for whatever
        reason; after it, a stop from outside is a cancel and anything else an error."""
        under_way = {one for one in (self._writing, self._charging) if one is not None}
        if under_way:
            await asyncio.wait(under_way)
        if self._released:
            return
        stopped = self.stopped_by
        if stopped is not None:
            code, detail, kind = stopped.code, stopped.detail, "cancel"
        elif isinstance(error, MaskgateError):
            code, detail, kind = error.code, error.detail, "error"
        elif error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
            code, kind = "cancelled", "cancel"
            detail = "the client went away or the gateway is stopping"
        else:
            code, kind = "internal", "error"
            detail = f"the gateway failed: {type(error).__name__}"
        detail = recordable(detail)
        if not self._intended:
            words = statement_words(self._ask, self._house.limits.statement_bytes)
            await self._append("refused", {**words, "code": code, "detail": detail})
        elif kind == "cancel":
            await self._append("cancel", {"reason": detail, "rows": self._rows})
        else:
            await self._append("error", {"code": code, "detail": detail, "rows": self._rows})

    async def _append(self, kind: str, body: dict[str, Any]) -> None:
        await self._durable(self._put(kind, body))


def _heard(written: asyncio.Future[RecordRef | None]) -> RecordRef | None:
    """Where the record stands, or None when it does not; the log tells every caller why."""
    if written.cancelled() or written.exception() is not None:
        return None
    return written.result()


def receipt_of(
    session: str, number: int, record_hash: str, release: dict[str, Any]
) -> dict[str, Any]:
    """What the client keeps: enough to find the record again and to know it unchanged."""
    kept = ("rows", "truncated", "cells_masked", "digest", "notes")
    return {
        "session": session,
        "statement": number,
        "record_hash": record_hash,
        **{name: release[name] for name in kept},
    }


def _params(params: tuple[Any, ...]) -> str | None:
    """As JSON in a string, because records hold no floats; nothing when there are none."""
    return json.dumps(list(params), ensure_ascii=False) if params else None


def statement_words(ask: Ask, limit: int) -> dict[str, Any]:
    """The statement as a record keeps it: verbatim, or length, hash and first 4 KiB when it is
    over the limit or no text at all."""
    raw = ask.raw or ask.sql.encode("utf-8", "surrogatepass")
    verbatim = len(raw) <= limit and not ask.raw and recordable(ask.sql) == ask.sql
    # A quote takes two bytes in a record and a control character six.
    if verbatim and len(json.dumps(ask.sql)) <= _MOST_OF_A_RECORD:
        return {"statement": ask.sql}
    return {
        "statement_bytes": len(raw),
        "statement_blake3": blake3(raw).hexdigest(),
        "statement_head": raw[:_KEPT_OF_OVERSIZE].decode("utf-8", "backslashreplace"),
    }


def recordable(text: str) -> str:
    """The text with lone surrogates written as escapes, so that it has a UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _hidden(analysis: Analysis) -> list[dict[str, Any]]:
    """In what ran differs from what was sent: columns that were NULL, where, and for which use."""
    return [
        {
            "column": str(one.column),
            "relation": f"{one.reference.schema}.{one.reference.table}",
            "reference": one.reference.alias,
            "uses": list(one.uses),
            "reason": one.reason,
        }
        for one in analysis.hidden
    ]


def _analysis(analysis: Analysis) -> dict[str, Any]:
    return {
        "outputs": [
            {
                "name": output.name,
                "shape": output.shape.value,
                "columns": [str(column) for column in output.columns],
            }
            for output in analysis.outputs
        ],
        "control": [
            {"column": column, "use": where}
            for column, where in dict.fromkeys((str(u.column), u.where) for u in analysis.control)
        ],
        "tables": list(analysis.tables),
        "tree": analysis.server_tree,
    }
