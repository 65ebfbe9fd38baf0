"""Signing in at a real gateway by a real issuer: people, programs, bound tokens, what is kept."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import world as worlds
from world import AGENT, STEWARD, World, wait_until

import servers
from commands import run
from gateway import logins
from gateway.client import Bearer, Client, RefusedError
from gateway.proof_key import ProofKey

METADATA = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
def here(
    newest: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    with worlds.built(tmp_path_factory.mktemp("sign-in"), newest, "sign_in") as built:
        yield built


def secret_of(world: World, client: str) -> str:
    secrets = json.loads((world.home / "idp" / "clients.json").read_text())
    return str(secrets[client])


def by_device(world: World, answer: str, *options: str) -> tuple[int, str, str]:
    """`maskgate login` in a process of its own, and a person who answers in a browser."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "login", "--url", world.url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = process.stderr.readline()
    found = re.search(r"Open (\S+) and enter the code (\S+)", told)
    assert found, told
    form = {"user_code": found[2], "name": STEWARD, "answer": answer}
    page = httpx.post(found[1], data={**form, "secret": secret_of(world, STEWARD)})
    assert page.status_code == 200, page.text
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def as_program(world: World, *options: str) -> tuple[int, str, str]:
    given = ("--client-id", AGENT, "--client-credentials", "--client-secret", "env:SECRET")
    return run("login", *at(world), *given, *options, SECRET=secret_of(world, AGENT))


def at(world: World) -> tuple[str, ...]:
    return "--url", world.url, "--issuer", str(world.issuer.ready["issuer"])


def kept(home: Path) -> Path:
    (file,) = home.glob("*.json")
    return file


# -- what a client may know before it has a token -----------------------------------------------


def test_the_gateway_says_where_tokens_come_from(here: World) -> None:
    document = httpx.get(here.url + METADATA).json()
    assert document == {
        "resource": here.url,
        "resource_name": "maskgate",
        "authorization_servers": [here.issuer.ready["issuer"]],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
        "dpop_bound_access_tokens_required": False,
    }
    local = here.url.replace("127.0.0.1", "localhost")
    for host, expected in (("evil.example.org", here.url), (local.removeprefix("http://"), local)):
        answer = httpx.get(here.url + METADATA, headers={"Host": host})
        assert answer.json()["resource"] == expected


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/query"])
def test_a_401_names_the_error_and_where_tokens_come_from(here: World, path: str) -> None:
    def ask(**headers: str) -> list[str]:
        method, body = ("POST", {"sql": "select 1"}) if path == "/v1/query" else ("GET", None)
        answer = httpx.request(method, here.url + path, headers=headers, json=body)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        return answer.headers.get_list("www-authenticate")

    where = f'resource_metadata="{here.url}{METADATA}"'
    algorithms = 'algs="ES256 EdDSA PS256 RS256"'
    assert ask() == [f"Bearer {where}", f"DPoP {algorithms}, {where}"]
    bearer, proof = ask(Authorization='Bearer a"b\\')
    assert bearer == (
        f'Bearer {where}, error="invalid_token", '
        'error_description="The token is not a JWT: it must have three parts."'
    )
    assert proof == f"DPoP {algorithms}, {where}"
    bearer, proof = ask(Authorization="DPoP x")
    assert bearer == f"Bearer {where}"
    assert 'error="invalid_token"' in proof
    assert 'error="invalid_request"' in ask(Authorization="Basic x")[0]


def test_a_token_for_this_gateway_by_its_address(here: World) -> None:
    """RFC 8707: who asks for a token for this address gets it, and another address's is refused."""
    for resource, status in (
        (here.url, 200),
        (here.url + "/other", 401),
        ("https://x.example", 401),
    ):
        form = {"grant_type": "client_credentials", "resource": resource}
        at = f"{here.issuer.ready['issuer']}/token"
        token = httpx.post(at, data=form, auth=(AGENT, secret_of(here, AGENT))).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert httpx.get(f"{here.url}/v1/whoami", headers=headers).status_code == status


# -- people and programs --------------------------------------------------------------------------


