"""Fixtures every folder shares: real servers, one of each version for the whole run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

import servers

# The same examples each time: chance finds new ones in `make fuzz` (--hypothesis-profile=chance),
# not in somebody else's build.
settings.register_profile("chance", derandomize=False)
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands of this test keep sign-ins; nobody is signed in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MASKGATE_TOKEN", raising=False)
    return tmp_path / "maskgate" / "logins"
