"""One development issuer for the folder, started as a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from provider import ISSUER, Provider, published

import mint
from gateway.identity import IssuerConfig, Verifier


@pytest.fixture(scope="session")
def issuer() -> Iterator[mint.Mint]:
    with mint.running_issuer() as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def verifier(issuer: mint.Mint) -> AsyncIterator[Verifier]:
    config = IssuerConfig(issuer=issuer.issuer, audience=mint.AUDIENCE, development=True)
    async with Verifier([config]) as made:
        yield made


@pytest.fixture
def good() -> mint.Mint:
    return mint.new_mint(ISSUER)


@pytest.fixture
def provider(good: mint.Mint) -> Provider:
    return Provider(published(good))


@pytest_asyncio.fixture
async def checking(provider: Provider) -> AsyncIterator[Verifier]:
    async with provider.verifier() as made:
        yield made
