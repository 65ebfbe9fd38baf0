"""Tells of each change of a grant: a signed POST to each address that the configuration names.

An event is put into the control store by the transaction of its change, so that there is one for
each change that took effect and none for any other. It goes out at least once: until an answer of
2xx, with a growing pause between attempts, by one gateway at a time of those that name the address.
Events may come late and in another order; `id` tells a repeated one, `at` its place. What is left
for an address that no gateway has named for a week goes unsent.

Refuses to carry what somebody has worded: purposes, reasons, tickets, filters and statements may
hold a patient's name, and an address outside is no place for it. Follows no redirect.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import httpx

from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.grants import records
from gateway.grants.store import ControlStore

LEAST_SECRET = 32  # bytes: of HMAC-SHA256's key (RFC 2104, section 3)
_TICK_S = 1.0
_ANSWER_S = 5.0
_LEASE_S = 30.0  # more than the sending of one event takes
_MOST_AT_ONCE = 20
_LONGEST_PAUSE_S = 600.0
_KEPT_S = 7 * 24 * 3600.0  # what is for an address that no gateway names
_FORGET_EVERY_S = 3600.0
_LOG = logging.getLogger("maskgate")

_PUT = "INSERT INTO maskgate.webhook_events (hook, event, body) VALUES ($1, $2, $3)"
_LEASE = """
INSERT INTO maskgate.webhook_senders AS s (hook, holder, until)
VALUES ($1, $2, now() + $3 * interval '1 second')
ON CONFLICT (hook) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
 WHERE s.holder = $2 OR s.until <= now() RETURNING holder"""
_RELEASE = """
UPDATE maskgate.webhook_senders SET until = least(until, now()) WHERE holder = $1"""
# Events that nobody tries keep the time at which they were due.
_FORGET = """
DELETE FROM maskgate.webhook_events e
 WHERE e.next_at < now() - $1 * interval '1 second'
   AND NOT EXISTS (SELECT FROM maskgate.webhook_senders s
                    WHERE s.hook = e.hook AND s.until > now() - $1 * interval '1 second')
RETURNING seq"""
_DUE = """
SELECT seq, event, body, attempts FROM maskgate.webhook_events
 WHERE hook = $1 AND next_at <= now() ORDER BY next_at, seq LIMIT $2"""
_TAKEN = "DELETE FROM maskgate.webhook_events WHERE seq = $1"
_LATER = """
UPDATE maskgate.webhook_events
   SET attempts = attempts + 1, next_at = now() + $2 * interval '1 second' WHERE seq = $1"""


@dataclass(frozen=True, slots=True)
class Hook:
    """One receiver; `secret` is shared with it."""

    url: str
    secret: bytes = field(repr=False)
    client: httpx.AsyncClient = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST_SECRET:
            raise ConfigurationError(
                f"access.webhooks: the secret has {len(self.secret)} bytes, at least "
                f"{LEAST_SECRET} are taken"
            )


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 (RFC 2104) over `timestamp.body`, hex: what `Maskgate-Signature` carries."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def event_of(row: Any, event: str, by: str, at: datetime) -> dict[str, Any]:
    """What is told of a change; nothing in it is anybody's wording."""
    return {
        "id": f"e-{secrets.token_hex(12)}",
        "event": f"grant.{event}",
        "at": records.text_of(at),
        "grant": row["id"],
        "state": row["state"],
        "connection": row["connection"],
        "identity": row["identity"],
        "by": by,
        "approvals": len(row["approvals"]),
        "approvals_needed": row["approvals_needed"],
        "break_glass": row["break_glass"],
        "not_before": records.text_of(row["not_before"]),
        "expires_at": records.text_of(row["expires_at"]),
        "renews": row["renews"],
    }


class Webhooks:
    """The hooks of one gateway: puts events in with a change, and sends what is due."""

    def __init__(
        self,
        store: ControlStore,
        hooks: Sequence[Hook],
        *,
        now: Callable[[], float] = time.time,
        first_pause_s: float = 1.0,
    ) -> None:
        self._store = store
        self._hooks = {hook.url: hook for hook in hooks}
        self._now = now
        self._first_pause_s = first_pause_s
        self._holder = secrets.token_hex(16)

    async def put(self, connection: Any, row: Any, event: str, by: str, at: datetime) -> None:
        """For the transaction of the change, on whose connection it is called."""
        if self._hooks:
            told = event_of(row, event, by, at)
            for url in self._hooks:
                await connection.execute(_PUT, url, told["id"], json.dumps(told))

    async def run(self) -> None:
        """Send what is due, for ever; for a task of its own, which is cancelled at the end. Each
        receiver has its own loop: one that takes its time holds up nobody else's events."""
        try:
            async with asyncio.TaskGroup() as loops:
                for hook in self._hooks.values():
                    loops.create_task(_again(partial(self._send_due, hook), _TICK_S))
                loops.create_task(_again(self.forget, _FORGET_EVERY_S))
        finally:
            with contextlib.suppress(StoreUnavailable):
                await self._store.fetch(_RELEASE, self._holder)

    async def forget(self) -> int:
        """Drop what waits for addresses that were taken out of every configuration a week ago."""
        dropped = len(await self._store.fetch(_FORGET, _KEPT_S))
        if dropped:
            _LOG.warning(
                "%d events are dropped: no gateway has named their webhooks for %d days",
                dropped,
                _KEPT_S // 86400,
            )
        return dropped

    async def send_due(self) -> int:
        """Send what is due now, to each address to which no other gateway does; returns how many
        were taken."""
        return sum([await self._send_due(hook) for hook in self._hooks.values()])

    async def _send_due(self, hook: Hook) -> int:
        taken = 0
        if not await self._holds(hook):
            return taken
        for row in await self._store.fetch(_DUE, hook.url, _MOST_AT_ONCE):
            if not await self._holds(hook):  # it took too long, and another has begun
                break
            if not await self._sent(hook, row["event"], row["body"].encode()):
                doubled = self._first_pause_s * 2 ** min(row["attempts"], 20)
                await self._store.fetch(_LATER, row["seq"], min(doubled, _LONGEST_PAUSE_S))
                break  # the next ones are tried at the next tick
            await self._store.fetch(_TAKEN, row["seq"])
            taken += 1
        return taken

    async def _holds(self, hook: Hook) -> bool:
        return await self._store.fetchrow(_LEASE, hook.url, self._holder, _LEASE_S) is not None

    async def _sent(self, hook: Hook, event: str, body: bytes) -> bool:
        timestamp = str(int(self._now()))
        headers = {
            "Content-Type": "application/json",
            "Maskgate-Event": event,
            "Maskgate-Timestamp": timestamp,
            "Maskgate-Signature": f"v1={signature(hook.secret, timestamp, body)}",
        }
        try:
            async with (
                asyncio.timeout(_ANSWER_S),
                hook.client.stream("POST", hook.url, content=body, headers=headers) as answer,
            ):
                if answer.is_success:
                    return True
                why = f"status {answer.status_code}"
        except Exception as error:  # httpx has others than its own, and one ends the sending
            why = type(error).__name__
        _LOG.warning("a webhook did not take an event, which is sent again: %s", why)
        return False


async def _again(act: Callable[[], Awaitable[int]], every_s: float) -> None:
    while True:
        try:
            await act()
        except StoreUnavailable:
            pass  # asked again at the next tick
        except Exception as error:  # or nobody would be told of anything from now on
            _LOG.warning("the webhooks could not be served: %s", type(error).__name__)
        await asyncio.sleep(every_s)
