"""Sign-ins at SAML providers, as all gateways of a store share them: each step is taken once.

A request is asked, answered, confirmed by its person in the browser that began, and its code taken
by the terminal that began; then there is a credential, until it ends or is ended. Refuses an answer
to no open request, an assertion that was taken before by any gateway, and a step by somebody else.
Every secret is kept as its hash.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import blake3

from gateway.errors import LimitExceeded, Unauthenticated
from gateway.grants.store import ControlStore
from gateway.model import Identity
from gateway.pairing import challenge_of, user_code

#: How long a person may take at his provider, and a terminal with the code.
REQUEST_LIFE = timedelta(minutes=10)
CODE_LIFE = timedelta(seconds=60)
#: Requests that may be open at once: whoever finds the address can begin one.
MOST_OPEN = 10_000
#: How many of the store's eight connections strangers may have at once, who need nothing for a
#: sign-in's steps or for a credential that is none; and how long one waits for his turn.
TURNS = 4
TURN_S = 3.0
#: For how long nobody asks again whether too many are open, or forgets what is over.
FULL_S = 5.0
FORGET_S = 10.0
#: What a credential begins with, so that no token of an issuer is taken for one.
PREFIX = "mgs_"
_CREDENTIAL = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")

_BEGIN = """
INSERT INTO maskgate.saml_requests (id, provider, challenge, port, state, browser, expires_at)
SELECT $1, $2, $3, $4, $5, $6, now() + $7
WHERE (SELECT count(*) FROM maskgate.saml_requests WHERE expires_at > now()) < $8
RETURNING id
"""
_ANSWER = """
UPDATE maskgate.saml_requests
SET step = 'answered', handle = $3, issuer = $4, subject = $5, groups = $6, ends_at = $7
WHERE id = $1 AND provider = $2 AND step = 'asked' AND expires_at > now()
RETURNING id
"""
_REMEMBER = """
INSERT INTO maskgate.saml_assertions (issuer, id, expires_at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING id
"""
_SHOW = """
SELECT id, challenge, port, state, browser, issuer, subject FROM maskgate.saml_requests
WHERE handle = $1 AND provider = $2 AND step = 'answered' AND expires_at > now()
"""
_CONFIRM = """
UPDATE maskgate.saml_requests SET step = 'confirmed', code = $2, expires_at = now() + $3
WHERE id = $1 AND step = 'answered' AND expires_at > now() RETURNING id
"""
_TAKE = """
UPDATE maskgate.saml_requests SET step = 'taken'
WHERE code = $1 AND step = 'confirmed' AND expires_at > now()
RETURNING provider, challenge, issuer, subject, groups, ends_at
"""
_KEEP = """
INSERT INTO maskgate.sign_ins (fingerprint, provider, issuer, subject, groups, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_FIND = """
SELECT provider, issuer, subject, groups, expires_at FROM maskgate.sign_ins
WHERE fingerprint = $1 AND ended_at IS NULL AND expires_at > now()
"""
_END = """
UPDATE maskgate.sign_ins SET ended_at = now() WHERE fingerprint = $1 AND ended_at IS NULL
"""
_FORGET = (
    "DELETE FROM maskgate.saml_requests WHERE expires_at < now()",
    "DELETE FROM maskgate.saml_assertions WHERE expires_at < now()",
    "DELETE FROM maskgate.sign_ins WHERE expires_at < now() - interval '1 day'",
)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Who began: a program that listens on a port of the browser's machine, and keeps a secret."""

    challenge: str  # BASE64URL(SHA256(its secret)), RFC 7636
    port: int
    state: str

    @property
    def user_code(self) -> str:
        return user_code(self.challenge)


@dataclass(frozen=True, slots=True)
class Answered:
    """A request whose answer was taken, before its person has confirmed it."""

    id: str
    terminal: Terminal
    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signed in where, and until when."""

    provider: str
    issuer: str
    subject: str
    groups: frozenset[str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential as its terminal gets it, once; nobody can read it again."""

    credential: str = field(repr=False)
    sign_in: SignIn

    @property
    def fingerprint(self) -> str:
        return _hash(self.credential)


class SignIns:
    """The store's side of sign-ins."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store
        self._turns = asyncio.Semaphore(TURNS)
        self._full_until = self._forget_at = 0.0

    async def begin(self, request: str, provider: str, terminal: Terminal) -> str:
        """Note a request. Returns the secret of the browser that began."""
        browser = secrets.token_urlsafe(32)
        async with self._turn():
            row = None
            if time.monotonic() >= self._full_until:
                await self._forget()
                row = await self._store.fetchrow(
                    _BEGIN, request, provider, terminal.challenge, terminal.port, terminal.state,
                    _hash(browser), REQUEST_LIFE, MOST_OPEN,
                )  # fmt: skip
                self._full_until = time.monotonic() + FULL_S if row is None else 0.0
        if row is None:
            raise LimitExceeded(f"{MOST_OPEN} sign-ins have begun and not ended", retry_after=60)
        return browser

    async def answer(
        self, request: str, sign_in: SignIn, assertion: str, usable_until: datetime
    ) -> str:
        """Take an answer, whose signature and times are checked. Returns what the browser goes on
        with. Raises Unauthenticated."""
        handle = secrets.token_urlsafe(32)
        async with self._store.transaction() as transaction:
            new = await transaction.fetchrow(
                _REMEMBER, sign_in.issuer, assertion, usable_until + REQUEST_LIFE
            )
            if new is None:
                raise Unauthenticated("The SAML assertion was taken before.", error=None)
            row = await transaction.fetchrow(
                _ANSWER, request, sign_in.provider, _hash(handle), sign_in.issuer,
                sign_in.subject, sorted(sign_in.groups), sign_in.expires_at,
            )  # fmt: skip
            if row is None:
                raise Unauthenticated(
                    "The SAML assertion answers no open request of this gateway.",
                    hint="Sign in again: maskgate login --saml NAME.",
                    error=None,
                )
        return handle

    async def answered(
        self, provider: str, handle: str, browser_of: Callable[[str], str | None]
    ) -> Answered:
        """What waits for its person's word, for the browser that began: `browser_of` a request is
        the secret that this one has of it."""
        async with self._turn():
            row = await self._store.fetchrow(_SHOW, _hash(handle), provider)
        if row is None:
            raise Unauthenticated(
                "This sign-in has ended, or went on already.",
                hint="Sign in again: maskgate login --saml NAME.",
                error=None,
            )
        browser = browser_of(row["id"])
        if browser is None or not hmac.compare_digest(_hash(browser), row["browser"]):
            raise Unauthenticated("This sign-in began in another browser.", error=None)
        terminal = Terminal(row["challenge"], row["port"], row["state"])
        return Answered(row["id"], terminal, row["issuer"], row["subject"])

    async def confirm(self, answered: Answered) -> str:
        """The code for the terminal. Once."""
        code = secrets.token_urlsafe(32)
        row = await self._store.fetchrow(_CONFIRM, answered.id, _hash(code), CODE_LIFE)
        if row is None:
            raise Unauthenticated("This sign-in has ended, or went on already.", error=None)
        return code

    async def take(self, code: str, verifier: str) -> SignIn:
        """Whose the code is. It is used up, whether or not the terminal's secret fits it."""
        async with self._turn():
            row = await self._store.fetchrow(_TAKE, _hash(code))
        if row is None:
            raise Unauthenticated("The code is none that is open, or was used.", error=None)
        if not hmac.compare_digest(challenge_of(verifier), row["challenge"]):
            raise Unauthenticated("The code is another terminal's.", error=None)
        return _read(row, row["ends_at"])

    async def keep(self, issued: Issued) -> None:
        """From now on the credential counts."""
        one = issued.sign_in
        await self._store.fetch(
            _KEEP, issued.fingerprint, one.provider, one.issuer, one.subject,
            sorted(one.groups), one.expires_at,
        )  # fmt: skip

    async def identify(self, credential: str) -> tuple[SignIn, str]:
        """Who is behind a credential, and its fingerprint. Raises Unauthenticated."""
        if not _CREDENTIAL.fullmatch(credential):
            raise Unauthenticated("The credential is no sign-in's.")
        fingerprint = _hash(credential)
        async with self._turn():
            row = await self._store.fetchrow(_FIND, fingerprint)
        if row is None:
            raise Unauthenticated(
                "The sign-in has ended.", hint="Sign in again: maskgate login --saml NAME."
            )
        return _read(row, row["expires_at"]), fingerprint

    async def end(self, fingerprint: str) -> None:
        await self._store.fetch(_END, fingerprint)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Strangers wait for one another, and no statement for them."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise LimitExceeded("too many sign-ins go on at once", retry_after=5) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _forget(self) -> None:
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + FORGET_S
        for statement in _FORGET:
            await self._store.fetch(statement)


def issue(sign_in: SignIn) -> Issued:
    """A new credential; it counts once it is kept."""
    return Issued(PREFIX + secrets.token_urlsafe(32), sign_in)


def identity_of(sign_in: SignIn, fingerprint: str) -> Identity:
    return Identity(
        issuer=sign_in.issuer,
        subject=sign_in.subject,
        name=sign_in.subject,
        groups=sign_in.groups,
        actor=None,
        token_fingerprint=fingerprint,
        expires_at=sign_in.expires_at,
        credential="saml",
    )


def _read(row: Any, expires_at: datetime) -> SignIn:
    return SignIn(
        row["provider"], row["issuer"], row["subject"], frozenset(row["groups"]), expires_at
    )


def _hash(secret: str) -> str:
    """Secrets of 256 bits need no slow hash."""
    return blake3.blake3(secret.encode("utf-8", "surrogatepass")).hexdigest()
