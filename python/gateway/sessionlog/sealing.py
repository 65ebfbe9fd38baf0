"""What only the auditor may read, inside a record that everybody may verify.

HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, to the
auditor's public key; from the `cryptography` package, nothing of our own. The context is the key
schedule's `info`: origin, session, number and type of the record. A ciphertext that was moved to
another record does not open. The gateway has no key that opens one, nor has a verifier need of it:
the chain covers the ciphertext.

Trusted: the auditor's private key while it is secret; whoever has it reads every sealed record of
its time. Not hidden: that there is something, and its length to the next 256 bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from gateway.errors import ConfigurationError, InvalidRequest
from gateway.sessionlog import canonical, disk

SUITE = "hpke-x25519-hkdf-sha256-chacha20poly1305"
CONTEXT = b"maskgate 2026-11 sealed record v1"
PADDING = 256

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: what its ciphertext is bound to."""

    origin: str
    sid: str
    index: int
    type: str

    def info(self) -> bytes:
        """CONTEXT ‖ lp(origin) ‖ sid[16] ‖ u64be(i) ‖ lp(type)."""
        origin, type_ = self.origin.encode(), self.type.encode()
        return b"".join(
            (
                CONTEXT,
                struct.pack(">I", len(origin)),
                origin,
                uuid.UUID(self.sid).bytes,
                struct.pack(">QI", self.index, len(type_)),
                type_,
            )
        )


class AuditorKey:
    """The public half: whoever has it can seal, and open nothing."""

    def __init__(self, public: X25519PublicKey) -> None:
        self._public = public
        self.id = key_id(public)

    @classmethod
    def load(cls, path: Path) -> AuditorKey:
        """Read a PEM file. Raises ConfigurationError, also for a private key."""
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"auditor's key {path}: cannot be read: {error.strerror}"
            ) from None
        if b"PRIVATE KEY" in pem:
            raise ConfigurationError(
                f"auditor's key {path}: holds a private key; the gateway gets the public one alone"
            )
        try:
            public = serialization.load_pem_public_key(pem)
        except ValueError:
            raise ConfigurationError(f"auditor's key {path}: not a public key in PEM") from None
        if not isinstance(public, X25519PublicKey):
            raise ConfigurationError(f"auditor's key {path}: not an X25519 key")
        try:
            _SUITE.encrypt(b"", public)
        except ValueError:
            raise ConfigurationError(
                f"auditor's key {path}: not a key that anything can be sealed to"
            ) from None
        return cls(public)

    def seal(self, place: Place, secret: dict[str, Any]) -> dict[str, str]:
        """The member `sealed` of the record at `place`."""
        plain = canonical.encode(secret)
        plain += b" " * (-len(plain) % PADDING)
        box = _SUITE.encrypt(plain, self._public, info=place.info())
        return {"box": base64.b64encode(box).decode(), "key": self.id, "suite": SUITE}


class AuditorPrivateKey:
    """The private half, the auditor's own."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.id = key_id(private.public_key())

    @classmethod
    def load(cls, path: Path) -> AuditorPrivateKey:
        """Read an unencrypted PEM file. Raises ConfigurationError."""
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ConfigurationError(f"{path}: not an unencrypted private key in PEM") from None
        if not isinstance(private, X25519PrivateKey):
            raise ConfigurationError(f"{path}: not an X25519 key")
        return cls(private)

    def open(self, place: Place, sealed: Any) -> dict[str, Any]:
        """What was sealed at `place`. Raises InvalidRequest when it was not, or not to this key."""
        where = f"record {place.index} of session {place.sid}"
        if not isinstance(sealed, dict) or sealed.get("suite") != SUITE:
            raise InvalidRequest(f"{where}: sealed in a way that is not known here")
        if sealed.get("key") != self.id:
            raise InvalidRequest(f"{where}: sealed to key {sealed.get('key')}, not {self.id}")
        try:
            box = base64.b64decode(sealed["box"], validate=True)
            secret = json.loads(_SUITE.decrypt(box, self._private, info=place.info()))
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise InvalidRequest(
                f"{where}: was not sealed for this place, or was changed"
            ) from None
        if not isinstance(secret, dict):
            raise InvalidRequest(f"{where}: holds something else than an object")
        return secret


def key_id(public: X25519PublicKey) -> str:
    """The first 8 bytes of SHA-256 of the raw key, hex."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def generate(private: Path, public: Path) -> str:
    """Make an auditor's pair: two new PEM files, the private one with mode 0600. Gives its id.

    Raises ConfigurationError when either file exists: a lost key is a lost log.
    """
    for path in (private, public):
        if path.exists():
            raise ConfigurationError(f"{path}: exists; a key is never written over")
    key = X25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        for path, data in (
            (private, pem),
            (
                public,
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                ),
            ),
        ):
            fd = disk.create(path)
            try:
                disk.write_all(fd, data, 0)
                disk.sync(fd)
            finally:
                os.close(fd)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
    return key_id(key.public_key())
