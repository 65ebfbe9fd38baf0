"""The demo's OpenID provider: a process of its own, with its own keys, for this machine only.

    python -m gateway.demo.issuer --port 0 --state DIR

Prints one JSON line `{"issuer": …, "state": …, "pid": …}` once it answers. Makes fresh keys and
client secrets at each start and writes them to DIR with mode 0600: `keys.json` (private keys, which
tests use to mint what no honest issuer would) and `clients.json`. Refuses to listen on any address
that is not loopback, and calls itself a development issuer in its discovery document, so that a
gateway that was not told to accept one does not.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import ipaddress
import json
import os
import secrets
import socket
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.demo.devices import CODE_LIFE_S, Devices, Kept, RefusedError

AUDIENCE = "maskgate"
PUBLIC_CLIENT = "maskgate-cli"  # that of `maskgate login`, which has no secret
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_LIFE_S = 3600
MAX_FORM_BYTES = 8 * 1024
# Agrees with gateway.identity.keys.DEVELOPMENT_MARK; rooms do not import each other.
DEVELOPMENT_MARK = "maskgate_development_issuer"

_PAGE = """<!doctype html><title>Sign in</title><form method=post>
<p>Code <input name=user_code> Name <input name=name> Secret <input name=secret type=password>
<p><button name=answer value=approve>Approve</button> <button name=answer value=deny>Deny</button>
</form>"""

SigningKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class Client:
    """One demo client; `client_id` becomes the token's subject."""

    client_id: str
    groups: tuple[str, ...] = ()


CLIENTS = (
    Client("agent-reporting"),
    Client("agent-billing"),
    Client("steward-dana", groups=("data-stewards",)),
    Client("auditor-amir", groups=("auditors",)),
)


class Issuer:
    """Keys, clients and tokens of one start; knows nothing of HTTP."""

    def __init__(self, url: str, clients: Sequence[Client] = CLIENTS) -> None:
        self.url = url
        self.clients = {client.client_id: client for client in clients}
        self.secrets = {client.client_id: secrets.token_urlsafe(24) for client in clients}
        self.devices = Devices()
        self.keys: dict[str, SigningKey] = {
            "RS256": RSAKey.generate_key(2048, _published("RS256")),
            "ES256": ECKey.generate_key("P-256", _published("ES256")),
            "EdDSA": OKPKey.generate_key("Ed25519", _published("EdDSA")),
        }

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3; only what this issuer does."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks.json",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device_authorization",
            "revocation_endpoint": f"{self.url}/revoke",
            "grant_types_supported": ["client_credentials", DEVICE_GRANT, "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "dpop_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
                "none",
            ],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted(self.keys),
            DEVELOPMENT_MARK: True,
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self.keys.values()]}

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client with this secret, or None; compared in constant time."""
        expected = self.secrets.get(client_id, "")
        matches = hmac.compare_digest(expected.encode(), secret.encode())
        return self.clients[client_id] if matches and client_id in self.clients else None

    def token(
        self, client: Client, resource: str | None = None, jkt: str | None = None
    ) -> dict[str, Any]:
        """An access token (RFC 9068) for a client that has authenticated, or whose device somebody
        has let in; for the resource it names (RFC 8707), bound to its key (RFC 9449)."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": client.client_id,
            "client_id": client.client_id,
            "aud": resource or AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_LIFE_S,
            "jti": secrets.token_hex(16),
            "groups": list(client.groups),
        }
        if jkt is not None:
            claims["cnf"] = {"jkt": jkt}
        key = self.keys["ES256"]
        text = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": key.kid}, claims, key)
        kind = "Bearer" if jkt is None else "DPoP"
        return {"access_token": text, "token_type": kind, "expires_in": TOKEN_LIFE_S}

    def save(self, state: Path) -> None:
        """Write private keys and client secrets below `state`, readable by the owner alone."""
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = {alg: key.as_dict(private=True) for alg, key in self.keys.items()}
        _write_private(state / "keys.json", keys)
        _write_private(state / "clients.json", self.secrets)


