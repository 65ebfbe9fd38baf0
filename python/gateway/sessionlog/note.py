"""The log's key, and what it signs: checkpoints as C2SP signed notes, manifests of bundles.

A checkpoint is three lines (origin, size, root in base64) signed with Ed25519; the key's name in
the signature line is the origin. Manifests are signed under a prefix whose first line holds
spaces, which an origin cannot: neither signature can be passed off as the other.

Trusted: the file `key`, mode 0600. Its thief can sign for this origin from now on; he cannot
change what a checkpoint that somebody else keeps has covered. A key file that others may read is
refused at start.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import ConfigurationError
from gateway.sessionlog import disk

MANIFEST_PREFIX = b"maskgate evidence manifest v1\n"
ED25519 = b"\x01"  # C2SP signed-note signature type
ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:~-]{0,254}")


class NoteError(ValueError):
    """A signed note that this key did not sign, or that is not one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger's state that one signed note vouches for."""

    size: int
    root: bytes
    note: bytes


def check_origin(origin: str) -> None:
    """An origin names this log for good: a host name with a path, without spaces and plus signs."""
    if not ORIGIN.fullmatch(origin):
        raise ConfigurationError(
            f"log origin {origin!r} must be like a host name with a path: "
            "letters, digits and . _ / : ~ - only, at most 255 characters"
        )


class LogKey:
    """The long-term Ed25519 key of one origin."""

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        check_origin(origin)
        self.origin = origin
        self._private = private
        self._public = private.public_key()
        self._raw = self._public.public_bytes_raw()
        body = origin.encode() + b"\n" + ED25519 + self._raw
        self._id = hashlib.sha256(body).digest()[:4]

    @classmethod
    def load(cls, path: Path, origin: str) -> LogKey:
        """Read the key; refuses a file that anyone but its owner may read or write."""
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ConfigurationError(
                f"log key {path}: mode is {stat.S_IMODE(mode):04o}, expected a file of mode 0600"
            )
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError:
            raise ConfigurationError(f"log key {path}: not an unencrypted PEM key") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(f"log key {path}: not an Ed25519 key")
        return cls(origin, private)

    @classmethod
    def create(cls, path: Path, origin: str) -> LogKey:
        """A new key, durable before it signs anything."""
        key = cls(origin, Ed25519PrivateKey.generate())
        pem = key._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        disk.replace(path, pem)
        return key

    @property
    def vkey(self) -> str:
        """The verifier key in C2SP form: name+hash+base64(type, public key)."""
        encoded = base64.b64encode(ED25519 + self._raw).decode()
        return f"{self.origin}+{self._id.hex()}+{encoded}"

    def sign_checkpoint(self, size: int, root: bytes) -> Checkpoint:
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
        signature = base64.b64encode(self._id + self._private.sign(text)).decode()
        note = text + f"\n— {self.origin} {signature}\n".encode()
        return Checkpoint(size, root, note)

    def sign_manifest(self, unsigned: bytes) -> bytes:
        """64 bytes over the canonical manifest of a bundle without its signature."""
        return self._private.sign(MANIFEST_PREFIX + unsigned)

    def open_checkpoint(self, note: bytes) -> Checkpoint:
        """Parse a checkpoint this key signed; raises NoteError for any other bytes."""
        lines = note.split(b"\n")
        if len(lines) != 6 or lines[3] or lines[5]:
            raise NoteError("a checkpoint has three lines, an empty one and one signature")
        try:
            size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
            name, signature = lines[4].removeprefix("— ".encode()).split(b" ")
            signed = base64.b64decode(signature, validate=True)
            Ed25519PublicKey.verify(self._public, signed[4:], b"\n".join(lines[:3]) + b"\n")
        except (ValueError, InvalidSignature):
            raise NoteError("the checkpoint is not signed by this log's key") from None
        # The one spelling of what was read must be what was read.
        if (name.decode(errors="replace"), signed[:4]) != (self.origin, self._id) or (
            self.sign_checkpoint(size, root).note != note
        ):
            raise NoteError("the checkpoint is not spelled as this log spells it")
        return Checkpoint(size, root, note)