def test_a_person_signs_in_and_out(here: World, home: Path) -> None:
    code, out, err = by_device(here, "approve")
    assert code == 0, err
    assert f"signed in at {here.url} as {here.issuer.ready['issuer']}#{STEWARD}" in out
    file = kept(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    login = json.loads(file.read_text())
    for secret in (login["token"], login["refresh_token"]):
        assert secret not in out + err
    code, out, _ = run("whoami", "--url", here.url, "--json")
    assert (code, json.loads(out)[0]["subject"]) == (0, STEWARD)
    # It is about to end: the next command renews it, and the refresh token is another one.
    file.write_text(json.dumps({**login, "expires_at": 0}))
    code, out, _ = run("connections", "--url", here.url)
    assert code == 0
    renewed = json.loads(file.read_text())
    assert renewed["expires_at"] > 0
    assert renewed["refresh_token"] != login["refresh_token"]
    # The first one was used: it gets nothing more.
    file.write_text(json.dumps({**login, "expires_at": 0}))
    code, _, err = run("connections", "--url", here.url)
    assert (code, "invalid_grant" in err, "maskgate login --url" in err) == (1, True, True)
    code, out, _ = run("logout", "--url", here.url)
    assert (code, list(home.glob("*.json"))) == (0, [])
    assert "its issuer was told" in out
    code, _, err = run("whoami", "--url", here.url)
    assert (code, "sign in: maskgate login --url" in err) == (1, True)
    assert "nothing was kept" in run("logout", "--url", here.url)[1]


def test_a_person_says_no(here: World, home: Path) -> None:
    code, out, err = by_device(here, "deny")
    assert (code, out) == (1, "")
    assert "access_denied (somebody said no)" in err
    assert not home.exists()


def test_a_program_signs_in(here: World, home: Path) -> None:
    code, out, err = as_program(here)
    assert code == 0, err
    login = json.loads(kept(home).read_text())
    assert secret_of(here, AGENT) not in kept(home).read_text() + out + err
    assert login["secret"] == "env:SECRET"
    kept(home).write_text(json.dumps({**login, "expires_at": 0}))
    given = {"SECRET": secret_of(here, AGENT)}
    code, out, _ = run("whoami", "--url", here.url, "--json", **given)
    assert (code, json.loads(out)[0]["subject"]) == (0, AGENT)
    code, _, err = run("login", *at(here), "--client-credentials", "--client-secret", "s3")
    assert (code, "never written out" in err) == (1, True)
    given = {"SECRET": "wrong"}
    code, _, err = run(
        "login", *at(here), "--client-id", AGENT, "--client-credentials",
        "--client-secret", "env:SECRET", **given,
    )  # fmt: skip
    assert (code, "invalid_client" in err) == (1, True)


def test_who_waits_for_a_decision_longer_than_his_token_lasts(here: World, home: Path) -> None:
    assert as_program(here)[0] == 0
    file = kept(home)
    words = ("grants", "request", "clinic", "patient", "--purpose", "totals", "--wait", "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *words, "--url", here.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SECRET": secret_of(here, AGENT)},
    ) as waiting:
        assert waiting.stderr is not None
        grant = waiting.stderr.readline().partition(":")[0]
        before = json.loads(file.read_text())
        file.write_text(json.dumps({**before, "expires_at": 0}))
        wait_until(lambda: json.loads(file.read_text())["expires_at"] > 0, 30)
        assert json.loads(file.read_text())["token"] != before["token"]
        path = f"/v1/grants/{grant}/approve"
        assert here.call(STEWARD, "POST", path, {"reason": "ok"}).status_code == 200
        out, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, json.loads(out)[0]["state"]) == (0, "active")


