"""What a provider has signed of a document, and nothing else of it.

What is returned is read from the bytes that the signature was checked over: nothing is looked up
again in the document they came in. Refuses signatures by other keys than the configured ones, over
another element than the one they stand in, with other transforms than the two that SAML needs, and
with SHA-1 or a shared secret. A key that the document brings is taken out before anything looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from lxml import etree
from signxml import XMLVerifier
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration

from gateway.errors import Unauthenticated
from gateway.identity.saml.documents import DS, Element, again, children, read_verified

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
SIGNATURE = f"{{{DS}}}Signature"
#: In an InclusiveNamespaces; providers name three or four.
MAX_PREFIXES = 16
_INCLUSIVE = f"{{{EXCLUSIVE}}}InclusiveNamespaces"

METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_TWO_TRANSFORMS = (
    "its signature must have the transforms enveloped-signature and exclusive canonicalisation, "
    f"without comments and with at most {MAX_PREFIXES} prefixes."
)
_METHODS = frozenset(one.value for one in METHODS)
_DIGESTS = frozenset(one.value for one in DIGESTS)


def verified(
    element: Element, what: str, certificates: Sequence[x509.Certificate], now: datetime
) -> Element:
    """What the signature that stands in `element` covers: the element itself, by the bytes that
    were signed, without the signature. Raises Unauthenticated."""
    alone = again(element, what)
    signatures = [child for child in alone if child.tag == SIGNATURE]
    if len(signatures) != 1:
        many = "several signatures" if signatures else "no signature of its own"
        raise Unauthenticated(f"{what} has {many}; it must be signed itself, once.")
    _check_profile(signatures[0], alone.get("ID"), what)
    for info in signatures[0].findall(f"{{{DS}}}KeyInfo"):
        signatures[0].remove(info)
    for certificate in certificates:
        covered = _covered(alone, certificate, now)
        if covered is not None:
            found = read_verified(covered, what)
            if found.tag != alone.tag or found.get("ID") != alone.get("ID"):
                raise Unauthenticated(f"{what}: its signature covers something else.")
            return found
    raise Unauthenticated(
        f"{what}: its signature does not match any key of the provider's metadata."
    )


def _covered(root: Element, certificate: x509.Certificate, now: datetime) -> bytes | None:
    """The bytes that were signed with this key; None if these were not."""
    expected = SignatureConfiguration(
        require_x509=True,
        location="./",
        expect_references=1,
        signature_methods=METHODS,
        digest_algorithms=DIGESTS,
        verification_time=now,
    )
    try:
        found: Any = XMLVerifier().verify(
            root,
            x509_cert=certificate,
            id_attribute="ID",
            validate_schema=False,
            expect_config=expected,
        )
    # What a stranger wrote where a number or a name belongs comes back in many shapes.
    except (SignXMLException, etree.LxmlError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return bytes(found.signed_data)


def _check_profile(signature: Element, identifier: str | None, what: str) -> None:
    """SAML core, 5.4, and less: what one signature may be made of."""
    if not _holds(signature, "SignedInfo", "SignatureValue") and not _holds(
        signature, "SignedInfo", "SignatureValue", "KeyInfo"
    ):
        raise Unauthenticated(f"{what}: its signature holds more than a signature does.")
    info, value = signature[0], signature[1]
    one_reference = _holds(info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    if not one_reference or not _holds(info[2], "Transforms", "DigestMethod", "DigestValue"):
        raise Unauthenticated(f"{what}: its signature must have one reference, and nothing else.")
    canonical, method, reference = info
    transforms, digest, hashed = reference
    if not _holds(transforms, "Transform", "Transform"):
        raise Unauthenticated(f"{what}: {_TWO_TRANSFORMS}")
    enveloped, exclusive = transforms
    if any(len(leaf) for leaf in (value, method, digest, hashed, enveloped)):
        raise Unauthenticated(f"{what}: its signature holds more than a signature does.")
    if not identifier or reference.get("URI") != f"#{identifier}":
        raise Unauthenticated(f"{what}: its signature refers to something else.")
    if enveloped.get("Algorithm") != ENVELOPED or not _is_exclusive(exclusive):
        raise Unauthenticated(f"{what}: {_TWO_TRANSFORMS}")
    if not _is_exclusive(canonical):
        raise Unauthenticated(
            f"{what}: its signature must be canonicalised exclusively, without comments and with "
            f"at most {MAX_PREFIXES} prefixes."
        )
    if method.get("Algorithm") not in _METHODS or digest.get("Algorithm") not in _DIGESTS:
        raise Unauthenticated(
            f"{what}: it must be signed by RSA or ECDSA with SHA-256, SHA-384 or SHA-512."
        )


def _holds(element: Element, *names: str) -> bool:
    """Whether its children are these elements of a signature, in this order."""
    return [child.tag for child in children(element)] == [f"{{{DS}}}{name}" for name in names]


def _is_exclusive(method: Element) -> bool:
    """Exclusive canonicalisation, perhaps with a short list of prefixes. libxml2 looks for each of
    them above each element, and does so before anybody's key has been looked at."""
    if method.get("Algorithm") != EXCLUSIVE:
        return False
    more = list(children(method))
    if not more:
        return True
    prefixes = more[0].get("PrefixList", "").split()
    return (
        [child.tag for child in more] == [_INCLUSIVE]
        and not len(more[0])
        and len(prefixes) <= MAX_PREFIXES
    )
