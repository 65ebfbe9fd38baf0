"""Fixtures every folder shares: real servers, one of each version for the whole run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import servers


@pytest.fixture(scope="session", params=servers.majors(), ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """A running PostgreSQL of each version in turn."""
    with servers.running(request.param) as running:
        yield running


@pytest.fixture(scope="session")
def newest() -> Iterator[servers.Server]:
    """A PostgreSQL 18 for tests that do not depend on the version."""
    with servers.running(servers.majors()[-1]) as running:
        yield running
