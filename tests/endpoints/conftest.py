"""One world for the folder; tests that break something build their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers

sys.path.insert(0, str(Path(__file__).parent))

import world as worlds


@pytest.fixture(scope="session")
def world(
    server: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    """A gateway over each PostgreSQL version in turn."""
    home = tmp_path_factory.mktemp(f"world{server.major}")
    with worlds.built(home, server, "world") as built:
        yield built


@pytest.fixture
def fragile(
    newest: servers.Server, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[worlds.World]:
    """A world of its own for a test that breaks it."""
    name = f"fragile_{abs(hash(request.node.nodeid)) % 10**8}"
    with worlds.built(tmp_path, newest, name) as built:
        yield built
