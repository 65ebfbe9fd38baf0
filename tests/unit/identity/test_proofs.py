"""Proof of possession (RFC 9449): a bound token counts with a proof of this request, once."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from provider import Provider

import mint
from gateway.errors import LimitExceeded, Unauthenticated
from gateway.identity import Verifier, proofs
from gateway.identity import verifier as verifying
from gateway.identity.proofs import PROOF_AGE_S, PROOF_AHEAD_S
from gateway.model import Call

HERE = "https://maskgate.example.org"
PATH = "/v1/query"
KEY = ECKey.generate_key("P-256")
OTHER = ECKey.generate_key("P-256")


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def step(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest_asyncio.fixture
async def bound(provider: Provider, clock: Clock) -> AsyncIterator[Verifier]:
    async with provider.verifier_at([HERE], clock) as made:
        clock.step(1)  # past the second of the start
        yield made


def proof(token: str, clock: Clock, key: Key = KEY, **changes: Any) -> str:
    """A good proof for POST HERE/v1/query; `header`, `claims` and `alg` change it, None removes."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    digest = hashlib.sha256(token.encode()).digest()
    claims = {
        "jti": secrets.token_hex(8),
        "htm": "POST",
        "htu": HERE + PATH,
        "iat": int(clock.now.timestamp()),
        "ath": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
    header |= changes.get("header", {})
    claims |= changes.get("claims", {})
    header = {name: value for name, value in header.items() if value is not None}
    claims = {name: value for name, value in claims.items() if value is not None}
    parts = [mint.b64(json.dumps(part).encode()) for part in (header, claims)]
    signed = ".".join(parts).encode()
    return f"{signed.decode()}.{mint.b64(mint.signature(header['alg'], key, signed))}"


def token_for(one: mint.Mint, key: Key = KEY, **claims: Any) -> str:
    return one.token(cnf={"jkt": key.thumbprint()}, **claims)


def call(*given: str, method: str = "POST", path: str = PATH) -> Call:
    return Call(method, path, given)


async def why(verifier: Verifier, header: str, sent: Call | None) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.establish(header, sent)
    return refusal.value


async def test_a_bound_token_with_its_proof(good: mint.Mint, bound: Verifier, clock: Clock) -> None:
    token = token_for(good)
    for _ in range(2):  # the token may be known; each request has a proof of its own
        identity = await bound.establish(f"DPoP {token}", call(proof(token, clock)))
        assert identity.jkt == KEY.thumbprint()
    assert (await bound.establish(f"Bearer {good.token()}", call())).jkt is None


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
    ],
)
async def test_each_algorithm(
    good: mint.Mint, bound: Verifier, clock: Clock, alg: str, key: Key
) -> None:
    token = token_for(good, key)
    made = proof(token, clock, key, header={"alg": alg})
    assert (await bound.establish(f"DPoP {token}", call(made))).jkt == key.thumbprint()


