"""A token taken apart, strictly: one text has one reading, or it is refused.

Checks form only; nothing here is proof. Refuses encrypted and nested tokens, padding, whitespace
and non-canonical base64 (two spellings of one token), duplicate JSON keys, critical headers,
unsigned and symmetric algorithms, and headers that bring their own key.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import Unauthenticated

# What is accepted, and the published key each needs: (kty, crv). RFC 7518 section 3.1, RFC 8037.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
MAX_TOKEN_BYTES = 16 * 1024
MAX_PROOF_BYTES = 8 * 1024
MAX_KID_CHARS = 256

# RFC 9068 section 2.1 for access tokens; most issuers say "JWT". Case-insensitive (RFC 7515 4.1.9).
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_OWN_KEY_HEADERS = ("jwk", "jku", "x5u", "x5c")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

_HINT = "Send the header 'Authorization: Bearer TOKEN' with an access token of your issuer."


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of JWS is read: how a sentence calls it, and what RFC 6750 or 9449 calls its
    refusal."""

    name: str
    error: str

    def refused(self, why: str) -> Unauthenticated:
        return Unauthenticated(f"The {self.name}'s {why}.", error=self.error)


TOKEN = Kind("token", "invalid_token")


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed, signed, still unverified token."""

    text: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """The token of a request, and whether its sender says that it is bound to a key."""

    text: str = field(repr=False)
    dpop: bool


def sent(authorization_header: str | None) -> Sent:
    """What an Authorization header holds (RFC 6750 section 2.1, RFC 9449 section 7.1)."""
    if authorization_header is None or not authorization_header.strip():
        raise Unauthenticated("The request has no Authorization header.", hint=_HINT, error=None)
    if len(authorization_header) > MAX_TOKEN_BYTES + len("Bearer "):
        raise Unauthenticated(
            f"The token is too large: at most {MAX_TOKEN_BYTES} bytes are accepted."
        )
    scheme, _, token = authorization_header.partition(" ")
    if scheme.lower() not in ("bearer", "dpop"):
        raise Unauthenticated(
            "The Authorization header must use the scheme Bearer, or DPoP for a bound token.",
            hint=_HINT,
            error="invalid_request",
        )
    if not token:
        raise Unauthenticated("The Authorization header holds no token.", hint=_HINT)
    if any(mark in token for mark in " \t\r\n,"):
        raise Unauthenticated(
            "The Authorization header must hold exactly one token, without whitespace or commas."
        )
    return Sent(token, dpop=scheme.lower() == "dpop")


def parse(text: str) -> Token:
    """Take a token apart (RFC 7515 section 5.2, steps 1 to 5), or raise Unauthenticated."""
    header, claims = take_apart(text, TOKEN)
    for name in _OWN_KEY_HEADERS:
        if name in header:
            raise Unauthenticated(
                f"The token's header brings its own key ({name}); only keys that the issuer "
                "publishes count."
            )
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise Unauthenticated("The token's type (typ) is not that of an access token.")
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARS):
        raise Unauthenticated("The token's key id (kid) must be a short, non-empty string.")
    return Token(text=text, algorithm=header["alg"], kid=kid, claims=claims)


def take_apart(text: str, kind: Kind) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a signed compact JWS, whose `alg` is one of ALGORITHMS. Which key must
    have signed it is the caller's to know."""
    segments = text.split(".")
    if len(segments) == 5:
        raise Unauthenticated(
            f"The {kind.name} is encrypted (JWE); a signed one (JWS) is needed.", error=kind.error
        )
    if len(segments) != 3:
        raise Unauthenticated(
            f"The {kind.name} is not a JWT: it must have three parts.", error=kind.error
        )
    header = _json_object(_decode(segments[0], "header", kind), "header", kind)
    _check_header(header, kind)
    if not segments[2]:
        raise Unauthenticated(f"The {kind.name} has no signature.", error=kind.error)
    _decode(segments[2], "signature", kind)
    claims = _json_object(_decode(segments[1], "payload", kind), "payload", kind)
    return header, claims


def strict_json(text: bytes) -> Any:
    """Parse JSON that has one reading: UTF-8, no duplicate keys, no NaN; else ValueError."""
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def _check_header(header: Mapping[str, Any], kind: Kind) -> None:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise kind.refused(
            "algorithm is not accepted: it must be signed with " + ", ".join(sorted(ALGORITHMS))
        )
    if "crit" in header or "b64" in header:
        raise kind.refused("header has critical header extensions; none is supported")
    if "cty" in header:
        raise Unauthenticated(
            f"The {kind.name} holds another token (cty); nested tokens are refused.",
            error=kind.error,
        )


def _decode(segment: str, what: str, kind: Kind) -> bytes:
    """Base64url without padding, canonical: the last character's unused bits must be zero."""
    if not _SEGMENT.fullmatch(segment):
        raise kind.refused(f"{what} is not base64url without padding")
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError as wrong:
        raise kind.refused(f"{what} is not base64url without padding") from wrong
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
        raise kind.refused(f"{what} is not canonical base64url")
    return raw


def _json_object(raw: bytes, what: str, kind: Kind) -> dict[str, Any]:
    try:
        value = strict_json(raw)
    except _DuplicateKeyError as twice:
        raise kind.refused(f"{what} has a key twice") from twice
    except ValueError as wrong:
        raise kind.refused(f"{what} is not JSON") from wrong
    if not isinstance(value, dict):
        raise kind.refused(f"{what} is not a JSON object")
    return value


class _DuplicateKeyError(ValueError):
    """A JSON object names a key twice: readers disagree about which counts."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError("a key twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
