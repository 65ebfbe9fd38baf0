"""What a well signed assertion may not say: each refused for its own reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from forging import ASSERTION, Forgeries
from lxml import etree
from played_idp import (
    BASE,
    IDP,
    NOW,
    SAML,
    SAMLP,
    Idp,
    Response,
    encoded,
    stamp,
)

from gateway.errors import Unauthenticated

FORGERIES = Forgeries()
forged, said = FORGERIES.forged, FORGERIES.said


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
    FORGERIES.refused(idp, name)


def test_an_encrypted_assertion(idp: Idp) -> None:
    root = Response().document()
    root.replace(root.find(ASSERTION), etree.Element(f"{{{SAML}}}EncryptedAssertion"))
    with pytest.raises(Unauthenticated, match="encrypted"):
        idp.provider().person(encoded(root))


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
