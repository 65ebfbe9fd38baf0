"""A provider's answer, read into one person: who signed in, answering which request of ours.

The order of the checks: form of the document, signature, then what was signed. Of the envelope
nothing is believed; what it says must only not contradict. Refuses unsigned assertions whatever
signs the envelope, more than one, encrypted ones, and each that is for another service, another
address, another time or no request of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from lxml import etree

from gateway.errors import Unauthenticated
from gateway.identity.claims import LEEWAY, MAX_GROUPS
from gateway.identity.names import checked_name
from gateway.identity.saml.documents import (
    SAML,
    SAMLP,
    XML_ENCRYPTION,
    Element,
    children,
    moment,
    only_text,
    parse,
)
from gateway.identity.saml.signatures import SIGNATURE, verified

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
#: How long a provider may take to send what it has made.
MAX_AGE = timedelta(minutes=5)
MAX_ID_CHARS = 256

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_WHAT = "The SAML assertion"
_RESPONSE = "The SAML response"
#: The words of core, 3.2.2.2, that may be repeated to a person.
_STATUS = {
    f"urn:oasis:names:tc:SAML:2.0:status:{word}": word
    for word in (
        "Requester",
        "Responder",
        "AuthnFailed",
        "InvalidNameIDPolicy",
        "NoAuthnContext",
        "NoPassive",
        "RequestDenied",
        "RequestUnsupported",
        "UnknownPrincipal",
        "UnsupportedBinding",
    )
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must say: whose it is, for whom, where it goes, and where a name stands."""

    provider: str  # entity id
    ours: str  # entity id
    address: str  # of our assertion consumer service
    certificates: tuple[x509.Certificate, ...]
    identity_attribute: str | None  # None: the persistent NameID
    groups_attribute: str
    groups: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in, as a provider has signed it."""

    issuer: str
    subject: str
    groups: frozenset[str]
    request: str  # the id of the request that is answered
    assertion: str  # the id of the assertion, to be taken once
    usable_until: datetime  # …and remembered so long
    session_ends: datetime | None


def read_response(raw: bytes, expected: Expected, now: datetime) -> Person:
    """The person of a response to a request. Raises Unauthenticated. Whether the request is open
    and the assertion new is the caller's to find out."""
    root = parse(raw, _RESPONSE)
    if root.tag != f"{{{SAMLP}}}Response":
        raise Unauthenticated("The document is no SAML 2.0 response.")
    assertion = _only_assertion(root)
    signed = verified(assertion, _WHAT, expected.certificates, now)
    if any(child.tag == SIGNATURE for child in root):
        root = verified(root, _RESPONSE, expected.certificates, now)
    answers = _check_envelope(root, expected, now)
    found = _read_assertion(signed, expected, now)
    if answers != found.request:
        raise Unauthenticated("The SAML response and its assertion answer different requests.")
    return found


def _only_assertion(root: Element) -> Element:
    """The assertion; there is one in the whole document, where it belongs."""
    assertions, signatures = [], []
    for element in root.iter():
        local, namespace = etree.QName(element).localname, etree.QName(element).namespace
        if namespace == XML_ENCRYPTION or local in (
            "EncryptedAssertion",
            "EncryptedID",
            "EncryptedAttribute",
        ):
            raise Unauthenticated(
                "The SAML response is encrypted; this gateway has no key for it.",
                hint="Have the provider send signed assertions over TLS, without encryption.",
            )
        if local == "Assertion":
            assertions.append(element)
        if local == "Signature":
            signatures.append(element)
    if not assertions:
        _check_status(root)
    if len(assertions) != 1:
        many = "several assertions" if assertions else "no assertion"
        raise Unauthenticated(f"The SAML response holds {many}; it must hold one.")
    (assertion,) = assertions
    if assertion.tag != f"{{{SAML}}}Assertion" or assertion.getparent() is not root:
        raise Unauthenticated("The assertion does not stand where a SAML response has it.")
    if any(one.getparent() not in (root, assertion) for one in signatures):
        raise Unauthenticated("The SAML response has a signature where none belongs.")
    if not any(one.getparent() is assertion for one in signatures):
        raise Unauthenticated(
            "The SAML assertion has no signature of its own; it must be signed itself, once.",
            hint="Have the provider sign assertions, not only responses.",
        )
    return assertion


def _check_envelope(root: Element, expected: Expected, now: datetime) -> str | None:
    """Nothing around the assertion contradicts it. Returns the request that it says it answers."""
    allowed = [SIGNATURE, *(f"{{{SAML}}}{name}" for name in ("Issuer", "Assertion"))]
    allowed.append(f"{{{SAMLP}}}Status")
    held = [child.tag for child in children(root)]
    if any(tag not in allowed for tag in held) or len(set(held)) != len(held):
        raise Unauthenticated("The SAML response holds elements that this gateway does not know.")
    _check_version(root, _RESPONSE)
    _check_status(root)
    issuer = root.find(f"{{{SAML}}}Issuer")
    if issuer is not None:
        _check_issuer(issuer, expected, _RESPONSE)
    if root.get("Destination") != expected.address:
        raise Unauthenticated(
            "The SAML response is not addressed (Destination) to this gateway's "
            f"{expected.address}."
        )
    _check_issued(root, _RESPONSE, now)
    return str(root.get("InResponseTo")) if root.get("InResponseTo") else None


