"""Each forged or malformed token of tests/tokens is refused, and for its own reason."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from provider import ISSUER, Provider

import mint
from gateway.errors import Unauthenticated
from gateway.identity import Verifier
from gateway.identity.curves import SMALL_ORDER_Y

FOLDER = Path(__file__).parents[2] / "tokens"
CASES = {file.stem: tomllib.loads(file.read_text()) for file in sorted(FOLDER.glob("*.toml"))}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
STRANGER = ECKey.generate_key("P-256")
STRANGER_ED448 = OKPKey.generate_key("Ed448")

KNOWN_KEYS = {
    "defect", "refused", "header", "claims", "remove_header", "remove_claims", "header_tail",
    "claims_tail", "header_text", "claims_text", "claims_encoding", "claims_hex_tail",
    "claims_number", "signer", "signed_as", "signature", "shape", "authorization", "published",
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
    encoding = case.get(f"{which}_encoding")
    text = json.dumps(values, ensure_ascii=encoding is None).removesuffix("}")
    text += case.get(f"{which}_tail", "")
    if name := case.get(f"{which}_number"):
        text += f', "{name}": ' + "1" * 5000
    if tail := case.get(f"{which}_hex_tail"):
        return text.encode() + b', "x": "' + bytes.fromhex(tail) + b'"}'
    return f"{text}}}".encode(encoding or "utf-8")


def sign(case: dict[str, Any], signing_input: bytes, issuer: mint.Mint) -> bytes:
    how = case.get("signature")
    if how == "empty":
        return b""
    if how in ("zero", "zero-rsa"):
        return bytes(64 if how == "zero" else 256)
    if how == "order":
        return P256_ORDER.to_bytes(32, "big") * 2
    if how == "identity":  # under the identity as a key it fits every message
        return b"\x01" + bytes(63)
    if how == "other":
        signing_input += b"x"
    signer = case.get("signer", "ES256")
    if signer.startswith("hmac-"):
        # by hand: joserfc refuses to take a public key for a secret
        secret = {
            "hmac-rsa-pem": issuer.keys["RS256"].as_pem(private=False),
            "hmac-ec-pem": issuer.keys["ES256"].as_pem(private=False),
            "hmac-empty": b"",
        }[signer]
        return hmac.digest(secret, signing_input, case["header"]["alg"].replace("HS", "sha"))
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
    if how == "longer":
        return raw + b"\x00"
    if how == "r-zero":
        return bytes(32) + raw[32:]
    if how == "s-zero":
        return raw[:32] + bytes(32)
    if how == "plus-order":
        s = int.from_bytes(raw[32:], "little") + ED25519_ORDER
        return raw[:32] + s.to_bytes(32, "little")
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
        case "blank":
            return f"{header}.{claims[:9]} {claims[9:]}.{signature}"
        case "four-parts":
            return f"{token}.{signature}"
        case "percent":
            return token.replace(".", "%2E")
        case "noncanonical-header":
            return f"{respelt(header)}.{claims}.{signature}"
        case "noncanonical-claims":
            return f"{header}.{respelt(claims)}.{signature}"
        case "json":
            members = {"payload": claims, "protected": header, "signature": signature}
            return json.dumps(members, separators=(":", ":"))
        case "fullwidth":
            return f"{header}.{claims}.{signature[:-1]}\uff21"
    raise ValueError(f"unknown shape {shape}")


def respelt(part: str) -> str:
    """The same bytes by another last letter; a part of whole groups of three has none."""
    if len(part) % 4 == 0:
        raise ValueError("no other spelling: let the case's own claim end elsewhere")
    return part[:-1] + other_spelling(part[-1])


def other_spelling(last: str) -> str:
    """The next letter: of a 64-byte signature's last letter only the two upper bits count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[(alphabet.index(last) + 1) % 64]


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
    if recipe := case.get("published"):
        issuer, verifier = publishing(recipe, case)
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


def publishing(recipe: str, case: dict[str, Any]) -> tuple[mint.Mint, Verifier]:
    """An issuer whose key is of no use, with what it signs nevertheless."""
    alg = case.get("signer", "ES256")
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        key = {"ES256": lambda: ECKey.generate_key("P-256"), "EdDSA": OKPKey.generate_key,
               "RS256": lambda: RSAKey.generate_key(1024)}[alg]()  # fmt: skip
        private = key.as_dict(private=True)
        signing = JWKRegistry.import_key({**private, "kid": "k1"})
    public = {**key.as_dict(private=False), "kid": "k1"}
    listed = {
        "as it is": [public],
        "for encryption": [{**public, "use": "enc"}],
        "for signing alone": [{**public, "key_ops": ["sign"]}],
        "for another algorithm": [{**public, "alg": "RS256"}],
        "with its private part": [{**private, "kid": "k1"}],
        "twice under one kid": [public, {**STRANGER.as_dict(private=False), "kid": "k1"}],
        "the identity": [{**public, "x": mint.b64(b"\x01" + bytes(31))}],
        "the identity, respelt": [{**public, "x": mint.b64((2**255 - 18).to_bytes(32, "little"))}],
    }[recipe]
    return mint.Mint(ISSUER, {alg: signing, "ES256": signing}, {}), Provider(listed).verifier()


SIGNS = "ABCXYZabcxyz0189-_.=+/ \n\x00é"


async def test_each_change_of_one_character_is_refused(good: mint.Mint, checking: Verifier) -> None:
    """No character of a token is idle: left out, doubled or replaced, it is another token."""
    token = good.token()
    assert (await checking.establish(f"Bearer {token}")).subject == "agent-reporting"
    changed = set()
    for at, sign in enumerate(token):
        changed |= {token[:at] + token[at + 1 :], token[:at] + sign + token[at:]}
        changed |= {token[:at] + SIGNS[(at + n) % len(SIGNS)] + token[at + 1 :] for n in (0, 9, 18)}
        changed.add(token[:at] + other_spelling(sign) + token[at + 1 :] if sign != "." else "")
        changed.add(token[:at] + sign.swapcase() + token[at + 1 :])
    changed.discard(token)
    assert len(changed) > 5 * len(token)
    for other in changed:
        with pytest.raises(Unauthenticated):
            await checking.establish(f"Bearer {other}")


def test_the_small_orders_are_those_of_the_curve() -> None:
    """Each y of the list has a point, and eight times that point is the identity."""
    p, d = 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19)

    def doubled(x: int, y: int) -> tuple[int, int]:
        xy, xx, yy = x * y, x * x, y * y
        t = d * xx * yy
        return 2 * xy * pow(1 + t, -1, p) % p, (yy + xx) * pow(1 - t, -1, p) % p

    for y in SMALL_ORDER_Y:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
        assert x * x % p == square
        assert doubled(*doubled(*doubled(x, y))) == (0, 1)
    assert len(SMALL_ORDER_Y) == 5  # of eight points, three of which share theirs


def test_every_file_says_what_is_wrong() -> None:
    told = [case["defect"] for case in CASES.values()]
    assert len(told) >= 190
    assert len(set(told)) == len(told)


def test_noncanonical_spelling_has_the_same_bytes() -> None:
    last = mint.b64(bytes(64))[-1]
    prefix = "A" * 85
    spellings = [
        base64.urlsafe_b64decode(prefix + one + "==") for one in (last, other_spelling(last))
    ]
    assert spellings[0] == spellings[1]
