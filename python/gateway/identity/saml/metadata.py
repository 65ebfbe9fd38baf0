"""A provider's metadata file: where people are sent, and by which keys answers are signed.

The file is trusted by its path, as the configuration is. Refuses one that has expired, that names
no signing key of its own, keys too small, and an address without TLS. That it wants requests signed
(Keycloak's always says so) is not heeded: what we ask is no secret and proves nothing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import ConfigurationError, Unauthenticated
from gateway.identity.issuers import check_address
from gateway.identity.saml.documents import (
    DS,
    METADATA,
    SAMLP,
    Element,
    moment,
    parse_own,
)

REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
MIN_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What one provider says of itself."""

    entity_id: str
    sign_on: str  # the address of its single sign-on service, HTTP-Redirect
    certificates: tuple[x509.Certificate, ...]  # several while it changes keys
    valid_until: datetime | None

    def usable(self, now: datetime) -> tuple[x509.Certificate, ...]:
        """The certificates that count at `now`. Raises Unauthenticated where none does."""
        if self.valid_until is not None and now >= self.valid_until:
            raise Unauthenticated("The provider's metadata has expired (validUntil).")
        found = tuple(
            one
            for one in self.certificates
            if one.not_valid_before_utc <= now <= one.not_valid_after_utc
        )
        if not found:
            raise Unauthenticated("Every certificate in the provider's metadata has expired.")
        return found


def read_metadata(path: Path, entity_id: str, now: datetime) -> Metadata:
    """The provider `entity_id` in this file, alone or among others. Raises ConfigurationError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        found = _read(parse_own(raw, "the file"), entity_id)
        found.usable(now)
    except (Unauthenticated, ConfigurationError) as wrong:
        raise ConfigurationError(f"{path}: {wrong.detail}") from None
    return found


def _read(root: Element, entity_id: str) -> Metadata:
    described = [
        one
        for one in root.iter(f"{{{METADATA}}}EntityDescriptor")
        if one.get("entityID") == entity_id
    ]
    if len(described) != 1:
        raise ConfigurationError(f"it describes {entity_id!r} {len(described)} times, not once")
    (entity,) = described
    roles = [
        role
        for role in entity.findall(f"{{{METADATA}}}IDPSSODescriptor")
        if SAMLP in role.get("protocolSupportEnumeration", "").split()
    ]
    if len(roles) != 1:
        raise ConfigurationError(f"{entity_id!r} is not one provider of SAML 2.0 sign-in")
    (role,) = roles
    ends = [
        moment(one.get("validUntil"), "validUntil")
        for one in (*entity.iterancestors(), entity, role)
        if one.get("validUntil") is not None
    ]
    return Metadata(
        entity_id=entity_id,
        sign_on=_sign_on(role),
        certificates=_certificates(role),
        valid_until=min(ends, default=None),
    )


def _sign_on(role: Element) -> str:
    places = [
        one.get("Location")
        for one in role.findall(f"{{{METADATA}}}SingleSignOnService")
        if one.get("Binding") == REDIRECT
    ]
    if not places:
        raise ConfigurationError("it has no SingleSignOnService with the binding HTTP-Redirect")
    return check_address(places[0], "SingleSignOnService")


def _certificates(role: Element) -> tuple[x509.Certificate, ...]:
    found = []
    for described in role.findall(f"{{{METADATA}}}KeyDescriptor"):
        if described.get("use", "signing") == "signing":
            found += _of_one_key(described)
    if not found:
        raise ConfigurationError("it has no certificate of a signing key")
    return tuple(dict.fromkeys(found))


def _of_one_key(described: Element) -> list[x509.Certificate]:
    """The certificates of a KeyDescriptor. A chain would let each authority above the provider
    sign people in."""
    found = [
        _certificate("".join((one.text or "").split()))
        for one in described.iter(f"{{{DS}}}X509Certificate")
    ]
    if any(one.public_key() != found[0].public_key() for one in found):
        raise ConfigurationError(
            "a KeyDescriptor in it has certificates of several keys; leave the signing key's alone"
        )
    return found


def _certificate(text: str) -> x509.Certificate:
    try:
        found = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
        key = found.public_key()
    except (binascii.Error, ValueError, TypeError):
        raise ConfigurationError("a certificate in it cannot be read") from None
    strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if not strong and not (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    ):
        raise ConfigurationError(
            f"a signing key in it is neither RSA of {MIN_RSA_BITS} bits or more nor on a curve "
            "P-256, P-384 or P-521"
        )
    return found
