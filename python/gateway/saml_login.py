"""The terminal's side of a sign-in at a SAML provider: `maskgate login --saml NAME`.

It listens on 127.0.0.1 for the browser of its own machine (RFC 8252, 7.3), and keeps the secret
that alone makes a credential of the code that the browser brings (RFC 7636). Refuses whatever comes
without the word that it gave the browser; no message repeats a code or a credential.
"""

from __future__ import annotations

import hmac
import queue
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from gateway.oauth import SignInError, ask, shown
from gateway.pairing import LOGIN, TOKEN, challenge_of, user_code

WAIT_S = 600.0  # as long as the gateway keeps a request


@dataclass(frozen=True, slots=True)
class Signed:
    """A credential of the gateway's own."""

    token: str = field(repr=False)
    issuer: str
    expires_at: float


class Listener:
    """Waits on 127.0.0.1 for one browser, which it knows by `state`."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self._codes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._verifier = secrets.token_urlsafe(48)
        self._state = secrets.token_urlsafe(32)

    @property
    def challenge(self) -> str:
        return challenge_of(self._verifier)

    @property
    def user_code(self) -> str:
        return user_code(self.challenge)

    def address(self, url: str, name: str) -> str:
        """Where the person begins."""
        query = {
            "code_challenge": self.challenge,
            "port": self._server.server_port,
            "state": self._state,
        }
        return f"{url}{LOGIN.format(name=name)}?{urlencode(query)}"

    def finish(self, http: httpx.Client, url: str) -> Signed:
        """Wait for the browser and fetch the credential. Raises SignInError."""
        try:
            code = self._codes.get(timeout=WAIT_S)
        except queue.Empty:
            raise SignInError("nobody signed in; start again") from None
        body = {"code": code, "code_verifier": self._verifier}
        answer = ask(http, "POST", f"{url}{TOKEN}", json=body)
        try:
            found = answer.json()
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SignInError(f"{shown(url)} answered {answer.status_code}, but with no JSON")
        if not answer.is_success:
            said = str(found.get("detail", answer.status_code))
            for secret in (code, self._verifier):
                said = said.replace(secret, "…")
            raise SignInError(f"the gateway refused: {shown(said)}")
        return _signed(found)

    def heard(self, path: str) -> bool:
        """Whether this is the browser that the terminal sent away."""
        try:
            parts = urlsplit(path)
            fields = parse_qs(parts.query, strict_parsing=True, max_num_fields=8)
        except ValueError:
            return False
        codes, states = fields.get("code", []), fields.get("state", [])
        known = len(states) == 1 and hmac.compare_digest(
            states[0].encode("utf-8", "surrogatepass"), self._state.encode()
        )
        if parts.path != "/" or not known or len(codes) != 1 or len(codes[0]) > 128:
            return False
        self._codes.put(codes[0])
        return True


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    """A listener on this port of 127.0.0.1; 0: any free one. Raises SignInError."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5
        server_version = "maskgate"
        sys_version = ""

        def do_GET(self) -> None:
            known = listener.heard(self.path)
            said = "The terminal goes on; this page can be closed." if known else "Not found."
            body = said.encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Addresses hold codes."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as wrong:
        raise SignInError(f"port {port} cannot be listened on: {wrong.strerror}") from wrong
    server.daemon_threads = True
    listener = Listener(server)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def end(http: httpx.Client, url: str, token: str) -> bool:
    """Have the gateway end a credential; whether it counted until now. Raises SignInError where it
    may go on to count."""
    answer = ask(http, "DELETE", f"{url}{TOKEN}", headers={"authorization": f"Bearer {token}"})
    if answer.status_code not in (204, 401):
        raise SignInError(
            f"{shown(url)} answered {answer.status_code}; the credential is good until it ends"
        )
    return answer.status_code == 204


def _signed(found: dict[str, Any]) -> Signed:
    token, issuer, ends = (found.get(name) for name in ("token", "issuer", "expires_at"))
    if not isinstance(token, str) or not isinstance(issuer, str) or not token.isascii():
        raise SignInError("the gateway gave no credential that a header can carry")
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        raise SignInError("the gateway does not say when the credential ends")
    return Signed(token, issuer, float(ends))
