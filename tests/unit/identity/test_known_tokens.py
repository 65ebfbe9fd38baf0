"""A token that was good once is looked at again for what can change: its key and the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from provider import ISSUER, Provider, published, refused, unchecked

import mint
from gateway.identity import IssuerConfig, Verifier
from gateway.identity.keys import FRESH_S, STALE_S


async def test_a_known_token_ends_at_its_expiry(good: mint.Mint, provider: Provider) -> None:
    start = datetime.now(UTC)
    now = start
    http = httpx.AsyncClient(transport=httpx.MockTransport(provider))
    settings = IssuerConfig(issuer=ISSUER, audience=mint.AUDIENCE)
    header = good.authorization(exp=int(start.timestamp()) + 600)
    async with Verifier([settings], http, lambda: now, monotonic=lambda: provider.now) as verifier:
        first = await verifier.establish(header)
        assert await verifier.establish(header) == first
        now = start + timedelta(seconds=700)
        assert "has expired" in await refused(verifier, header)
        now = start - timedelta(seconds=3600)
        assert "not valid yet" in await refused(verifier, header)
    await http.aclose()


async def test_a_known_token_ends_with_its_key(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    header = good.authorization()
    await checking.establish(header)
    provider.keys = []
    provider.now += FRESH_S
    assert "does not publish" in await refused(checking, header)


async def test_a_known_token_is_no_better_than_a_key_of_the_same_name(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    header = good.authorization()
    await checking.establish(header)
    provider.keys = published(mint.new_mint(ISSUER))  # the same key ids
    provider.now += FRESH_S
    assert "signature does not match" in await refused(checking, header)


async def test_a_known_token_needs_its_issuer_in_the_end(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    provider.down = True
    provider.now += STALE_S
    assert "cannot be reached" in await unchecked(checking, good)


async def test_another_signature_under_known_claims_is_another_token(
    good: mint.Mint, checking: Verifier
) -> None:
    header = good.authorization()
    await checking.establish(header)
    body, _, signature = header.rpartition(".")
    forged = f"{body}.{'A' * len(signature)}"
    assert "signature does not match" in await refused(checking, forged)


async def test_the_memory_of_known_tokens_is_bounded(
    good: mint.Mint, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.verifier._MOST_KNOWN", 3)
    async with provider.verifier() as checking:
        for number in range(6):
            await checking.establish(good.authorization(f"agent-{number}"))
        assert len(checking._known) == 3