def _check_status(root: Element) -> None:
    status = root.find(f"{{{SAMLP}}}Status")
    code = None if status is None else status.find(f"{{{SAMLP}}}StatusCode")
    value = None if code is None else code.get("Value")
    if value == SUCCESS and code is not None and not len(code):
        return
    codes = [] if code is None else [code, *code.iter(f"{{{SAMLP}}}StatusCode")]
    words = dict.fromkeys(_STATUS[one.get("Value")] for one in codes if one.get("Value") in _STATUS)
    said = f" ({', '.join(words)})" if words else ""
    raise Unauthenticated(f"The provider did not sign anybody in{said}.")


def _read_assertion(signed: Element, expected: Expected, now: datetime) -> Person:
    _check_version(signed, _WHAT)
    _check_issued(signed, _WHAT, now)
    parts: dict[str, list[Element]] = {}
    for child in children(signed):
        parts.setdefault(child.tag, []).append(child)
    needed = ("Issuer", "Subject", "Conditions", "AuthnStatement")
    known = {f"{{{SAML}}}{name}" for name in (*needed, "AttributeStatement")}
    if not known.issuperset(parts):
        raise Unauthenticated("The SAML assertion holds elements that this gateway does not know.")
    parts = {tag.removeprefix(f"{{{SAML}}}"): found for tag, found in parts.items()}
    for name in needed:
        if len(parts.get(name, [])) != 1:
            raise Unauthenticated(f"The SAML assertion must have one {name}.")
    _check_issuer(parts["Issuer"][0], expected, _WHAT)
    name_id, confirmation = _subject(parts["Subject"][0])
    request, until = _confirmed(confirmation, expected, now)
    until = min(until, _conditions(parts["Conditions"][0], expected, now))
    attributes = _attributes(parts.get("AttributeStatement", []))
    return Person(
        issuer=expected.provider,
        subject=_subject_of(name_id, attributes, expected),
        groups=_groups(attributes, expected),
        request=request,
        assertion=_identifier(signed.get("ID"), "ID"),
        usable_until=until + LEEWAY,
        session_ends=_session(parts["AuthnStatement"][0], now),
    )


def _check_version(element: Element, what: str) -> None:
    if element.get("Version") != "2.0":
        raise Unauthenticated(f"{what} is not of version 2.0.")


def _check_issued(element: Element, what: str, now: datetime) -> None:
    issued = moment(element.get("IssueInstant"), f"{what}'s IssueInstant")
    if issued > now + LEEWAY:
        raise Unauthenticated(f"{what} was issued in the future; compare the clocks.")
    if issued < now - MAX_AGE - LEEWAY:
        raise Unauthenticated(f"{what} is old; sign in again.")


def _check_issuer(issuer: Element, expected: Expected, what: str) -> None:
    form = issuer.get("Format", ENTITY)
    if only_text(issuer) != expected.provider or form != ENTITY:
        raise Unauthenticated(f"{what} is another provider's (Issuer).")


def _subject(subject: Element) -> tuple[Element, Element]:
    held = list(children(subject))
    if [child.tag for child in held] != [f"{{{SAML}}}NameID", f"{{{SAML}}}SubjectConfirmation"]:
        raise Unauthenticated(
            "The SAML assertion's Subject must be one NameID with one SubjectConfirmation."
        )
    return held[0], held[1]


def _confirmed(confirmation: Element, expected: Expected, now: datetime) -> tuple[str, datetime]:
    """The request that is answered, and until when (SAML profiles, 4.1.4.2 and 4.1.4.3)."""
    if confirmation.get("Method") != BEARER:
        raise Unauthenticated("The SAML assertion is not for whoever brings it (bearer).")
    held = list(children(confirmation))
    if [child.tag for child in held] != [f"{{{SAML}}}SubjectConfirmationData"] or len(held[0]):
        raise Unauthenticated("The SAML assertion's SubjectConfirmation has no plain data.")
    data = held[0]
    if data.get("Recipient") != expected.address:
        raise Unauthenticated(
            f"The SAML assertion is for another recipient than {expected.address}."
        )
    if data.get("InResponseTo") is None:
        raise Unauthenticated(
            "The SAML assertion answers no request; sign-ins begin at this gateway.",
            hint="Run maskgate login --saml NAME.",
        )
    if data.get("NotBefore") is not None:
        raise Unauthenticated("The SAML assertion's SubjectConfirmationData has a NotBefore.")
    until = moment(data.get("NotOnOrAfter"), "The SubjectConfirmationData's NotOnOrAfter")
    if now >= until + LEEWAY:
        raise Unauthenticated("The SAML assertion came too late; sign in again.")
    return _identifier(data.get("InResponseTo"), "InResponseTo"), until


