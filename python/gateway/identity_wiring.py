"""Who is believed, who decides, and at which addresses: read from a configuration.

Refuses what the rooms refuse, with the line that says it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from gateway import grants_wiring
from gateway.config import Configuration, IssuerSettings, SamlSettings
from gateway.errors import ConfigurationError
from gateway.grants import AccessRules
from gateway.identity import IssuerConfig
from gateway.identity.saml import ProviderConfig, ServiceProvider
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


def build_saml(
    path: Path,
    configuration: Configuration,
    addresses: Sequence[str],
    clock: Callable[[], datetime],
) -> dict[str, ServiceProvider]:
    """Where people sign in, by name; `addresses` are the gateway's own. Raises ConfigurationError
    with the line of what is wrong."""
    found: dict[str, ServiceProvider] = {}
    for index, one in enumerate(configuration.saml):
        with placed(path, "saml", index, "entity_id"):
            if not addresses:
                raise ConfigurationError(
                    "saml: the gateway must know its own address: set server.public_url"
                )
            if one.name in found or one.entity_id in {each.entity_id for each in found.values()}:
                raise ConfigurationError(f"saml {one.name!r}: name or entity_id is listed twice")
            _check_people(one, configuration.issuers)
            config = ProviderConfig(
                name=one.name,
                entity_id=one.entity_id,
                metadata=path.parent / one.metadata,
                address=f"{addresses[0]}/v1/saml/{one.name}",
                ours=one.sp_entity_id,
                identity_attribute=one.identity_attribute,
                groups_attribute=one.groups_attribute,
                groups=one.groups,
                force_authn=one.force_authn,
                longest=timedelta(seconds=int(one.max_sign_in)),
            )
        with placed(path, "saml", index, "metadata"):
            found[one.name] = ServiceProvider(config, clock)
    return found


def _check_people(one: SamlSettings, issuers: Sequence[IssuerSettings]) -> None:
    """Whoever signs in by both protocols is one identity or two, as the operator means it: of two
    each may approve what the other asks for."""
    named = f"saml {one.name!r}: "
    both = next((each for each in issuers if each.issuer == one.entity_id), None)
    if both is None:
        if one.same_people_as_issuer:
            raise ConfigurationError(
                f"{named}same_people_as_issuer, but {one.entity_id!r} is no issuer's name: its "
                "people would be others than any issuer's"
            )
        return
    if not one.same_people_as_issuer:
        raise ConfigurationError(
            f"{named}entity_id is an issuer's, too, and both would name people "
            f"{one.entity_id}#NAME: set same_people_as_issuer = true if identity_attribute holds "
            "what the issuer's identity_claim does"
        )
    if one.identity_attribute is None:
        raise ConfigurationError(
            f"{named}same_people_as_issuer needs identity_attribute, with what the issuer's "
            "identity_claim holds: a NameID would make the same person a second one"
        )
    if both.require_dpop:
        raise ConfigurationError(
            f"{named}the issuer of the same people has require_dpop, and a sign-in's credential is "
            "bound to no key: people would do without, and be the same"
        )


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
