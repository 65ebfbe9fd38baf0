"""The one spelling (RFC 8785) of what a bundle holds beside the log's own bytes.

Takes what json.loads gives for the log's types: no floats, no integer of 2^53 or more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def encode(value: Any) -> bytes:
    """UTF-8, objects sorted by the UTF-16 code units of their keys."""
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":")).encode()


def moment(of: datetime) -> str:
    """As records spell times, so that they compare as text: RFC 3339 in UTC, with microseconds."""
    told = of.astimezone(UTC).isoformat(timespec="microseconds")
    return told.removesuffix("+00:00") + "Z"


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value
