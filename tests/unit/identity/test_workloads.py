"""Tokens of the shapes that platforms give to workloads, under the settings the page shows."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from provider import Provider, refused

import mint
from gateway import config
from gateway.identity import Verifier
from gateway.identity.issuers import IssuerConfig
from gateway.identity_wiring import build_identity

PAGE = Path(__file__).parents[3] / "docs" / "operating.md"
REST = """
[state]
log = "log"
[connections.clinic]
dsn = "env:CLINIC"
"""


def settings(workload: str, folder: Path) -> IssuerConfig:
    """The issuer as the page configures it, read as the gateway reads it."""
    (block,) = re.findall(rf"```toml\n# workload: {workload}\n(.*?)```", PAGE.read_text(), re.S)
    path = folder / "maskgate.toml"
    path.write_text(block + REST)
    (issuer,), _ = build_identity(path, config.load(path))
    return issuer


def token(issuer: str, key: RSAKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 600}
    return mint.compact(
        {"alg": "RS256", "kid": key.kid, **header}, {"iss": issuer, **times, **claims}, key
    )


def kubernetes(**changes: Any) -> dict[str, Any]:
    return {
        "aud": ["maskgate"],
        "jti": "8a1cb0d4-0d62-4a4f-9d3c-6d1a5e6f7a10",
        "kubernetes.io": {
            "namespace": "agents",
            "node": {"name": "n1", "uid": "0d2b57b0-2f4b-4a9c-9c5e-0f3a1b2c3d4e"},
            "pod": {"name": "reporting-7d9f", "uid": "1b7f1c54-3f9c-4a63-8a0f-2d5b6c7e8f90"},
            "serviceaccount": {"name": "reporting", "uid": "5c1e2d3f-4a5b-4c6d-8e9f-0a1b2c3d4e5f"},
        },
        "sub": "system:serviceaccount:agents:reporting",
        **changes,
    }


def github(**changes: Any) -> dict[str, Any]:
    return {
        "aud": "https://maskgate.example.org",
        "jti": "6f1c7c7a-8e4c-4f0f-9b1d-2a3b4c5d6e7f",
        "sub": "repo:example/clinic-reports:environment:production",
        "repository": "example/clinic-reports",
        "repository_id": "74",
        "repository_owner": "example",
        "environment": "production",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "workflow_ref": "example/clinic-reports/.github/workflows/report.yml@refs/heads/main",
        "run_id": "9001",
        "run_attempt": "1",
        "event_name": "schedule",
        "runner_environment": "github-hosted",
        **changes,
    }


CASES = {
    "kubernetes": (kubernetes, {}, "https://172.20.0.1:6443/openid/v1/jwks"),
    "github": (github, {"typ": "JWT", "x5t": "ykNaY4qM_ta4k2TgZOCEYLkcYlA"}, None),
}


@pytest.mark.parametrize("workload", CASES)
async def test_a_workload_s_token(workload: str, tmp_path: Path) -> None:
    made, header, jwks = CASES[workload]
    known = settings(workload, tmp_path)
    assert (known.ca is None) == (workload == "github")
    key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
    issuer = known.issuer
    platform = Provider([key.as_dict(private=False)], issuer, jwks or f"{issuer}/.well-known/jwks")
    http = httpx.AsyncClient(transport=httpx.MockTransport(platform))
    async with Verifier([known], http) as verifier:

        def sent(**changes: Any) -> str:
            return f"Bearer {token(issuer, key, header, made(**changes))}"

        identity = await verifier.establish(sent())
        assert identity.key == f"{issuer}#{made()['sub']}"
        assert identity.groups == frozenset()
        for brought in (["data-stewards"], ["auditors", "data-stewards"]):
            assert not (await verifier.establish(sent(groups=brought))).groups
        for audience in ("https://other.example.org", [issuer], "https://github.com/example"):
            assert "another audience" in await refused(verifier, sent(aud=audience))
        for several in ([*known.audiences, issuer], [issuer, *known.audiences]):
            assert "several audiences" in await refused(verifier, sent(aud=several))
    await http.aclose()


async def test_parties_groups_and_the_person_an_agent_works_for(
    good: mint.Mint, provider: Provider
) -> None:
    mapped = provider.verifier(
        authorized_parties=("agent-cli",),
        groups={"/clinic/stewards": "data-stewards"},
        actor_claim="on_behalf_of",
        audience=("maskgate", "clinic-gateway"),
    )
    claims = {"groups": ["/clinic/stewards", "data-stewards", "auditors"], "on_behalf_of": "pat"}
    for party in ({"azp": "agent-cli"}, {"client_id": "agent-cli"}):
        header = good.authorization(aud=["clinic-gateway", "account"], **party, **claims)
        identity = await mapped.establish(header)
        assert (identity.groups, identity.actor) == ({"data-stewards"}, "pat")
    for party in ({}, {"azp": "other"}, {"azp": "other", "client_id": "agent-cli"}, {"azp": None}):
        for audience in ("maskgate", ["maskgate", "account"]):
            said = await refused(mapped, good.authorization(aud=audience, **party))
            assert "issued to a client" in said
    acting = good.authorization(azp="agent-cli", on_behalf_of={"sub": "pat"})
    assert "must be a string" in await refused(mapped, acting)
