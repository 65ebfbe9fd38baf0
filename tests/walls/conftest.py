"""The ward of this folder on each server: as the gateway has it, and through a superuser."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import servers

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))

import ward as wards

NAME = "ward"


@pytest.fixture(scope="session")
async def ward_server(server: servers.Server) -> servers.Server:
    await wards.build(server, NAME)
    return server


@pytest.fixture(scope="session")
async def ward(ward_server: servers.Server) -> AsyncIterator[wards.Ward]:
    """Login, role, clear role: as in production."""
    async with wards.opened(ward_server, NAME) as opened:
        yield opened


@pytest.fixture(scope="session")
async def unwalled(ward_server: servers.Server) -> AsyncIterator[wards.Ward]:
    """The same database through a superuser: the database enforces nothing."""
    async with wards.opened(ward_server, NAME, user="postgres") as opened:
        yield opened


@pytest.fixture
async def drifting(server: servers.Server) -> AsyncIterator[wards.Ward]:
    """A ward of its own for a test that changes its structure; no right is in the way."""
    await wards.build(server, "ward_drift")
    async with wards.opened(
        server, "ward_drift", user="postgres", schemas=("early", "public")
    ) as opened:
        async with opened.database.transaction("names") as transaction:
            await opened.settings.names.learn(transaction)
        yield opened
