"""Signed notes (C2SP signed-note): the keys that sign them, the keys that verify them.

A checkpoint is three lines (origin, size, root in base64) signed with Ed25519; the key's name in
the signature line is the origin. Behind it stands the epoch's signature, of a type of its own: who
knows the log's key alone passes over it. Manifests and receipts are signed under prefixes whose
first line holds spaces, which an origin cannot, and so are certificates of epochs: no signature can
be passed off as another kind.

Trusted: the file of a private key, mode 0600, or the token that the log's is in (token.py). A
thief of the file can sign in that name from now on; he cannot change what a checkpoint that
somebody else keeps has covered. A key file that others may read is refused at start.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import ConfigurationError
from gateway.sessionlog import disk

MANIFEST_PREFIX = b"maskgate evidence manifest v1\n"
RECEIPT_PREFIX = b"maskgate receipt v1\n"
# C2SP signed-note: signature types. The last is for types that have no number of their own.
ED25519 = b"\x01"
COSIGNATURE = b"\x04"
EPOCH = b"\xffmaskgate epoch v1"
ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:~-]{0,254}")

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}", re.A)
_MARK = "— "


class NoteError(ValueError):
    """A signed note that this key did not sign, or that is not one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger's state that one signed note vouches for."""

    size: int
    root: bytes
    note: bytes

    @property
    def text(self) -> bytes:
        """What is signed: the note without its signature lines."""
        return self.note[: self.note.rindex(b"\n\n") + 1]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signatures are known: a name, a type of signature and 32 bytes."""

    name: str
    type: bytes
    public: bytes

    @classmethod
    def parse(cls, vkey: str, type_: bytes) -> VerifierKey:
        """From C2SP form, name+hash+base64(type, key); raises NoteError for any other type."""
        name, _, rest = vkey.partition("+")
        stated, _, encoded = rest.partition("+")
        key = decode64(encoded)
        if not _NAME.fullmatch(name) or key[:-32] != type_:
            raise NoteError(f"{vkey!r} is not a verifier key of this kind")
        made = cls(name, type_, key[-32:])
        if made.id.hex() != stated:
            raise NoteError(f"{vkey!r} has key hash {stated!r}, expected {made.id.hex()}")
        return made

    @property
    def id(self) -> bytes:
        body = self.name.encode() + b"\n" + self.type + self.public
        return hashlib.sha256(body).digest()[:4]

    @property
    def vkey(self) -> str:
        encoded = base64.b64encode(self.type + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raises NoteError unless `signature` is this key's over these bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NoteError(f"the signature by {self.name} does not match") from None


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed, and the signature's bytes."""

    name: str
    id: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        encoded = base64.b64encode(self.id + self.body).decode()
        return f"{_MARK}{self.name} {encoded}\n".encode()

    @classmethod
    def parse(cls, line: str) -> Signature:
        """One line without its LF; raises NoteError."""
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        raw = decode64(encoded)
        if not line.startswith(_MARK) or not _NAME.fullmatch(name) or len(raw) < 5:
            raise NoteError("a signature line is not one")
        return cls(name, raw[:4], raw[4:])

    def by(self, key: VerifierKey) -> bool:
        """Whether it claims to be this key's; it still has to be verified."""
        return (self.name, self.id) == (key.name, key.id)


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with its signatures as anybody may send it: parsed, and not yet believed."""

    text: bytes
    origin: str
    size: int
    root: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Raises NoteError for what is not a signed checkpoint in its one spelling."""
        try:
            told = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteError("the note is not UTF-8") from None
        text, separator, signed = told.rpartition("\n\n")
        lines = text.split("\n")
        if not separator or not signed.endswith("\n") or len(lines) < 3 or "" in lines:
            raise NoteError("a checkpoint has three lines, an empty one and signatures")
        if re.search(r"[\x00-\x09\x0b-\x1f]", told) or not _SIZE.fullmatch(lines[1]):
            raise NoteError("a control character, or a size that is none")
        root = decode64(lines[2])
        if len(root) != 32:
            raise NoteError(f"a root has 32 bytes, got {len(root)}")
        signatures = tuple(Signature.parse(line) for line in signed[:-1].split("\n"))
        return cls(f"{text}\n".encode(), lines[0], int(lines[1]), root, signatures)

    def signed_by(self, keys: tuple[VerifierKey, ...]) -> None:
        """Raises NoteError unless one of the keys signed it, and where one only says it did."""
        found = [(key, one) for one in self.signatures for key in keys if one.by(key)]
        if not found:
            raise NoteError("no known key has signed this checkpoint")
        for key, one in found:
            key.verify(self.text, one.body)


