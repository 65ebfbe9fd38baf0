"""What is sealed opens at its place, for the auditor's key, and nowhere else."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import stat
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.errors import ConfigurationError, InvalidRequest
from gateway.sessionlog import SessionLog
from gateway.sessionlog.sealing import (
    PADDING,
    AuditorKey,
    AuditorPrivateKey,
    Place,
    generate,
)

PLACE = Place("log.example.org/unit", "00112233-4455-6677-8899-aabbccddeeff", 7, "intent")
SECRET = {"statement": "select 'Nadia é'", "params": None}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[AuditorKey, AuditorPrivateKey]:
    generate(tmp_path / "key", tmp_path / "pem")
    return AuditorKey.load(tmp_path / "pem"), AuditorPrivateKey.load(tmp_path / "key")


def test_it_opens_at_its_place(pair: tuple[AuditorKey, AuditorPrivateKey]) -> None:
    public, private = pair
    sealed = public.seal(PLACE, SECRET)
    assert private.open(PLACE, sealed) == SECRET
    assert public.seal(PLACE, SECRET)["box"] != sealed["box"]
    assert public.id == private.id


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "log.example.org/other"},
        {"sid": str(uuid.UUID(int=1))},
        {"index": 8},
        {"type": "refused"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_it_opens_nowhere_else(
    pair: tuple[AuditorKey, AuditorPrivateKey], change: dict[str, str]
) -> None:
    public, private = pair
    sealed = public.seal(PLACE, SECRET)
    with pytest.raises(InvalidRequest, match="not sealed for this place"):
        private.open(dataclasses.replace(PLACE, **change), sealed)


def test_a_changed_bit_or_member_does_not_open(
    pair: tuple[AuditorKey, AuditorPrivateKey],
) -> None:
    public, private = pair
    sealed = public.seal(PLACE, SECRET)
    box = bytearray(base64.b64decode(sealed["box"]))
    for at in (0, 31, 32, len(box) - 1):
        flipped = bytearray(box)
        flipped[at] ^= 1
        with pytest.raises(InvalidRequest):
            private.open(PLACE, {**sealed, "box": base64.b64encode(flipped).decode()})
    for broken in (
        None, {}, {**sealed, "suite": "rot13"}, {**sealed, "key": "00"}, {**sealed, "box": "x"},
        {**sealed, "box": ""}, {**sealed, "box": None},
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            private.open(PLACE, broken)


def test_another_key_does_not_open_it(
    pair: tuple[AuditorKey, AuditorPrivateKey], tmp_path: Path
) -> None:
    generate(tmp_path / "other", tmp_path / "other.pem")
    other = AuditorPrivateKey.load(tmp_path / "other")
    with pytest.raises(InvalidRequest, match="sealed to key"):
        other.open(PLACE, pair[0].seal(PLACE, SECRET))


def test_the_length_tells_little(pair: tuple[AuditorKey, AuditorPrivateKey]) -> None:
    lengths = {len(pair[0].seal(PLACE, {"s": "x" * n})["box"]) for n in range(PADDING - 10)}
    assert len(lengths) == 1


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    out = block = b""
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


def _extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), material, "sha256")


def test_it_is_rfc_9180_and_nothing_else(tmp_path: Path) -> None:
    """Opened by the RFC's own steps, from HMAC, X25519 and the AEAD alone."""
    generate(tmp_path / "key", tmp_path / "pem")
    secret = serialization.load_pem_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(secret, X25519PrivateKey)
    box = base64.b64decode(AuditorKey.load(tmp_path / "pem").seal(PLACE, SECRET)["box"])
    enc, ciphertext = box[:32], box[32:]

    kem = b"KEM" + (0x20).to_bytes(2, "big")
    suite = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (0x20, 1, 3))
    shared = secret.exchange(X25519PublicKey.from_public_bytes(enc))
    context = enc + secret.public_key().public_bytes_raw()
    prk = _extract(b"", b"HPKE-v1" + kem + b"eae_prk" + shared)
    label = b"\0\x20HPKE-v1" + kem + b"shared_secret"
    shared_secret = _expand(prk, label + context, 32)

    no_psk = _extract(b"", b"HPKE-v1" + suite + b"psk_id_hash")
    info = _extract(b"", b"HPKE-v1" + suite + b"info_hash" + PLACE.info())
    schedule = b"\0" + no_psk + info
    prk = _extract(shared_secret, b"HPKE-v1" + suite + b"secret")
    key = _expand(prk, b"\0\x20HPKE-v1" + suite + b"key" + schedule, 32)
    nonce = _expand(prk, b"\0\x0cHPKE-v1" + suite + b"base_nonce" + schedule, 12)
    plain = ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")
    assert len(plain) % PADDING == 0
    assert json.loads(plain) == SECRET


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    private, public = tmp_path / "key", tmp_path / "pem"
    name = generate(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert AuditorKey.load(public).id == name
    before = private.read_bytes()
    with pytest.raises(ConfigurationError, match="exists"):
        generate(private, tmp_path / "new")
    assert private.read_bytes() == before


def test_what_is_no_public_x25519_key_is_refused(tmp_path: Path) -> None:
    generate(tmp_path / "key", tmp_path / "pem")
    ed = (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    zero = X25519PublicKey.from_public_bytes(bytes(32)).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    wrong = {
        "private": ((tmp_path / "key").read_bytes(), "holds a private key"),
        "ed25519": (ed, "not an X25519 key"),
        "zero": (zero, "not a key that anything can be sealed to"),
        "noise": (b"noise", "not a public key in PEM"),
    }
    for name, (data, said) in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigurationError, match=said):
            AuditorKey.load(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        AuditorKey.load(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="not an unencrypted private key"):
        AuditorPrivateKey.load(tmp_path / "pem")


async def test_every_record_goes_through_the_seal(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def seal(place: Place, body: dict[str, object]) -> dict[str, object]:
        seen.append((place.index, place.type))
        return {**body, "through": True}

    log = SessionLog.open(tmp_path / "log", origin=PLACE.origin, version="0", seal=seal)
    sid = str(uuid.uuid4())
    await log.open_session(sid, {"identity": "a"})
    await log.append(sid, "refused", {"statement_no": 1})
    await log.event("login.failed", {"client": "x"})
    await log.close_session(sid, {"reason": "r", "statements": 1})
    await log.aclose()
    lines = b"".join(path.read_bytes() for path in (tmp_path / "log" / "wal").glob("*/*.wal"))
    assert lines.count(b'"through":true') == len(seen) == 6
    assert seen[-1] == (2, "close")


async def test_a_record_that_cannot_be_sealed_is_not_written(tmp_path: Path) -> None:
    def seal(place: Place, body: dict[str, object]) -> dict[str, object]:
        if place.type == "intent":
            raise ValueError("no key")
        return body

    log = SessionLog.open(tmp_path / "log", origin=PLACE.origin, version="0", seal=seal)
    sid = str(uuid.uuid4())
    await log.open_session(sid, {"identity": "a"})
    with pytest.raises(ValueError, match="no key"):
        await log.append(sid, "intent", {"statement_no": 1})
    ref = await log.append(sid, "refused", {"statement_no": 1})
    assert ref.index == 1
    await log.aclose()
