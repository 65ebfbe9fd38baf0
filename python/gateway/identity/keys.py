"""The public keys of one issuer: discovered, cached, rotated, and never fetched in a flood.

Refuses redirects, answers that are large or slow, a discovery document of another issuer, key
material that is private, symmetric, short or meant for encryption. What an unauthenticated caller
can cause is bounded: one fetch for unknown key ids in `KID_REFETCH_S`, one try at a dead issuer in
`RETRY_S`, whatever is sent.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from gateway.identity.curves import has_full_order
from gateway.identity.issuers import IssuerConfig, check_address
from gateway.identity.tokens import ALGORITHMS, strict_json

FRESH_S = 300.0  # a key the issuer withdrew is refused after this at the latest …
STALE_S = 3600.0  # … or after this while the issuer cannot be reached
RETRY_S = 2.0  # between two tries at an issuer that does not answer
KID_REFETCH_S = 10.0  # between two fetches made because of unknown key ids
UNKNOWN_KID_S = 30.0  # how long a key id that the issuer did not know is remembered
MAX_UNKNOWN_KIDS = 1024
FETCH_TIMEOUT_S = 5.0  # for the whole of one answer, however slowly it drips
MAX_ANSWER_BYTES = 256 * 1024
MAX_KEYS = 100
RSA_BITS = range(2048, 8193)  # NIST SP 800-131A; the upper bound caps the work of a verification

# The demo's issuer says this of itself in its discovery document; see IssuerConfig.development.
DEVELOPMENT_MARK = "maskgate_development_issuer"

_KEY_TYPES: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One usable signature key of a JWKS."""

    kid: str | None
    kty: str
    crv: str | None
    alg: str | None
    key: RSAKey | ECKey | OKPKey

    def fits(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm can come from this key at all (RFC 8725 3.1)."""
        return ALGORITHMS[algorithm] == (self.kty, self.crv) and self.alg in (None, algorithm)


class IssuerKeys:
    """Finds the key of a token; one object for each issuer, shared by all requests."""

    def __init__(
        self, config: IssuerConfig, http: httpx.AsyncClient, monotonic: Callable[[], float]
    ) -> None:
        self._config = config
        self._http = http
        self._monotonic = monotonic
        self._fetching = asyncio.Lock()
        self._keys: tuple[PublishedKey, ...] | None = None
        self._fetched_at = 0.0
        self._failed_at: float | None = None
        self._failure = ""
        self._attempts = 0
        self._kid_fetch_at: float | None = None
        self._unknown: OrderedDict[str, float] = OrderedDict()  # kid -> when to ask again

    async def check(self) -> None:
        """Raise IssuerUnavailable when no token of this issuer could be checked now."""
        await self._current()

    async def find(self, kid: str | None, algorithm: str) -> PublishedKey:
        """The published key for this header. Raises Unauthenticated with the reason, or
        IssuerUnavailable when the issuer would have to say and does not answer."""
        keys = await self._current()
        if kid is None:
            if len(keys) != 1:
                raise Unauthenticated(
                    "The token names no key (kid) and its issuer publishes several keys."
                )
            named = list(keys)
        else:
            named = [key for key in keys if key.kid == kid]
            if not named:
                keys = await self._after_rotation(kid)
                named = [key for key in keys if key.kid == kid]
        if not named:
            raise _unknown_key()
        fitting = [key for key in named if key.fits(algorithm)]
        if not fitting:
            raise Unauthenticated(
                "The token's algorithm does not fit the key its issuer publishes under this kid."
            )
        if len(fitting) > 1:
            raise Unauthenticated("The issuer publishes several keys under the token's kid.")
        return fitting[0]

    async def _current(self) -> tuple[PublishedKey, ...]:
        """Keys that are fresh; stale ones while the issuer is away or another request asks."""
        now = self._monotonic()
        age = now - self._fetched_at
        if self._keys is not None and age < FRESH_S:
            return self._keys
        resting = self._failed_at is not None and now - self._failed_at < RETRY_S
        if self._keys is not None and age < STALE_S and (resting or self._fetching.locked()):
            return self._keys
        if resting:
            raise self._unreachable()
        before = self._attempts
        async with self._fetching:
            if self._attempts == before:  # else another request asked while this one waited
                await self._fetch()
            return self._stale_or_raise()

    async def _after_rotation(self, kid: str) -> tuple[PublishedKey, ...]:
        """The keys once more, because a token names one that is not in the cache."""
        now = self._monotonic()
        if self._unknown.get(kid, now) > now:
            raise _unknown_key()
        before = self._attempts
        async with self._fetching:
            if self._attempts == before:  # else another request asked while this one waited
                now = self._monotonic()
                if self._kid_fetch_at is not None and now - self._kid_fetch_at < KID_REFETCH_S:
                    raise _unknown_key() if self._failed_at is None else self._unreachable()
                self._kid_fetch_at = now
                await self._fetch()
            keys = self._keys
            if keys is None or self._failed_at is not None:
                raise self._unreachable()
        if all(key.kid != kid for key in keys):
            self._unknown[kid] = self._monotonic() + UNKNOWN_KID_S
            self._unknown.move_to_end(kid)
            while len(self._unknown) > MAX_UNKNOWN_KIDS:
                self._unknown.popitem(last=False)
        return keys

    def _stale_or_raise(self) -> tuple[PublishedKey, ...]:
        if self._keys is not None and self._monotonic() - self._fetched_at < STALE_S:
            return self._keys
        raise self._unreachable()

    def _unreachable(self) -> IssuerUnavailable:
        return IssuerUnavailable(
            f"The issuer {self._config.issuer} cannot be reached to check the token: "
            f"{self._failure}.",
            hint="Try again in a few seconds; the gateway asks the issuer again by itself.",
        )

    async def _fetch(self) -> None:
        """Discovery, then the JWKS; when either fails, the reason and the older keys are kept."""
        try:
            discovery = await self._get(self._config.discovery_url)
            self._check_discovery(discovery)
            keys = _read_keys(await self._get(discovery["jwks_uri"]))
        except TimeoutError:
            self._note_failure(f"no complete answer within {FETCH_TIMEOUT_S:.0f} s")
        except (_WrongAnswerError, ConfigurationError) as wrong:
            self._note_failure(str(wrong))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as lost:
            # ValueError: what the issuer writes is parsed on the way, even a redirect that nobody
            # follows, and not all of that ends in an error of httpx's own (names by IDNA do not).
            self._note_failure(f"no answer ({type(lost).__name__})")
        else:
            # An empty set is an answer too: the issuer has withdrawn every key.
            self._keys, self._fetched_at, self._failed_at = keys, self._monotonic(), None
            self._attempts += 1
            for key in keys:
                self._unknown.pop(key.kid or "", None)

    def _note_failure(self, reason: str) -> None:
        self._failed_at, self._failure = self._monotonic(), reason
        self._attempts += 1

    def _check_discovery(self, document: Mapping[str, Any]) -> None:
        # An exact comparison (Discovery 1.0, section 4.3): a mix-up of issuers begins here.
        if document.get("issuer") != self._config.issuer:
            raise _WrongAnswerError("its discovery document names another issuer")
        if document.get(DEVELOPMENT_MARK, False) is not False and not self._config.development:
            raise _WrongAnswerError(
                "it is a development issuer, and this configuration does not allow one"
            )
        jwks_uri = check_address(document.get("jwks_uri"), "jwks_uri")
        if self._config.issuer.startswith("https:") and not jwks_uri.startswith("https:"):
            raise _WrongAnswerError("its keys are not served over https")

    async def _get(self, url: str) -> dict[str, Any]:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            self._http.stream("GET", url, headers=headers, follow_redirects=False) as answer,
        ):
            if answer.status_code != 200:
                raise _WrongAnswerError(f"it answered with status {answer.status_code}")
            body = bytearray()
            # Raw: a compressed answer was not asked for and could unfold beyond the limit.
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise _WrongAnswerError(f"its answer is larger than {MAX_ANSWER_BYTES} bytes")
        try:
            document = strict_json(bytes(body))
        except ValueError as wrong:
            raise _WrongAnswerError("its answer is not JSON") from wrong
        if not isinstance(document, dict):
            raise _WrongAnswerError("its answer is not a JSON object")
        return document


class _WrongAnswerError(Exception):
    """The issuer answered, but not with what a provider answers; the message ends a sentence."""


def _unknown_key() -> Unauthenticated:
    return Unauthenticated(
        "The token is signed with a key that its issuer does not publish.",
        hint="If the issuer has just changed its keys, try again in half a minute.",
    )


def _read_keys(jwks: Mapping[str, Any]) -> tuple[PublishedKey, ...]:
    """The usable signature keys; others are passed over, as RFC 7517 section 5 asks."""
    listed = jwks.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise _WrongAnswerError(f"its key set is not a list of at most {MAX_KEYS} keys")
    keys: list[PublishedKey] = []
    for entry in listed:
        key = read_key(entry)
        if key is not None and key not in keys:
            keys.append(key)
    return tuple(keys)


def read_key(entry: Any) -> PublishedKey | None:
    """The signature key of a JWK, or None when it is none that may verify anything here."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kty"), str):
        return None
    kty, crv = entry["kty"], entry.get("crv")
    if kty not in _KEY_TYPES or (kty, crv) not in ALGORITHMS.values():
        return None
    if "d" in entry:  # a private key that anybody can read proves nothing
        return None
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, alg = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return None
    if kty == "RSA" and len(str(entry.get("n"))) * 6 < RSA_BITS.start:
        return None  # joserfc would import it with a warning
    material = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry}
    try:
        key = _KEY_TYPES[kty].import_key(material)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size not in RSA_BITS:
        return None
    if isinstance(key, OKPKey) and not has_full_order(key.public_key.public_bytes_raw()):
        return None
    return PublishedKey(kid=kid, kty=kty, crv=crv, alg=alg, key=key)