def test_what_is_kept_is_for_one_gateway_and_one_owner(here: World, home: Path) -> None:
    assert as_program(here)[0] == 0
    file = kept(home)
    with pytest.raises(logins.SignInError, match="no token"):
        logins.current("http://127.0.0.1:1")
    other = home / file.name.replace(here.url.rpartition(":")[2], "1")
    other.write_text(file.read_text())
    other.chmod(0o600)
    with pytest.raises(logins.SignInError, match="another gateway"):
        logins.current("http://127.0.0.1:1")
    file.chmod(0o640)
    with pytest.raises(logins.SignInError, match="others may have read"):
        logins.current(here.url)
    file.chmod(0o600)
    for text in ("", "[]", "{}", '{"url": 1}'):
        file.write_text(text)
        with pytest.raises(logins.SignInError, match="not a sign-in"):
            logins.current(here.url)
    file.unlink()
    file.symlink_to(other)
    with pytest.raises(logins.SignInError, match="cannot be read"):
        logins.current(here.url)


# -- bound tokens ---------------------------------------------------------------------------------


def bound(here: World, home: Path) -> Bearer:
    code, _, err = as_program(here, "--dpop")
    assert code == 0, err
    return logins.current(here.url)


def test_a_bound_token_is_recorded_and_of_no_use_to_its_thief(here: World, home: Path) -> None:
    mine = bound(here, home)
    assert mine.key is not None
    grant = here.grant()
    with Client(here.url, mine) as client:
        session = client.post("/v1/sessions", {"connection": "clinic", "grant": grant["id"]})
        answer = client.query(session["id"], "select id from patient where id <= 3")
        assert answer.table.num_rows == 3
        client.delete(f"/v1/sessions/{session['id']}")
    opened = here.records(session["id"])[0]
    assert opened["jkt"] == mine.key.thumbprint
    proofs = ("Bearer", None), ("DPoP", None), ("DPoP", ProofKey.new())
    for scheme, key in proofs:
        headers = {"Authorization": f"{scheme} {mine.token}"}
        if key is not None:
            headers["DPoP"] = key.proof("GET", f"{here.url}/v1/whoami", mine.token)
        answer = httpx.get(f"{here.url}/v1/whoami", headers=headers)
        assert answer.status_code == 401, scheme
    headers = {"Authorization": f"DPoP {mine.token}"}
    headers["DPoP"] = mine.key.proof("GET", f"{here.url}/v1/whoami?x", mine.token)
    statuses = [httpx.get(f"{here.url}/v1/whoami", headers=headers).status_code for _ in range(2)]
    assert statuses == [200, 401]
    headers["DPoP"] = mine.key.proof("POST", f"{here.url}/v1/query", mine.token)
    moved = httpx.get(f"{here.url}/v1/whoami", headers=headers)
    assert 'error="invalid_dpop_proof"' in moved.headers.get_list("www-authenticate")[1]


def test_bearer_tokens_are_recorded_as_such(here: World) -> None:
    here.grant()
    session = here.session()
    here.close(session)
    assert here.records(session)[0]["jkt"] is None


def test_a_connection_may_require_a_bound_token(here: World, home: Path) -> None:
    mine = bound(here, home)
    grant = here.grant()
    session = here.session(grant=grant["id"])
    here.write_config(connection="require_dpop = true", port=int(here.url.rpartition(":")[2]))
    here.restart()

    def with_bearer(method: str, path: str, body: Any = None) -> str:
        answer = here.call(AGENT, method, path, body)
        assert answer.status_code == 401, answer.text
        return str(answer.json()["detail"])

    asked = {"sql": "select id from patient where id < 3"}
    for path, body in (
        ("/v1/query", {"connection": "clinic", **asked}),
        ("/v1/sessions", {"connection": "clinic"}),
    ):
        assert "bound to a key" in with_bearer("POST", path, body)
    assert "bound to a key" in with_bearer("GET", "/v1/connections/clinic/schema")
    with Client(here.url, mine) as client:
        opened = client.post("/v1/sessions", {"connection": "clinic", "grant": grant["id"]})
        path = f"/v1/sessions/{opened['id']}/query"
        assert "bound to a key" in with_bearer("POST", path, asked)
        assert client.query(opened["id"], asked["sql"]).table.num_rows == 2
        with pytest.raises(RefusedError, match="not_found"):
            client.query(session, asked["sql"])
