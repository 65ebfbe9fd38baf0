"""JSON that has exactly one spelling: RFC 8785, without the types that make it hard.

Takes strings, booleans, null, integers of magnitude below 2^53, lists and objects. Refuses floats,
larger integers (write them as strings), keys that are not strings and text that is not Unicode
(lone surrogates): InvalidRequest, before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidRequest

INTEGER_LIMIT = 1 << 53
DEPTH_LIMIT = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(value: Any) -> bytes:
    """The one spelling of `value`, UTF-8. Raises InvalidRequest for what has none."""
    ordered = _checked(value, 0)
    text = _ENCODER.encode(ordered)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("text holds a lone surrogate, which is not Unicode") from None


def _utf16(key: str) -> bytes:
    """RFC 8785, 3.2.3: members are sorted by UTF-16 code units, not by code points."""
    return key.encode("utf-16-be", "surrogatepass")


def _checked(value: Any, depth: int) -> Any:
    """`value` with every object in RFC 8785 order, or InvalidRequest."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if -INTEGER_LIMIT < value < INTEGER_LIMIT:
            return value
        raise InvalidRequest("an integer of 2^53 or more must be written as a string")
    if depth >= DEPTH_LIMIT:
        raise InvalidRequest(f"a record nests deeper than {DEPTH_LIMIT} levels")
    depth += 1
    # Most of a record are texts, which need no call of their own.
    if isinstance(value, list | tuple):
        return [one if type(one) is str else _checked(one, depth) for one in value]
    if isinstance(value, Mapping):
        return {
            key: one if type(one := value[key]) is str else _checked(one, depth)
            for key in _ordered(value)
        }
    raise InvalidRequest(f"a record cannot hold a {type(value).__name__}")


def _ordered(value: Mapping[Any, Any]) -> list[str]:
    keys = list(value)
    for key in keys:
        if not isinstance(key, str):
            raise InvalidRequest(f"an object's key must be a string, got {type(key).__name__}")
    # Below the surrogates code points and code units sort alike.
    keys.sort(key=None if "".join(keys).isascii() else _utf16)
    return keys
