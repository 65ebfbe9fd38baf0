"""Proof of possession (RFC 9449): who sends a bound token has its key, now and for this request.

Refuses proofs for another request, another token or another key, old ones and ones from the
future, and each one that was seen before. What it cannot remember it refuses: the memory is
bounded, and a proof from before its beginning counts as seen.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from gateway.errors import LimitExceeded, Unauthenticated
from gateway.identity.keys import PublishedKey, read_key
from gateway.identity.signatures import verify_signature
from gateway.identity.tokens import MAX_PROOF_BYTES, Kind, take_apart
from gateway.model import Call

#: How far a proof's `iat` may lie behind the gateway's clock, and before it, in seconds.
PROOF_AGE_S = 60
PROOF_AHEAD_S = 5
#: By how much a wait for a proof's own time may end too early.
CLOCK_GRAIN_S = 0.1
MAX_JTI_CHARS = 256
MAX_SEEN = 1 << 18  # of all keys; each for the sum of the two
MAX_SEEN_OF_A_KEY = 1 << 15

PROOF = Kind("DPoP proof", "invalid_dpop_proof")

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_OTHER_KEYS = ("jku", "x5u", "x5c")
_UNRESERVED = "-._~"  # with letters and digits: RFC 3986 section 2.3
_IN_A_PATH = f"{_UNRESERVED}/!$&'()*+,;=:@%"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PORTS = {"http": 80, "https": 443}


class Proofs:
    """Checks the proofs of one gateway, whose addresses are `origins` (scheme, host and port)."""

    def __init__(self, origins: Sequence[str], start: datetime) -> None:
        self._origins = frozenset(origins)
        self._seen = _Seen(start.timestamp() + CLOCK_GRAIN_S)

    def check(self, call: Call, token: str, jkt: str, now: datetime) -> float:
        """Return when the request carries a proof for its token, bound to the key `jkt`; it is
        remembered then. Raises Unauthenticated, or LimitExceeded when no more can be remembered.

        The answer is how many seconds there are until the proof's own time. It counts only then:
        else a gateway that starts anew in between could not tell that it was used before."""
        if len(call.proofs) != 1:
            raise _refused(
                "The token is bound to a key (DPoP): the request needs exactly one DPoP field with "
                "a proof."
            )
        header, claims = _take_apart(call.proofs[0])
        key = _key_of(header)
        verify_signature(call.proofs[0], key, PROOF)
        if key.key.thumbprint() != jkt:
            raise _refused("The DPoP proof is by another key than the token is bound to.")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARS:
            raise _refused("The DPoP proof's jti must be a short, non-empty string.")
        if claims.get("htm") != call.method:
            raise _refused("The DPoP proof is for another method (htm).")
        self._check_target(claims.get("htu"), call.path)
        digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest())
        if claims.get("ath") != digest.rstrip(b"=").decode():
            raise _refused("The DPoP proof is for another token (ath).")
        issued = _issued_at(claims.get("iat"))
        self._seen.add(jkt, jti, issued, now.timestamp())
        return max(0.0, issued - now.timestamp())

    def _check_target(self, htu: Any, path: str) -> None:
        """`htu` without query and fragment is the request's (sections 4.3 and 4.2), however it is
        spelt (RFC 3986 section 6.2). The gateway's own addresses count, not what a Host field says:
        a proof for another server would fit anywhere."""
        if not self._origins:
            raise _refused(
                "Proofs cannot be checked: this gateway was not told its own address.",
                "The operator sets server.public_url.",
            )
        normal = _normal(htu)
        if normal is None or normal not in {(one, _path(path)) for one in self._origins}:
            raise _refused(
                "The DPoP proof is for another address (htu).",
                f"This gateway is {' or '.join(sorted(self._origins))}.",
            )


class _Seen:
    """Proofs that were taken, for as long as their time would let them be taken again.

    The gateway's clock may be set back, and a gateway started anew has forgotten everything: so
    nothing is taken that was issued before `_since`, which only ever moves on. An `iat` of whole
    seconds in the start's own second is before it; one with a fraction is compared exactly.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._found: set[bytes] = set()
        self._by_second: dict[int, list[tuple[bytes, str]]] = {}
        self._of: Counter[str] = Counter()

    def add(self, jkt: str, jti: str, issued: float, now: float) -> None:
        self._forget(int(now) - PROOF_AGE_S)
        if issued > now + PROOF_AHEAD_S:
            raise _refused("The DPoP proof was issued in the future (iat); compare the clocks.")
        if issued < self._since:
            raise _refused(
                "The DPoP proof is too old (iat).",
                f"A proof is good for {PROOF_AGE_S} s, and for no longer than the gateway has run.",
            )
        mark = hashlib.blake2b(f"{jkt} {jti}".encode(errors="surrogatepass"), digest_size=16)
        digest = mark.digest()
        if digest in self._found:
            raise _refused("The DPoP proof was used before (jti).")
        if len(self._found) >= MAX_SEEN or self._of[jkt] >= MAX_SEEN_OF_A_KEY:
            raise LimitExceeded(
                "more proofs than can be remembered", hint="ask again later", retry_after=5
            )
        self._found.add(digest)
        self._by_second.setdefault(int(issued), []).append((digest, jkt))
        self._of[jkt] += 1

    def _forget(self, before: int) -> None:
        if before <= self._since:
            return
        self._since = before
        for second in [one for one in self._by_second if one < before]:
            for digest, jkt in self._by_second.pop(second):
                self._found.discard(digest)
                self._of[jkt] -= 1
                if not self._of[jkt]:
                    del self._of[jkt]


def _take_apart(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(text) > MAX_PROOF_BYTES:
        raise _refused(f"The DPoP proof is larger than {MAX_PROOF_BYTES} bytes.")
    header, claims = take_apart(text, PROOF)
    if header.get("typ") != "dpop+jwt":
        raise PROOF.refused('type (typ) is not "dpop+jwt"')
    return header, claims


def _key_of(header: dict[str, Any]) -> PublishedKey:
    """The proof's own key, which proves nothing but its possession (section 4.3)."""
    entry = header.get("jwk")
    for name in _OTHER_KEYS:
        if name in header:
            raise PROOF.refused(f"key must be in its header (jwk), not behind {name}")
    if not isinstance(entry, dict):
        raise PROOF.refused("header has no key (jwk)")
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise PROOF.refused("key (jwk) is not public: make a new one and tell nobody")
    key = read_key({**entry, "kid": None})
    if key is None or not key.fits(header["alg"]):
        raise PROOF.refused("key (jwk) is not one of its algorithm")
    return key


def _issued_at(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PROOF.refused("iat is not a number of seconds")
    if not 0 <= value < 1 << 40:  # NaN is in no range
        raise PROOF.refused("iat is not a time")
    return float(value)


def _normal(url: Any) -> tuple[str, str] | None:
    """(origin, path) of an address, or None when it is none."""
    # Before urlsplit, which drops some characters without a word.
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host or "@" in parts.netloc or "\\" in url:
        return None
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[scheme]:
        shown += f":{port}"
    return f"{scheme}://{shown}", _path(parts.path)


def _path(path: str) -> str:
    """One spelling of a path: escapes in capitals, and none of what needs none. Segments of dots
    stay as they are, and so name another path."""

    def respelt(escape: re.Match[str]) -> str:
        return quote(unquote_to_bytes(escape[0]), safe=_UNRESERVED)

    return quote(_ESCAPE.sub(respelt, path or "/"), safe=_IN_A_PATH)


def _refused(sentence: str, hint: str | None = None) -> Unauthenticated:
    return Unauthenticated(sentence, hint=hint, error=PROOF.error)
