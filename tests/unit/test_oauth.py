"""The client's side of OAuth: what it does with each answer of an issuer, without one."""

from __future__ import annotations

import json
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from gateway import oauth
from gateway.oauth import Client, Issuer, OAuthError, SignInError
from gateway.proof_key import ProofKey

ISSUER = "https://idp.example.org/realm"
TOKEN = {"access_token": "the-token", "token_type": "Bearer", "expires_in": 60}
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device",
}
DEVICE = {
    "device_code": "dc", "user_code": "ABCD-EFGH", "verification_uri": f"{ISSUER}/activate",
    "expires_in": 60, "interval": 2,
}  # fmt: skip

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Played:
    """An issuer that answers the calls of its token endpoint one after the other."""

    def __init__(self, *answers: Answer | None, **changes: Any) -> None:
        self.answers = list(answers)
        self.document = {**DOCUMENT, **changes}
        self.device = dict(DEVICE)
        self.asked: list[tuple[dict[str, str], httpx.Headers]] = []
        self.slept: list[float] = []
        self.http = httpx.Client(transport=httpx.MockTransport(self), follow_redirects=False)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            right = str(request.url) == f"{ISSUER}/.well-known/openid-configuration"
            return httpx.Response(200, json=self.document) if right else httpx.Response(404)
        self.asked.append((dict(parse_qsl(request.content.decode())), request.headers))
        if request.url.path.endswith("/device"):
            return httpx.Response(200, json=self.device)
        answer = self.answers.pop(0)
        if answer is None:
            raise httpx.ConnectError("refused", request=request)
        status, body, *headers = answer
        return httpx.Response(
            status, content=json.dumps(body), headers=headers[0] if headers else {}
        )

    def issuer(self) -> Issuer:
        return Issuer.discover(self.http, ISSUER)

    def sign_in(self, client: Client = Client("cli")) -> oauth.Issued:  # noqa: B008 - frozen
        issuer = self.issuer()
        return issuer.finish_device(issuer.start_device(client), client, self.slept.append)


def no(code: str) -> Answer:
    return 400, {"error": code}


def test_a_device_waits_as_it_is_told() -> None:
    played = Played(no("authorization_pending"), no("slow_down"), None, (200, TOKEN))
    assert played.sign_in().token == "the-token"
    assert played.slept == [2, 2, 7, 14]  # RFC 8628, 3.5: five seconds more, then twice as many
    form, _ = played.asked[-1]
    assert form == {"client_id": "cli", "grant_type": oauth.DEVICE_GRANT, "device_code": "dc"}


@pytest.mark.parametrize(
    "code", ["access_denied", "expired_token", "invalid_grant", "server_error"]
)
def test_a_device_stops_at_a_no(code: str) -> None:
    played = Played(no("authorization_pending"), no(code))
    with pytest.raises(OAuthError, match=code):
        played.sign_in()
    assert len(played.slept) == 2


def test_a_device_does_not_wait_for_ever() -> None:
    played = Played(*[no("authorization_pending")] * 40)
    with pytest.raises(OAuthError, match="expired_token"):
        played.sign_in()
    assert sum(played.slept) <= 60


def test_an_issuer_that_is_slow_to_answer_does_not_hold_a_device_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = iter(range(0, 1000 * 3600, 3600))
    monkeypatch.setattr(oauth, "monotonic", lambda: float(next(hours)))
    played = Played(*[no("authorization_pending")] * 40)
    with pytest.raises(OAuthError, match="expired_token"):
        played.sign_in()
    assert len(played.slept) < 2


