"""How a person or a program gets a token: the client's side of OAuth 2.0, for `maskgate login`.

Discovery (OpenID Connect Discovery 1.0, RFC 8414), the device flow (RFC 8628), client credentials
(RFC 6749, 4.4), refreshing and revoking, each with proofs of possession where wanted (RFC 9449).
Refuses issuers that call themselves something else, endpoints without TLS, and a bearer token where
a bound one was asked for. No message repeats a token or a secret.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx

from gateway.proof_key import ProofKey
from gateway.values import is_loopback

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_S = 5  # between two polls, where the issuer names none (RFC 8628, 3.2 and 3.5)
SLOWER_S = 5
MOST_LIFE_S = 3600.0  # of a device code, whatever the issuer says
_MOST_BYTES = 256 * 1024


class SignInError(Exception):
    """Why there is no token; a sentence for people."""


class OAuthError(SignInError):
    """The issuer said no, in its own word (RFC 6749, 5.2)."""

    def __init__(self, code: str, description: str) -> None:
        known = _MEANING.get(code, "")
        said = f": {shown(description)}" if description else ""
        super().__init__(f"the issuer refused: {shown(code)}{known}{said}")
        self.code = code


_MEANING = {
    "access_denied": " (somebody said no)",
    "expired_token": " (the code was not used in time; start again)",
    "invalid_client": " (no such client, or another secret)",
    "invalid_grant": " (the sign-in has ended; sign in again)",
    "invalid_target": " (no tokens for this resource; see --resource)",
    "unauthorized_client": " (this client may not sign in this way)",
}


@dataclass(frozen=True, slots=True)
class Issued:
    """A token as the issuer gave it."""

    token: str
    expires_at: float | None  # Unix time
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a device shows its person, and asks with until he has answered."""

    verification_uri: str
    complete_uri: str | None
    user_code: str
    device_code: str = field(repr=False)
    verifier: str | None = field(repr=False)
    interval: float
    life: float  # seconds


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks. `secret` is None for a public client, `key` for bearer tokens."""

    client_id: str
    secret: str | None = field(default=None, repr=False)
    key: ProofKey | None = field(default=None, repr=False)
    scope: str | None = None
    resource: str | None = None  # RFC 8707


class Issuer:
    """One issuer's endpoints, as it describes them."""

    def __init__(self, http: httpx.Client, issuer: str, document: Mapping[str, Any]) -> None:
        self._http = http
        self.issuer = issuer
        self._document = document
        self._nonce: str | None = None

    @classmethod
    def discover(cls, http: httpx.Client, issuer: str) -> Issuer:
        """Ask the issuer at its address. Raises SignInError."""
        check_endpoint(issuer, "the issuer")
        parts = urlsplit(issuer)
        base = f"{parts.scheme}://{parts.netloc}"
        path = parts.path.rstrip("/")
        found = None
        for url in (
            f"{base}{path}/.well-known/openid-configuration",
            f"{base}/.well-known/oauth-authorization-server{path}",
        ):
            found = _fetched(http, url)
            if found is not None:
                break
        if found is None:
            raise SignInError(f"{issuer} does not describe itself; is it an OpenID issuer?")
        if found.get("issuer") != issuer:
            raise SignInError(
                f"{issuer} calls itself {shown(str(found.get('issuer')))}; name it exactly so"
            )
        return cls(http, issuer, found)

    def offers(self, endpoint: str) -> bool:
        return f"{endpoint}_endpoint" in self._document

    def start_device(self, client: Client) -> Ask:
        """Begin the device flow (RFC 8628, 3.1)."""
        form = self._form(client)
        verifier = None
        methods = self._document.get("code_challenge_methods_supported")
        if isinstance(methods, list) and "S256" in methods:
            verifier = secrets.token_urlsafe(48)
            challenge = hashlib.sha256(verifier.encode()).digest()
            form["code_challenge"] = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
            form["code_challenge_method"] = "S256"
        given = self._post("device_authorization", form, client, proof=False)
        uri = _text(given, "verification_uri")
        check_endpoint(uri, "verification_uri")
        complete = given.get("verification_uri_complete")
        return Ask(
            verification_uri=uri,
            complete_uri=complete if isinstance(complete, str) else None,
            user_code=_text(given, "user_code"),
            device_code=_text(given, "device_code"),
            verifier=verifier,
            interval=max(1.0, _seconds(given, "interval", INTERVAL_S)),
            life=min(_seconds(given, "expires_in", MOST_LIFE_S), MOST_LIFE_S),
        )

    def finish_device(
        self, ask: Ask, client: Client, sleep: Callable[[float], None] = time.sleep
    ) -> Issued:
        """Poll until the person has answered or the code has ended (RFC 8628, 3.4 and 3.5)."""
        form = {**self._form(client, scope=False), "grant_type": DEVICE_GRANT}
        form["device_code"] = ask.device_code
        if ask.verifier is not None:
            form["code_verifier"] = ask.verifier
        interval, waited = ask.interval, 0.0
        while waited + interval <= ask.life:
            sleep(interval)
            waited += interval
            try:
                return self._issued(form, client)
            except OAuthError as refusal:
                if refusal.code == "slow_down":
                    interval += SLOWER_S
                elif refusal.code != "authorization_pending":
                    raise
            except _UnreachableError:
                interval *= 2  # section 3.5
        raise OAuthError("expired_token", "")

    def client_credentials(self, client: Client) -> Issued:
        return self._issued({**self._form(client), "grant_type": "client_credentials"}, client)

    def refresh(self, refresh_token: str, client: Client) -> Issued:
        form = {**self._form(client, scope=False), "grant_type": "refresh_token"}
        issued = self._issued({**form, "refresh_token": refresh_token}, client)
        # RFC 6749, section 6: without a new one the old one goes on.
        return Issued(issued.token, issued.expires_at, issued.refresh_token or refresh_token)

    def revoke(self, token: str, client: Client) -> None:
        """RFC 7009; an issuer that does not offer it is left alone."""
        if self.offers("revocation"):
            form = {"token": token, "client_id": client.client_id}
            self._post("revocation", form, client, proof=False, empty=True)

    def _form(self, client: Client, *, scope: bool = True) -> dict[str, str]:
        form = {"client_id": client.client_id}
        if scope and client.scope:
            form["scope"] = client.scope
        if client.resource:
            form["resource"] = client.resource
        return form

    def _issued(self, form: dict[str, str], client: Client) -> Issued:
        given = self._post("token", form, client, proof=True)
        kind = _text(given, "token_type").lower()
        wanted = "bearer" if client.key is None else "dpop"
        if kind != wanted:
            raise SignInError(
                f"the issuer gave a token of type {shown(kind)}, not {wanted}"
                + ("; it does not bind tokens to keys" if wanted == "dpop" else "")
            )
        life = _seconds(given, "expires_in", 0)
        again = given.get("refresh_token")
        return Issued(
            token=_text(given, "access_token"),
            expires_at=time.time() + life if life else None,
            refresh_token=again if isinstance(again, str) and again else None,
        )

    def _post(
        self,
        endpoint: str,
        form: dict[str, str],
        client: Client,
        *,
        proof: bool,
        empty: bool = False,
    ) -> dict[str, Any]:
        url = self._document.get(f"{endpoint}_endpoint")
        if not isinstance(url, str):
            raise SignInError(f"the issuer {self.issuer} offers no {endpoint.replace('_', ' ')}")
        check_endpoint(url, f"{endpoint}_endpoint")
        for last in (False, True):
            form, headers = self._authenticated(form, client)
            if proof and client.key is not None:
                headers["DPoP"] = client.key.proof("POST", url, nonce=self._nonce)
            try:
                answer = self._http.post(url, data=form, headers=headers)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as lost:
                raise _UnreachableError(
                    f"{shown(url)} does not answer ({type(lost).__name__})"
                ) from lost
            self._nonce = answer.headers.get("DPoP-Nonce", self._nonce)
            if answer.is_success:
                return {} if empty else _document(answer, url)
            refusal = _refusal(answer, url)
            if refusal.code != "use_dpop_nonce" or last:
                break
        raise refusal

    def _authenticated(
        self, form: dict[str, str], client: Client
    ) -> tuple[dict[str, str], dict[str, str]]:
        """RFC 6749, section 2.3.1: by HTTP Basic, or in the form where that is not offered."""
        headers = {"accept": "application/json"}
        if client.secret is None:
            return form, headers
        offered = self._document.get("token_endpoint_auth_methods_supported")
        basic = not isinstance(offered, list) or "client_secret_basic" in offered
        if not basic:
            return {**form, "client_secret": client.secret}, headers
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return {name: value for name, value in form.items() if name != "client_id"}, headers


