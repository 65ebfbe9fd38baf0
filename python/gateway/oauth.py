"""How a person or a program gets a token: the client's side of OAuth 2.0, for `maskgate login`.

Discovery (OpenID Connect Discovery 1.0, RFC 8414), the device flow (RFC 8628), client credentials
(RFC 6749, 4.4), refreshing and revoking, each with proofs of possession where wanted (RFC 9449).
Refuses issuers that call themselves something else, endpoints without TLS, and a bearer token where
a bound one was asked for. No message repeats a token or a secret.
"""

from __future__ import annotations

import base64
import hashlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx

from gateway.proof_key import ProofKey
from gateway.values import is_loopback

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_S = 5  # between two polls, where the issuer names none (RFC 8628, 3.2 and 3.5)
SLOWER_S = 5
MOST_LIFE_S = 3600.0  # of a device code, whatever the issuer says
MOST_SHOWN = 1000  # characters of an address or a code
MOST_BYTES = 256 * 1024  # of one answer, …
WHOLE_S = 30.0  # … which is whole within this, however slowly it drips


class SignInError(Exception):
    """Why there is no token; a sentence for people."""


class OAuthError(SignInError):
    """The issuer said no, in its own word (RFC 6749, 5.2)."""

    def __init__(self, code: str, description: str) -> None:
        known = _MEANING.get(code, "")
        said = f": {shown(description)}" if description else ""
        super().__init__(f"the issuer refused: {shown(code)}{known}{said}")
        self.code = code


#: The fields of a request that nobody else may read.
_SECRETS = ("client_secret", "code_verifier", "device_code", "refresh_token", "token")
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
        if complete is not None:
            complete = check_endpoint(
                _text(given, "verification_uri_complete"), "verification_uri_complete"
            )
        code = _text(given, "user_code")
        if max(len(code), len(uri), len(complete or "")) > MOST_SHOWN:
            raise SignInError("the issuer's user_code or verification_uri is no short text")
        return Ask(
            verification_uri=uri,
            complete_uri=complete,
            user_code=code,
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
        interval, waited, ends = ask.interval, 0.0, monotonic() + ask.life
        while waited + interval <= ask.life and monotonic() <= ends:  # answers take time, too
            sleep(interval)
            waited += interval
            try:
                return self._issued(form, client)
            except OAuthError as refusal:
                if refusal.code == "slow_down":
                    interval += SLOWER_S
                elif refusal.code != "authorization_pending":
                    raise
            except UnreachableError:
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
        token = _text(given, "access_token")
        if not token.isascii() or " " in token:
            raise SignInError("the issuer gave a token that no header can carry")
        life = _seconds(given, "expires_in", 0)
        again = given.get("refresh_token")
        return Issued(
            token=token,
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
            answer = ask(self._http, "POST", url, data=form, headers=headers)
            self._nonce = answer.headers.get("DPoP-Nonce", self._nonce)
            if answer.is_success:
                return {} if empty else _document(answer, url)
            refusal = _refusal(answer, url, _told(form, headers, client))
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


class UnreachableError(SignInError):
    """Nobody answered, or not to the end."""


def open_http() -> httpx.Client:
    """A client that follows nobody elsewhere; what it sends holds secrets."""
    direct = httpx.HTTPTransport()
    loopback = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"), direct)
    return httpx.Client(follow_redirects=False, timeout=10.0, mounts=loopback)


def check_endpoint(url: str, what: str) -> str:
    """https, or http on this machine. Raises SignInError."""
    try:
        parts = urlsplit(url)
        host = None if "@" in parts.netloc or "\\" in url else parts.hostname
    except ValueError:
        host = None
    # What stands before an @ is who asks, and looks like who is asked.
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise SignInError(f"{what}: {shown(url)} is no address")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SignInError(f"{what}: {shown(url)} has no TLS; https:// is needed")
    return url


def shown(text: str, limit: int = 200) -> str:
    """Somebody else's text as one line of a terminal."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in text[:limit]
    )


def ask(http: httpx.Client, method: str, url: str, **more: Any) -> httpx.Response:
    """One whole answer of somebody who may not mean well. Raises UnreachableError."""
    more["headers"] = {"accept-encoding": "identity", **more.get("headers", {})}
    done: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()

    def read() -> None:
        try:
            with http.stream(method, url, **more) as answer:
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise _CompressedError("nobody asked for that, and what it unfolds to is large")
                body = bytearray()
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise _TooLargeError(f"more than {MOST_BYTES} bytes")
            done.put(
                httpx.Response(answer.status_code, headers=answer.headers, content=bytes(body))
            )
        except Exception as lost:
            done.put(lost)

    # The timeouts of a client are of each piece; a thread is what can be left alone.
    threading.Thread(target=read, daemon=True).start()
    try:
        found = done.get(timeout=WHOLE_S)
    except queue.Empty:
        raise UnreachableError(f"{shown(url)} does not end its answer") from None
    if isinstance(found, httpx.HTTPError | httpx.InvalidURL | ValueError | OSError):
        raise UnreachableError(f"{shown(url)} does not answer ({type(found).__name__})") from found
    if isinstance(found, Exception):
        raise found
    return found


class _CompressedError(ValueError):
    """An answer whose size its bytes do not say."""


class _TooLargeError(ValueError):
    """An answer without end."""


def _fetched(http: httpx.Client, url: str) -> dict[str, Any] | None:
    answer = ask(http, "GET", url, headers={"accept": "application/json"})
    return _document(answer, url) if answer.status_code == 200 else None


def _document(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SignInError(f"{shown(url)} answered {answer.status_code}, but with no JSON object")
    return found


def _refusal(answer: httpx.Response, url: str, told: list[str]) -> OAuthError:
    status = f"HTTP {answer.status_code}"
    try:
        found = _document(answer, url)
    except SignInError:
        return OAuthError(status, "")

    code, description = f"{found.get('error', status)}", f"{found.get('error_description', '')}"
    for secret in told:
        code, description = code.replace(secret, "…"), description.replace(secret, "…")
    refusal = OAuthError(code, description)
    refusal.code = f"{found.get('error', status)}"  # which is compared, not shown
    return refusal


def _told(form: Mapping[str, str], headers: Mapping[str, str], client: Client) -> list[str]:
    """What this request holds that no message may repeat, though the issuer does."""
    secrets_of_it = [form[name] for name in _SECRETS if name in form]
    if client.secret is not None:
        basic = headers.get("authorization", "").partition(" ")[2]
        secrets_of_it += [client.secret, quote_plus(client.secret), basic]
    return [one for one in secrets_of_it if one]


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
