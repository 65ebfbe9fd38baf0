"""A log of one's own for exports and reviews, which are made as the attacks' are."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.sessionlog import SessionLog

sys.path.insert(0, str(Path(__file__).parents[2] / "tampering"))

import bundles


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SessionLog]:
    opened = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    yield opened
    await opened.aclose()
