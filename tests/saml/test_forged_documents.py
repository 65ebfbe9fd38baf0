"""Documents and base64 that have more than one reading, or too much of it: each refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from forging import Forgeries
from lxml import etree
from played_idp import (
    NAME,
    Idp,
    Response,
    encoded,
)

from gateway.errors import Unauthenticated

FORGERIES = Forgeries()
forged, said = FORGERIES.forged, FORGERIES.said


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


@forged("too many attributes")
def the_same_namespaces_at_each_depth(idp: Idp) -> Any:
    """To ask each of many elements for all that it stands in would take seconds."""
    declared = "".join(f' xmlns:n{n}="urn:n"' for n in range(20))
    return (f"<a{declared}>" * 30 + "<b/>" * 4_000 + "</a>" * 30).encode()


@forged("too large: at most 262144")
def large(idp: Idp) -> Any:
    return idp.signed(Response(name="x" * 262_144))


@forged("too large")
def huge(idp: Idp) -> Any:
    return idp.signed(Response(name="x" * 300_000))


@pytest.mark.parametrize("name", FORGERIES)
def test_forged(idp: Idp, name: str) -> None:
    FORGERIES.refused(idp, name)


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