async def test_a_bound_token_is_no_bearer_token(
    good: mint.Mint, bound: Verifier, clock: Clock
) -> None:
    token = token_for(good)
    assert "counts only with a proof" in (await why(bound, f"Bearer {token}", call())).detail
    with_proof = call(proof(token, clock))
    assert "counts only with a proof" in (await why(bound, f"Bearer {token}", with_proof)).detail
    assert "counts only with a proof" in (await why(bound, f"DPoP {token}", None)).detail
    for several in (call(), call(proof(token, clock), proof(token, clock))):
        refused = await why(bound, f"DPoP {token}", several)
        assert "exactly one DPoP field" in refused.detail
        assert refused.error == "invalid_dpop_proof"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"header": {"typ": "JWT"}}, "type (typ)"),
        ({"header": {"typ": None}}, "type (typ)"),
        ({"header": {"jwk": None}}, "no key (jwk)"),
        ({"header": {"jwk": [1]}}, "no key (jwk)"),
        ({"header": {"jwk": KEY.as_dict(private=True)}}, "is not public"),
        ({"header": {"jwk": OTHER.as_dict(private=False)}}, "signature does not match"),
        ({"header": {"jwk": OctKey.generate_key(256).as_dict()}}, "is not public"),
        ({"header": {"jwk": {**KEY.as_dict(private=False), "use": "enc"}}}, "not one of its"),
        ({"header": {"jwk": {**KEY.as_dict(private=False), "alg": "RS256"}}}, "not one of its"),
        ({"header": {"jwk": {**KEY.as_dict(private=False), "key_ops": 5}}}, "not one of its"),
        ({"header": {"jwk": {**KEY.as_dict(private=False), "key_ops": None}}}, "not one of its"),
        ({"header": {"jwk": {**KEY.as_dict(private=False), "key_ops": "verify"}}}, "not one of"),
        ({"header": {"jku": "https://evil.example.org"}}, "not behind jku"),
        ({"header": {"x5u": "https://evil.example.org"}}, "not behind x5u"),
        ({"header": {"crit": ["exp"]}}, "critical header"),
        ({"header": {"b64": False}}, "critical header"),
        ({"header": {"cty": "JWT"}}, "nested tokens"),
        ({"claims": {"jti": None}}, "jti must be"),
        ({"claims": {"jti": ""}}, "jti must be"),
        ({"claims": {"jti": 1}}, "jti must be"),
        ({"claims": {"jti": "x" * 257}}, "jti must be"),
        ({"claims": {"htm": None}}, "another method"),
        ({"claims": {"htm": "GET"}}, "another method"),
        ({"claims": {"htm": "post"}}, "another method"),
        ({"claims": {"htu": None}}, "another address"),
        ({"claims": {"htu": 1}}, "another address"),
        ({"claims": {"htu": "https://evil.example.org/v1/query"}}, "another address"),
        ({"claims": {"htu": "http://maskgate.example.org/v1/query"}}, "another address"),
        ({"claims": {"htu": f"{HERE}:8443/v1/query"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/v1/query/"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/v1/sessions"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/V1/query"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/x/../v1/query"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/v1%2Fquery"}}, "another address"),
        ({"claims": {"htu": "https://a@maskgate.example.org/v1/query"}}, "another address"),
        ({"claims": {"htu": f"https://evil.example.org\\@{HERE[8:]}/v1/query"}}, "another address"),
        ({"claims": {"htu": f"{HERE}/v1/\tquery"}}, "another address"),
        ({"claims": {"htu": f"{HERE}./v1/query"}}, "another address"),
        ({"claims": {"htu": "https://maskgate.example.org:https/v1/query"}}, "another address"),
        ({"claims": {"htu": "/v1/query"}}, "another address"),
        ({"claims": {"ath": None}}, "another token"),
        ({"claims": {"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}}, "another token"),
        ({"claims": {"iat": None}}, "iat is not a number"),
        ({"claims": {"iat": True}}, "iat is not a number"),
        ({"claims": {"iat": "now"}}, "iat is not a number"),
        ({"claims": {"iat": 1e300}}, "iat is not a time"),
        ({"claims": {"iat": float("nan")}}, "not JSON"),
        ({"claims": {"iat": -1}}, "iat is not a time"),
        ({"claims": {"iat": 1}}, "too old"),
    ],
)  # fmt: skip
async def test_a_proof_that_is_none(
    good: mint.Mint, bound: Verifier, clock: Clock, changes: dict[str, Any], said: str
) -> None:
    token = token_for(good)
    refused = await why(bound, f"DPoP {token}", call(proof(token, clock, **changes)))
    assert said in refused.detail
    assert refused.error == "invalid_dpop_proof"
    assert (await bound.establish(f"DPoP {token}", call(proof(token, clock)))).jkt


async def test_unsigned_and_symmetric_proofs(
    good: mint.Mint, bound: Verifier, clock: Clock
) -> None:
    token = token_for(good)
    made = proof(token, clock)
    payload = made.split(".")[1]
    for alg in ("none", "HS256", "ES512"):
        jwk = KEY.as_dict(private=False)
        header = mint.b64(json.dumps({"typ": "dpop+jwt", "alg": alg, "jwk": jwk}).encode())
        forged = f"{header}.{payload}.{mint.b64(bytes(64))}"
        assert "algorithm" in (await why(bound, f"DPoP {token}", call(forged))).detail
    large = proof(token, clock, claims={"x": "x" * 9000})
    assert "larger than" in (await why(bound, f"DPoP {token}", call(large))).detail


async def test_a_proof_by_another_key(good: mint.Mint, bound: Verifier, clock: Clock) -> None:
    token = token_for(good)
    stolen = call(proof(token, clock, OTHER))
    assert "by another key" in (await why(bound, f"DPoP {token}", stolen)).detail


async def test_a_proof_is_for_one_request(good: mint.Mint, bound: Verifier, clock: Clock) -> None:
    token, other = token_for(good), token_for(good, jti="2")
    made = proof(token, clock)
    for sent in (call(made, method="GET"), call(made, path="/v1/whoami")):
        assert "another" in (await why(bound, f"DPoP {token}", sent)).detail
    assert "another token" in (await why(bound, f"DPoP {other}", call(made))).detail
    await bound.establish(f"DPoP {token}", call(made))
    assert "used before" in (await why(bound, f"DPoP {token}", call(made))).detail
    now = int(clock.now.timestamp())
    for number, said in enumerate(("", "used before")):  # signed anew, a second later
        named = proof(token, clock, claims={"jti": "one", "iat": now + number})
        if said:
            assert said in (await why(bound, f"DPoP {token}", call(named))).detail
        else:
            await bound.establish(f"DPoP {token}", call(named))


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://MASKGATE.example.org/v1/query",
        f"{HERE}:443/v1/query",
        f"{HERE}/v1/query?x=1#y",
        f"{HERE}/%761/quer%79",
    ],
)
async def test_one_address_has_many_spellings(
    good: mint.Mint, bound: Verifier, clock: Clock, htu: str
) -> None:
    token = token_for(good)
    made = proof(token, clock, claims={"htu": htu})
    assert (await bound.establish(f"DPoP {token}", call(made))).jkt


async def test_a_proof_is_good_for_a_minute(good: mint.Mint, bound: Verifier, clock: Clock) -> None:
    token = token_for(good)
    clock.step(600)
    for age, said in ((PROOF_AGE_S - 1, ""), (PROOF_AGE_S + 2, "too old"), (0, "")):
        made = proof(token, clock, claims={"iat": int(clock.now.timestamp()) - age})
        if said:
            assert said in (await why(bound, f"DPoP {token}", call(made))).detail
        else:
            assert await bound.establish(f"DPoP {token}", call(made))
    future = proof(token, clock, claims={"iat": int(clock.now.timestamp()) + PROOF_AHEAD_S + 1})
    assert "in the future" in (await why(bound, f"DPoP {token}", call(future))).detail


async def test_a_clock_that_is_set_back_lets_nothing_in_twice(
    good: mint.Mint, bound: Verifier, clock: Clock
) -> None:
    token = token_for(good)
    old = call(proof(token, clock))
    await bound.establish(f"DPoP {token}", old)
    clock.step(300)
    await bound.establish(f"DPoP {token}", call(proof(token, clock)))  # the old one is forgotten
    clock.step(-300)
    assert "too old" in (await why(bound, f"DPoP {token}", old)).detail


async def test_a_proof_from_before_the_start_counts_as_used(
    good: mint.Mint, provider: Provider, clock: Clock
) -> None:
    token = token_for(good)
    before = call(proof(token, clock))
    clock.step(5)
    async with provider.verifier_at([HERE], clock) as restarted:
        assert "too old" in (await why(restarted, f"DPoP {token}", before)).detail


async def test_in_the_second_of_the_start_a_fraction_says_what_came_first(
    good: mint.Mint, provider: Provider, clock: Clock
) -> None:
    token = token_for(good)
    clock.step(-(clock.now.timestamp() % 1) + 0.25)
    before = call(proof(token, clock, claims={"iat": clock.now.timestamp()}))
    clock.step(0.25)
    async with provider.verifier_at([HERE], clock) as started:
        clock.step(0.25)
        assert "too old" in (await why(started, f"DPoP {token}", before)).detail
        whole = call(proof(token, clock))  # may have been sent before the start
        assert "too old" in (await why(started, f"DPoP {token}", whole)).detail
        behind = call(proof(token, clock, claims={"iat": clock.now.timestamp()}))
        assert await started.establish(f"DPoP {token}", behind)


async def test_a_proof_from_a_clock_ahead_waits_for_its_time(
    good: mint.Mint, provider: Provider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered at once it would be good again after a restart, which forgets it."""

    async def waited(seconds: float) -> None:
        clock.step(seconds)

    monkeypatch.setattr(verifying, "sleep", waited)
    began, token = clock.now, token_for(good)
    ahead = began.timestamp() + PROOF_AHEAD_S - 0.5
    made = call(proof(token, clock, claims={"iat": ahead}))
    async with provider.verifier_at([HERE], clock) as first:
        assert await first.establish(f"DPoP {token}", made)
    assert clock.now.timestamp() >= ahead
    # The same second as its proof's, which cannot tell whether it was sent before.
    async with provider.verifier_at([HERE], clock) as restarted:
        assert "too old" in (await why(restarted, f"DPoP {token}", made)).detail
        assert await restarted.establish(
            f"DPoP {token}", call(proof(token, clock, claims={"iat": clock.now.timestamp() + 1}))
        )


async def test_what_cannot_be_remembered_is_refused(
    good: mint.Mint, bound: Verifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "MAX_SEEN_OF_A_KEY", 3)
    token, others = token_for(good), token_for(good, OTHER)
    for _ in range(3):
        await bound.establish(f"DPoP {token}", call(proof(token, clock)))
    with pytest.raises(LimitExceeded):
        await bound.establish(f"DPoP {token}", call(proof(token, clock)))
    assert await bound.establish(f"DPoP {others}", call(proof(others, clock, OTHER)))
    monkeypatch.setattr(proofs, "MAX_SEEN", 4)
    with pytest.raises(LimitExceeded):
        await bound.establish(f"DPoP {others}", call(proof(others, clock, OTHER)))
    clock.step(3 * PROOF_AGE_S)
    assert await bound.establish(f"DPoP {token}", call(proof(token, clock)))
    assert len(bound._proofs._seen._found) == 1


async def test_an_issuer_may_require_it(good: mint.Mint, provider: Provider, clock: Clock) -> None:
    async with provider.verifier_at([HERE], clock, require_dpop=True) as strict:
        plain = good.token()
        assert "must be bound" in (await why(strict, f"Bearer {plain}", call())).detail
        dressed = call(proof(plain, clock))
        assert "must be bound" in (await why(strict, f"DPoP {plain}", dressed)).detail
        token = token_for(good)
        clock.step(1)  # past the second of the start
        assert await strict.establish(f"DPoP {token}", call(proof(token, clock)))


async def test_a_gateway_without_an_address_takes_no_proof(
    good: mint.Mint, provider: Provider, clock: Clock
) -> None:
    token = token_for(good)
    async with provider.verifier_at([], clock) as nowhere:
        refused = await why(nowhere, f"DPoP {token}", call(proof(token, clock)))
        assert "not told its own address" in refused.detail


async def test_the_gateway_s_own_address_is_an_audience(
    good: mint.Mint, provider: Provider, clock: Clock
) -> None:
    async with provider.verifier_at([HERE], clock) as here:
        assert await here.establish(f"Bearer {good.token(aud=HERE)}")
        both = good.token(aud=[HERE, mint.AUDIENCE])
        assert await here.establish(f"Bearer {both}")
        for other in (HERE + "/", "https://evil.example.org", HERE.upper()):
            refused = await why(here, f"Bearer {good.token(aud=other)}", None)
            assert "another audience" in refused.detail
