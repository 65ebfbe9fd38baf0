"""A provider that the tests play: its answers are signed by libxmlsec, which verifies none here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from gateway.identity.saml import ProviderConfig, ServiceProvider

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
IDP = "https://idp.example.org/saml"
SSO = "https://idp.example.org/sso"
BASE = "https://maskgate.example.org/v1/saml/corp"
REQUEST = "_" + "5a" * 20
NAME = "6f1d-alice"

AUDIENCE = (
    f"<saml:AudienceRestriction><saml:Audience>{BASE}/metadata</saml:Audience>"
    "</saml:AudienceRestriction>"
)

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DS = "http://www.w3.org/2000/09/xmldsig#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DS + "enveloped-signature"

ALGORITHMS = {
    RSA_SHA256: xmlsec.constants.TransformRsaSha256,
    ECDSA_SHA256: xmlsec.constants.TransformEcdsaSha256,
    DS + "rsa-sha1": xmlsec.constants.TransformRsaSha1,
    DS + "hmac-sha1": xmlsec.constants.TransformHmacSha1,
    "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256": xmlsec.constants.TransformHmacSha256,
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": xmlsec.constants.TransformRsaSha512,
}


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Key:
    """A private key with a certificate of its own."""

    def __init__(self, private: Any = None, days: int = 30) -> None:
        self.private = private or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.org")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=400))
            .not_valid_after(NOW + timedelta(days=days))
            .sign(self.private, hashes.SHA256())
        )

    @classmethod
    def elliptic(cls) -> Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def der(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()

    @property
    def pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def signs(self) -> xmlsec.Key:
        key = xmlsec.Key.from_memory(self.pem, xmlsec.constants.KeyDataFormatPem)
        key.load_cert_from_memory(
            self.certificate.public_bytes(serialization.Encoding.PEM),
            xmlsec.constants.KeyDataFormatPem,
        )
        return key


def metadata(*keys: Key, entity: str = IDP, more: str = "", role: str = "", sso: str = SSO) -> str:
    described = "".join(
        '<md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>'
        f"{key.der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for key in keys
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- from the provider -->\n'
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'xmlns:ds="{DS}" entityID="{entity}" {more}>'
        f'<md:IDPSSODescriptor {role} protocolSupportEnumeration="{SAMLP}">{described}'
        '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        'Location="https://idp.example.org/post"/>'
        '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" '
        f'Location="{sso}"/></md:IDPSSODescriptor></md:EntityDescriptor>'
    )


@dataclass
class Response:
    """An answer to one request; a test changes what it wants wrong and has it made."""

    request: str | None = REQUEST
    issuer: str = IDP
    response_issuer: str | None = IDP
    audience: str = AUDIENCE
    recipient: str = f"{BASE}/acs"
    destination: str | None = f"{BASE}/acs"
    name: str = NAME
    format: str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    name_id_more: str = ""
    now: datetime = NOW
    not_before: str | None = stamp(NOW - timedelta(seconds=5))
    until: str | None = stamp(NOW + timedelta(seconds=120))
    confirmed_until: str | None = stamp(NOW + timedelta(seconds=120))
    authn: str = stamp(NOW - timedelta(seconds=10))
    session: str | None = stamp(NOW + timedelta(hours=2))
    method: str = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    attributes: dict[str, list[str]] = field(default_factory=lambda: {"groups": ["data-stewards"]})
    status: str = '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>'
    id: str = "_assertion-1"
    response_id: str = "_response-1"
    answers: str | None = None  # InResponseTo of the response, where it is another
    data_more: str = ""
    conditions_more: str = ""
    assertion_more: str = ""
    response_more: str = ""
    subject: str | None = None
    version: str = "2.0"
    response_version: str = "2.0"
    response_now: datetime = NOW

    def assertion(self) -> str:
        request = "" if self.request is None else f' InResponseTo="{self.request}"'
        ends = "" if self.confirmed_until is None else f' NotOnOrAfter="{self.confirmed_until}"'
        begins = "" if self.not_before is None else f' NotBefore="{self.not_before}"'
        until = "" if self.until is None else f' NotOnOrAfter="{self.until}"'
        session = "" if self.session is None else f' SessionNotOnOrAfter="{self.session}"'
        attributes = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(
                f'<saml:AttributeValue xsi:type="xs:string">{value}</saml:AttributeValue>'
                for value in values
            )
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )
        subject = self.subject or (
            f'<saml:Subject><saml:NameID Format="{self.format}"{self.name_id_more}>{self.name}'
            f'</saml:NameID><saml:SubjectConfirmation Method="{self.method}">'
            f'<saml:SubjectConfirmationData Recipient="{self.recipient}"{request}{ends}'
            f"{self.data_more}/></saml:SubjectConfirmation></saml:Subject>"
        )
        return (
            f'<saml:Assertion xmlns:saml="{SAML}" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'ID="{self.id}" Version="{self.version}" IssueInstant="{stamp(self.now)}">'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>{subject}"
            f"<saml:Conditions{begins}{until}>{self.audience}{self.conditions_more}"
            f'</saml:Conditions><saml:AuthnStatement AuthnInstant="{self.authn}"{session}>'
            "<saml:AuthnContext><saml:AuthnContextClassRef>"
            "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>"
            "</saml:AuthnContext></saml:AuthnStatement>"
            f"<saml:AttributeStatement>{attributes}</saml:AttributeStatement>"
            f"{self.assertion_more}</saml:Assertion>"
        )

    def document(self) -> Any:
        """The response, unsigned, as a tree."""
        answers = self.answers if self.answers is not None else self.request
        request = "" if answers is None else f' InResponseTo="{answers}"'
        where = "" if self.destination is None else f' Destination="{self.destination}"'
        issuer = (
            ""
            if self.response_issuer is None
            else f"<saml:Issuer>{self.response_issuer}</saml:Issuer>"
        )
        return etree.fromstring(
            f'<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" '
            f'xmlns:xs="http://www.w3.org/2001/XMLSchema" '
            f'ID="{self.response_id}" Version="{self.response_version}" '
            f'IssueInstant="{stamp(self.response_now)}"'
            f"{where}{request}>{issuer}<samlp:Status>{self.status}</samlp:Status>"
            f"{self.assertion()}{self.response_more}</samlp:Response>"
        )


def sign(
    element: Any,
    key: Key,
    *,
    algorithm: str = RSA_SHA256,
    digest: str = SHA256,
    transforms: tuple[str, ...] = (ENVELOPED, EXCLUSIVE),
    canonical: str = EXCLUSIVE,
    uri: str | None = None,
    prefixes: str = "",
    hmac: bytes | None = None,
    bring: Key | None = None,
) -> Any:
    """Put a signature of libxmlsec's behind the Issuer of an assertion or response."""
    inclusive = (
        f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{prefixes}"/>'
        if prefixes
        else ""
    )
    steps = "".join(
        f'<ds:Transform Algorithm="{one}">{inclusive if one == EXCLUSIVE else ""}</ds:Transform>'
        for one in transforms
    )
    identifier = element.get("ID") if uri is None else uri
    brought = "" if bring is None else bring.der
    key_info = (
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{brought}</ds:X509Certificate>"
        "</ds:X509Data></ds:KeyInfo>"
        if bring
        else ""
    )
    signature = etree.fromstring(
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{canonical}"/>'
        f'<ds:SignatureMethod Algorithm="{algorithm}"/>'
        f'<ds:Reference URI="#{identifier}"><ds:Transforms>{steps}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/></ds:Reference>'
        f"</ds:SignedInfo><ds:SignatureValue/>{key_info}</ds:Signature>"
    )
    issuer = element.find(f"{{{SAML}}}Issuer")
    at = 0 if issuer is None else list(element).index(issuer) + 1
    element.insert(at, signature)
    context = xmlsec.SignatureContext()
    if hmac is not None:
        context.key = xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, hmac)
    else:
        context.key = key.signs()
    root = element.getroottree().getroot()
    xmlsec.tree.add_ids(root, ["ID"])
    context.sign(signature)
    return signature


def encoded(root: Any) -> str:
    raw = root if isinstance(root, bytes) else etree.tostring(root)
    return base64.b64encode(raw).decode()


class Idp:
    """A provider with keys, and the gateway's side of it."""

    def __init__(self, home: Path) -> None:
        self.key, self.other, self.curve = Key(), Key(), Key.elliptic()
        self.file = home / "idp.xml"
        self.file.write_text(metadata(self.key, self.curve))

    def provider(self, clock: Callable[[], datetime] = lambda: NOW, **more: Any) -> ServiceProvider:
        given = {"name": "corp", "entity_id": IDP, "metadata": self.file, "address": BASE, **more}
        return ServiceProvider(ProviderConfig(**given), clock)

    def signed(self, response: Response | None = None, **how: Any) -> Any:
        """The tree of a response whose assertion is signed."""
        root = (response or Response()).document()
        sign(root.find(f"{{{SAML}}}Assertion"), how.pop("key", self.key), **how)
        return root