def _conditions(conditions: Element, expected: Expected, now: datetime) -> datetime:
    """Until when it holds (core, 2.5.1). A condition that is not known is not met."""
    known = {f"{{{SAML}}}{name}" for name in ("OneTimeUse", "ProxyRestriction")}
    restrictions = []
    for child in children(conditions):
        if child.tag == f"{{{SAML}}}AudienceRestriction":
            restrictions.append([_audience(one) for one in children(child)])
        elif child.tag not in known:
            raise Unauthenticated("The SAML assertion has a condition that is not known here.")
    if not restrictions:
        raise Unauthenticated("The SAML assertion has no audience.")
    if not all(expected.ours in audiences for audiences in restrictions):
        raise Unauthenticated(
            f"The SAML assertion is for another audience; this gateway's is {expected.ours!r}."
        )
    begins = conditions.get("NotBefore")
    if begins is not None and now < moment(begins, "The assertion's NotBefore") - LEEWAY:
        raise Unauthenticated("The SAML assertion is not valid yet; compare the clocks.")
    until = moment(conditions.get("NotOnOrAfter"), "The assertion's NotOnOrAfter")
    if now >= until + LEEWAY:
        raise Unauthenticated("The SAML assertion has expired; sign in again.")
    return until


def _audience(element: Element) -> str:
    if element.tag != f"{{{SAML}}}Audience":
        raise Unauthenticated("The SAML assertion's AudienceRestriction holds no Audience.")
    return only_text(element)


def _session(statement: Element, now: datetime) -> datetime | None:
    """When the provider's session ends (core, 2.7.2), if it says so."""
    if moment(statement.get("AuthnInstant"), "The AuthnStatement's AuthnInstant") > now + LEEWAY:
        raise Unauthenticated("The person signed in in the future; compare the clocks.")
    if len(statement.findall(f"{{{SAML}}}AuthnContext")) != 1:
        raise Unauthenticated("The SAML assertion does not say how the person signed in.")
    ends = statement.get("SessionNotOnOrAfter")
    if ends is None:
        return None
    read = moment(ends, "The AuthnStatement's SessionNotOnOrAfter")
    if now >= read:
        raise Unauthenticated("The provider's session has ended; sign in again.")
    return read


def _attributes(statements: list[Element]) -> dict[str, list[Element]]:
    """Values by the attributes' names; some providers repeat the attribute for each value."""
    found: dict[str, list[Element]] = {}
    for statement in statements:
        for attribute in children(statement):
            name = attribute.get("Name")
            if attribute.tag != f"{{{SAML}}}Attribute" or not name:
                raise Unauthenticated("The SAML assertion has an attribute without a name.")
            values = list(children(attribute))
            if any(value.tag != f"{{{SAML}}}AttributeValue" for value in values):
                raise Unauthenticated("The SAML assertion has an attribute with other than values.")
            found.setdefault(str(name), []).extend(values)
    return found


def _subject_of(
    name_id: Element, attributes: Mapping[str, list[Element]], expected: Expected
) -> str:
    """The name of the person: an attribute's one value, or the persistent NameID."""
    wanted = expected.identity_attribute
    if wanted is not None:
        values = attributes.get(wanted, [])
        if len(values) != 1:
            many = "several values for" if values else "no"
            raise Unauthenticated(
                f"The SAML assertion has {many} {wanted!r}, which names one person."
            )
        return checked_name(_value(values[0], wanted), f"The attribute {wanted!r}")
    if name_id.get("Format") != PERSISTENT:
        raise Unauthenticated(
            "The SAML assertion's NameID is not persistent: it may name somebody else tomorrow.",
            hint="Have the provider send a persistent NameID, or set saml.identity_attribute.",
        )
    qualified = ("NameQualifier", expected.provider), ("SPNameQualifier", expected.ours)
    if any(name_id.get(key) not in (None, value) for key, value in qualified):
        raise Unauthenticated("The SAML assertion's NameID is another provider's or service's.")
    return checked_name(only_text(name_id), "The SAML assertion's NameID")


def _groups(attributes: Mapping[str, list[Element]], expected: Expected) -> frozenset[str]:
    wanted = expected.groups_attribute
    values = attributes.get(wanted, [])
    if len(values) > MAX_GROUPS:
        raise Unauthenticated(f"The attribute {wanted!r} lists more than {MAX_GROUPS} groups.")
    names = [checked_name(_value(one, wanted), f"The attribute {wanted!r}") for one in values]
    if expected.groups is None:
        return frozenset(names)
    return frozenset(expected.groups[name] for name in names if name in expected.groups)


def _value(element: Element, name: str) -> str:
    if element.get(f"{{{_XSI}}}nil") is not None:
        raise Unauthenticated(f"The attribute {name!r} has an empty value (nil).")
    return only_text(element)


def _identifier(value: str | None, what: str) -> str:
    if not value or len(value) > MAX_ID_CHARS or not value.isascii() or not value.isprintable():
        raise Unauthenticated(f"The SAML assertion's {what} is no short identifier.")
    return value
