"""A control store on a fresh database, people to use it, a clock to turn and a ledger to break."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

import servers
from gateway.grants import AccessRules, ControlStore, Grants, Sessions, Standing
from gateway.model import Grant, Identity

ISSUER = "https://idp.example.org"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def identity(
    subject: str, *groups: str, actor: str | None = None, issuer: str = ISSUER
) -> Identity:
    return Identity(
        issuer=issuer,
        subject=subject,
        name=subject,
        groups=frozenset(groups),
        actor=actor,
        token_fingerprint="00" * 32,
        expires_at=START + timedelta(days=365),
    )


AGENT = identity("agent-reporting")
BILLING = identity("agent-billing")
DANA = identity("steward-dana", "data-stewards")
ELIF = identity("steward-elif", "data-stewards")
AMIR = identity("auditor-amir", "auditors")
RULES = AccessRules(approvers=("group:data-stewards",), auditors=("group:auditors",))


@dataclass
class Clock:
    """A gateway's clock; a test turns it, backwards too."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def earliest(self) -> datetime:
        return self.now

    def check(self) -> None:
        """It agrees with the store's."""

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Ledger:
    """Takes the records of changes; `broken` makes it fail as a full disk would."""

    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    broken: Exception | None = None

    async def __call__(self, name: str, payload: dict[str, Any]) -> None:
        if self.broken is not None:
            raise self.broken
        self.records.append((name, payload))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.records]


@dataclass
class Desk:
    """One gateway's view of the store."""

    store: ControlStore
    grants: Grants
    sessions: Sessions
    standing: Standing
    clock: Clock
    ledger: Ledger
    dsn: str

    async def ask(self, who: Identity = AGENT, **changes: Any) -> Grant:
        """A request for one table for an hour, unless `changes` say otherwise."""
        wanted = {
            "connection": "clinic",
            "tables": ["public.patient"],
            "purpose": "fix the monthly report",
            "duration_s": 3600,
            **changes,
        }
        return await self.grants.request(who, **wanted)

    async def active(self, who: Identity = AGENT, **changes: Any) -> Grant:
        """A grant that Dana has approved."""
        asked = await self.ask(who, **changes)
        return await self.grants.approve(asked.id, DANA, "ticket 4711")


async def fresh_database(server: servers.Server) -> str:
    """The DSN of a new, empty database on this server."""
    name = f"control_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return server.dsn(database=name)


@contextlib.asynccontextmanager
async def open_desk(
    dsn: str, rules: AccessRules = RULES, clock: Clock | None = None
) -> AsyncIterator[Desk]:
    clock, ledger = clock or Clock(), Ledger()
    async with await ControlStore.connect(dsn) as store:
        grants = Grants(store, rules, ledger, clock)
        try:
            yield Desk(
                store,
                grants,
                Sessions(store, rules, clock),
                Standing(store, grants, clock),
                clock,
                ledger,
                dsn,
            )
        finally:
            await grants.close()
