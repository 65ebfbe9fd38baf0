"""Step 1 of the corridor: an Authorization header becomes one identity, or the call ends here.

Order of the checks: form of the token, trusted issuer, published key, signature, claims. Nothing a
token says is believed before its signature is checked, except which configured issuer to ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import blake3
import httpx
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError

from gateway.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from gateway.identity.claims import TIMES, check_times, read_identity
from gateway.identity.issuers import IssuerConfig
from gateway.identity.keys import IssuerKeys, PublishedKey
from gateway.identity.tokens import ALGORITHMS, MAX_TOKEN_BYTES, Token, bearer, parse
from gateway.latest import Latest
from gateway.model import Identity

Clock = Callable[[], datetime]

_MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class _Verified:
    """What is kept of a token that passed every check; not the token itself."""

    kid: str | None
    algorithm: str
    times: Mapping[str, Any]  # its claims
    key: PublishedKey  # that its signature was checked with
    identity: Identity


def utc_now() -> datetime:
    return datetime.now(UTC)


class Verifier:
    """Checks tokens of the configured issuers.

    `http` is closed by whoever made it; without one, the verifier makes its own and `aclose` closes
    it. `monotonic` times the key caches, `clock` the claims.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerConfig],
        http: httpx.AsyncClient | None = None,
        clock: Clock = utc_now,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configs = {config.issuer: config for config in issuers}
        if len(self._configs) != len(issuers):
            raise ConfigurationError("issuers: an issuer is listed twice")
        self._own_http = http is None
        self._http = http if http is not None else _client()
        self._clock = clock
        self._known: Latest[str, _Verified] = Latest(_MOST_KNOWN)  # by fingerprint
        self._keys = {
            config.issuer: IssuerKeys(config, self._http, monotonic) for config in issuers
        }

    async def establish(self, authorization_header: str | None) -> Identity:
        """The identity behind this Authorization header. Raises Unauthenticated with the reason,
        or IssuerUnavailable when the token cannot be checked now."""
        text = bearer(authorization_header)
        fingerprint = blake3.blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = self._known.get(fingerprint)
        if known is not None:
            # Of a token that was good once two things can change: whether its issuer publishes the
            # key, which is asked first, and the time.
            key = await self._keys[known.identity.issuer].find(known.kid, known.algorithm)
            if key is known.key:
                check_times(known.times, self._clock())
                return known.identity
            self._known.drop(fingerprint)
        return await self._verify(text, fingerprint)

    async def _verify(self, text: str, fingerprint: str) -> Identity:
        token = parse(text)
        config = self._issuer_of(token)
        key = await self._keys[config.issuer].find(token.kid, token.algorithm)
        _verify_signature(token, key)
        identity = read_identity(token.claims, config, self._clock(), fingerprint)
        times = {name: token.claims[name] for name in TIMES if name in token.claims}
        known = _Verified(token.kid, token.algorithm, times, key, identity)
        self._known.put(fingerprint, known)
        return identity

    async def unreachable(self) -> list[str]:
        """A sentence for each issuer whose tokens could not be checked now."""
        found = await asyncio.gather(
            *(keys.check() for keys in self._keys.values()), return_exceptions=True
        )
        for failure in found:
            if failure is not None and not isinstance(failure, IssuerUnavailable):
                raise failure
        return [failure.detail for failure in found if isinstance(failure, IssuerUnavailable)]

    async def aclose(self) -> None:
        """Close the connections to the issuers."""
        if self._own_http:
            await self._http.aclose()

    async def __aenter__(self) -> Verifier:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _issuer_of(self, token: Token) -> IssuerConfig:
        """The configured issuer the token names; compared exactly (RFC 7519 4.1.1)."""
        named = token.claims.get("iss")
        if not isinstance(named, str):
            raise Unauthenticated("The token names no issuer (iss).")
        config = self._configs.get(named)
        if config is None:
            close = {issuer.rstrip("/") for issuer in self._configs}
            more = ": a trailing slash makes the difference" if named.rstrip("/") in close else ""
            raise Unauthenticated(f"The token's issuer is not one this gateway trusts{more}.")
        return config


class _Algorithms(jws.JWSRegistry):
    """joserfc's registry, narrowed to `ALGORITHMS` whatever a caller passes."""

    max_header_length = MAX_TOKEN_BYTES
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError("not accepted")
        return self.algorithms[name]


# Unknown headers are ignored (RFC 7515 section 4); those that matter were refused by `parse`.
_REGISTRY = _Algorithms(algorithms=list(ALGORITHMS), strict_check_header=False)


def _verify_signature(token: Token, published: PublishedKey) -> None:
    try:
        jws.deserialize_compact(token.text, published.key, registry=_REGISTRY)
    except (JoseError, ValueError) as wrong:
        raise Unauthenticated("The token's signature does not match.") from wrong


def _client() -> httpx.AsyncClient:
    # A configured proxy is honoured for issuers outside, never for one on this machine.
    direct = httpx.AsyncHTTPTransport()
    loopback = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"), direct)
    return httpx.AsyncClient(follow_redirects=False, timeout=5.0, mounts=loopback)
