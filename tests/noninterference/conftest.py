"""A server with both pairs on it, for each version whose grammar is covered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import servers
from noninterference import campaign


@pytest.fixture(scope="session", params=[17, 18], ids=lambda major: f"pg{major}")
async def twins_server(request: pytest.FixtureRequest) -> AsyncIterator[servers.Server]:
    """Statistics are gathered when a pair says so, and not by the server on its own."""
    with servers.running(request.param, campaign.SETTINGS) as server:
        await campaign.build(server)
        yield server


@pytest.fixture(scope="session")
async def newest_twins() -> AsyncIterator[servers.Server]:
    """For what does not depend on the version."""
    with servers.running(servers.majors()[-1], campaign.SETTINGS) as server:
        await campaign.build(server)
        yield server
