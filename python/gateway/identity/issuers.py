"""The issuers this gateway trusts, as configured: parsed once, wrong values refused at start.

Refuses plain HTTP to anything but this machine, addresses with credentials, queries or fragments
(a fragment would make `issuer#subject` ambiguous), and a development issuer that is not on this
machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError
from gateway.values import is_loopback

DISCOVERY_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """One trusted issuer.

    `audience`: any of these names this gateway. `authorized_parties`: the clients whose tokens are
    taken (`azp`, else `client_id`); empty: all, but of a token that is for others, too.
    `identity_claim` must be unique to one agent or person: its value is the identity's subject.
    `actor_claim` names the person an agent works for: RFC 8693's `act`, or a claim with a name.
    `groups`, where given, maps the issuer's names to this gateway's; what it lacks is no group.
    `ca` is a PEM file of the authorities of its certificate, instead of the system's.
    `development` admits an issuer that calls itself one (the demo's); without it such an issuer is
    refused, so a production configuration cannot name it by mistake.
    """

    issuer: str
    audience: str | tuple[str, ...]
    identity_claim: str = "sub"
    groups_claim: str = "groups"
    development: bool = False
    authorized_parties: tuple[str, ...] = ()
    actor_claim: str = "act"
    groups: Mapping[str, str] | None = None
    require_dpop: bool = False
    ca: Path | None = None

    def __post_init__(self) -> None:
        check_address(self.issuer, "issuer")
        parts = urlsplit(self.issuer)
        if parts.query or parts.fragment:
            raise ConfigurationError(
                f"issuer {self.issuer!r}: an issuer has no query and no fragment "
                "(OpenID Connect Discovery 1.0, section 3)"
            )
        if self.development and not is_loopback(parts.hostname):
            raise ConfigurationError(
                f"issuer {self.issuer!r}: a development issuer must be on this machine"
            )
        named = {
            "audience": self.audiences,
            "authorized_parties": self.authorized_parties,
            "identity_claim": (self.identity_claim,),
            "actor_claim": (self.actor_claim,),
            "groups_claim": (self.groups_claim,),
            "groups": tuple((self.groups or {}).values()),
        }
        for key, values in named.items():
            if not all(value.strip() for value in values) or (key == "audience" and not values):
                raise ConfigurationError(f"issuer {self.issuer!r}: {key} must not be empty")

    @property
    def audiences(self) -> tuple[str, ...]:
        return (self.audience,) if isinstance(self.audience, str) else self.audience

    @property
    def discovery_url(self) -> str:
        """A terminating slash is removed before the path (Discovery 1.0, section 4.1)."""
        return self.issuer.removesuffix("/") + DISCOVERY_PATH


def check_address(url: object, what: str) -> str:
    """`url` if keys may be fetched from it: https, or http on loopback; else ConfigurationError."""
    if not isinstance(url, str):
        raise ConfigurationError(f"{what}: expected an address, got {type(url).__name__}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{what}: an address holds printable ASCII without spaces only")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as wrong:
        raise ConfigurationError(f"{what} {url!r}: not an address ({wrong})") from wrong
    if parts.scheme not in ("https", "http") or not host:
        raise ConfigurationError(f"{what} {url!r}: expected https://HOST…")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{what}: an address must not hold credentials")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{what} {url!r}: http:// is allowed on this machine only; use https://"
        )
    return url
