"""`[[saml]]` as a configuration says it, and the terminal's listener."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "saml"))

from played_idp import IDP, NOW, Key, metadata

from gateway import config, oauth, saml_login
from gateway.errors import ConfigurationError
from gateway.identity.saml import ServiceProvider
from gateway.identity_wiring import build_saml
from gateway.oauth import SignInError
from gateway.pairing import challenge_of, user_code

OURS = "https://maskgate.example.org"
BASE = """
[[issuers]]
issuer = "https://oidc.example.org"
[connections.clinic]
dsn = "env:CLINIC_DSN"
"""
ONE = f'[[saml]]\nname = "corp"\nentity_id = "{IDP}"\nmetadata = "idp.xml"\n'


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


def built(
    tmp_path: Path, key: Key, more: str, addresses: Sequence[str] = (OURS,), base: str = BASE
) -> dict[str, ServiceProvider]:
    (tmp_path / "idp.xml").write_text(metadata(key))
    path = tmp_path / "maskgate.toml"
    path.write_text(base + more)
    return build_saml(path, config.load(path), addresses, lambda: NOW)


def test_what_is_said_is_built(tmp_path: Path, key: Key) -> None:
    found = built(tmp_path, key, ONE + 'groups = {}\nmax_sign_in = "1h"\nforce_authn = true\n')
    assert list(found) == ["corp"]
    one = found["corp"]
    assert (one.name, one.entity_id, one.secure) == ("corp", IDP, True)
    assert one.address == f"{OURS}/v1/saml/corp"
    assert one._config.longest == timedelta(hours=1)
    assert (one._config.groups, one._config.force_authn) == ({}, True)


@pytest.mark.parametrize(
    ("more", "because"),
    [
        (ONE + ONE, "listed twice"),
        (ONE + ONE.replace("corp", "other"), "listed twice"),
        (ONE.replace(IDP, "https://oidc.example.org"), "same_people_as_issuer"),
        (ONE + "same_people_as_issuer = true\n", "no issuer's name"),
        (ONE.replace(IDP, "https://unknown.example.org"), "0 times"),
        (ONE.replace("idp.xml", "none.xml"), "cannot be read"),
        (ONE.replace('"corp"', '"Corp/x"'), "name"),
        (ONE + "unknown = 1\n", "unknown"),
        (ONE + 'max_sign_in = "0s"\n', "at least one second"),
        (ONE + 'identity_attribute = ""\n', "empty"),
    ],
)
def test_what_is_refused_with_its_line(tmp_path: Path, key: Key, more: str, because: str) -> None:
    with pytest.raises(ConfigurationError, match=because) as refusal:
        built(tmp_path, key, more)
    assert "maskgate.toml:" in str(refusal.value)


def test_a_gateway_that_does_not_know_its_address(tmp_path: Path, key: Key) -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        built(tmp_path, key, ONE, addresses=())


def test_one_name_of_both_protocols_on_purpose(tmp_path: Path, key: Key) -> None:
    base = BASE.replace("https://oidc.example.org", IDP)
    same = ONE + "same_people_as_issuer = true\n"
    assert built(tmp_path, key, same + 'identity_attribute = "uid"\n', base=base)
    # By her NameID she would be somebody else than by her token, who may approve for her.
    with pytest.raises(ConfigurationError, match="needs identity_attribute"):
        built(tmp_path, key, same, base=base)
    bound = base.replace(f'"{IDP}"', f'"{IDP}"\nrequire_dpop = true')
    with pytest.raises(ConfigurationError, match="require_dpop"):
        built(tmp_path, key, same + 'identity_attribute = "uid"\n', base=bound)


# -- the terminal's listener -----------------------------------------------------------------------


def asked(listener: saml_login.Listener) -> tuple[str, dict[str, str]]:
    """The listener's own address, and what it tells the browser."""
    address = listener.address("https://maskgate.example.org", "corp")
    query = {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
    return f"http://127.0.0.1:{query['port']}", query


def test_it_hears_nobody_but_its_own_browser() -> None:
    with saml_login.listening(0) as listener:
        at, told = asked(listener)
        state = told["state"]
        for path in (
            "/",
            "/?code=x",
            "/?code=x&state=",
            f"/?code=x&state={state[:-1]}",
            f"/?state={state}",
            f"/?code=x&code=y&state={state}",
            f"/?code=x&state={state}&state={state}",
            f"/else?code=x&state={state}",
            f"/?code={'x' * 200}&state={state}",
            f"/?code=%zz&state={state}%ff",
        ):
            assert httpx.get(at + path).status_code == 404, path
        assert httpx.post(f"{at}/?code=x&state={state}").status_code == 501
        assert listener._codes.empty()
        assert httpx.get(f"{at}/?code=x&state={state}").status_code == 200
        assert listener._codes.get_nowait() == "x"


def test_the_browser_is_told_a_hash_and_no_secret() -> None:
    with saml_login.listening(0) as listener:
        _, told = asked(listener)
        assert told["code_challenge"] == challenge_of(listener._verifier)
        assert listener._verifier not in listener.address("https://x", "corp")
        assert listener.user_code == user_code(told["code_challenge"])


def finished(answer: httpx.Response) -> saml_login.Signed:
    def gateway(request: httpx.Request) -> httpx.Response:
        return answer

    http = httpx.Client(transport=httpx.MockTransport(gateway))
    with saml_login.listening(0) as listener:
        at, told = asked(listener)
        browser = threading.Timer(0, httpx.get, [f"{at}/?code=x-code-x&state={told['state']}"])
        browser.start()
        try:
            return listener.finish(http, "https://maskgate.example.org")
        finally:
            browser.join()


def streamed(status: int, document: Any) -> httpx.Response:
    made = httpx.Response(status, json=document)
    return httpx.Response(status, headers=made.headers, stream=httpx.ByteStream(made.content))


@pytest.mark.parametrize(
    ("status", "document", "because"),
    [
        (401, {"detail": "no: x-code-x"}, "refused: no: …$"),
        (500, [], "no JSON"),
        (200, {}, "no credential"),
        (200, {"token": 1, "issuer": "i", "expires_at": 1}, "no credential"),
        (200, {"token": "t", "issuer": "i", "expires_at": True}, "when"),
        (200, {"token": "t", "issuer": "i"}, "when"),
    ],
)
def test_a_gateway_that_gives_none(status: int, document: Any, because: str) -> None:
    with pytest.raises(SignInError, match=because):
        finished(streamed(status, document))


def test_a_gateway_that_gives_one() -> None:
    found = finished(streamed(200, {"token": "mgs_x", "issuer": IDP, "expires_at": 12.5}))
    assert (found.token, found.issuer, found.expires_at) == ("mgs_x", IDP, 12.5)
    assert "mgs_x" not in repr(found)


@pytest.mark.parametrize(("status", "ended"), [(204, True), (401, False)])
def test_a_credential_that_counts_no_more(status: int, ended: bool) -> None:
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status)))
    assert saml_login.end(http, "https://maskgate.example.org", "mgs_x") is ended


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_nobody_is_told_that_a_credential_ended_that_may_go_on(status: int) -> None:
    http = httpx.Client(transport=httpx.MockTransport(lambda _: streamed(status, {})))
    with pytest.raises(SignInError, match=f"answered {status}; the credential is good until"):
        saml_login.end(http, "https://maskgate.example.org", "mgs_x")


def test_a_port_that_is_taken() -> None:
    with saml_login.listening(0) as listener:
        port = listener._server.server_port
        with pytest.raises(SignInError, match="cannot be listened on"), saml_login.listening(port):
            pass


def test_nobody_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saml_login, "WAIT_S", 0.01)
    with (
        oauth.open_http() as http,
        saml_login.listening(0) as listener,
        pytest.raises(SignInError, match="nobody signed in"),
    ):
        listener.finish(http, "https://maskgate.example.org")
