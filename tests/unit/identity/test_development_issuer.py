"""The development issuer, as the process it is."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import mint
from gateway.demo import issuer as program
from gateway.identity import Verifier
from gateway.identity.keys import DEVELOPMENT_MARK


async def ask(issuer: mint.Mint, form: dict[str, str], **more: object) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(f"{issuer.issuer}/token", data=form, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("client", "groups"),
    [
        ("agent-reporting", set()),
        ("agent-billing", set()),
        ("steward-dana", {"data-stewards"}),
        ("auditor-amir", {"auditors"}),
    ],
)
async def test_each_client_gets_a_token_the_verifier_accepts(
    issuer: mint.Mint, verifier: Verifier, client: str, groups: set[str]
) -> None:
    credentials = {"client_id": client, "client_secret": issuer.secrets[client]}
    answer = await ask(issuer, {"grant_type": "client_credentials", **credentials})
    assert answer.headers["cache-control"] == "no-store"
    identity = await verifier.establish(f"Bearer {answer.json()['access_token']}")
    assert (identity.subject, identity.groups) == (client, groups)


async def test_http_basic_works_too(issuer: mint.Mint) -> None:
    pair = ("steward-dana", issuer.secrets["steward-dana"])
    answer = await ask(issuer, {"grant_type": "client_credentials"}, auth=pair)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "client_credentials"}, 401),
        ({"grant_type": "client_credentials", "client_id": "steward-dana"}, 401),
        (
            {"grant_type": "client_credentials", "client_id": "steward-dana", "client_secret": "x"},
            401,
        ),
        ({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": ""}, 401),
        ({"grant_type": "password", "username": "dana", "password": "x"}, 400),
        ({}, 400),
        ({"grant_type": "x" * 10_000}, 413),
    ],
)
async def test_no_token_without_the_secret(
    issuer: mint.Mint, form: dict[str, str], status: int
) -> None:
    answer = await ask(issuer, form)
    assert answer.status_code == status
    assert "access_token" not in answer.text


async def test_it_publishes_no_private_key_and_says_what_it_is(issuer: mint.Mint) -> None:
    async with httpx.AsyncClient() as http:
        jwks = (await http.get(f"{issuer.issuer}/jwks.json")).json()
        discovery = (await http.get(f"{issuer.issuer}/.well-known/openid-configuration")).json()
    assert {key["alg"] for key in jwks["keys"]} == {"RS256", "ES256", "EdDSA"}
    for key in jwks["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)
    assert discovery[DEVELOPMENT_MARK] is True
    assert program.DEVELOPMENT_MARK == DEVELOPMENT_MARK


def test_secrets_are_the_owner_s_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    loose = state / "keys.json"
    loose.write_text("old")
    loose.chmod(0o644)
    program.Issuer("http://127.0.0.1:1").save(state)
    for name in ("keys.json", "clients.json"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    assert loose.read_text() != "old"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_it_listens_on_this_machine_only(tmp_path: Path, host: str) -> None:
    command = [
        sys.executable,
        "-m",
        "gateway.demo.issuer",
        "--state",
        str(tmp_path),
        "--host",
        host,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("issuer: ")
    assert list(tmp_path.iterdir()) == []
