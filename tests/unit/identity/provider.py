"""An issuer that a test plays, and what a verifier says of its tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import pytest

import mint
from gateway.errors import IssuerUnavailable, Unauthenticated
from gateway.identity import IssuerConfig, Verifier

ISSUER = "https://idp.example.org"


@dataclass
class Provider:
    """An issuer that a test plays: what it publishes, what it was asked, how it fails."""

    keys: list[dict[str, Any]]
    issuer: str = ISSUER
    jwks_uri: str = f"{ISSUER}/jwks"
    more: dict[str, Any] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    down: bool = False
    answer: httpx.Response | None = None
    now: float = 1000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked[request.url.path] += 1
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        if self.answer is not None:
            return self.answer
        if request.url.path.endswith("openid-configuration"):
            return streamed({"issuer": self.issuer, "jwks_uri": self.jwks_uri, **self.more})
        return streamed({"keys": self.keys})

    @property
    def fetches(self) -> int:
        return self.asked["/jwks"]

    def verifier(self, **config: Any) -> Verifier:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        settings = IssuerConfig(**{"issuer": ISSUER, "audience": mint.AUDIENCE, **config})
        return Verifier([settings], http, monotonic=lambda: self.now)

    def verifier_at(
        self, origins: Sequence[str], clock: Callable[[], datetime], **config: Any
    ) -> Verifier:
        """A verifier of a gateway that has addresses and a clock of its own."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        settings = IssuerConfig(**{"issuer": ISSUER, "audience": mint.AUDIENCE, **config})
        return Verifier([settings], http, clock, monotonic=lambda: self.now, origins=origins)


def streamed(document: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, stream=Body(json.dumps(document).encode()))


class Body(httpx.AsyncByteStream):
    """A body that arrives in pieces, as a network's does."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), 65536):
            yield self._content[start : start + 65536]


def published(one: mint.Mint) -> list[dict[str, Any]]:
    return [key.as_dict(private=False) for key in one.keys.values()]


async def refused(verifier: Verifier, header: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.establish(header)
    return refusal.value.detail


async def unchecked(verifier: Verifier, one: mint.Mint) -> str:
    with pytest.raises(IssuerUnavailable) as failure:
        await verifier.establish(one.authorization())
    return failure.value.detail
