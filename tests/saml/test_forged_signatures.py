"""Signatures that are none, or of something else, and wrapped assertions: each refused."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from forging import ASSERTION, EVIL, NO_KEY, SIGNATURE, WRAPPED, Forgeries
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

FORGERIES = Forgeries()
forged, said = FORGERIES.forged, FORGERIES.said


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
        {"prefixes": "#default samlp saml ds xs xsi"},
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


def _canonicalised_with(one: Any, prefixes: int, elements: int) -> None:
    """Each prefix is looked for above each element, and before anybody's key is looked at: 200 kB
    of both would keep a processor for hours."""
    inclusive = etree.SubElement(one, f"{{{EXCLUSIVE}}}InclusiveNamespaces")
    inclusive.set("PrefixList", " ".join(["a"] * prefixes))
    for _ in range(elements):
        etree.SubElement(inclusive, "a")


@forged("canonicalised exclusively")
def many_prefixes(idp: Idp) -> Any:
    return _edited(idp, "CanonicalizationMethod", lambda one: _canonicalised_with(one, 17, 0))


@forged("canonicalised exclusively")
def elements_inside_of_the_prefixes(idp: Idp) -> Any:
    return _edited(idp, "CanonicalizationMethod", lambda one: _canonicalised_with(one, 1, 1))


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


@pytest.mark.parametrize("name", FORGERIES)
def test_forged(idp: Idp, name: str) -> None:
    FORGERIES.refused(idp, name)