def test_the_device_proves_that_it_began() -> None:
    played = Played((200, TOKEN), code_challenge_methods_supported=["S256"])
    played.sign_in(Client("cli", scope="openid", resource="https://gw.example.org"))
    (first, _), (second, _) = played.asked
    assert first["code_challenge_method"] == "S256"
    assert (first["scope"], first["resource"]) == ("openid", "https://gw.example.org")
    assert len(second["code_verifier"]) >= 43
    assert first["code_challenge"] != second["code_verifier"]


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (None, True),
        (["client_secret_basic", "client_secret_post"], True),
        (["client_secret_post"], False),
    ],
)  # fmt: skip
def test_a_secret_goes_where_the_issuer_wants_it(methods: list[str] | None, basic: bool) -> None:
    more = {} if methods is None else {"token_endpoint_auth_methods_supported": methods}
    played = Played((200, TOKEN), **more)
    played.issuer().client_credentials(Client("a:b", "s c"))
    form, headers = played.asked[0]
    assert ("client_secret" in form) is not basic
    expected = httpx.BasicAuth("a%3Ab", "s+c")._auth_header if basic else None
    assert headers.get("authorization") == expected


def test_proofs_carry_the_issuer_s_nonce_and_are_made_anew() -> None:
    key = ProofKey.new()
    asked = (400, {"error": "use_dpop_nonce"}, {"DPoP-Nonce": "n1"})
    bound = {**TOKEN, "token_type": "DPoP"}
    played = Played(asked, (200, bound))
    assert played.issuer().client_credentials(Client("cli", "s3cr3t", key)).token == "the-token"
    found = []
    for _, headers in played.asked:
        public = ECKey.import_key(jws.extract_compact(headers["DPoP"].encode()).headers()["jwk"])
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        found.append(
            json.loads(jws.deserialize_compact(headers["DPoP"], public, registry=registry).payload)
        )
    assert [one.get("nonce") for one in found] == [None, "n1"]
    assert found[0]["jti"] != found[1]["jti"]
    assert {(one["htm"], one["htu"]) for one in found} == {("POST", f"{ISSUER}/token")}
    with pytest.raises(OAuthError, match="use_dpop_nonce"):
        Played(asked, asked).issuer().client_credentials(Client("cli", "s3cr3t", key))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, []), "no JSON object"),
        ((200, {}), "no token_type"),
        ((200, {"token_type": "Bearer"}), "no access_token"),
        ((200, {**TOKEN, "access_token": "a\nb"}), "no access_token"),
        ((200, {**TOKEN, "expires_in": "60"}), "expires_in is no number"),
        ((200, {**TOKEN, "expires_in": True}), "expires_in is no number"),
        ((200, {**TOKEN, "token_type": "mac"}), "type mac, not bearer"),
        ((200, {**TOKEN, "access_token": "a b"}), "no header can carry"),
        ((200, {**TOKEN, "access_token": "tök"}), "no header can carry"),
        ((302, {}), "HTTP 302"),
        ((401, {"error": "invalid_client", "error_description": "\x1b[2K"}), "invalid_client"),
    ],
)
def test_answers_that_are_no_token(answer: Answer, said: str) -> None:
    with pytest.raises(SignInError, match=said) as failed:
        Played(answer).issuer().client_credentials(Client("cli", "s3cr3t"))
    assert str(failed.value).isprintable()
    assert "s3cr3t" not in str(failed.value)


def test_a_refusal_that_repeats_its_request_tells_no_secret() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=DOCUMENT)
        told = f"{request.content.decode()} {request.headers.get('authorization')} s3+/cret"
        return httpx.Response(400, json={"error": f"no {told}", "error_description": told})

    with httpx.Client(transport=httpx.MockTransport(echo)) as http:
        issuer = Issuer.discover(http, ISSUER)
        with pytest.raises(OAuthError, match="the issuer refused") as failed:
            issuer.refresh("the-refresh-token", Client("cli", "s3+/cret"))
    basic = httpx.BasicAuth("cli", "s3%2B%2Fcret")._auth_header.partition(" ")[2]
    for secret in ("the-refresh-token", "s3+/cret", "s3%2B%2Fcret", basic):
        assert secret not in str(failed.value)


