"""Who may decide about grants: approvers, auditors, and requests that need no person.

A rule names `group:NAME` or `ISSUER#SUBJECT`; anything else is an error at load. An empty list is
nobody, never everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.errors import ConfigurationError
from gateway.model import Identity

MAX_DURATION_S = 366 * 24 * 3600
MAX_APPROVALS = 16


@dataclass(frozen=True, slots=True)
class AutoApprove:
    """A request of `who` for `connection` of at most `max_duration_s` becomes active at once."""

    name: str  # recorded as "auto:NAME"
    who: tuple[str, ...]
    connection: str
    max_duration_s: int

    def __post_init__(self) -> None:
        if not self.name or not self.connection:
            raise ConfigurationError("access.auto_approve: a rule needs a name and a connection")
        _check_names(self.who, f"access.auto_approve.{self.name}.who")
        _check_duration(self.max_duration_s, f"access.auto_approve.{self.name}.max_duration")


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """A request of `who` for `connection` that says it is an emergency begins without approval."""

    name: str  # recorded as "break-glass:NAME"
    who: tuple[str, ...]
    connection: str
    max_duration_s: int

    def __post_init__(self) -> None:
        if not self.name or not self.connection:
            raise ConfigurationError("access.break_glass: a rule needs a name and a connection")
        _check_names(self.who, f"access.break_glass.{self.name}.who")
        _check_duration(self.max_duration_s, f"access.break_glass.{self.name}.max_duration")


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The `[access]` table of the configuration; empty lists mean nobody."""

    approvers: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ()
    auto_approve: tuple[AutoApprove, ...] = ()
    max_duration_s: int = 8 * 3600
    break_glass: tuple[BreakGlass, ...] = ()
    approvals: int = 1
    approvals_on: Mapping[str, int] = field(default_factory=dict)  # where a connection has its own

    def __post_init__(self) -> None:
        _check_names(self.approvers, "access.approvers")
        _check_names(self.auditors, "access.auditors")
        _check_duration(self.max_duration_s, "access.max_duration")
        for key, rules in (("auto_approve", self.auto_approve), ("break_glass", self.break_glass)):
            names = [rule.name for rule in rules]
            if len(set(names)) != len(names):
                raise ConfigurationError(f"access.{key}: two rules have the same name")
        for count in (self.approvals, *self.approvals_on.values()):
            if not 1 <= count <= MAX_APPROVALS:
                raise ConfigurationError(
                    f"access.approvals: expected 1 to {MAX_APPROVALS}, got {count}"
                )

    def approves(self, identity: Identity) -> bool:
        return _matches(self.approvers, identity)

    def audits(self, identity: Identity) -> bool:
        return _matches(self.auditors, identity)

    def sees_all(self, identity: Identity) -> bool:
        """Approvers and auditors see everybody's grants; others their own."""
        return self.approves(identity) or self.audits(identity)

    def automatic(self, identity: Identity, connection: str, duration_s: int) -> AutoApprove | None:
        """The first rule that lets this request through without a person."""
        for rule in self.auto_approve:
            if (
                rule.connection == connection
                and duration_s <= rule.max_duration_s
                and _matches(rule.who, identity)
            ):
                return rule
        return None

    def emergency(self, identity: Identity, connection: str) -> BreakGlass | None:
        """The first rule that lets this identity break the glass of this connection."""
        for rule in self.break_glass:
            if rule.connection == connection and _matches(rule.who, identity):
                return rule
        return None

    def needed(self, connection: str) -> int:
        """How many people must approve a request for this connection."""
        return self.approvals_on.get(connection, self.approvals)


def actor_key(identity: Identity) -> str | None:
    """The actor as ISSUER#SUBJECT; one of another issuer is written so already."""
    if identity.actor is None:
        return None
    if identity.actor.startswith(("https://", "http://")) and "#" in identity.actor:
        return identity.actor
    return f"{identity.issuer}#{identity.actor}"


def parties(identity: Identity) -> frozenset[str]:
    """Everybody who acts in a call: the identity and, if there is one, the actor."""
    actor = actor_key(identity)
    return frozenset({identity.key} if actor is None else {identity.key, actor})


def _matches(names: Iterable[str], identity: Identity) -> bool:
    return any(
        name.removeprefix("group:") in identity.groups
        if name.startswith("group:")
        else name == identity.key
        for name in names
    )


def _check_names(names: tuple[str, ...], key: str) -> None:
    for name in names:
        kind, _, rest = name.partition(":")
        if kind == "group" and rest:
            continue
        issuer, _, subject = name.partition("#")
        if issuer.startswith(("https://", "http://")) and subject:
            continue
        raise ConfigurationError(f"{key}: {name!r} is neither group:NAME nor ISSUER#SUBJECT")


def _check_duration(seconds: int, key: str) -> None:
    if not 1 <= seconds <= MAX_DURATION_S:
        raise ConfigurationError(f"{key}: expected 1 to {MAX_DURATION_S} seconds, got {seconds}")
