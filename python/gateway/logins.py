"""What `maskgate login` keeps for the other commands: one file a gateway, of its owner alone.

Refuses files that others may read or that belong to somebody else, and writes none in place: a
crash leaves the older file or the newer one. A token that is about to end is renewed once, however
many commands ask at the same time.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gateway import oauth
from gateway.appearing import appearing
from gateway.client import Bearer, check_token
from gateway.oauth import Issued, Issuer, SignInError
from gateway.proof_key import ProofKey

#: A token that ends within this is renewed before it is used, seconds.
RENEWED_BEFORE_S = 30.0


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in at one gateway. `secret` is where a program's secret stands, never the secret."""

    url: str
    issuer: str
    client_id: str
    token: str = field(repr=False)
    expires_at: float | None
    refresh_token: str | None = field(default=None, repr=False)
    secret: str | None = None
    scope: str | None = None
    resource: str | None = None
    key: dict[str, Any] | None = field(default=None, repr=False)
    saml: str | None = None  # the gateway's name of the provider; the credential is the gateway's

    @property
    def proof_key(self) -> ProofKey | None:
        return None if self.key is None else ProofKey.of(self.key)

    @property
    def bearer(self) -> Bearer:
        return Bearer(check_token(self.token), self.proof_key)

    @property
    def client(self) -> oauth.Client:
        """Who asks the issuer, with the secret read from its place."""
        found = None if self.secret is None else read_secret(self.secret)
        return oauth.Client(self.client_id, found, self.proof_key, self.scope, self.resource)

    def renewed(self, issued: Issued) -> Login:
        return replace(
            self,
            token=issued.token,
            expires_at=issued.expires_at,
            refresh_token=issued.refresh_token,
        )


def current(url: str) -> Bearer:
    """The token for this gateway, renewed where it is about to end. Raises SignInError."""
    none = f"no token: give --token or MASKGATE_TOKEN, or sign in: maskgate login --url {url}"
    if load(url) is None:  # and so no directory is made for nothing
        raise SignInError(none)
    with _locked(url):
        login = load(url)
        if login is None:
            raise SignInError(none)
        soon = time.time() + RENEWED_BEFORE_S
        if login.expires_at is None or soon < login.expires_at:
            return login.bearer
        login = _renewed(login)
        _write(login)
    return login.bearer


def _renewed(login: Login) -> Login:
    how = "" if login.saml is None else f" --saml {login.saml}"
    again = f"sign in again: maskgate login --url {login.url}{how}"
    if login.refresh_token is None and login.secret is None:
        raise SignInError(f"the sign-in has ended; {again}")
    with oauth.open_http() as http:
        issuer = Issuer.discover(http, login.issuer)
        try:
            if login.refresh_token is not None:
                return login.renewed(issuer.refresh(login.refresh_token, login.client))
            return login.renewed(issuer.client_credentials(login.client))
        except oauth.OAuthError as refusal:
            raise SignInError(f"{refusal}; {again}") from None


def load(url: str) -> Login | None:
    """The sign-in at this gateway, if there is one. Raises SignInError for a file not to trust."""
    path = _path(url)
    try:
        # Without O_NONBLOCK a pipe of that name would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as wrong:
        raise SignInError(f"{path}: cannot be read: {wrong.strerror}") from wrong
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SignInError(f"{path}: cannot be read: it is no file")
    with os.fdopen(descriptor, encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise SignInError(f"{path}: others may have read or written it; maskgate logout")
        try:
            login = Login(**json.load(file))
            _ = login.bearer
        except (ValueError, TypeError, AttributeError):
            raise SignInError(f"{path}: not a sign-in; maskgate logout") from None
    if login.url != one_spelling(url):
        raise SignInError(f"{path}: belongs to another gateway; maskgate logout")
    return login


def save(login: Login) -> Path:
    """Keep it, mode 0600 from its first byte; whole or not at all, and after a command that is
    about to renew an older one."""
    with _locked(login.url):
        return _write(login)


def _write(login: Login) -> Path:
    path = _path(login.url)
    with appearing(path, force=True, mode=0o600) as file:
        file.write(json.dumps(asdict(login)).encode())
    return path


def forget(url: str) -> Login | None:
    """Remove the sign-in; what it was, if it could be read. Its token is revoked by the caller."""
    login = None
    if not _path(url).parent.is_dir():
        return login
    with _locked(url):
        with suppress(SignInError):
            login = load(url)
        _path(url).unlink(missing_ok=True)
    return login


def read_secret(place: str) -> str:
    """What `env:NAME` or `file:PATH` hold. Raises SignInError."""
    kind, _, name = place.partition(":")
    if kind == "env" and name:
        found = os.environ.get(name, "")
    elif kind == "file" and name:
        try:
            found = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as wrong:
            raise SignInError(f"{name}: cannot be read") from wrong
    else:
        raise SignInError("a secret is named env:NAME or file:PATH, never written out")
    if not found:
        raise SignInError(f"{place} holds no secret")
    return found


def one_spelling(url: str) -> str:
    """A gateway's address as its sign-in is filed."""
    return str(httpx.URL(url)).rstrip("/")


def _path(url: str) -> Path:
    """Where the sign-in stands. Raises SignInError where others could put one, or take it away."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    folder = home / "maskgate" / "logins"
    for one in (folder.parent, folder):
        with suppress(FileNotFoundError, NotADirectoryError):
            found = one.stat()
            if found.st_uid != os.getuid() or found.st_mode & 0o022:
                raise SignInError(f"{one}: others may write there; move it away, or chmod 700")
    return folder / f"{quote(one_spelling(url), safe='')}.json"


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """One command at a time renews: a refresh token that is used twice ends the sign-in."""
    path = _path(url)
    try:
        for folder in (path.parent.parent, path.parent):  # a parent made on the way has any mode
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path.with_suffix(".lock"), flags, 0o600)
    except OSError as wrong:
        raise SignInError(f"{path.parent}: cannot be written: {wrong.strerror}") from wrong
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except OSError as wrong:
        raise SignInError(f"{path.parent}: cannot be written: {wrong.strerror}") from wrong
    finally:
        os.close(descriptor)
