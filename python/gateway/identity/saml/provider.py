"""One SAML 2.0 provider as this gateway sees it: what it is asked, and what its answers say.

Sign-ins begin here: an answer that nobody asked for is refused. Requests are not signed, and hold
nothing but an identifier and our own address.
"""

from __future__ import annotations

import base64
import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

from gateway.errors import ConfigurationError
from gateway.identity.saml.assertions import PERSISTENT, Expected, Person, read_response
from gateway.identity.saml.documents import METADATA, SAML, SAMLP, decode
from gateway.identity.saml.metadata import Metadata, read_metadata
from gateway.values import is_web_address

POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One trusted provider.

    `address` is where the gateway's routes for it begin; `entity_id` the provider's name for itself
    and `metadata` its file. `ours` is the gateway's name at the provider. `identity_attribute` must
    be unique to one person and never given to another; None takes the persistent NameID. `groups`
    is as an issuer's. `longest` bounds a sign-in, whatever the provider says.
    """

    name: str
    entity_id: str
    metadata: Path
    address: str
    ours: str | None = None
    identity_attribute: str | None = None
    groups_attribute: str = "groups"
    groups: Mapping[str, str] | None = None
    force_authn: bool = False
    longest: timedelta = timedelta(hours=8)

    def __post_init__(self) -> None:
        for key, value in (("entity_id", self.entity_id), ("sp_entity_id", self.audience)):
            if not is_web_address(value):
                raise ConfigurationError(
                    f"saml {self.name!r}: {key} must begin with https:// or http:// and have no "
                    "blanks and no fragment: identities are named ENTITY_ID#SUBJECT"
                )
        named = (self.identity_attribute, self.groups_attribute, *(self.groups or {}).values())
        if not all(one is None or one.strip() for one in named):
            raise ConfigurationError(f"saml {self.name!r}: a name in it is empty")

    @property
    def audience(self) -> str:
        return self.ours if self.ours is not None else f"{self.address}/metadata"

    @property
    def consumer(self) -> str:
        """The address of our assertion consumer service."""
        return f"{self.address}/acs"


class ServiceProvider:
    """The gateway's side of one provider."""

    def __init__(self, config: ProviderConfig, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._clock = clock
        self._provider: Metadata = read_metadata(config.metadata, config.entity_id, clock())

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def entity_id(self) -> str:
        return self._config.entity_id

    @property
    def address(self) -> str:
        return self._config.address

    @property
    def secure(self) -> bool:
        """Whether browsers reach the gateway by TLS."""
        return self._config.address.startswith("https://")

    @property
    def metadata(self) -> str:
        """The document that the provider's operator is given."""
        return (
            f'<md:EntityDescriptor xmlns:md="{METADATA}" '
            f"entityID={quoteattr(self._config.audience)}>"
            '<md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" '
            f'protocolSupportEnumeration="{SAMLP}">'
            f"<md:NameIDFormat>{PERSISTENT}</md:NameIDFormat>"
            f'<md:AssertionConsumerService index="0" isDefault="true" Binding="{POST}" '
            f"Location={quoteattr(self._config.consumer)}/>"
            "</md:SPSSODescriptor></md:EntityDescriptor>\n"
        )

    def request(self) -> tuple[str, str]:
        """A new request: its id, and the provider's address with it (bindings, 3.4.4.1)."""
        identifier = f"_{secrets.token_hex(20)}"  # an NCName begins with no digit
        policy = "" if self._config.identity_attribute else f' Format="{PERSISTENT}"'
        force = ' ForceAuthn="true"' if self._config.force_authn else ""
        document = (
            f'<samlp:AuthnRequest xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{identifier}" '
            f'Version="2.0" IssueInstant="{self._clock():%Y-%m-%dT%H:%M:%SZ}"{force} '
            f"Destination={quoteattr(self._provider.sign_on)} "
            f'ProtocolBinding="{POST}" '
            f"AssertionConsumerServiceURL={quoteattr(self._config.consumer)}>"
            f"<saml:Issuer>{_escaped(self._config.audience)}</saml:Issuer>"
            f'<samlp:NameIDPolicy{policy} AllowCreate="true"/></samlp:AuthnRequest>'
        )
        deflate: Any = zlib.compressobj(wbits=-15)
        packed = deflate.compress(document.encode()) + deflate.flush()
        query = urlencode({"SAMLRequest": base64.b64encode(packed).decode()})
        joint = "&" if "?" in self._provider.sign_on else "?"
        return identifier, f"{self._provider.sign_on}{joint}{query}"

    def person(self, response: str) -> Person:
        """Who signed in, of the form field SAMLResponse. Raises Unauthenticated."""
        config, now = self._config, self._clock()
        expected = Expected(
            provider=config.entity_id,
            ours=config.audience,
            address=config.consumer,
            certificates=self._provider.usable(now),
            identity_attribute=config.identity_attribute,
            groups_attribute=config.groups_attribute,
            groups=config.groups,
        )
        return read_response(decode(response), expected, now)

    def ends(self, person: Person) -> datetime:
        """When his sign-in ends: with the provider's session, and never later than configured."""
        longest = self._clock() + self._config.longest
        return longest if person.session_ends is None else min(longest, person.session_ends)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
