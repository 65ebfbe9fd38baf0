"""How much is used by whom: statements at once and a minute, rows and bytes a day; by all gateways.

The counts are in the control store and go by its clock, so that neither a restart nor a second
gateway begins them anew. Refuses what would be one too many, under all bounds together or under
none, with the seconds after which asking again makes sense. Asks the store nothing where there is
no bound. A statement of a gateway that died counts until its time would have been over.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.errors import LimitExceeded, StoreUnavailable
from gateway.grants.store import ControlStore
from gateway.model import Grant, Identity

_BEGIN = "SELECT * FROM maskgate.begin_statement($1, $2, $3, $4, $5)"
_END = "DELETE FROM maskgate.statements_running WHERE statement = $1"
_CHARGE = "SELECT * FROM maskgate.charge_day($1, $2, $3, $4, $5)"
_LEEWAY = timedelta(seconds=60)  # for a statement to end after its time
_END_S = 1.0  # that a statement waits until it is no longer counted


@dataclass(frozen=True, slots=True)
class Bound:
    """What may be used under one key, and what the key is called in a refusal."""

    key: str
    named: str
    concurrent: int | None = None
    per_minute: int | None = None
    rows_a_day: int | None = None
    bytes_a_day: int | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A rule of the configuration: a bound for each identity, connection or grant."""

    per: str  # identity, connection or grant
    connection: str | None = None  # where it holds; None = on every one
    concurrent: int | None = None
    per_minute: int | None = None
    rows_a_day: int | None = None
    bytes_a_day: int | None = None

    def bound(self, identity: Identity, grant: Grant) -> Bound | None:
        """What it bounds of this statement; None if it is on another connection."""
        if self.connection not in (None, grant.connection):
            return None
        of = {"identity": identity.key, "connection": grant.connection, "grant": grant.id}[self.per]
        where = "" if self.connection is None else f" on {self.connection}"
        return Bound(
            f"quota {self.per} {of}{where}",
            f"this {self.per}{where}",
            self.concurrent,
            self.per_minute,
            self.rows_a_day,
            self.bytes_a_day,
        )


def bounds_of(quotas: Iterable[Quota], identity: Identity, grant: Grant) -> tuple[Bound, ...]:
    """All that bounds a statement of this identity under this grant, by key; of several rules under
    one key the least of each, as each would count for itself under it."""
    found = [quota.bound(identity, grant) for quota in quotas]
    if grant.max_concurrent is not None or grant.max_per_minute is not None:
        own = Bound(
            f"grant {grant.id}", f"the grant {grant.id}", grant.max_concurrent, grant.max_per_minute
        )
        found.append(own)
    bounds: dict[str, Bound] = {}
    for one in found:
        if one is not None:
            bounds[one.key] = _tighter(bounds.get(one.key, one), one)
    return tuple(bounds[key] for key in sorted(bounds))


def _tighter(one: Bound, other: Bound) -> Bound:
    """Of two bounds under one key."""
    return Bound(
        one.key,
        one.named,
        _least(one.concurrent, other.concurrent),
        _least(one.per_minute, other.per_minute),
        _least(one.rows_a_day, other.rows_a_day),
        _least(one.bytes_a_day, other.bytes_a_day),
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


class Usage:
    """The counters of one control store."""

    def __init__(self, store: ControlStore, statement_seconds: float) -> None:
        """`statement_seconds`: no statement runs longer."""
        self._store = store
        self._lasts = timedelta(seconds=statement_seconds) + _LEEWAY
        self._ending: set[asyncio.Future[None]] = set()

    @contextlib.asynccontextmanager
    async def statement(self, bounds: Sequence[Bound]) -> AsyncIterator[None]:
        """Counted as begun now and as running until the end. Raises LimitExceeded and
        StoreUnavailable."""
        asked = [b for b in bounds if b.concurrent is not None or b.per_minute is not None]
        if not asked:
            yield
            return
        named = secrets.token_hex(16)
        try:
            row = await self._store.fetchrow(
                _BEGIN,
                named,
                [one.key for one in asked],
                [one.concurrent for one in asked],
                [one.per_minute for one in asked],
                self._lasts,
            )
            _check(row, asked)
            yield
        finally:
            ending = asyncio.ensure_future(self._end(named))
            self._ending.add(ending)  # the loop alone would not keep it alive
            ending.add_done_callback(self._ending.discard)
            # Though its caller is cancelled once more; a store that hangs does not hold up its end.
            await asyncio.wait({ending}, timeout=_END_S)

    async def _end(self, named: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # then it counts until its time is over
            await self._store.fetch(_END, named)

    async def charge(self, bounds: Sequence[Bound], rows: int, octets: int) -> None:
        """Count what is about to leave, before it leaves. Raises LimitExceeded."""
        asked = [b for b in bounds if b.rows_a_day is not None or b.bytes_a_day is not None]
        if asked:
            row = await self._store.fetchrow(
                _CHARGE,
                [one.key for one in asked],
                [one.rows_a_day for one in asked],
                [one.bytes_a_day for one in asked],
                rows,
                octets,
            )
            _check(row, asked)


def _check(row: Any, asked: Sequence[Bound]) -> None:
    if row["refused"] is None:
        return
    one, wait = asked[row["refused"] - 1], max(1, row["wait"])
    said = {
        "concurrent": f"{one.named} may run {one.concurrent} statements at once",
        "per_minute": f"{one.named} may run {one.per_minute} statements a minute",
        "rows": f"{one.named} may read {one.rows_a_day} rows a day",
        "bytes": f"{one.named} may read {one.bytes_a_day} bytes a day",
    }[row["bound"]]
    hint = f"ask again in {wait} seconds"
    if row["bound"] == "concurrent":
        hint = "wait for one to end, or close its stream"
    raise LimitExceeded(said, hint=hint, retry_after=wait)
