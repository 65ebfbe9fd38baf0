"""The log's long-term key in a token: it signs there, through PKCS#11, and does not come out.

Refuses a key that may leave its token, one that signs for whoever has no PIN, one of another curve,
and a name that two keys have. No signature is used before it is verified. When the token does not
sign, one new login is tried; when that fails, it signs nothing more, and the next checkpoint ends
the log as a failed write does.

Trusted: the module's file, for its code runs in this process; the token, to keep what it says it
keeps. Whoever owns this process can have the token sign, and cannot take the key along.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error

from gateway.errors import ConfigurationError, LogUnavailable
from gateway.pkcs11_uri import KeyUri

# What a start has signed, to see that it is signed. The spaces keep it from being a checkpoint, and
# the first line from being a manifest, a receipt or a certificate.
_TRIAL_PREFIX = b"maskgate log key trial v1\n"

# CKA_EC_PARAMS of Ed25519: the OID of RFC 8410, or the curve's name as PKCS #11 had it first.
_CURVES = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
# CKA_EC_POINT: what stands before RFC 8032's 32 bytes: nothing, or how DER begins a string of them.
_POINT_HEADS = (b"", b"\x04\x20", b"\x03\x21\x00")

# The library tells modules that no two threads call at once.
_CALLS = threading.Lock()

_MUST = (
    (Attribute.SIGN, True, "may not sign"),
    (Attribute.SENSITIVE, True, "is not sensitive: the token would show it"),
    (Attribute.EXTRACTABLE, False, "is extractable: the token would give it away wrapped"),
    (Attribute.PRIVATE, True, "is not private: the token uses it for whoever has no PIN"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A key in a token, the module's file, and what reads the PIN each time it is needed."""

    uri: KeyUri
    module: Path
    pin: Callable[[], str]

    @property
    def name(self) -> str:
        """The key as an operator knows it."""
        key = self.uri.object or f"id {(self.uri.id or b'').hex()}"
        return f"key {key!r} in token {self._token!r}"

    @property
    def _token(self) -> str:
        return self.uri.token or f"serial {self.uri.serial}"

    def log_in(self) -> TokenKey:
        """The key that is there. Raises ConfigurationError."""
        return TokenKey(self)

    def generate(self) -> None:
        """Make the pair in the token, for good. Raises ConfigurationError, and where there is a key
        of that name: it may be the one that a log goes on with."""
        with _CALLS:
            session = _session(self, rw=True)
            try:
                for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                    if _named_so(self, session, kind):
                        raise ConfigurationError(f"{self.name}: there is one")
                _make(self, session)
            except PKCS11Error as reason:
                raise ConfigurationError(f"{self.name}: not made: {_named(reason)}") from None
            finally:
                with contextlib.suppress(PKCS11Error):
                    session.close()


class TokenKey:
    """An open login to the token, and the key in it. Its methods may be called from any thread."""

    def __init__(self, place: Place) -> None:
        """Log in, find the key and have it sign once. Raises ConfigurationError."""
        self._place = place
        self._ended = ""  # why it signs no more
        try:
            with _CALLS:
                self._session, self._key, self._public = _login(place)
            self.sign(_TRIAL_PREFIX + os.urandom(32))
        except LogUnavailable as reason:
            raise ConfigurationError(reason.detail) from None

    def public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self._public)

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes, verified. Blocks as long as the token does. Raises LogUnavailable."""
        with _CALLS:
            if self._ended:
                raise LogUnavailable(self._ended)
            try:
                signature = self._signed(data)
            except PKCS11Error as lost:
                signature = self._signed_anew(data, lost)
        try:
            self.public_key().verify(signature, data)
        except InvalidSignature:
            raise LogUnavailable(
                f"{self._place.name}: what it signs does not verify by the public key beside it"
            ) from None
        return signature

    def close(self) -> None:
        """Log out."""
        with _CALLS, contextlib.suppress(PKCS11Error):
            self._session.close()

    def _signed(self, data: bytes) -> bytes:
        return bytes(self._key.sign(data, mechanism=Mechanism.EDDSA))

    def _signed_anew(self, data: bytes, lost: PKCS11Error) -> bytes:
        """After one new login, from the module's beginning: sessions end with the connection to a
        token, and some modules see one that comes back only then. A login that fails is the last:
        tokens count wrong PINs, and each receipt that a client asks for would be one more."""
        try:
            with contextlib.suppress(PKCS11Error):
                pkcs11.lib(str(self._place.module)).finalize()
            self._session, self._key, public = _login(self._place)
            if public != self._public:
                raise ConfigurationError("it is another key than at the start")
            return self._signed(data)
        except (PKCS11Error, ConfigurationError) as reason:
            said = reason.detail if isinstance(reason, ConfigurationError) else _named(reason)
            self._ended = (
                f"{self._place.name} does not sign ({_named(lost)}), nor after a new login: {said}"
            )
            raise LogUnavailable(self._ended) from None


def _make(place: Place, session: pkcs11.Session) -> None:
    """Tokens differ in how the curve is to be named."""
    for last, curve in enumerate(_CURVES, start=1 - len(_CURVES)):
        wanted = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: curve}, local=True
        )
        try:
            wanted.generate_keypair(
                store=True,
                label=place.uri.object,
                id=place.uri.id or os.urandom(8),
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                private_template={attribute: value for attribute, value, _ in _MUST},
            )
            return
        except PKCS11Error:
            if last == 0:
                raise


def _login(place: Place) -> tuple[pkcs11.Session, Any, bytes]:
    """The session, the private key and the public one's 32 bytes. Raises ConfigurationError."""
    session = _session(place)
    try:
        return session, *_pair(place, session)
    except BaseException as reason:
        with contextlib.suppress(PKCS11Error):
            session.close()
        if isinstance(reason, PKCS11Error):
            raise ConfigurationError(f"{place.name}: cannot be read: {_named(reason)}") from None
        raise


