"""Good tokens become identities; keys are discovered, cached and rotated without a flood."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import blake3
import httpx
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from provider import ISSUER, Body, Provider, published, refused, streamed, unchecked

import mint
from gateway.errors import Unauthenticated
from gateway.grants.access import parties
from gateway.identity import IssuerConfig, Verifier
from gateway.identity.keys import (
    DEVELOPMENT_MARK,
    FRESH_S,
    KID_REFETCH_S,
    MAX_ANSWER_BYTES,
    MAX_UNKNOWN_KIDS,
    RETRY_S,
    STALE_S,
    UNKNOWN_KID_S,
    PublishedKey,
)
from gateway.identity.signatures import verify_signature

# -- good tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_each_key_of_the_development_issuer(
    issuer: mint.Mint, verifier: Verifier, alg: str
) -> None:
    token = issuer.token("steward-dana", alg, groups=["data-stewards"], exp=int(time.time()) + 90)
    identity = await verifier.establish(f"Bearer {token}")
    assert (identity.issuer, identity.subject) == (issuer.issuer, "steward-dana")
    assert identity.key == f"{issuer.issuer}#steward-dana"
    assert identity.groups == {"data-stewards"}
    assert identity.actor is None
    assert identity.token_fingerprint == blake3.blake3(token.encode()).hexdigest()
    assert abs(identity.expires_at.timestamp() - time.time() - 90) < 60


async def test_ps256() -> None:
    key = RSAKey.generate_key(2048, {"kid": "p", "alg": "PS256", "use": "sig"})
    one = mint.Mint(ISSUER, {"PS256": key}, {})
    verifier = Provider(published(one)).verifier()
    assert (await verifier.establish(f"Bearer {one.token(alg='PS256')}")).subject


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["maskgate"]},
        {"aud": ["billing", "maskgate"], "azp": "maskgate"},
        {"aud": "maskgate", "azp": "somebody-else"},  # azp counts with several audiences only
        {"exp": "now-1"},  # within the leeway
        {"nbf": "now+59"},
        {"iat": "now+59"},
        {"exp": "now+3600.5"},
        {"typ": "Bearer"},  # as one certified provider has it in every access token
        {"token_use": "access"},
        {"jti": "x", "scope": "a b", "unknown": {"deep": [1, 2]}},
    ],
)
async def test_claims_that_are_fine(
    good: mint.Mint, checking: Verifier, claims: dict[str, Any]
) -> None:
    now = time.time()
    for name, value in claims.items():
        if isinstance(value, str) and value.startswith("now"):
            claims = {**claims, name: now + float(value.removeprefix("now"))}
    assert (await checking.establish(good.authorization(**claims))).subject == "agent-reporting"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_case_insensitive(
    good: mint.Mint, checking: Verifier, scheme: str
) -> None:
    assert (await checking.establish(f"{scheme} {good.token()}")).subject == "agent-reporting"


async def test_no_header_at_all(checking: Verifier) -> None:
    assert "no Authorization header" in await refused(checking, "")
    with pytest.raises(Unauthenticated) as refusal:
        await checking.establish(None)
    assert "Authorization: Bearer TOKEN" in (refusal.value.hint or "")


async def test_the_actor_is_read(good: mint.Mint, checking: Verifier) -> None:
    for act, expected in (
        ({"sub": "steward-dana"}, "steward-dana"),
        ({"sub": "steward-dana", "iss": ISSUER}, "steward-dana"),
        ({"sub": "pat", "iss": "https://other.example.org"}, "https://other.example.org#pat"),
    ):
        identity = await checking.establish(good.authorization(act=act))
        assert identity.actor == expected


WEB_ID = "https://dana.example/card#me"  # a subject with the signs of ISSUER#SUBJECT


@pytest.mark.parametrize(
    ("config", "agent", "person"),
    [
        ({}, {"act": {"sub": "dana"}}, {"sub": "dana"}),
        ({}, {"act": {"sub": WEB_ID}}, {"sub": WEB_ID}),
        ({"actor_claim": "for"}, {"for": WEB_ID}, {"sub": WEB_ID}),
        (
            {"identity_claim": "email"},
            {"email": "agent@x.org", "act": {"sub": "u-1", "email": "dana@x.org"}},
            {"sub": "u-1", "email": "dana@x.org"},
        ),
    ],
)
async def test_an_agent_and_its_person_are_no_two_people(
    good: mint.Mint,
    provider: Provider,
    config: dict[str, Any],
    agent: dict[str, Any],
    person: dict[str, Any],
) -> None:
    """Whoever an agent acts for is known again when he calls himself, to approve its request."""
    async with provider.verifier(**config) as verifier:
        asks = await verifier.establish(good.authorization(**agent))
        approves = await verifier.establish(good.authorization(**person))
    assert asks.key != approves.key
    assert parties(asks) & parties(approves) == {approves.key}


async def test_an_actor_is_named_as_his_issuer_s_people_are(good: mint.Mint) -> None:
    other = "https://other.example.org"
    http = httpx.AsyncClient(transport=httpx.MockTransport(Provider(published(good))))
    configs = [
        IssuerConfig(ISSUER, mint.AUDIENCE, identity_claim="email"),
        IssuerConfig(other, mint.AUDIENCE, identity_claim="oid"),
    ]
    verifier = Verifier(configs, http)
    for act, said in (
        ({"sub": "u-1"}, "an object with 'email'"),
        ({"sub": "u-1", "iss": other}, "an object with 'oid'"),
    ):
        assert said in await refused(verifier, good.authorization(email="a@x.org", act=act))
    act = {"sub": "u-1", "iss": other, "oid": "o-1"}
    identity = await verifier.establish(good.authorization(email="a@x.org", act=act))
    assert identity.actor == f"{other}#o-1"


async def test_the_identity_claim_names_the_subject(good: mint.Mint, provider: Provider) -> None:
    verifier = provider.verifier(identity_claim="client_id", groups_claim="roles")
    header = good.authorization("shared", client_id="agent-7", roles=["a"], groups=["admins"])
    identity = await verifier.establish(header)
    assert (identity.subject, identity.name, identity.groups) == ("agent-7", "agent-7", {"a"})
    assert "no claim 'client_id'" in await refused(verifier, good.authorization())


async def test_the_clock_is_the_verifier_s(good: mint.Mint, provider: Provider) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    stamp = int(now.timestamp())
    http = httpx.AsyncClient(transport=httpx.MockTransport(provider))
    verifier = Verifier([IssuerConfig(ISSUER, mint.AUDIENCE)], http, lambda: now)
    edge = good.authorization(iat=stamp, nbf=stamp, exp=stamp - 59)
    assert (await verifier.establish(edge)).subject == "agent-reporting"
    assert "has expired" in await refused(verifier, good.authorization(exp=stamp - 60))


# -- keys ------------------------------------------------------------------------------------------


async def test_keys_are_fetched_once_for_many_requests(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await asyncio.gather(*(checking.establish(good.authorization()) for _ in range(50)))
    assert provider.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_a_rotated_key_is_found_by_its_first_token(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    new = mint.new_mint(ISSUER, kid="k2")
    provider.keys = published(new)
    await checking.establish(new.authorization())
    assert provider.fetches == 2
    assert "does not publish" in await refused(checking, good.authorization())


async def test_a_withdrawn_key_is_refused_once_the_cache_is_old(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    provider.keys = published(mint.new_mint(ISSUER, kid="k2"))
    provider.now += FRESH_S
    assert "does not publish" in await refused(checking, good.authorization())


async def test_a_flood_of_unknown_kids_causes_one_fetch(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    flood = [mint.new_mint(ISSUER, kid=f"no-{number}").authorization() for number in range(200)]
    said = await asyncio.gather(*(refused(checking, header) for header in flood))
    assert all("does not publish" in one for one in said)
    assert provider.fetches == 2
    provider.now += KID_REFETCH_S
    await refused(checking, flood[7])
    assert provider.fetches == 3


async def test_an_unknown_kid_is_remembered(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    stranger = mint.new_mint(ISSUER, kid="no").authorization()
    await checking.establish(good.authorization())
    await refused(checking, stranger)
    provider.now += KID_REFETCH_S + 1
    await refused(checking, stranger)
    assert provider.fetches == 2
    provider.now += UNKNOWN_KID_S
    await refused(checking, stranger)
    assert provider.fetches == 3


async def test_the_memory_of_unknown_kids_is_bounded(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    stranger = mint.new_mint(ISSUER, kid="x")
    keys = checking._keys[ISSUER]
    for number in range(MAX_UNKNOWN_KIDS + 50):
        provider.now += KID_REFETCH_S
        with pytest.raises(Unauthenticated):
            await keys.find(f"no-{number}", "ES256")
    assert len(keys._unknown) == MAX_UNKNOWN_KIDS
    assert "does not publish" in await refused(checking, stranger.authorization())


async def test_a_dead_issuer_is_named_and_asked_again_by_itself(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    provider.down = True
    for _ in range(20):
        assert f"The issuer {ISSUER} cannot be reached" in await unchecked(checking, good)
        assert await checking.unreachable() == [await unchecked(checking, good)]
    assert provider.asked["/.well-known/openid-configuration"] == 1
    provider.down = False
    provider.now += RETRY_S
    assert (await checking.establish(good.authorization())).subject == "agent-reporting"
    assert await checking.unreachable() == []


async def test_a_new_key_during_an_outage_is_not_called_a_wrong_token(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    rotated = mint.new_mint(ISSUER, kid="k2")
    provider.down = True
    for _ in range(3):
        assert "cannot be reached" in await unchecked(checking, rotated)
    provider.down, provider.keys = False, published(rotated)
    provider.now += KID_REFETCH_S
    assert (await checking.establish(rotated.authorization())).subject == "agent-reporting"


async def test_known_keys_last_a_while_without_the_issuer(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    provider.down = True
    provider.now += STALE_S - 1
    assert (await checking.establish(good.authorization())).subject == "agent-reporting"
    provider.now += RETRY_S
    assert "cannot be reached" in await unchecked(checking, good)


async def test_requests_do_not_wait_for_a_slow_refresh(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    provider.now += FRESH_S
    async with checking._keys[ISSUER]._fetching:  # a refresh is under way
        assert (await checking.establish(good.authorization())).subject == "agent-reporting"
    assert provider.fetches == 1


async def test_a_cancelled_request_leaves_no_lock_behind(
    good: mint.Mint, provider: Provider
) -> None:
    entered, never = asyncio.Event(), asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        entered.set()
        await never.wait()
        return provider(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(hang))
    verifier = Verifier([IssuerConfig(ISSUER, mint.AUDIENCE)], http)
    call = asyncio.create_task(verifier.establish(good.authorization()))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    never.set()
    assert (await verifier.establish(good.authorization())).subject == "agent-reporting"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(302, headers={"location": "https://evil.example"}), "status 302"),
        (streamed({}, 500), "status 500"),
        (httpx.Response(200, stream=Body(b"<html>")), "not JSON"),
        (httpx.Response(200, stream=Body(b"[]")), "not a JSON object"),
        (httpx.Response(200, stream=Body(b"[" * 100_000)), "not JSON"),
        (httpx.Response(200, stream=Body(b'{"issuer": 1, "issuer": 2}')), "not JSON"),
        (httpx.Response(200, stream=Body(b" " * (MAX_ANSWER_BYTES + 1))), "larger than"),
    ],
)
async def test_wrong_answers_are_refused(
    good: mint.Mint, provider: Provider, checking: Verifier, answer: httpx.Response, said: str
) -> None:
    provider.answer = answer
    assert said in await unchecked(checking, good)
    assert sum(provider.asked.values()) == 1  # no redirect was followed, nothing else asked


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": ISSUER + "/"}, "names another issuer"),
        ({"issuer": "https://evil.example.org"}, "names another issuer"),
        ({"jwks_uri": "http://idp.example.org/jwks"}, "http:// is allowed on this machine only"),
        ({"jwks_uri": "http://127.0.0.1/jwks"}, "not served over https"),
        ({"jwks_uri": "file:///etc/passwd"}, "expected https"),
        ({"jwks_uri": None}, "expected an address"),
        ({"more": {DEVELOPMENT_MARK: True}}, "development issuer"),
        ({"more": {DEVELOPMENT_MARK: "yes"}}, "development issuer"),
        ({"keys": {"k": 1}}, "not a list"),
        ({"keys": [{}] * 101}, "at most 100"),
    ],
)
async def test_a_discovery_that_is_wrong(
    good: mint.Mint, provider: Provider, checking: Verifier, changes: dict[str, Any], said: str
) -> None:
    for name, value in changes.items():
        setattr(provider, name, value)
    assert said in await unchecked(checking, good)


async def test_a_development_issuer_must_be_expected(issuer: mint.Mint) -> None:
    async with Verifier([IssuerConfig(issuer.issuer, mint.AUDIENCE)]) as verifier:
        assert "development issuer" in await unchecked(verifier, issuer)


def unusable() -> dict[str, dict[str, Any]]:
    """Published entries under the kid `k1`, none of which may verify a signature."""
    ec = ECKey.generate_key("P-256", {"kid": "k1"})
    public = ec.as_dict(private=False)
    return {
        "private": ec.as_dict(private=True),
        "for encryption": {**public, "use": "enc"},
        "may not verify": {**public, "key_ops": ["sign"]},
        "symmetric": OctKey.generate_key(256, {"kid": "k1"}).as_dict(),
        "another curve": ECKey.generate_key("P-384", {"kid": "k1"}).as_dict(private=False),
        "ed448": OKPKey.generate_key("Ed448", {"kid": "k1"}).as_dict(private=False),
        "key agreement": OKPKey.generate_key("X25519", {"kid": "k1"}).as_dict(private=False),
        "short rsa": {"kty": "RSA", "kid": "k1", "n": mint.b64(b"\xff" * 128), "e": "AQAB"},
        "off the curve": {**public, "x": mint.b64(b"\x01" * 32)},
        "kid a number": {**public, "kid": 1},
        "alg a list": {**public, "alg": ["ES256"]},
        "kty a list": {**public, "kty": ["EC"]},
        "no x": {name: value for name, value in public.items() if name != "x"},
        "x a number": {**public, "x": 5},
    }


@pytest.mark.parametrize("what", unusable())
async def test_unusable_keys_are_passed_over(
    good: mint.Mint, provider: Provider, checking: Verifier, what: str
) -> None:
    entry = unusable()[what]
    provider.keys = [entry, *provider.keys, "nonsense"]  # type: ignore[list-item]
    assert (await checking.establish(good.authorization())).subject == "agent-reporting"
    provider.keys = [entry]
    provider.now += FRESH_S
    assert "does not publish" in await refused(checking, good.authorization())


async def test_a_private_key_in_the_set_proves_nothing(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    provider.keys = [good.keys["ES256"].as_dict(private=True)]
    assert "does not publish" in await refused(checking, good.authorization())


async def test_an_empty_set_withdraws_every_key(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    await checking.establish(good.authorization())
    provider.keys = []
    provider.now += FRESH_S
    assert "does not publish" in await refused(checking, good.authorization())


async def test_two_keys_under_one_kid(
    good: mint.Mint, provider: Provider, checking: Verifier
) -> None:
    other = mint.new_mint(ISSUER)
    provider.keys = [*provider.keys, *published(other)]
    assert "several keys under" in await refused(checking, good.authorization())
    provider.keys = published(good) * 2  # the same key listed twice is one key
    provider.now += FRESH_S
    assert (await checking.establish(good.authorization())).subject == "agent-reporting"


async def test_no_kid_is_fine_when_there_is_one_key(good: mint.Mint, checking: Verifier) -> None:
    header = {"alg": "ES256", "typ": "JWT"}
    token = mint.compact(header, good.claims(), good.keys["ES256"])
    assert (await checking.establish(f"Bearer {token}")).subject == "agent-reporting"


@pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "ES384"])
async def test_the_signature_check_has_a_list_of_its_own(good: mint.Mint, alg: str) -> None:
    """The form check refuses these first; should it ever not, the signature check does."""
    key = OctKey.generate_key(256, {"kid": "k1"})
    header = {"alg": alg, "kid": "k1"}
    signed = alg in ("none", "HS256")
    token = mint.compact(header, good.claims(), key) if signed else good.token()
    if not signed:
        token = f"{mint.b64(json.dumps(header).encode())}.{token.partition('.')[2]}"
    published_key = PublishedKey(kid="k1", kty="oct", crv=None, alg=None, key=key)  # type: ignore[arg-type]
    with pytest.raises(Unauthenticated, match="signature does not match"):
        verify_signature(token, published_key)


async def test_two_issuers_do_not_vouch_for_each_other(good: mint.Mint, provider: Provider) -> None:
    other = mint.new_mint("https://other.example.org")
    second = Provider(published(other), other.issuer, f"{other.issuer}/jwks")

    def both(request: httpx.Request) -> httpx.Response:
        return (second if request.url.host == "other.example.org" else provider)(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(both))
    configs = [IssuerConfig(one, mint.AUDIENCE) for one in (ISSUER, other.issuer)]
    verifier = Verifier(configs, http)
    assert (await verifier.establish(other.authorization())).issuer == other.issuer
    forged = other.authorization(iss=ISSUER)
    assert "signature does not match" in await refused(verifier, forged)
