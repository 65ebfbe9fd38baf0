"""Each forged or malformed token of tests/tokens is refused, and for its own reason."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.jwk import ECKey, Key, OKPKey

import mint
from gateway.errors import Unauthenticated
from gateway.identity import Verifier

FOLDER = Path(__file__).parents[2] / "tokens"
CASES = {file.stem: tomllib.loads(file.read_text()) for file in sorted(FOLDER.glob("*.toml"))}
STRANGER = ECKey.generate_key("P-256")
STRANGER_ED448 = OKPKey.generate_key("Ed448")

KNOWN_KEYS = {
    "defect", "refused", "header", "claims", "remove_header", "remove_claims", "header_tail",
    "claims_tail", "header_text", "claims_text", "claims_latin1", "signer", "signed_as",
    "signature", "shape", "authorization",
}  # fmt: skip


def fill(value: Any, issuer: mint.Mint) -> Any:
    """Replace the placeholders a data file may use."""
    if isinstance(value, dict):
        return {name: fill(one, issuer) for name, one in value.items()}
    if isinstance(value, list):
        return [fill(one, issuer) for one in value]
    if not isinstance(value, str):
        return value
    if found := re.fullmatch(r"now([+-]\d+)", value):
        return int(time.time()) + int(found[1])
    if found := re.fullmatch(r"(.)\*(\d+)", value):
        times = int(found[2])
        return [f"g{number}" for number in range(times)] if found[1] == "g" else found[1] * times
    value = value.replace("{issuer}", issuer.issuer)
    value = re.sub(r"\{kid:(\w+)\}", lambda found: str(issuer.keys[found[1]].kid), value)
    return re.sub(r"\{stranger:(\w)\}", lambda found: str(STRANGER.as_dict()[found[1]]), value)


def part(case: dict[str, Any], which: str, good: dict[str, Any], issuer: mint.Mint) -> bytes:
    """The header's or the payload's bytes, with this case's changes."""
    if text := case.get(f"{which}_text"):
        return ("[" * 4000 + "]" * 4000 if text == "[*4000" else text).encode()
    values = {**good, **fill(case.get(which, {}), issuer)}
    for name in case.get(f"remove_{which}", []):
        del values[name]
    text = json.dumps(values, ensure_ascii=not case.get(f"{which}_latin1"))
    if tail := case.get(f"{which}_tail"):
        text = text.removesuffix("}") + tail + "}"
    return text.encode("latin-1" if case.get(f"{which}_latin1") else "utf-8")


def sign(case: dict[str, Any], signing_input: bytes, issuer: mint.Mint) -> bytes:
    how = case.get("signature")
    if how == "empty":
        return b""
    if how == "zero":
        return bytes(64)
    if how == "other":
        signing_input += b"x"
    signer = case.get("signer", "ES256")
    if signer == "hmac-rsa-pem":
        # by hand: joserfc refuses to take a public key for a secret
        secret = issuer.keys["RS256"].as_pem(private=False)
        return hmac.digest(secret, signing_input, "sha256")
    key: Key
    if signer == "stranger":
        key, alg = STRANGER, "ES256"
    elif signer == "stranger-ed448":
        key, alg = STRANGER_ED448, "EdDSA"
    else:
        key, alg = issuer.keys[signer], signer
    raw = mint.signature(case.get("signed_as", alg), key, signing_input)
    if how == "truncated":
        return raw[:-2]
    if how == "der":
        return encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
    return raw


def reshape(shape: str | None, token: str) -> str:
    header, claims, signature = token.split(".")
    match shape:
        case None:
            return token
        case "jwe":
            return f"{header}.{claims}.{claims}.{claims}.{signature}"
        case "two-parts":
            return f"{header}.{claims}"
        case "padding":
            return f"{header}.{claims}.{signature}=="
        case "standard-base64":
            return f"{header}.{claims}.{signature[:-4]}+/+/"
        case "noncanonical":
            return token[:-1] + other_spelling(token[-1])
        case "newline":
            return f"{header}.\n{claims}.{signature}"
        case "fullwidth":
            return f"{header}.{claims}.{signature[:-1]}\uff21"
    raise ValueError(f"unknown shape {shape}")


def other_spelling(last: str) -> str:
    """The next letter: of a 64-byte signature's last letter only the two upper bits count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) + 1]


def authorization(case: dict[str, Any], issuer: mint.Mint) -> tuple[str, str]:
    """The Authorization header this case describes, and the token in it."""
    header = part(case, "header", issuer.header(), issuer)
    claims = part(case, "claims", issuer.claims(), issuer)
    signing_input = f"{mint.b64(header)}.{mint.b64(claims)}"
    signature = mint.b64(sign(case, signing_input.encode(), issuer))
    token = reshape(case.get("shape"), f"{signing_input}.{signature}")
    return case.get("authorization", "Bearer {token}").replace("{token}", token), token


@pytest.mark.parametrize("name", CASES)
async def test_refused_for_its_own_reason(name: str, issuer: mint.Mint, verifier: Verifier) -> None:
    case = CASES[name]
    assert set(case) <= KNOWN_KEYS
    header, token = authorization(case, issuer)

    with pytest.raises(Unauthenticated) as refusal:
        await verifier.establish(header)

    said = f"{refusal.value.detail} {refusal.value.hint or ''}"
    assert case["refused"] in refusal.value.detail
    for piece in token.split("."):
        assert len(piece) < 8 or piece not in said  # the token is never repeated


async def test_the_same_builder_without_a_defect_is_accepted(
    issuer: mint.Mint, verifier: Verifier
) -> None:
    header, _ = authorization({}, issuer)
    identity = await verifier.establish(header)
    assert identity.subject == "agent-reporting"


def test_every_file_says_what_is_wrong() -> None:
    told = [case["defect"] for case in CASES.values()]
    assert len(told) >= 30
    assert len(set(told)) == len(told)


def test_noncanonical_spelling_has_the_same_bytes() -> None:
    last = mint.b64(bytes(64))[-1]
    prefix = "A" * 85
    spellings = [
        base64.urlsafe_b64decode(prefix + one + "==") for one in (last, other_spelling(last))
    ]
    assert spellings[0] == spellings[1]