def decode64(text: str) -> bytes:
    """Base64 in its one spelling; raises NoteError for any other."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise NoteError("not base64 in its one spelling")
    return data


def check_origin(origin: str) -> None:
    """An origin names this log for good: a host name with a path, without spaces and plus signs."""
    if not ORIGIN.fullmatch(origin):
        raise ConfigurationError(
            f"log origin {origin!r} must be like a host name with a path: "
            "letters, digits and . _ / : ~ - only, at most 255 characters"
        )


class Private(Protocol):
    """An Ed25519 private key: in this memory, or where it signs and does not come out."""

    def sign(self, data: bytes, /) -> bytes: ...

    def public_key(self) -> Ed25519PublicKey: ...


class SigningKey:
    """An Ed25519 private key with a name: of a PEM file that only its owner may read, as `load` and
    `create` have it, or held elsewhere."""

    KIND: ClassVar[str]
    TYPE: ClassVar[bytes]

    def __init__(self, name: str, private: Private) -> None:
        self.name = name
        self._private = private
        self.verifier = VerifierKey(name, self.TYPE, private.public_key().public_bytes_raw())

    @classmethod
    def load(cls, path: Path, name: str) -> Self:
        """Read the key; refuses a file that anyone but its owner may read or write."""
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ConfigurationError(
                f"{cls.KIND} {path}: mode is {stat.S_IMODE(mode):04o}, expected a file of mode 0600"
            )
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError):
            raise ConfigurationError(f"{cls.KIND} {path}: not an unencrypted PEM key") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigurationError(f"{cls.KIND} {path}: not an Ed25519 key")
        return cls(name, private)

    @classmethod
    def create(cls, path: Path, name: str) -> Self:
        """A new key, durable before it signs anything."""
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        disk.replace(path, pem)
        return cls(name, private)

    @property
    def vkey(self) -> str:
        """The verifier key in C2SP form: name+hash+base64(type, public key)."""
        return self.verifier.vkey

    def _signature(self, body: bytes) -> Signature:
        return Signature(self.name, self.verifier.id, body)


class EpochSigner(Protocol):
    """An epoch's key."""

    def sign(self, text: bytes) -> Signature: ...


class LogKey(SigningKey):
    """The long-term key of one origin."""

    KIND, TYPE = "log key", ED25519

    def __init__(self, origin: str, private: Private) -> None:
        check_origin(origin)
        super().__init__(origin, private)

    @property
    def origin(self) -> str:
        return self.name

    def sign_checkpoint(
        self, size: int, root: bytes, epoch: EpochSigner | None = None
    ) -> Checkpoint:
        """Signed by this key, which witnesses know, and behind it by the epoch's, if there is
        one: without it the checkpoint is one of a ledger that has no epochs."""
        text = self._text(size, root)
        lines = self._signature(self._private.sign(text)).line
        if epoch is not None:
            lines += epoch.sign(text).line
        return Checkpoint(size, root, text + b"\n" + lines)

    def _text(self, size: int, root: bytes) -> bytes:
        return f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()

    def certify(self, message: bytes) -> bytes:
        """64 bytes over what certifies an epoch's key (epochs.certified)."""
        return self._private.sign(message)

    def sign_manifest(self, unsigned: bytes) -> bytes:
        """64 bytes over the canonical manifest of a bundle without its signature."""
        return self._private.sign(MANIFEST_PREFIX + unsigned)

    def sign_receipt(self, unsigned: bytes) -> bytes:
        """64 bytes over a canonical receipt without its signature."""
        return self._private.sign(RECEIPT_PREFIX + unsigned)

    def open_checkpoint(self, note: bytes) -> Checkpoint:
        """Parse a checkpoint that this key signed first, and then at most one epoch; raises
        NoteError for any other. Whether the epoch's signature holds, its certificate says."""
        parsed = Note.parse(note)
        parsed.signed_by((self.verifier,))
        own, *epoch = parsed.signatures
        ours = own.by(self.verifier) and all(one.name == self.origin for one in epoch)
        # The one spelling of what was read must be what was read.
        lines = b"".join(one.line for one in parsed.signatures)
        if (
            not ours
            or len(epoch) > 1
            or self._text(parsed.size, parsed.root) + b"\n" + lines != note
        ):
            raise NoteError("the checkpoint is not spelled as this log spells it")
        return Checkpoint(parsed.size, parsed.root, note)
