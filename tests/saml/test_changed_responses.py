"""Properties: whatever is changed of a signed response, it is refused or says the same."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from played_idp import IDP, NAME, REQUEST, Idp, Response, encoded, sign

from gateway.errors import Unauthenticated

CASES = 600


@pytest.fixture(scope="module")
def raw(idp: Idp) -> bytes:
    root = idp.signed(Response(attributes={"groups": ["data-stewards"]}), bring=idp.key)
    return bytes(etree.tostring(root))


def same_or_refused(idp: Idp, text: str) -> None:
    provider = idp.provider()
    try:
        found = provider.person(text)
    except Unauthenticated:
        return
    assert (found.issuer, found.subject, found.request) == (IDP, NAME, REQUEST)
    assert found.groups == {"data-stewards"}
    assert found.assertion == "_assertion-1"
    assert provider.ends(found) == provider.ends(provider.person(encoded(idp.signed())))


@settings(max_examples=CASES, deadline=None)
@given(st.data())
def test_a_byte_changed(idp: Idp, raw: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255))
    same_or_refused(idp, encoded(raw[:at] + bytes([byte]) + raw[at + 1 :]))


@settings(max_examples=CASES, deadline=None)
@given(st.data())
def test_bytes_put_in_or_taken_out(idp: Idp, raw: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 64)))
    pieces = st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [
                b"<!-- -->", b"<?x?>", b"<![CDATA[x]]>", b"]]>", b"&#x41;", b"&lt;",
                b"<saml:NameID>", b"</saml:NameID>", b' ID="_x"', b' xmlns=""', b' xml:id="_x"',
                b"<saml:Assertion/>", b"<ds:Object/>", b"\n", b"\x00", b"\xef\xbb\xbf",
            ]
        ),
    )  # fmt: skip
    same_or_refused(idp, encoded(raw[:start] + data.draw(pieces) + raw[end:]))


@settings(max_examples=CASES, deadline=None)
@given(st.data())
def test_elements_moved_copied_and_renamed(idp: Idp, raw: bytes, data: st.DataObject) -> None:
    root = etree.fromstring(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        elements = list(root.iter())
        one = data.draw(st.sampled_from(elements[1:]))
        to = data.draw(st.sampled_from(elements))
        step = data.draw(st.sampled_from(["move", "copy", "remove", "text", "name", "id"]))
        if step in ("move", "copy"):
            moved = one if step == "move" else etree.fromstring(etree.tostring(one))
            if to not in one.iter():
                to.insert(data.draw(st.integers(0, len(to))), moved)
        elif step == "remove":
            one.getparent().remove(one)
        elif step == "text":
            one.text = to.text
        elif step == "name":
            one.tag = to.tag
        else:
            one.set("ID", data.draw(st.sampled_from(["_assertion-1", "_response-1", "_x"])))
    same_or_refused(idp, encoded(root))


@settings(max_examples=CASES, deadline=None)
@given(st.data())
def test_base64_changed(idp: Idp, raw: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(raw).decode()
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.one_of(st.characters(), st.sampled_from(["\r\n", "\n", "=", "-", "%"])))
    same_or_refused(idp, text[:at] + put + text[at + data.draw(st.integers(0, 1)) :])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_anything(idp: Idp, raw: bytes) -> None:
    with pytest.raises(Unauthenticated):
        idp.provider().person(encoded(raw))


def test_whitespace_of_a_document_that_is_signed_whole(idp: Idp) -> None:
    root = idp.signed()
    sign(root, idp.key)
    assert idp.provider().person(encoded(root)).subject == NAME
    with pytest.raises(Unauthenticated, match="does not match any key"):
        idp.provider().person(
            encoded(etree.tostring(root).replace(b"</samlp:Status>", b"\n</samlp:Status>"))
        )
