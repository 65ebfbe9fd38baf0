"""Step 1 of the corridor: an Authorization header becomes one identity, or the call ends here.

Order of the checks: form of the token, trusted issuer, published key, signature, claims. Nothing a
token says is believed before its signature is checked, except which configured issuer to ask.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from asyncio import sleep
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import blake3
import httpx

from gateway.errors import ConfigurationError, IssuerUnavailable, Unauthenticated
from gateway.identity.claims import TIMES, check_times, read_identity
from gateway.identity.issuers import IssuerConfig
from gateway.identity.keys import IssuerKeys, PublishedKey
from gateway.identity.proofs import Proofs
from gateway.identity.signatures import verify_signature
from gateway.identity.tokens import Sent, Token, parse, sent
from gateway.latest import Latest
from gateway.model import Call, Identity

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
    it. `monotonic` times the key caches, `clock` the claims. `origins` are the gateway's own
    addresses (scheme, host and port), the first of them the one it is known by: audiences for whom
    tokens were asked for, and what proofs of possession must be for.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerConfig],
        http: httpx.AsyncClient | None = None,
        clock: Clock = utc_now,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        origins: Sequence[str] = (),
    ) -> None:
        self._configs = {config.issuer: config for config in issuers}
        if len(self._configs) != len(issuers):
            raise ConfigurationError("issuers: an issuer is listed twice")
        self._named_by = {config.issuer: config.identity_claim for config in issuers}
        self.origins = tuple(origins)
        self._clock = clock
        self._proofs = Proofs(origins, clock())
        shared = http if http is not None else _client(None)
        of_their_own = {
            config.issuer: _client(config.ca) for config in issuers if config.ca and http is None
        }
        self._closed = [*of_their_own.values(), *([shared] if http is None else [])]
        self._known: Latest[str, _Verified] = Latest(_MOST_KNOWN)  # by fingerprint
        self._keys = {
            config.issuer: IssuerKeys(config, of_their_own.get(config.issuer, shared), monotonic)
            for config in issuers
        }

    @property
    def issuers(self) -> tuple[IssuerConfig, ...]:
        return tuple(self._configs.values())

    async def establish(
        self, authorization_header: str | None, call: Call | None = None
    ) -> Identity:
        """The identity behind this Authorization header. Raises Unauthenticated with the reason,
        or IssuerUnavailable when the token cannot be checked now. Without `call` there is no proof
        of possession, and a token that is bound to a key is refused."""
        given = sent(authorization_header)
        identity = await self._known_or_verified(given.text)
        ahead = self._check_possession(given, identity, call)
        if ahead > 0:
            await sleep(ahead)
        return identity

    async def _known_or_verified(self, text: str) -> Identity:
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
        verify_signature(token.text, key)
        identity = read_identity(
            token.claims, config, self._clock(), fingerprint, self.origins, self._named_by
        )
        times = {name: token.claims[name] for name in TIMES if name in token.claims}
        known = _Verified(token.kid, token.algorithm, times, key, identity)
        self._known.put(fingerprint, known)
        return identity

    def _check_possession(self, given: Sent, identity: Identity, call: Call | None) -> float:
        """A bound token comes with a proof, and one that is not bound as what it is: whoever has
        it can send it (RFC 9449 sections 7.1 and 7.2). Returns how long its proof has to wait."""
        if identity.jkt is None:
            if self._configs[identity.issuer].require_dpop:
                raise Unauthenticated(
                    "Tokens of this issuer must be bound to a key (DPoP); this one is not.",
                    hint="maskgate login --dpop asks for one.",
                )
            if given.dpop:
                raise Unauthenticated(
                    "The token is not bound to a key, and so is no token for the scheme DPoP.",
                    hint="Send it as 'Authorization: Bearer TOKEN'.",
                )
            return 0.0
        if not given.dpop or call is None:
            raise Unauthenticated(
                "The token is bound to a key (cnf.jkt): it counts only with a proof of that key.",
                hint="Send 'Authorization: DPoP TOKEN' and a DPoP field (RFC 9449).",
            )
        return self._proofs.check(call, given.text, identity.jkt, self._clock())

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
        for client in self._closed:
            await client.aclose()

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


def _client(ca: Path | None) -> httpx.AsyncClient:
    # A configured proxy is honoured for issuers outside, never for one on this machine.
    trusted = True if ca is None else _authorities(ca)
    direct = httpx.AsyncHTTPTransport(verify=trusted)
    loopback = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"), direct)
    return httpx.AsyncClient(follow_redirects=False, timeout=5.0, mounts=loopback, verify=trusted)


def _authorities(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (ssl.SSLError, OSError) as wrong:
        raise ConfigurationError(f"issuers: {ca} is no PEM file of certificates") from wrong
