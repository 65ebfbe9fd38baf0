"""XML and base64 of strangers, in one reading each.

Refuses document types and with them entities, encodings other than UTF-8, comments and processing
instructions (which split a name in two for some readers), elements that share an identifier, and
what is larger, deeper or fuller than any sign-in.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from gateway.errors import Unauthenticated

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
DS = "http://www.w3.org/2000/09/xmldsig#"
XML_ENCRYPTION = "http://www.w3.org/2001/04/xmlenc#"

#: A response with a thousand groups has a quarter of that.
MAX_RESPONSE_BYTES = 256 * 1024
MAX_METADATA_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_ELEMENTS = 5_000
MAX_ATTRIBUTES = 32  # of one element, with each declaration of a namespace that it stands in

_DECLARATION = re.compile(r"<\?xml\s+version=(['\"])1\.0\1([^?>]*)\?>")
_ENCODING = re.compile(r"(\s+encoding=(['\"])utf-8\2)?(\s+standalone=(['\"])(yes|no)\4)?\s*", re.I)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,12})?Z")
#: Until when times are read: both ends must stay within what a datetime holds.
_ROOM = timedelta(days=2)

Element = Any  # lxml has no types of its own


def decode(text: str) -> bytes:
    """Base64 (RFC 4648, section 4) as a form field holds it; lines may end as RFC 2045 ends them.
    Refuses another alphabet, missing padding and unused bits that are not zero."""
    if len(text) > MAX_RESPONSE_BYTES * 3 // 2:
        raise Unauthenticated(
            f"The SAML response is too large: at most {MAX_RESPONSE_BYTES} bytes are read."
        )
    joined = text.replace("\r\n", "").replace("\n", "")
    try:
        raw = base64.b64decode(joined.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("The SAML response is not base64.") from None
    if not raw or base64.b64encode(raw).decode() != joined:
        raise Unauthenticated("The SAML response is not canonical base64.")
    return raw


def parse(raw: bytes, what: str) -> Element:
    """The root of a stranger's document that has one reading. Raises Unauthenticated."""
    if len(raw) > MAX_RESPONSE_BYTES:
        raise Unauthenticated(f"{what} is too large: at most {MAX_RESPONSE_BYTES} bytes are read.")
    root = _read(_plain(raw, what), what)
    if root.getprevious() is not None or root.getnext() is not None:
        raise Unauthenticated(f"{what} has comments or processing instructions.")
    _check_shape(root, what)
    return root


def parse_own(raw: bytes, what: str) -> Element:
    """The root of a document of the operator's; comments may stand in it."""
    if len(raw) > MAX_METADATA_BYTES:
        raise Unauthenticated(f"{what} is too large: at most {MAX_METADATA_BYTES} bytes are read.")
    return _read(_plain(raw.removeprefix(b"\xef\xbb\xbf"), what), what)


def again(element: Element, what: str) -> Element:
    """The element as the root of a document of its own, with the namespaces it stands in."""
    return _read(etree.tostring(element, encoding="utf-8", with_tail=False), what)


def read_verified(raw: bytes, what: str) -> Element:
    """The root of what a signature covers, from its canonical form."""
    return _read(raw, what)


def children(element: Element) -> Iterator[Element]:
    """Its elements; text between them is refused where only elements may stand."""
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise Unauthenticated("The SAML document holds text where only elements belong.")
    yield from element


def only_text(element: Element) -> str:
    """The text of an element that holds nothing else."""
    if len(element):
        raise Unauthenticated("The SAML document holds elements where only text belongs.")
    return element.text or ""


def moment(text: str | None, what: str) -> datetime:
    """An xs:dateTime in UTC (SAML core, 1.3.3)."""
    found = _TIME.fullmatch(text or "")
    try:
        if found is None:
            raise ValueError(text)
        read = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        read += timedelta(seconds=float(found[2] or 0))
        _ = (read + _ROOM, read - _ROOM)
    except (ValueError, OverflowError):
        raise Unauthenticated(f"{what} is not a time in UTC.") from None
    return read


def _plain(raw: bytes, what: str) -> bytes:
    """The document without its XML declaration, which could name another encoding."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unauthenticated(f"{what} is not UTF-8.") from None
    if text.startswith("<?xml"):
        declared = _DECLARATION.match(text)
        if declared is None or not _ENCODING.fullmatch(declared[2]):
            raise Unauthenticated(f"{what} is declared to be something else than XML 1.0 in UTF-8.")
        text = text[declared.end() :]
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unauthenticated(f"{what} has a document type (DTD), which could hold entities.")
    return text.encode("utf-8")


def _read(raw: bytes, what: str) -> Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_blank_text=False,
        remove_comments=False,
        remove_pis=False,
        recover=False,
    )
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unauthenticated(f"{what} is not well-formed XML.") from None
    found = root.getroottree().docinfo
    if found.internalDTD is not None or found.externalDTD is not None:
        raise Unauthenticated(f"{what} has a document type (DTD), which could hold entities.")
    return root


def _check_shape(root: Element, what: str) -> None:
    """In one pass, whose time depends on the document's length alone: namespaces are counted where
    they are declared, as to ask each element for all it stands in would take their product."""
    named: set[str] = set()
    count = depth = scope = 0
    events = ("start", "end", "start-ns", "end-ns", "comment", "pi")
    for event, element in etree.iterwalk(root, events=events):
        if event in ("comment", "pi"):
            raise Unauthenticated(f"{what} has comments or processing instructions.")
        if event in ("start-ns", "end-ns"):
            scope += 1 if event == "start-ns" else -1
            continue
        depth += 1 if event == "start" else -1
        if event == "end":
            continue
        count += 1
        if count > MAX_ELEMENTS:
            raise Unauthenticated(f"{what} has more than {MAX_ELEMENTS} elements.")
        if depth > MAX_DEPTH:
            raise Unauthenticated(f"{what} is nested more than {MAX_DEPTH} elements deep.")
        if scope + len(element.attrib) > MAX_ATTRIBUTES:
            raise Unauthenticated(f"{what} has an element with too many attributes or namespaces.")
        for key, value in element.attrib.items():
            if etree.QName(key).localname.lower() == "id":  # ID, Id, xml:id
                if value in named:
                    raise Unauthenticated(f"{what} has two elements with one identifier (ID).")
                named.add(value)
