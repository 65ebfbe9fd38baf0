"""Cosignatures (C2SP tlog-cosignature, Ed25519): a witness saw this tree, and none larger, then.

    cosignature/v1
    time 1679315147
    (the checkpoint's own lines)

is what is signed; the time (u64, seconds since 1970) stands before the signature's 64 bytes. The
message does not hold the witness's name: one key is one witness.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import ConfigurationError
from gateway.sessionlog.note import (
    COSIGNATURE,
    ORIGIN,
    NoteError,
    Signature,
    SigningKey,
    VerifierKey,
)

LATEST = 2**63 - 1  # the specification's bound of a time
_TIME = struct.Struct(">Q")
_NAMED = (
    "witness name {!r} must be like a host name with a path: "
    "letters, digits and . _ / : ~ - only, at most 255 characters"
)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A signature line that was verified, and the time it states."""

    key: VerifierKey
    time: int
    signature: Signature


def message(text: bytes, time: int) -> bytes:
    """The bytes a witness signs for a checkpoint's own lines."""
    return b"cosignature/v1\ntime %d\n%b" % (time, text)


def verify(text: bytes, signature: Signature, key: VerifierKey) -> Cosignature:
    """Raises NoteError unless `signature` is this witness's over the checkpoint's lines."""
    if not signature.by(key) or len(signature.body) != _TIME.size + 64:
        raise NoteError(f"not a cosignature by {key.name}")
    (time,) = _TIME.unpack(signature.body[: _TIME.size])
    if time > LATEST:
        raise NoteError(f"the cosignature by {key.name} has a time beyond 2^63 - 1")
    key.verify(message(text, time), signature.body[_TIME.size :])
    return Cosignature(key, time, signature)


def parse_witness(vkey: str) -> VerifierKey:
    """A witness's verifier key; raises NoteError for a log's."""
    key = VerifierKey.parse(vkey, COSIGNATURE)
    if not ORIGIN.fullmatch(key.name):
        raise NoteError(_NAMED.format(key.name))
    return key


class WitnessKey(SigningKey):
    """The key of one witness."""

    KIND, TYPE = "witness key", COSIGNATURE

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        if not ORIGIN.fullmatch(name):
            raise ConfigurationError(_NAMED.format(name))
        super().__init__(name, private)

    def cosign(self, text: bytes, time: int) -> Signature:
        """State that this checkpoint extends what was seen before, now."""
        signed = self._private.sign(message(text, time))
        return self._signature(_TIME.pack(time) + signed)
