"""What makes pseudonyms elsewhere: a loop over a keyed hash, and polars' own hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

KEY = bytes(range(32))


class Blake3Loop:
    """The same hash, keyed, value by value from Python, in base32."""

    name = "Python, a loop over blake3"
    note = ""

    def __init__(self) -> None:
        from blake3 import blake3

        self._blake3 = blake3

    def prepare(self, values: list[str]) -> None:
        self._values = [value.encode() for value in values]

    def run(self) -> Any:
        blake3, encode = self._blake3, base64.b32encode
        return [encode(blake3(value, key=KEY).digest(16)) for value in self._values]


class HmacLoop:
    """HMAC-SHA-256, value by value from Python."""

    name = "Python, a loop over HMAC-SHA-256"
    note = ""

    def prepare(self, values: list[str]) -> None:
        self._values = [value.encode() for value in values]

    def run(self) -> Any:
        digest, encode = hmac.digest, base64.b32encode
        return [encode(digest(KEY, value, hashlib.sha256)[:16]) for value in self._values]


class PolarsHash:
    """Not a cryptographic hash: 64 bits, no secret key."""

    name = "polars, hash"
    note = "64 bits, not cryptographic"

    def __init__(self) -> None:
        import polars

        self._polars = polars

    def prepare(self, values: list[str]) -> None:
        self._values = self._polars.Series("value", values)

    def run(self) -> Any:
        return self._values.hash(seed=7)