def _session(place: Place, *, rw: bool = False) -> pkcs11.Session:
    """Logged in. A wrong PIN is tried once: tokens count."""
    pin = place.pin()
    try:
        tokens = list(
            _module(place.module).get_tokens(
                token_label=place.uri.token,
                token_serial=place.uri.serial and place.uri.serial.encode(),
            )
        )
        if len(tokens) != 1:
            found = "no such token is there" if not tokens else f"{len(tokens)} tokens are named so"
            raise ConfigurationError(f"{place.name}: {found}")
        opened: pkcs11.Session = tokens[0].open(rw=rw, user_pin=pin)
        return opened
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as refused:
        raise ConfigurationError(
            f"{place.name}: the token refuses the PIN ({_named(refused)}); it may count the tries"
        ) from None
    except PKCS11Error as reason:
        raise ConfigurationError(f"{place.name}: no login: {_named(reason)}") from None


def _module(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"PKCS#11 module {path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022:
        raise ConfigurationError(
            f"PKCS#11 module {path}: its code runs in the gateway, and its mode is "
            f"{stat.S_IMODE(found.st_mode):04o}; expected a file that nobody but its owner writes"
        )
    try:
        return pkcs11.lib(str(path))
    except PKCS11Error as reason:
        # What the loader says names files and symbols.
        said = str(reason).rpartition(f"{path}: ")[2] or _named(reason)
        raise ConfigurationError(f"PKCS#11 module {path}: cannot be loaded: {said}") from None


def _pair(place: Place, session: pkcs11.Session) -> tuple[Any, bytes]:
    private = _only(place, session, ObjectClass.PRIVATE_KEY)
    if _value(private, Attribute.KEY_TYPE) != KeyType.EC_EDWARDS:
        raise ConfigurationError(f"{place.name}: not an Ed25519 key")
    for attribute, expected, why in _MUST:
        # What a token does not tell is not taken for a yes.
        if _value(private, attribute) is not expected:
            raise ConfigurationError(f"{place.name} {why} (CKA_{attribute.name})")
    if _value(private, Attribute.ALWAYS_AUTHENTICATE):
        raise ConfigurationError(
            f"{place.name} asks for the PIN at each signature (CKA_ALWAYS_AUTHENTICATE)"
        )
    public = _only(place, session, ObjectClass.PUBLIC_KEY, _value(private, Attribute.ID))
    if _value(public, Attribute.EC_PARAMS) not in _CURVES:
        raise ConfigurationError(f"{place.name}: its curve is not Ed25519")
    return private, _point(place, _value(public, Attribute.EC_POINT))


def _point(place: Place, stated: Any) -> bytes:
    """The public key's 32 bytes, of the forms in which tokens tell them."""
    for head in _POINT_HEADS:
        if isinstance(stated, bytes) and len(stated) == len(head) + 32 and stated.startswith(head):
            return stated[len(head) :]
    raise ConfigurationError(f"{place.name}: its public key (CKA_EC_POINT) is not 32 bytes")


def _only(
    place: Place, session: pkcs11.Session, kind: ObjectClass, id_: bytes | None = None
) -> pkcs11.Object:
    """The one key of that name; of its public half, the one with the private half's id too."""
    found = _named_so(place, session, kind)
    if id_:
        found = [one for one in found if _value(one, Attribute.ID) == id_]
    if len(found) != 1:
        half = "private" if kind is ObjectClass.PRIVATE_KEY else "public"
        said = f"no {half} key is named so" if not found else f"{len(found)} {half} keys match"
        raise ConfigurationError(f"{place.name}: {said}")
    return found[0]


def _named_so(place: Place, session: pkcs11.Session, kind: ObjectClass) -> list[pkcs11.Object]:
    named: dict[Attribute, Any] = {Attribute.CLASS: kind, Attribute.TOKEN: True}
    if place.uri.object is not None:
        named[Attribute.LABEL] = place.uri.object
    if place.uri.id is not None:
        named[Attribute.ID] = place.uri.id
    return list(session.get_objects(named))


def _value(key: pkcs11.Object, attribute: Attribute) -> Any:
    """What the token tells; None where it does not."""
    try:
        return key[attribute]
    except (PKCS11Error, ValueError):
        return None


def _named(reason: PKCS11Error) -> str:
    """Such errors have names, and mostly no words."""
    return type(reason).__name__
