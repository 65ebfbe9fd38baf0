"""Epochs from nothing but the page: a key, its certificate, the leaf that names it, its line."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TYPE = b"\xffmaskgate epoch v1"


def lp(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack(">I", len(raw)) + raw


def certified(origin: str, leaf: dict[str, Any]) -> bytes:
    """What the long-term key signs."""
    named = lp(origin) + lp(leaf["key"]) + lp(leaf["ts"])
    numbers = leaf["number"], leaf["previous"], leaf["from"], leaf["first"]
    return b"maskgate epoch certificate v1\n" + named + struct.pack(">QQQQ", *numbers)


class EpochKey:
    """One epoch's key, and the number that it signs under."""

    def __init__(self, origin: str, seed: bytes, number: int) -> None:
        self.origin, self.number = origin, number
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        encoded = TYPE + self.private.public_key().public_bytes_raw()
        self.id = hashlib.sha256(origin.encode() + b"\n" + encoded).digest()[:4]
        self.vkey = f"{origin}+{self.id.hex()}+{base64.b64encode(encoded).decode()}"

    def stated(self, place: int, boot: str) -> dict[str, Any]:
        """The certificate for a leaf at `place`, without its signature."""
        return {
            "boot": boot, "first": 1 if self.number > 1 else place + 1, "from": place + 1,
            "key": self.vkey, "number": self.number, "previous": self.number - 1,
            "ts": "2026-11-22T12:00:00.000000Z", "type": "epoch", "v": 1,
        }  # fmt: skip

    def named(self, place: int, boot: str) -> dict[str, Any]:
        """The last leaf under a checkpoint that this epoch signs."""
        return {
            "boot": boot, "certificate": place, "epoch": self.number,
            "ts": "2026-11-22T12:00:00.000000Z", "type": "checkpoint", "v": 1,
        }  # fmt: skip

    def line(self, body: bytes) -> bytes:
        message = b"maskgate epoch checkpoint v1\n" + struct.pack(">Q", self.number) + body
        signed = base64.b64encode(self.id + self.private.sign(message)).decode()
        return f"— {self.origin} {signed}\n".encode()


def certificate(private: Any, origin: str, stated: dict[str, Any]) -> dict[str, Any]:
    """The epoch leaf, signed by `private`. What cannot be packed is signed as something else."""
    try:
        message = certified(origin, stated)
    except (struct.error, KeyError, TypeError, AttributeError):
        message = b"nothing that can be certified"
    return stated | {"signature": base64.b64encode(private.sign(message)).decode()}
