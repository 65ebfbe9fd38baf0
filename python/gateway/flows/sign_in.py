"""People who sign in at a SAML provider, in the browser of the machine on which a terminal waits.

(1) the terminal begins  (2) the provider signs an answer  (3) the person confirms, in the browser
that began  (4) the record is durable  (5) the terminal has its credential. Each step is taken once,
and each needs what only the party that began has: the browser its cookie, the terminal its secret.
What is refused is recorded before it is answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gateway.errors import InvalidRequest, NotFound, Unauthenticated
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.grants import Answered, SignIn, Terminal, issue
from gateway.identity.saml import ServiceProvider
from gateway.model import Credential
from gateway.pairing import CHALLENGE


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the cookie that it comes back with."""

    location: str
    cookie: str
    secret: str
    secure: bool


def provider(house: House, name: str) -> ServiceProvider:
    found = house.saml.get(name)
    if found is None:
        known = ", ".join(sorted(house.saml)) or "none"
        raise NotFound(f"no SAML provider {name[:64]!r}", hint=f"there are: {known}")
    return found


def elsewhere(house: House, name: str, host: str | None) -> str | None:
    """Where the gateway's routes for this provider begin, if the browser of a gateway on its own
    machine calls it by another of its names."""
    asked = provider(house, name)
    ours = asked.address.partition("://")[2].partition("/")[0]
    others = {one.partition("://")[2] for one in house.identity.origins} - {ours}
    return asked.address if (host or "").lower() in others else None


async def begin(house: House, name: str, challenge: str, port: str, state: str) -> Begun:
    """`GET /v1/saml/NAME/login`: a request of ours, for the terminal on `port` of the browser's
    own machine. No other address is ever gone back to."""
    asked = provider(house, name)
    for what, value in (("code_challenge", challenge), ("state", state)):
        if not CHALLENGE.fullmatch(value):
            raise InvalidRequest(f"{what}: expected 43 characters of base64url")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1024 <= int(port) <= 65535):
        raise InvalidRequest("port: expected one from 1024 to 65535")
    request, location = asked.request()
    secret = await house.sign_ins.begin(request, name, Terminal(challenge, int(port), state))
    return Begun(location, _cookie(asked, request), secret, asked.secure)


async def answer(house: House, name: str, response: str, client: str) -> str:
    """`POST /v1/saml/NAME/acs`: take a provider's answer. Returns what the browser goes on with."""
    asked = provider(house, name)
    try:
        person = await asyncio.to_thread(asked.person, response)
        signed_in = SignIn(name, person.issuer, person.subject, person.groups, asked.ends(person))
        return await house.sign_ins.answer(
            person.request, signed_in, person.assertion, person.usable_until
        )
    except Unauthenticated as refusal:
        await _refused(house, refusal, name, client)
        raise


async def waiting(
    house: House, name: str, handle: str, cookies: dict[str, str], client: str
) -> Answered:
    """`GET /v1/saml/NAME/confirm`: whom the person is asked about."""
    asked = provider(house, name)
    try:
        return await house.sign_ins.answered(
            name, handle, lambda request: cookies.get(_cookie(asked, request))
        )
    except Unauthenticated as refusal:
        await _refused(house, refusal, name, client)
        raise


async def confirm(
    house: House, name: str, handle: str, cookies: dict[str, str], client: str
) -> str:
    """`POST /v1/saml/NAME/confirm`: where the browser takes the code, on its own machine."""
    found = await waiting(house, name, handle, cookies, client)
    code = await house.sign_ins.confirm(found)
    query = urlencode({"code": code, "state": found.terminal.state})
    return f"{loopback(found)}/?{query}"


async def redeem(house: House, code: str, verifier: str, client: str) -> dict[str, Any]:
    """`POST /v1/saml/token`: the credential, for the terminal that began."""
    try:
        signed_in = await house.sign_ins.take(code, verifier)
    except Unauthenticated as refusal:
        await _refused(house, refusal, None, client)
        raise
    issued = issue(signed_in)
    await house.log.event(
        "login.saml",
        {
            "identity": f"{signed_in.issuer}#{signed_in.subject}",
            "issuer": signed_in.issuer,
            "subject": signed_in.subject,
            "groups": sorted(signed_in.groups),
            "provider": signed_in.provider,
            "credential": "saml",
            "token_fingerprint": issued.fingerprint,
            "expires_at": signed_in.expires_at.isoformat().replace("+00:00", "Z"),
            "client": client,
        },
    )
    await house.sign_ins.keep(issued)
    return {
        "token": issued.credential,
        "token_type": "Bearer",
        "issuer": signed_in.issuer,
        "expires_at": signed_in.expires_at,
    }


async def end(house: House, credential: Credential, client: str) -> None:
    """`DELETE /v1/saml/token`: the credential counts no more, from the next request on."""
    identity = await establish(house, credential, client)
    if identity.credential != "saml":
        raise InvalidRequest("a token of an issuer is ended at its issuer")
    await house.sign_ins.end(identity.token_fingerprint)
    await house.log.event(
        "login.ended",
        {
            "identity": identity.key,
            "credential": identity.credential,
            "token_fingerprint": identity.token_fingerprint,
            "client": client,
        },
    )


def loopback(found: Answered) -> str:
    return f"http://127.0.0.1:{found.terminal.port}"


def _cookie(asked: ServiceProvider, request: str) -> str:
    """One a request, so that two sign-ins of one browser do not end each other. No other host of
    the same domain can set one with the prefix (RFC 6265bis, 4.1.3.2)."""
    return f"{'__Host-' if asked.secure else ''}maskgate-{request[1:17]}"


async def _refused(house: House, refusal: Unauthenticated, name: str | None, client: str) -> None:
    provided = {} if name is None else {"provider": name}
    await house.log.event(
        "login.failed",
        {"client": client, "code": refusal.code, "detail": refusal.detail, **provided},
    )
