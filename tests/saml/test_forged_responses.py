"""Forged and malformed responses, each refused for its own reason."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from played_idp import (
    BASE,
    DS,
    ECDSA_SHA256,
    ENVELOPED,
    EXCLUSIVE,
    IDP,
    NAME,
    NOW,
    SAML,
    SAMLP,
    Idp,
    Response,
    encoded,
    sign,
    stamp,
)

from gateway.errors import Unauthenticated

ASSERTION, SIGNATURE = f"{{{SAML}}}Assertion", f"{{{DS}}}Signature"
NO_KEY = "does not match any key"
WRAPPED = "several assertions"
EVIL = "6f1d-mallory"

Forge = Callable[[Idp], Any]
FORGERIES: dict[str, tuple[str, Forge]] = {}


def forged(because: str) -> Callable[[Forge], Forge]:
    """Register a forgery under its name, with what the refusal must say."""

    def register(made: Forge) -> Forge:
        FORGERIES[made.__name__] = (because, made)
        return made

    return register


def said(because: str, called: str, /, **changed: Any) -> None:
    """A well signed response that says the wrong thing."""
    FORGERIES[called] = (because, lambda idp: idp.signed(Response(**changed)))


# -- what is honest is taken --------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"response_issuer": None},
        {"session": None},
        {"not_before": None},
        {"conditions_more": "<saml:OneTimeUse/>"},
        {"name_id_more": f' NameQualifier="{IDP}" SPNameQualifier="{BASE}/metadata"'},
        {"not_before": stamp(NOW + timedelta(seconds=59))},
        {"until": stamp(NOW - timedelta(seconds=59))},
        {"authn": "2026-11-23T11:59:59.123456789Z"},
        {"data_more": ' Address="192.0.2.1"'},
    ],
    ids=str,
)
def test_honest(idp: Idp, changed: dict[str, Any]) -> None:
    found = idp.provider().person(encoded(idp.signed(Response(**changed))))
    assert (found.issuer, found.subject, found.groups) == (IDP, NAME, {"data-stewards"})


@pytest.mark.parametrize(
    "how",
    [
        {"algorithm": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"},
        {"prefixes": "xs"},
        {"digest": "http://www.w3.org/2001/04/xmlenc#sha512"},
    ],
    ids=str,
)
def test_honest_signatures(idp: Idp, how: dict[str, Any]) -> None:
    assert idp.provider().person(encoded(idp.signed(**how))).subject == NAME


def test_the_second_key_of_the_metadata_and_a_response_that_is_signed_too(idp: Idp) -> None:
    root = idp.signed(key=idp.curve, algorithm=ECDSA_SHA256)
    sign(root, idp.key)
    assert idp.provider().person(encoded(root)).subject == NAME


def test_base64_in_lines(idp: Idp) -> None:
    text = base64.encodebytes(etree.tostring(idp.signed())).decode()
    assert idp.provider().person(text.replace("\n", "\r\n")).subject == NAME
    assert idp.provider().person(text).subject == NAME


def test_the_certificate_that_a_provider_sends_along_counts_for_nothing(idp: Idp) -> None:
    assert idp.provider().person(encoded(idp.signed(bring=idp.key))).subject == NAME
    assert idp.provider().person(encoded(idp.signed(bring=idp.other))).subject == NAME


# -- signatures ---------------------------------------------------------------------------------


@forged("no signature of its own")
def signature_stripped(idp: Idp) -> Any:
    root = idp.signed()
    assertion = root.find(ASSERTION)
    assertion.remove(assertion.find(SIGNATURE))
    return root


@forged("no signature of its own")
def only_the_response_is_signed(idp: Idp) -> Any:
    root = Response().document()
    sign(root, idp.key)
    return root


@forged(NO_KEY)
def another_key(idp: Idp) -> Any:
    return idp.signed(key=idp.other)


@forged(NO_KEY)
def another_key_that_comes_along(idp: Idp) -> Any:
    return idp.signed(key=idp.other, bring=idp.other)


@forged(NO_KEY)
def the_response_s_own_signature_is_another_s(idp: Idp) -> Any:
    root = idp.signed()
    sign(root, idp.other)
    return root


@forged(NO_KEY)
def name_changed(idp: Idp) -> bytes:
    return etree.tostring(idp.signed()).replace(NAME.encode(), EVIL.encode())


@forged(NO_KEY)
def group_added(idp: Idp) -> Any:
    root = idp.signed()
    values = root.find(f".//{{{SAML}}}Attribute")
    values.append(copy.deepcopy(values[0]))
    values[1].text = "auditors"
    return root


@forged("SHA-256")
def sha1(idp: Idp) -> Any:
    return idp.signed(algorithm=DS + "rsa-sha1")


@forged("SHA-256")
def sha1_digest(idp: Idp) -> Any:
    return idp.signed(digest=DS + "sha1")


@forged("SHA-256")
def hmac_with_the_certificate_as_secret(idp: Idp) -> Any:
    secret = base64.b64decode(idp.key.der)
    return idp.signed(algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", hmac=secret)


@forged("SHA-256")
def hmac_sha1_with_no_secret(idp: Idp) -> Any:
    return idp.signed(algorithm=DS + "hmac-sha1", hmac=b"\0")


def _edited(idp: Idp, path: str, edit: Callable[[Any], Any]) -> Any:
    root = idp.signed()
    edit(root.find(f".//{{{DS}}}{path}"))
    return root


@forged("SHA-256")
def algorithm_none(idp: Idp) -> Any:
    return _edited(idp, "SignatureMethod", lambda one: one.set("Algorithm", "none"))


@forged(NO_KEY)
def algorithm_of_another_kind_of_key(idp: Idp) -> Any:
    return _edited(idp, "SignatureMethod", lambda one: one.set("Algorithm", ECDSA_SHA256))


@forged(NO_KEY)
def signature_empty(idp: Idp) -> Any:
    return _edited(idp, "SignatureValue", lambda one: setattr(one, "text", ""))


@forged(NO_KEY)
def digest_empty(idp: Idp) -> Any:
    return _edited(idp, "DigestValue", lambda one: setattr(one, "text", ""))


@forged("refers to something else")
def reference_to_the_whole_document(idp: Idp) -> Any:
    return _edited(idp, "Reference", lambda one: one.set("URI", ""))


@forged("refers to something else")
def reference_without_uri(idp: Idp) -> Any:
    return _edited(idp, "Reference", lambda one: one.attrib.pop("URI"))


@forged("refers to something else")
def reference_by_xpointer(idp: Idp) -> Any:
    return _edited(idp, "Reference", lambda one: one.set("URI", "#xpointer(id('_assertion-1'))"))


@forged("refers to something else")
def reference_to_an_address(idp: Idp) -> Any:
    return _edited(idp, "Reference", lambda one: one.set("URI", "file:///etc/passwd"))


@forged("refers to something else")
def reference_to_the_response(idp: Idp) -> Any:
    root = Response().document()
    sign(root.find(ASSERTION), idp.key, uri="_response-1")
    return root


@forged("refers to something else")
def no_id_at_all(idp: Idp) -> Any:
    root = idp.signed()
    del root.find(ASSERTION).attrib["ID"]
    return root


@forged("one reference")
def two_references(idp: Idp) -> Any:
    return _edited(idp, "Reference", lambda one: one.addnext(copy.deepcopy(one)))


@forged("one reference")
def no_transforms(idp: Idp) -> Any:
    return _edited(idp, "Transforms", lambda one: one.getparent().remove(one))


@forged("must have the transforms")
def transform_xslt(idp: Idp) -> Any:
    return _edited(
        idp, "Transform", lambda one: one.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt")
    )


@forged("must have the transforms")
def transform_xpath_besides(idp: Idp) -> Any:
    def add(one: Any) -> None:
        more = etree.SubElement(one, f"{{{DS}}}Transform")
        more.set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
        etree.SubElement(more, f"{{{DS}}}XPath").text = "not(self::*)"

    return _edited(idp, "Transforms", add)


@forged("must have the transforms")
def transforms_with_comments(idp: Idp) -> Any:
    return idp.signed(transforms=(ENVELOPED, EXCLUSIVE + "WithComments"))


@forged("must have the transforms")
def transforms_inclusive(idp: Idp) -> Any:
    inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    return idp.signed(transforms=(ENVELOPED, inclusive))


@forged("must have the transforms")
def transforms_without_enveloped(idp: Idp) -> Any:
    return _edited(idp, "Transforms", lambda one: one.remove(one[0]))


@forged("canonicalised exclusively")
def signed_info_inclusive(idp: Idp) -> Any:
    return idp.signed(canonical="http://www.w3.org/TR/2001/REC-xml-c14n-20010315")


@forged("more than a signature does")
def signature_with_an_object(idp: Idp) -> Any:
    return _edited(idp, "Signature", lambda one: etree.SubElement(one, f"{{{DS}}}Object"))


@forged("more than a signature does")
def two_signed_infos(idp: Idp) -> Any:
    return _edited(idp, "SignedInfo", lambda one: one.addnext(copy.deepcopy(one)))


@forged("more than a signature does")
def a_signed_info_inside_of_the_digest(idp: Idp) -> Any:
    def nest(one: Any) -> None:
        one.find(f".//{{{DS}}}DigestValue").append(copy.deepcopy(one))

    return _edited(idp, "SignedInfo", nest)


@forged("several signatures")
def two_signatures(idp: Idp) -> Any:
    root = idp.signed()
    sign(root.find(ASSERTION), idp.other)
    return root


@forged("signature where none belongs")
def signature_in_the_subject(idp: Idp) -> Any:
    root = idp.signed()
    subject = root.find(f".//{{{SAML}}}Subject")
    subject.append(copy.deepcopy(root.find(f".//{SIGNATURE}")))
    return root


# -- wrapping: a signed assertion somewhere, and another where it is read -------------------------


def _wrapped(idp: Idp) -> tuple[Any, Any, Any]:
    """The response, its signed assertion, and an evil copy without a signature."""
    root = idp.signed()
    signed = root.find(ASSERTION)
    evil = copy.deepcopy(signed)
    evil.remove(evil.find(SIGNATURE))
    evil.set("ID", "_evil")
    evil.find(f".//{{{SAML}}}NameID").text = EVIL
    return root, signed, evil


def _signed_response(idp: Idp) -> tuple[Any, Any, Any]:
    """A response that is signed besides, its signature, and an evil copy without signatures."""
    root = idp.signed()
    sign(root, idp.key)
    evil = copy.deepcopy(root)
    evil.remove(evil.find(SIGNATURE))
    evil.set("ID", "_evil")
    evil.find(ASSERTION).set("ID", "_evil-assertion")
    evil.find(f".//{{{SAML}}}NameID").text = EVIL
    return root, root.find(SIGNATURE), evil


@forged(WRAPPED)
def xsw1_the_signed_response_inside_of_the_evil_one_s_signature(idp: Idp) -> Any:
    root, signature, evil = _signed_response(idp)
    moved = copy.deepcopy(signature)
    root.remove(signature)
    moved.append(root)
    evil.insert(1, moved)
    return evil


@forged(WRAPPED)
def xsw2_the_signed_response_beside_a_detached_signature(idp: Idp) -> Any:
    root, signature, evil = _signed_response(idp)
    moved = copy.deepcopy(signature)
    root.remove(signature)
    evil.insert(1, moved)
    evil.insert(2, root)
    return evil


@forged(WRAPPED)
def xsw3_the_evil_assertion_before_the_signed_one(idp: Idp) -> Any:
    _, signed, evil = _wrapped(idp)
    signed.addprevious(evil)
    return evil.getparent()


@forged(WRAPPED)
def xsw4_the_signed_assertion_inside_of_the_evil_one(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    signed.addprevious(evil)
    evil.append(signed)
    return root


@forged(WRAPPED)
def xsw5_the_signed_assertion_at_the_end_its_signature_in_the_evil_one(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    evil.insert(1, signed.find(SIGNATURE))
    signed.addprevious(evil)
    return root


@forged(WRAPPED)
def xsw6_the_signed_assertion_inside_of_its_signature_in_the_evil_one(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    signature = signed.find(SIGNATURE)
    evil.insert(1, signature)
    signed.addprevious(evil)
    signature.append(signed)
    return root


@forged(WRAPPED)
def xsw7_the_evil_assertion_in_extensions(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(evil)
    signed.addprevious(extensions)
    return root


@forged(WRAPPED)
def xsw8_the_signed_assertion_in_an_object_of_the_evil_one_s_signature(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    signature = signed.find(SIGNATURE)
    evil.insert(1, signature)
    signed.addprevious(evil)
    etree.SubElement(signature, f"{{{DS}}}Object").append(signed)
    return root


@forged("one identifier")
def two_elements_of_one_id(idp: Idp) -> Any:
    root, signed, evil = _wrapped(idp)
    evil.set("ID", signed.get("ID"))
    signed.addprevious(evil)
    return root


@forged("one identifier")
def an_id_of_another_spelling(idp: Idp) -> Any:
    root = idp.signed()
    root.find(f"{{{SAMLP}}}Status").set("{http://www.w3.org/XML/1998/namespace}id", "_assertion-1")
    return root


@forged(WRAPPED)
def an_assertion_in_advice(idp: Idp) -> Any:
    evil = Response(name=EVIL, id="_evil").assertion()
    return idp.signed(Response(assertion_more=f"<saml:Advice>{evil}</saml:Advice>"))


@forged("does not know")
def advice(idp: Idp) -> Any:
    return idp.signed(Response(assertion_more="<saml:Advice/>"))


@forged(WRAPPED)
def two_signed_assertions(idp: Idp) -> Any:
    root = idp.signed()
    more = idp.signed(Response(id="_assertion-2")).find(ASSERTION)
    root.append(more)
    return root


@forged("does not stand where")
def the_assertion_alone_inside_of_the_status(idp: Idp) -> Any:
    root = idp.signed()
    root.find(f"{{{SAMLP}}}Status").append(root.find(ASSERTION))
    return root


@forged("does not stand where")
def an_assertion_of_no_namespace(idp: Idp) -> Any:
    root = idp.signed()
    for element in root.find(ASSERTION).iter():
        element.tag = etree.QName(element).localname
    return root


@forged("no SAML 2.0 response")
def an_assertion_without_response(idp: Idp) -> Any:
    return etree.tostring(idp.signed().find(ASSERTION))


@forged("no SAML 2.0 response")
def a_logout_response(idp: Idp) -> Any:
    root = idp.signed()
    root.tag = f"{{{SAMLP}}}LogoutResponse"
    return root


@forged(NO_KEY)
def a_relative_namespace_that_no_canonical_form_has(idp: Idp) -> Any:
    """Where canonicalisation fails, an empty text must not be what was signed."""
    return etree.tostring(idp.signed()).replace(b"<saml:Subject>", b'<saml:Subject xmlns:r="1">', 1)


# -- XML ----------------------------------------------------------------------------------------


def _text(idp: Idp) -> str:
    return str(etree.tostring(idp.signed(), encoding="unicode"))


@forged("comments")
def comment_in_the_name(idp: Idp) -> Any:
    return _text(idp).replace(NAME, "6f1d<!-- -->-alice").encode()


@forged("comments")
def comment_that_was_signed(idp: Idp) -> Any:
    return idp.signed(Response(name=f"{NAME}<!-- -->.evil"))


@forged("comments")
def comment_behind_the_document(idp: Idp) -> Any:
    return (_text(idp) + "<!-- -->").encode()


@forged("processing instructions")
def processing_instruction_in_the_name(idp: Idp) -> Any:
    return idp.signed(Response(name=f"{NAME}<?x ?>.evil"))


@forged("DTD")
def dtd(idp: Idp) -> Any:
    return b"<!DOCTYPE x>" + _text(idp).encode()


@forged("DTD")
def entity_of_a_file(idp: Idp) -> Any:
    head = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    return (head + _text(idp).replace(NAME, "&e;")).encode()


@forged("DTD")
def entity_bomb(idp: Idp) -> Any:
    head = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
    )
    return (head + "]>" + _text(idp).replace(NAME, "&m;")).encode()


@forged("DTD")
def default_attribute_by_dtd(idp: Idp) -> Any:
    return b'<!DOCTYPE x [<!ATTLIST x ID CDATA "y">]>' + _text(idp).encode()


@forged("not UTF-8")
def utf16(idp: Idp) -> Any:
    return _text(idp).encode("utf-16")


@forged("something else than XML 1.0")
def declared_as_utf7(idp: Idp) -> Any:
    return b'<?xml version="1.0" encoding="UTF-7"?>' + _text(idp).encode()


@forged("something else than XML 1.0")
def declared_as_xml_1_1(idp: Idp) -> Any:
    return b'<?xml version="1.1"?>' + _text(idp).encode()


@forged("not well-formed")
def truncated(idp: Idp) -> Any:
    return _text(idp).encode()[:-5]


@forged("not well-formed")
def nul(idp: Idp) -> Any:
    return _text(idp).encode().replace(b"-alice", b"-al\0ice")


@forged("not well-formed")
def entity_unknown(idp: Idp) -> Any:
    return _text(idp).replace(NAME, f"{NAME}&nbsp;").encode()


@forged("not well-formed")
def two_documents(idp: Idp) -> Any:
    return (_text(idp) * 2).encode()


@forged("not well-formed")
def depth_bomb(idp: Idp) -> Any:
    return b"<a>" * 20_000 + b"</a>" * 20_000


@forged("nested more than")
def deep(idp: Idp) -> Any:
    return b"<a>" * 100 + b"</a>" * 100


@forged("elements")
def many_elements(idp: Idp) -> Any:
    return b"<a>" + b"<b/>" * 6000 + b"</a>"


@forged("too many attributes")
def many_namespaces(idp: Idp) -> Any:
    more = "".join(f' xmlns:n{n}="urn:{n}"' for n in range(60))
    return _text(idp).replace("<samlp:Response", f"<samlp:Response{more}", 1).encode()


@forged("too large: at most 262144")
def large(idp: Idp) -> Any:
    return idp.signed(Response(name="x" * 262_144))


@forged("too large")
def huge(idp: Idp) -> Any:
    return idp.signed(Response(name="x" * 300_000))


# -- what a well signed assertion says -------------------------------------------------------------

said(
    "another audience", "audience_other", audience=Response().audience.replace("maskgate", "other")
)
said("another audience", "audience_prefix", audience=Response().audience.replace("/metadata", ""))
said("another audience", "audience_slash", audience=Response().audience.replace("data<", "data/<"))
said(
    "another audience",
    "audience_two_restrictions",
    audience=Response().audience + Response().audience.replace("maskgate", "other"),
)
said("no audience", "audience_missing", audience="")
said("another audience", "audience_empty", audience="<saml:AudienceRestriction/>")
said(
    "only text belongs",
    "audience_with_an_element",
    audience=f"<saml:AudienceRestriction><saml:Audience>{BASE}/metadata<saml:Audience/>"
    "</saml:Audience></saml:AudienceRestriction>",
)
said("another recipient", "recipient_other", recipient="https://other.example.org/acs")
said("another recipient", "recipient_prefix", recipient=f"{BASE}/acs/")
said("not addressed", "destination_other", destination="https://other.example.org/acs")
said("not addressed", "destination_missing", destination=None)
said("another provider's", "issuer_other", issuer="https://evil.example.org", response_issuer=IDP)
said("another provider's", "issuer_of_the_response", response_issuer="https://evil.example.org")
said("another provider's", "issuer_with_a_blank", issuer=f" {IDP}")
said("no request", "unsolicited", request=None)
said("different requests", "two_requests", answers="_another")
said("no short identifier", "request_empty", request="", answers="_x")
said("no short identifier", "request_long", request="_" + "a" * 300)
said("expired", "expired", until=stamp(NOW - timedelta(seconds=60)))
said("too late", "confirmation_expired", confirmed_until=stamp(NOW - timedelta(seconds=60)))
said("not a time", "no_end", until=None)
said("not a time", "confirmation_without_end", confirmed_until=None)
said("not a time", "end_without_zone", until="2026-11-23T13:00:00")
said("not a time", "end_with_another_zone", until="2026-11-23T13:00:00+02:00")
said("not a time", "end_in_unicode_digits", until="２０２６-11-23T13:00:00Z")
said("not a time", "end_of_no_day", until="2026-02-30T13:00:00Z")
said("not a time", "end_beyond_time", until="9999-12-31T23:59:59Z")
said("not valid yet", "not_yet", not_before=stamp(NOW + timedelta(seconds=61)))
said("has a NotBefore", "confirmation_with_a_beginning", data_more=f' NotBefore="{stamp(NOW)}"')
said("issued in the future", "issued_in_the_future", now=NOW + timedelta(seconds=61))
said("is old", "issued_long_ago", now=NOW - timedelta(minutes=6, seconds=1))
said("in the future", "signed_in_in_the_future", authn=stamp(NOW + timedelta(seconds=61)))
said("session has ended", "session_ended", session=stamp(NOW))
said("bearer", "holder_of_key", method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")
said("bearer", "sender_vouches", method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
said("not known here", "unknown_condition", conditions_more="<saml:Condition/>")
said("assertion is not of version 2.0", "version_1", version="1.1")
said("response is not of version 2.0", "version_1_of_the_response", response_version="1.1")
said(
    "response was issued in the future",
    "response_issued_in_the_future",
    response_now=NOW + timedelta(seconds=61),
)
said("response is old", "response_issued_long_ago", response_now=NOW - timedelta(minutes=7))
said("not persistent", "transient", format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient")
said(
    "not persistent", "unspecified", format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
)
said("not persistent", "mail", format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress")
said("another provider's or", "name_of_another_provider", name_id_more=' NameQualifier="x"')
said("another provider's or", "name_for_another_service", name_id_more=' SPNameQualifier="x"')
said("is empty", "name_empty", name="")
said("surrounding blanks", "name_with_a_line", name="alice\nmallory")
said("surrounding blanks", "name_with_nothing_to_see", name="alice\u200b")
said("in parts", "name_decomposed", name="ali\u0301ce")
said("longer than 255", "name_long", name="a" * 256)
said("only text", "name_with_an_element", name="<saml:NameID>alice</saml:NameID>")
said("one NameID", "name_missing", subject="<saml:Subject/>")
said(
    "one NameID",
    "two_confirmations",
    subject="<saml:Subject><saml:NameID>a</saml:NameID>"
    + "<saml:SubjectConfirmation Method='x'/>" * 2
    + "</saml:Subject>",
)
said("is encrypted", "encrypted_name", subject="<saml:Subject><saml:EncryptedID/></saml:Subject>")
said("is encrypted", "encrypted_attribute", assertion_more="<saml:EncryptedAttribute/>")
said("is encrypted", "encrypted_assertion_besides", response_more="<saml:EncryptedAssertion/>")
said("lists more than", "groups_too_many", attributes={"groups": ["g"] * 1001})
said("is empty", "group_empty", attributes={"groups": [""]})
said("surrounding blanks", "group_with_a_blank", attributes={"groups": [" auditors"]})
said("only text", "group_with_an_element", attributes={"groups": ["<saml:x/>auditors"]})
said(
    "must have one AuthnStatement",
    "two_sign_ins",
    assertion_more=f'<saml:AuthnStatement AuthnInstant="{stamp(NOW)}"/>',
)
said("must have one Conditions", "two_conditions", assertion_more="<saml:Conditions/>")
said("text where only", "text_between", assertion_more="x")
said("does not know", "statement_unknown", assertion_more="<saml:AuthzDecisionStatement/>")
said("does not know", "extensions", response_more="<samlp:Extensions/>")


@forged("did not sign anybody in (Responder, AuthnFailed)")
def status_of_a_failure(idp: Idp) -> Any:
    base = "urn:oasis:names:tc:SAML:2.0:status:"
    return idp.signed(
        Response(
            status=f'<samlp:StatusCode Value="{base}Responder">'
            f'<samlp:StatusCode Value="{base}AuthnFailed"/></samlp:StatusCode>'
        )
    )


@forged("did not sign anybody in.")
def status_of_a_failure_without_assertion(idp: Idp) -> Any:
    root = Response(status='<samlp:StatusCode Value="&lt;script>"/>').document()
    root.remove(root.find(ASSERTION))
    return root


@forged("did not sign anybody in")
def status_missing(idp: Idp) -> Any:
    root = idp.signed()
    root.remove(root.find(f"{{{SAMLP}}}Status"))
    return root


@forged("no assertion")
def success_without_assertion(idp: Idp) -> Any:
    root = Response().document()
    root.remove(root.find(ASSERTION))
    return root


@pytest.mark.parametrize("name", FORGERIES)
def test_forged(idp: Idp, name: str) -> None:
    because, made = FORGERIES[name]
    with pytest.raises(Unauthenticated) as refusal:
        found = idp.provider().person(encoded(made(idp)))
        pytest.fail(f"taken: {found}")
    assert because in refusal.value.detail
    assert not re.search("mallory|script|passwd", f"{refusal.value.detail} {refusal.value.hint}")


def test_an_encrypted_assertion(idp: Idp) -> None:
    root = Response().document()
    root.replace(root.find(ASSERTION), etree.Element(f"{{{SAML}}}EncryptedAssertion"))
    with pytest.raises(Unauthenticated, match="encrypted"):
        idp.provider().person(encoded(root))


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        (lambda text: text[:-4], "well-formed"),
        (lambda text: text + "=", "not base64"),
        (lambda text: " " + text, "not base64"),
        (lambda text: text[:40] + " " + text[40:], "not base64"),
        (lambda text: text[:40] + "\t" + text[40:], "not base64"),
        (lambda text: text[:40] + "\r" + text[40:], "not base64"),
        (lambda text: text[:40] + "====" + text[40:], "base64"),
        (lambda text: text.replace("P", "-", 1), "not base64"),
        (lambda text: "Ａ" + text[1:], "not base64"),
        (lambda text: "", "base64"),
        (lambda text: "\n", "base64"),
        (lambda text: "AAB=", "not canonical"),
        (lambda text: "A" * 500_000, "too large"),
    ],
)
def test_base64(idp: Idp, changed: Callable[[str], str], because: str) -> None:
    with pytest.raises(Unauthenticated, match=because):
        idp.provider().person(changed(encoded(idp.signed())))


@pytest.mark.parametrize(
    ("attributes", "because"),
    [
        ({}, "no 'uid'"),
        ({"uid": ["alice", "mallory"]}, "several values"),
        ({"uid": []}, "no 'uid'"),
        ({"uid": [""]}, "is empty"),
        ({"uid": ["alice "]}, "surrounding blanks"),
        ({"UID": ["alice"]}, "no 'uid'"),
    ],
)
def test_the_attribute_that_names_people(
    idp: Idp, attributes: dict[str, list[str]], because: str
) -> None:
    provider = idp.provider(identity_attribute="uid")
    honest = idp.signed(Response(attributes={"uid": ["alice"]}, format="urn:x"))
    assert provider.person(encoded(honest)).subject == "alice"
    with pytest.raises(Unauthenticated, match=because):
        provider.person(encoded(idp.signed(Response(attributes=attributes))))


def test_one_attribute_twice_is_two_values(idp: Idp) -> None:
    more = (
        '<saml:AttributeStatement><saml:Attribute Name="uid">'
        "<saml:AttributeValue>mallory</saml:AttributeValue></saml:Attribute>"
        "</saml:AttributeStatement>"
    )
    forged = idp.signed(Response(attributes={"uid": ["alice"]}, assertion_more=more))
    with pytest.raises(Unauthenticated, match="several values"):
        idp.provider(identity_attribute="uid").person(encoded(forged))


def test_groups_are_those_that_the_configuration_names(idp: Idp) -> None:
    provider = idp.provider(groups={"/clinic/stewards": "data-stewards"})
    said = Response(attributes={"groups": ["/clinic/stewards", "data-stewards", "auditors"]})
    assert provider.person(encoded(idp.signed(said))).groups == {"data-stewards"}
    assert idp.provider(groups={}).person(encoded(idp.signed())).groups == frozenset()
