"""Who is believed, who decides, and at which addresses: read from a configuration.

Refuses what the rooms refuse, with the line that says it.
"""

from __future__ import annotations

from pathlib import Path

from gateway import grants_wiring
from gateway.config import Configuration
from gateway.errors import ConfigurationError
from gateway.grants import AccessRules
from gateway.identity import IssuerConfig
from gateway.places import placed
from gateway.values import is_loopback


def origins(configuration: Configuration, port: int) -> tuple[str, ...]:
    """The addresses that clients know the gateway by. Of one that listens for other machines only
    its operator knows them."""
    settings = configuration.server
    if settings.public_url is not None:
        return (settings.public_url,)
    host, _ = settings.address
    if not is_loopback(host):
        return ()
    scheme = "https" if settings.tls_cert else "http"
    shown = f"[{host}]" if ":" in host else host
    return tuple(f"{scheme}://{name}:{port}" for name in dict.fromkeys((shown, "localhost")))


def build_identity(
    path: Path, configuration: Configuration
) -> tuple[list[IssuerConfig], AccessRules]:
    """Who is believed and who decides. Raises ConfigurationError with the line of what is wrong."""
    issuers: list[IssuerConfig] = []
    for index, one in enumerate(configuration.issuers):
        with placed(path, "issuers", index, "issuer"):
            if any(one.issuer == earlier.issuer for earlier in issuers):
                raise ConfigurationError(f"issuer {one.issuer!r}: listed twice")
            issuers.append(
                IssuerConfig(
                    issuer=one.issuer,
                    audience=tuple(one.audience),
                    authorized_parties=tuple(one.authorized_parties),
                    identity_claim=one.identity_claim,
                    actor_claim=one.actor_claim,
                    groups_claim=one.groups_claim,
                    groups=one.groups,
                    require_dpop=one.require_dpop,
                    ca=None if one.ca is None else path.parent / one.ca,
                    development=one.development,
                )
            )
    return issuers, grants_wiring.rules(path, configuration)
