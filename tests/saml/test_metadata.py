"""A provider's metadata file, our own, and what is asked: what counts and what is refused."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from lxml import etree
from played_idp import (
    BASE,
    IDP,
    NAME,
    NOW,
    SAMLP,
    SSO,
    Idp,
    Key,
    Response,
    encoded,
    metadata,
    stamp,
)

from gateway.errors import ConfigurationError, Unauthenticated
from gateway.identity.saml import ProviderConfig, ServiceProvider


def provider(tmp_path: Path, text: str, now: Any = NOW, **more: Any) -> ServiceProvider:
    file = tmp_path / "idp.xml"
    file.write_text(text)
    given = {"name": "corp", "entity_id": IDP, "metadata": file, "address": BASE, **more}
    return ServiceProvider(ProviderConfig(**given), lambda: now)


def test_a_key_is_taken_as_long_as_the_file_has_it(idp: Idp, tmp_path: Path) -> None:
    old, new = Key(), Key()
    both = provider(tmp_path, metadata(old, new))
    for key in (old, new):
        assert both.person(encoded(idp.signed(key=key))).subject == NAME
    after = provider(tmp_path, metadata(new))
    with pytest.raises(Unauthenticated, match="does not match any key"):
        after.person(encoded(idp.signed(key=old)))


def test_an_expired_certificate_signs_nothing(idp: Idp, tmp_path: Path) -> None:
    expired = Key(days=-1)
    one = provider(tmp_path, metadata(expired, idp.key))
    assert one.person(encoded(idp.signed())).subject == NAME
    with pytest.raises(Unauthenticated, match="does not match any key"):
        one.person(encoded(idp.signed(key=expired)))
    with pytest.raises(ConfigurationError, match="Every certificate"):
        provider(tmp_path, metadata(expired))


def test_metadata_that_expires_while_the_gateway_runs(idp: Idp, tmp_path: Path) -> None:
    file = tmp_path / "idp.xml"
    file.write_text(metadata(idp.key, more=f'validUntil="{stamp(NOW)}"'))
    clock = [NOW - timedelta(seconds=1)]
    config = ProviderConfig(name="corp", entity_id=IDP, metadata=file, address=BASE)
    running = ServiceProvider(config, lambda: clock[0])
    assert running.person(encoded(idp.signed())).subject == NAME
    clock[0] = NOW
    with pytest.raises(Unauthenticated, match="metadata has expired"):
        running.person(encoded(idp.signed()))


def test_a_key_for_encryption_signs_nothing(idp: Idp, tmp_path: Path) -> None:
    text = metadata(idp.other) + ""
    two = metadata(idp.key).replace('use="signing"', 'use="encryption"')
    keys = two.partition("<md:KeyDescriptor")[2].partition("</md:KeyDescriptor>")[0]
    text = text.replace(
        "<md:SingleSignOnService",
        f"<md:KeyDescriptor{keys}</md:KeyDescriptor><md:SingleSignOnService",
        1,
    )
    with pytest.raises(Unauthenticated, match="does not match any key"):
        provider(tmp_path, text).person(encoded(idp.signed()))


def _small() -> str:
    return metadata(Key(rsa.generate_private_key(public_exponent=65537, key_size=1024)))


@pytest.mark.parametrize(
    ("made", "because"),
    [
        (lambda key: metadata(key, entity="https://other.example.org"), "0 times, not once"),
        (lambda key: metadata(key, more=f'validUntil="{stamp(NOW)}"'), "has expired"),
        (lambda key: metadata(key, role=f'validUntil="{stamp(NOW)}"'), "has expired"),
        (lambda key: metadata(key, more='validUntil="tomorrow"'), "not a time"),
        (lambda key: metadata(), "no certificate"),
        (lambda key: metadata(key, sso="http://idp.example.org/sso"), "use https"),
        (lambda key: metadata(key, sso="javascript:alert(1)"), "expected https"),
        (lambda key: metadata(key).replace("HTTP-Redirect", "SOAP"), "HTTP-Redirect"),
        (
            lambda key: metadata(key).replace(SAMLP, "urn:oasis:names:tc:SAML:1.1:protocol"),
            "not one",
        ),
        (lambda key: metadata(key).replace(key.der[:8], "AAAAAAAA"), "cannot be read"),
        (lambda key: metadata(key).replace(key.der[:8], "%%%"), "cannot be read"),
        (
            lambda key: metadata(key).replace(
                "</ds:X509Data>",
                f"<ds:X509Certificate>{Key().der}</ds:X509Certificate></ds:X509Data>",
            ),
            "several keys",
        ),
        (lambda key: _small(), "neither RSA of 2048"),
        (lambda key: metadata(Key(ec.generate_private_key(ec.SECP256K1()))), "neither RSA"),
        (lambda key: "<!DOCTYPE x>" + metadata(key).partition("?>")[2], "DTD"),
        (lambda key: metadata(key)[:-3], "well-formed"),
        (lambda key: "", "well-formed"),
    ],
)
def test_a_file_that_is_refused_at_the_start(
    idp: Idp, tmp_path: Path, made: Callable[[Key], str], because: str
) -> None:
    with pytest.raises(ConfigurationError, match=because):
        provider(tmp_path, made(idp.key))


def test_a_key_of_another_kind(tmp_path: Path) -> None:
    class Edwards(Key):
        pass

    private = ed25519.Ed25519PrivateKey.generate()
    signer = Key()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    made = (
        x509.CertificateBuilder()
        .subject_name(signer.certificate.subject)
        .issuer_name(signer.certificate.subject)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(signer.private, hashes.SHA256())
    )
    der = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    with pytest.raises(ConfigurationError, match="neither RSA"):
        provider(tmp_path, metadata(signer).replace(signer.der, der))


def test_one_of_several_providers_in_a_file(idp: Idp, tmp_path: Path) -> None:
    one, other = (metadata(key).partition("-->")[2] for key in (idp.key, idp.other))
    other = other.replace(IDP, "https://other.example.org")
    text = (
        '\ufeff<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">'
        f"{other}{one}</md:EntitiesDescriptor>"
    )
    found = provider(tmp_path, text)
    assert found.person(encoded(idp.signed())).subject == NAME
    with pytest.raises(Unauthenticated, match="does not match any key"):
        found.person(encoded(idp.signed(key=idp.other)))
    with pytest.raises(ConfigurationError, match="has expired"):
        provider(
            tmp_path,
            text.replace(
                "<md:EntitiesDescriptor", f'<md:EntitiesDescriptor validUntil="{stamp(NOW)}"'
            ),
        )


def test_no_file(tmp_path: Path) -> None:
    config = ProviderConfig(
        name="corp", entity_id=IDP, metadata=tmp_path / "none.xml", address=BASE
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ServiceProvider(config, lambda: NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"entity_id": "urn:example:idp"},
        {"entity_id": "https://idp.example.org/#x"},
        {"entity_id": "https://idp.example.org/ x"},
        {"ours": "maskgate"},
        {"identity_attribute": " "},
        {"groups": {"a": ""}},
    ],
    ids=str,
)
def test_a_configuration_that_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    given = {"name": "corp", "entity_id": IDP, "metadata": tmp_path, "address": BASE, **changed}
    with pytest.raises(ConfigurationError):
        ProviderConfig(**given)


def test_what_is_asked(tmp_path: Path, idp: Idp) -> None:
    asking = provider(tmp_path, metadata(idp.key, sso=SSO + "?tenant=1"), force_authn=True)
    (first, location), (second, _) = asking.request(), asking.request()
    assert first != second
    assert location.startswith(SSO + "?tenant=1&SAMLRequest=")
    (packed,) = parse_qs(urlsplit(location).query)["SAMLRequest"]
    root = etree.fromstring(zlib.decompress(base64.b64decode(packed), wbits=-15))
    assert root.get("ID") == first
    assert root.get("ForceAuthn") == "true"
    assert root.get("AssertionConsumerServiceURL") == f"{BASE}/acs"
    assert root.get("Destination") == SSO + "?tenant=1"
    assert root.get("IssueInstant") == stamp(NOW)
    assert root[0].text == f"{BASE}/metadata"


def test_a_name_of_our_own_at_the_provider(tmp_path: Path, idp: Idp) -> None:
    ours = "https://maskgate.example.org/saml?tenant=a&b"
    asking = provider(tmp_path, metadata(idp.key), ours=ours)
    assert etree.fromstring(asking.metadata).get("entityID") == ours
    (packed,) = parse_qs(urlsplit(asking.request()[1]).query)["SAMLRequest"]
    root = etree.fromstring(zlib.decompress(base64.b64decode(packed), wbits=-15))
    assert root[0].text == ours
    with pytest.raises(Unauthenticated, match="another audience"):
        asking.person(encoded(idp.signed()))


def test_a_sign_in_ends_when_the_first_of_both_says(tmp_path: Path, idp: Idp) -> None:
    asking = provider(tmp_path, metadata(idp.key), longest=timedelta(hours=1))
    two_hours = asking.person(encoded(idp.signed()))
    assert asking.ends(two_hours) == NOW + timedelta(hours=1)
    soon = Response(session=stamp(NOW + timedelta(minutes=5)))
    assert asking.ends(asking.person(encoded(idp.signed(soon)))) == NOW + timedelta(minutes=5)
    none = Response(session=None)
    assert asking.ends(asking.person(encoded(idp.signed(none)))) == NOW + timedelta(hours=1)