class _UnreachableError(SignInError):
    """Nobody answered."""


def open_http() -> httpx.Client:
    """A client that follows nobody elsewhere; what it sends holds secrets."""
    direct = httpx.HTTPTransport()
    loopback = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"), direct)
    return httpx.Client(follow_redirects=False, timeout=10.0, mounts=loopback)


def check_endpoint(url: str, what: str) -> str:
    """https, or http on this machine. Raises SignInError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise SignInError(f"{what}: {shown(url)} is no address")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SignInError(f"{what}: {shown(url)} has no TLS; https:// is needed")
    return url


def shown(text: str, limit: int = 200) -> str:
    """Somebody else's text as one line of a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:limit])


def _fetched(http: httpx.Client, url: str) -> dict[str, Any] | None:
    try:
        answer = http.get(url, headers={"accept": "application/json"})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as lost:
        raise _UnreachableError(f"{shown(url)} does not answer ({type(lost).__name__})") from lost
    return _document(answer, url) if answer.status_code == 200 else None


def _document(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = answer.json() if len(answer.content) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SignInError(f"{shown(url)} answered {answer.status_code}, but with no JSON object")
    return found


def _refusal(answer: httpx.Response, url: str) -> OAuthError:
    try:
        found = _document(answer, url)
    except SignInError:
        return OAuthError(f"HTTP {answer.status_code}", "")
    return OAuthError(
        str(found.get("error", f"HTTP {answer.status_code}")),
        str(found.get("error_description", "")),
    )


def _text(document: Mapping[str, Any], member: str) -> str:
    value = document.get(member)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise SignInError(f"the issuer's answer has no {member}")
    return value


def _seconds(document: Mapping[str, Any], member: str, default: float) -> float:
    value = document.get(member, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise SignInError(f"the issuer's {member} is no number of seconds")
    return float(value)