def application(issuer: Issuer) -> FastAPI:
    """The HTTP face of an issuer: discovery, keys, tokens by client credentials (RFC 6749 4.4) or
    by the device flow (RFC 8628)."""
    app = FastAPI(title="maskgate development issuer", docs_url=None, openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return issuer.discovery()

    @app.get("/jwks.json")
    async def jwks() -> dict[str, Any]:
        return issuer.jwks()

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = await _form(request)
        if form is None:
            return _oauth_error("invalid_request", 413)
        try:
            jkt = _bound_key(request, issuer.url)
            match form.get("grant_type"):
                case "client_credentials":
                    credentials = request.headers.get("authorization")
                    client = issuer.authenticate(*_client_credentials(credentials, form))
                    if client is None:
                        return _oauth_error("invalid_client", 401)
                    given = issuer.token(client, form.get("resource"), jkt)
                case "refresh_token" | "urn:ietf:params:oauth:grant-type:device_code":
                    given = _for_a_person(issuer, form, jkt)
                case _:
                    return _oauth_error("unsupported_grant_type", 400)
        except RefusedError as refusal:
            return _oauth_error(str(refusal), 400)
        return JSONResponse(given, headers={"cache-control": "no-store"})

    _device_routes(app, issuer)
    return app


def _device_routes(app: FastAPI, issuer: Issuer) -> None:
    @app.post("/device_authorization")
    async def begin(request: Request) -> JSONResponse:
        form = await _form(request)
        if form is None or form.get("client_id") != PUBLIC_CLIENT:
            return _oauth_error("invalid_client", 401)
        challenge = form.get("code_challenge")
        if challenge is not None and form.get("code_challenge_method") != "S256":
            return _oauth_error("invalid_request", 400)
        asked = issuer.devices.begin(PUBLIC_CLIENT, challenge, form.get("resource"))
        page = f"{issuer.url}/device"
        answer = {
            "device_code": asked.device_code,
            "user_code": asked.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={asked.user_code}",
            "expires_in": CODE_LIFE_S,
            "interval": asked.interval,
        }
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    @app.get("/device")
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @app.post("/device")
    async def decide(request: Request) -> HTMLResponse:
        form = await _form(request) or {}
        who = issuer.authenticate(form.get("name", ""), form.get("secret", ""))
        if who is None:
            return HTMLResponse("no such person, or another secret", 401)
        approve = form.get("answer") == "approve"
        if not issuer.devices.decide(form.get("user_code", ""), who.client_id, approve=approve):
            return HTMLResponse("no such code", 400)
        return HTMLResponse("done: go back to your terminal")

    @app.post("/revoke")
    async def revoke(request: Request) -> JSONResponse:
        form = await _form(request) or {}
        issuer.devices.revoke(form.get("token", ""))
        return JSONResponse({})


def _for_a_person(issuer: Issuer, form: Mapping[str, str], jkt: str | None) -> dict[str, Any]:
    """A token for whoever approved a device, with what gets the next one. Raises RefusedError."""
    client_id = form.get("client_id", "")
    if form["grant_type"] == DEVICE_GRANT:
        code = form.get("device_code", "")
        asked = issuer.devices.poll(code, client_id, form.get("code_verifier"))
        kept = Kept(str(asked.who), client_id, asked.resource, jkt)
    else:
        kept = issuer.devices.use(form.get("refresh_token", ""), client_id, jkt)
    given = issuer.token(issuer.clients[kept.who], kept.resource, jkt)
    return {**given, "refresh_token": issuer.devices.keep(kept)}


def _bound_key(request: Request, url: str) -> str | None:
    """The thumbprint of the key that a token is asked for, by its proof (RFC 9449, section 5)."""
    text = request.headers.get("dpop")
    if text is None:
        return None
    try:
        header = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))
        key = ECKey.import_key(header["jwk"])
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        claims = json.loads(jws.deserialize_compact(text, key, registry=registry).payload)
        if (claims["htm"], claims["htu"]) != ("POST", f"{url}/token"):
            raise ValueError("another request")
    except (JoseError, ValueError, KeyError, TypeError) as wrong:
        raise RefusedError("invalid_dpop_proof") from wrong
    return key.thumbprint()


async def _form(request: Request) -> dict[str, str] | None:
    """The form of a request; None when it is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return None
    return dict(urllib.parse.parse_qsl(body.decode("ascii", errors="replace")))


def loopback_socket(host: str, port: int) -> socket.socket:
    """A listening socket on this machine; any other address is a ValueError."""
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if not address.is_loopback:
        raise ValueError(f"{host} is not a loopback address: this issuer is for one machine only")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((str(address), port))
    return listening


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.issuer",
        description="An OpenID provider for the demo and the tests, on this machine only.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--state", type=Path, required=True, help="where keys and secrets go")
    options = parser.parse_args(arguments)
    try:
        listening = loopback_socket(options.host, options.port)
    except (ValueError, OSError) as wrong:
        parser.exit(2, f"issuer: {wrong}\n")
    host, port = listening.getsockname()[:2]
    issuer = Issuer(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    issuer.save(options.state)
    config = uvicorn.Config(application(issuer), log_level="warning", lifespan="off")
    _Announcing(config, issuer.url, options.state).run(sockets=[listening])
    return 0


class _Announcing(uvicorn.Server):
    """Says on standard output where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, url: str, state: Path) -> None:
        super().__init__(config)
        self._ready = {"issuer": url, "state": str(state), "pid": os.getpid()}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(json.dumps(self._ready) + "\n")
        sys.stdout.flush()


def _published(alg: str) -> Any:
    return {"alg": alg, "use": "sig", "kid": f"{alg.lower()}-{secrets.token_hex(4)}"}


def _client_credentials(header: str | None, form: Mapping[str, str]) -> tuple[str, str]:
    """Client id and secret by HTTP Basic or in the form (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        pair = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    client_id, _, secret = pair.partition(":")
    return urllib.parse.unquote_plus(client_id), urllib.parse.unquote_plus(secret)


def _oauth_error(code: str, status: int) -> JSONResponse:
    return JSONResponse({"error": code}, status_code=status)


def _write_private(path: Path, document: Any) -> None:
    """Mode 0600 from the first byte; an older file, perhaps with another mode, is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
