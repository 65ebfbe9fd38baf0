"""What step 3 found out and what was granted, put together by hand for step 4."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.model import Analysis, Grant, GrantState, Output

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def analysis(*outputs: Output, **parts: Any) -> Analysis:
    """Of a statement over public.patient, unless `parts` say otherwise."""
    parts.setdefault("control", ())
    parts.setdefault("mentions", ())
    parts.setdefault("tables", ("public.patient",))
    return Analysis("", "", "", outputs, **parts)


def grant(*tables: str) -> Grant:
    """An active grant of these tables; without any, of all that the connection classifies."""
    return Grant(
        "g", "i#a", "clinic", tables or ("*",), "bug", GrantState.ACTIVE, _NOW, 60, _NOW, _NOW, None
    )