def endless(slow: bool, squeezed: bool) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield b"Content-Encoding: gzip\r\n\r\n" if squeezed else b"\r\n"
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        if slow:
            time.sleep(0.05)
        blanks = b" " * (1 if slow else 1 << 20)
        yield press.compress(blanks) if squeezed else blanks


@contextmanager
def answering(slow: bool, squeezed: bool) -> Iterator[str]:
    """The address of a server whose one answer has no end."""
    stopped = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                for piece in endless(slow, squeezed):
                    if stopped.is_set():
                        return
                    self.request.sendall(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("slow", "squeezed", "said"),
    [
        (False, False, "TooLarge"),
        (True, False, "does not end its answer"),
        (False, True, "Compressed"),
    ],
)
def test_an_answer_without_end_ends(
    slow: bool, squeezed: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "WHOLE_S", 0.5 if slow else 60)
    with (
        answering(slow, squeezed) as url,
        oauth.open_http() as http,
        pytest.raises(oauth.UnreachableError, match=said),
    ):
        Issuer.discover(http, url)


def test_a_bearer_token_is_not_what_was_asked_for() -> None:
    with pytest.raises(SignInError, match="does not bind tokens"):
        Played((200, TOKEN)).issuer().client_credentials(Client("cli", "s", ProofKey.new()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://evil.example.org"}, "calls itself"),
        ({"issuer": ISSUER + "/"}, "calls itself"),
        ({"token_endpoint": "http://idp.example.org/token"}, "no TLS"),
        ({"token_endpoint": "file:///etc/passwd"}, "no address|no TLS"),
        ({"token_endpoint": None}, "offers no token"),
    ],
)
def test_issuers_that_are_not_believed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SignInError, match=said):
        Played((200, TOKEN), **changes).issuer().client_credentials(Client("cli", "s"))


@pytest.mark.parametrize(
    "change",
    [
        lambda device: device.pop("user_code"),
        lambda device: device.update(user_code="AB\x1b[2K"),
        lambda device: device.update(verification_uri="http://idp.example.org/x"),
        lambda device: device.update(verification_uri="javascript:alert(1)"),
        lambda device: device.update(verification_uri="https://idp.example.org@evil.example/x"),
        lambda device: device.update(verification_uri="https://evil.example\\@idp.example.org/x"),
        lambda device: device.update(verification_uri_complete="javascript:alert(1)"),
        lambda device: device.update(verification_uri_complete=f"{ISSUER}/\u202e"),
        lambda device: device.update(verification_uri_complete=5),
        lambda device: device.update(user_code="A" * 1001),
        lambda device: device.update(interval="2"),
        lambda device: device.update(expires_in=-1),
    ],
)
def test_devices_are_shown_what_is_safe_to_show(change: Callable[[dict[str, Any]], None]) -> None:
    played = Played()
    change(played.device)
    with pytest.raises(SignInError):
        played.sign_in()


def test_metadata_of_oauth_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8414, section 3.1: the path of the issuer comes behind the well-known one."""
    where = "https://idp.example.org/.well-known/oauth-authorization-server/realm"

    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, json=DOCUMENT) if str(request.url) == where else httpx.Response(404)
        )

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        assert Issuer.discover(http, ISSUER).offers("token")


def test_a_refresh_token_goes_on_until_there_is_another() -> None:
    played = Played((200, TOKEN), (200, {**TOKEN, "refresh_token": "r2"}))
    issuer = played.issuer()
    assert issuer.refresh("r1", Client("cli")).refresh_token == "r1"
    assert issuer.refresh("r1", Client("cli")).refresh_token == "r2"


def test_nothing_secret_is_shown_by_its_values() -> None:
    client = Client("cli", "s3cr3t", ProofKey.new())
    assert "s3cr3t" not in repr(client)
    ask = Played().issuer().start_device(client)
    assert "dc" not in repr(ask).replace("device_code", "")
