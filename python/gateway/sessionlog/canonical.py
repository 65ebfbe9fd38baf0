"""JSON that has exactly one spelling: RFC 8785, without the types that make it hard.

Takes strings, booleans, null, integers of magnitude below 2^53, lists and objects. Refuses floats,
larger integers (write them as strings), keys that are not strings and text that is not Unicode
(lone surrogates): InvalidRequest, before anything is written.
"""

from __future__ import annotations

from typing import Any

from gateway import _kernel


def encode(value: Any) -> bytes:
    """The one spelling of `value`, UTF-8. Raises InvalidRequest for what has none."""
    return _kernel.canonical(value)
