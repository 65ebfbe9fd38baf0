"""The rooms one gateway is made of, as the journeys see them. Built by `wiring`, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import NotFound, Unauthenticated, UpstreamFailed
from gateway.flows.gate import Gate
from gateway.masking import TokenKey
from gateway.policy import Policy, PolicyShelf
from gateway.sql import Settings as AnalysisSettings

if TYPE_CHECKING:
    from gateway.flows.provisioned import Provisioned
    from gateway.flows.session import Desk
    from gateway.grants import (
        AccessRules,
        Clock,
        ControlStore,
        Grants,
        Lookups,
        Quota,
        Reviews,
        Sessions,
        SignIns,
        Standing,
        Usage,
    )
    from gateway.identity import Verifier
    from gateway.identity.saml import ServiceProvider
    from gateway.model import Grant, Identity
    from gateway.sessionlog import Errand, SessionLog
    from gateway.siem import Shipper
    from gateway.upstream import Database, Transaction


@dataclass(frozen=True, slots=True)
class Connection:
    """One database behind the gateway: how it is reached and what its columns are."""

    name: str
    upstream: Database
    role: str | None
    clear_role: str | None
    analysis: AnalysisSettings
    policy: Policy
    infinity: str
    token_domain: str
    quiet_server_log: bool = False
    require_dpop: bool = False
    gate: Gate = field(default_factory=Gate, compare=False, repr=False)
    provisioned: bool = False  # a role for each grant's columns, by `floor`
    floor: Provisioned | None = None

    def transaction(
        self, session_id: str, grant: Grant
    ) -> AbstractAsyncContextManager[Transaction]:
        """For one statement under this grant, with the floor that the connection has."""
        if not self.provisioned:
            return self.upstream.transaction(session_id)
        if self.floor is None:
            raise UpstreamFailed("nobody looks after the roles of this connection")
        return self.floor.transaction(session_id, grant)

    def admit(self, identity: Identity) -> None:
        """Raises Unauthenticated where a token that anybody could send is not enough."""
        if self.require_dpop and identity.jkt is None:
            raise Unauthenticated(
                f"The connection {self.name!r} is open to tokens that are bound to a key (DPoP).",
                hint="maskgate login --dpop asks for one.",
            )

    @property
    def database_floor(self) -> str:
        """What the database itself enforces, as every record says it."""
        role = self.role
        if self.provisioned:
            floor = (
                "provisioned: a role for the grant's columns; the database enforces that a "
                "statement reads no other"
            )
        elif role is None:
            floor = "none: the login's own rights; the database does not enforce the grant's scope"
        else:
            floor = (
                f"pre-made role {role}: the database enforces this role's rights, not the grant's "
                "scope"
            )
        if self.clear_role is not None:
            floor += (
                f"; role {self.clear_role} where no protected column comes out: the database "
                "enforces that it reads none"
            )
        if self.quiet_server_log:
            floor += "; the server logs nothing of these sessions below a fatal error"
        return floor


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one statement, session or identity may take."""

    statement_bytes: int
    statement_seconds: float
    client_stall_seconds: float
    statements_per_session: int
    concurrent_statements: int
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class Siem:
    """The delivery of events, and after how many seconds it is to be called behind."""

    shipper: Shipper
    behind_seconds: float


@dataclass(frozen=True, slots=True)
class House:
    """Everything a journey may walk through."""

    version: str
    identity: Verifier
    store: ControlStore
    rules: AccessRules
    grants: Grants
    sessions: Sessions
    standing: Standing
    lookups: Lookups
    usage: Usage
    reviews: Reviews
    sign_ins: SignIns
    log: SessionLog
    connections: Mapping[str, Connection]
    policies: PolicyShelf
    token_key: TokenKey
    limits: Limits
    desk: Desk
    now: Clock = field(repr=False)
    saml: Mapping[str, ServiceProvider] = field(default_factory=dict)  # by name
    siem: Siem | None = None
    errands: tuple[Errand, ...] = ()  # time stamps and copies of the log

    def connection(self, name: str) -> Connection:
        found = self.connections.get(name)
        if found is None:
            known = ", ".join(sorted(self.connections))
            raise NotFound(f"no connection {name!r}", hint=f"there are: {known}")
        return found
