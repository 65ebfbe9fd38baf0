"""Two verifiers written apart, one verdict: ten thousand forged bundles, attacks with a plan."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from agreement import REASONS, SIGNER, Court, try_seeds
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from forger import ORIGIN, Forger, Signer, Touch, root_of

from gateway.auditor import verify

CASES = int(os.environ.get("AGREEMENT_CASES", "10000"))
PORTIONS = 10
VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return Court(tmp_path)


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_forged_bundles(court: Court, portion: int) -> None:
    size = CASES // PORTIONS
    counts, found = try_seeds(range(portion * size, (portion + 1) * size), court)
    assert found == []
    # Had every forgery ended at the first step, they would have agreed about nothing.
    assert min(counts[verdict] for verdict in (0, 1, 2, 3)) > size // 50
    assert size < 500 or set(court.reached) == set(REASONS)


@functools.cache
def seed_of(end: str) -> int:
    """The first whose bundle ends so, and tells of a statement released within the grant."""
    for seed in range(10_000):
        told: list[Any] = []

        def hear(value: Any, told: list[Any] = told) -> Any:
            told.append(value)
            return value

        Forger(random.Random(seed), SIGNER, {"records": hear, "leaves": hear}).bundle()
        records, leaves = told
        kinds = {record["type"] for record in records}
        within = records[0]["body"]["grant"]["max_rows"] != 3
        if leaves[-1]["type"] == end and {"result", "release"} <= kinds and within:
            return seed
    raise LookupError("no seed tells such a story")


def forged(
    touches: dict[str, Touch], end: str = "close", signer: Signer = SIGNER, every: bool = False
) -> bytes:
    return Forger(random.Random(seed_of(end)), signer, touches, every).bundle()


def with_params(records: list[dict[str, Any]], params: Any) -> list[dict[str, Any]]:
    """The parameters of the first intent are these."""
    at = [record["type"] for record in records].index("intent")
    records[at]["body"]["params"] = params
    return records


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def note(body: bytes) -> Any:
    """A note over another body, signed with the genuine key."""
    return lambda _: SIGNER.note(body)


def swap(members: dict[str, bytes], name: str, other: bytes) -> dict[str, bytes]:
    return {**members, name: other}


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


#: What somebody does who holds the genuine key: touches, how the session ends, the verdict.
PLANS: dict[str, tuple[dict[str, Touch], str, int]] = {
    "nothing": ({}, "close", 0),
    "still-open": ({}, "commit", 2),
    "crashed": ({}, "recovery", 2),
    "tail-cut": ({"session": lambda data: b"".join(lines(data)[:-1])}, "close", 1),
    "head-cut": ({"session": lambda data: b"".join(lines(data)[1:])}, "close", 1),
    "record-replayed": ({"session": lambda data: data + lines(data)[-1]}, "close", 1),
    "record-left-out-and-all-hashed-again": (
        {"records": lambda r: [x | {"i": i} for i, x in enumerate(r[:1] + r[2:])]},
        "close",
        1,
    ),
    "a-result-told-as-smaller": (
        {
            "records": lambda r: [
                x | {"body": x["body"] | {"rows": 0}} if x["type"] == "result" else x for x in r
            ]
        },
        "close",
        1,
    ),
    "close-dressed-as-commit": (
        {"leaves": lambda leaves: [*leaves[:2], leaves[2] | {"type": "commit"}]},
        "close",
        1,
    ),
    "commit-dressed-as-close": (
        {"leaves": lambda leaves: [*leaves[:2], leaves[2] | {"type": "close"}]},
        "commit",
        1,
    ),
    "session-dropped-from-the-ledger": ({"leaves": lambda leaves: leaves[:1]}, "close", 1),
    "leaf-of-another-session": (
        {"leaves": lambda x: [x[0], x[1], x[2] | {"sid": "00112233-4455-6677-8899-aabbccddeeff"}]},
        "close",
        1,
    ),
    "leaf-of-another-boot": (
        {"leaves": lambda x: [x[0], x[1], x[2] | {"boot": "00" * 16}]},
        "close",
        1,
    ),
    "boot-of-another-key": (
        {"leaves": lambda x: [x[0] | {"key": Signer().vkey}, *x[1:]]},
        "close",
        1,
    ),
    "forked": (
        {"note": note(f"{ORIGIN}\n9\n{base64.b64encode(bytes(32)).decode()}\n".encode())},
        "close",
        1,
    ),
    "rolled-back": (
        {"note": note(f"{ORIGIN}\n1\n{base64.b64encode(root_of([])).decode()}\n".encode())},
        "close",
        1,
    ),
    "opened-at-a-checkpoint-of-another-ledger": (
        {"consistency": lambda x: x | {"proof": ["00" * 32] * (len(x["proof"]) or 1)}},
        "close",
        1,
    ),
    "grant-exchanged": (
        {"documents": lambda x: swap(x, "grant.json", x["grant.json"].replace(b"6f1c", b"6f1d"))},
        "close",
        1,
    ),
    "policy-exchanged": ({"documents": lambda x: swap(x, "policy.toml", b"")}, "close", 1),
    "manifest-of-more-records": (
        {"manifest": lambda x: x | {"records": x["records"] + 1}},
        "close",
        1,
    ),
    "manifest-with-one-more-member": (
        {"manifest": lambda x: x | {"members": x["members"] | {"more": {}}}},
        "close",
        1,
    ),
    "nested-as-deep-as-is-read": (
        {"records": lambda records: with_params(records, nested(62))},
        "close",
        0,
    ),
}


@pytest.mark.parametrize("plan", PLANS)
def test_plans(court: Court, plan: str) -> None:
    touches, end, verdict = PLANS[plan]
    script, kernel, said = court.verdicts(forged(touches, end))
    assert (script, kernel) == (verdict, verdict), said


def test_all_signed_again_with_another_key(court: Court) -> None:
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(b"another key, as little a secret."))
    data = forged({}, signer=stranger)
    assert court.verdicts(data)[:2] == (1, 1)
    assert court.verdicts(data, trusted=False)[:2] == (2, 2)


def test_a_replayed_bundle_and_a_spliced_one(court: Court) -> None:
    """An older bundle is as good as it was; a part of it in another one is not."""
    old, new = forged({}, "close"), forged({}, "commit")
    assert (court.verdicts(old)[:2], court.verdicts(new)[:2]) == ((0, 0), (2, 2))
    for name in ("session.jsonl", "ledger/leaves.jsonl", "checkpoint", "ledger/consistency.json"):
        taken: dict[str, bytes] = {}

        def take(members: dict[str, bytes], taken: dict[str, bytes] = taken) -> Any:
            taken.update(members)
            return members

        forged({"members": take}, "close")

        def put(members: Any, name: str = name, taken: dict[str, bytes] = taken) -> Any:
            return swap(members, name, taken[name])

        assert court.verdicts(forged({"members": put}, "commit"))[:2] == (1, 1), name


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_ORDER_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
POINTS = {
    "neutral": 1, "neutral-not-reduced": _P + 1, "neutral-with-a-sign": 1 | 1 << 255,
    "order-2": _P - 1, "order-2-with-a-sign": _P - 1 | 1 << 255, "order-4": 0,
    "order-4-not-reduced": _P,
    "order-4-with-a-sign": 1 << 255, "order-8": int.from_bytes(bytes.fromhex(_ORDER_8), "little"),
    "not-on-the-curve": 2, "not-reduced": _P + 3, "all-ones": (1 << 256) - 1,
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_keys_and_signatures_with_odd_points(court: Court, tmp_path: Path, name: str) -> None:
    """As A, as R and as both, with S = 0: the equation without its rules would hold for some."""
    point = POINTS[name].to_bytes(32, "little")
    genuine = SIGNER.private.public_key().public_bytes_raw()
    for public, r in ((point, point), (point, genuine), (genuine, point)):
        signer = OddSigner(public, r + bytes(32))
        court.trust.write_text(json.dumps(signer.trust()))
        assert court.verdicts(forged({}, signer=signer))[:2] == (1, 1)


class OddSigner(Signer):
    """A key that is no key, with one signature for everything."""

    def __init__(self, public: bytes, signature: bytes) -> None:
        super().__init__(_Odd(public, signature))  # type: ignore[arg-type]


class _Odd:
    def __init__(self, public: bytes, signature: bytes) -> None:
        self.public, self.signature = public, signature

    def public_key(self) -> _Odd:
        return self

    def public_bytes_raw(self) -> bytes:
        return self.public

    def sign(self, message: bytes) -> bytes:
        return self.signature


class MixedSigner(OddSigner):
    """A key with a part of order eight: its signatures fit where that part falls out of the
    equation, while an equation with cofactor would take all of them."""

    def __init__(self, falls_out: bool) -> None:
        self.a, self.falls_out = 0x1234567890ABCDEF, falls_out
        torsion = verify._decompress(bytes.fromhex(_ORDER_8))
        point = verify._add(verify._multiply(self.a, verify._BASE), torsion)
        super().__init__(encoded(point), b"")
        self.private.sign = self.sign  # type: ignore[method-assign]

    def sign(self, message: bytes) -> bytes:
        public = self.private.public_key().public_bytes_raw()
        for r in range(1, 1000):
            commitment = encoded(verify._multiply(r, verify._BASE))
            hashed = hashlib.sha512(commitment + public + message).digest()
            k = int.from_bytes(hashed, "little") % _L
            if (k % 8 == 0) == self.falls_out:
                return commitment + ((r + k * self.a) % _L).to_bytes(32, "little")
        raise LookupError("no such commitment")


def encoded(point: tuple[int, int, int, int]) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


@pytest.mark.parametrize(("falls_out", "verdict"), [(True, 0), (False, 1)])
def test_a_key_of_mixed_order(court: Court, falls_out: bool, verdict: int) -> None:
    signer = MixedSigner(falls_out)
    court.trust.write_text(json.dumps(signer.trust()))
    script, kernel, said = court.verdicts(forged({}, signer=signer))
    assert (script, kernel) == (verdict, verdict), said


def test_s_of_the_order_and_more(court: Court) -> None:

    def add(raw: bytes) -> bytes:
        manifest = json.loads(raw)
        signature = base64.b64decode(manifest["signature"])
        s = int.from_bytes(signature[32:], "little") + _L
        again = signature[:32] + s.to_bytes(32, "little")
        manifest["signature"] = base64.b64encode(again).decode()
        return json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()

    script, kernel, said = court.verdicts(forged({"manifest.json": add}))
    assert (script, kernel) == (1, 1), said


def test_the_bundle_among_the_vectors(court: Court) -> None:
    """Made by nobody's code here: it stays what it is, byte for byte."""
    data = (VECTORS / "bundle.zip").read_bytes()
    court.trust.write_bytes((VECTORS / "trust.json").read_bytes())
    assert court.verdicts(data)[:2] == (0, 0)
    changed: Counter[tuple[int, int]] = Counter()
    choice = random.Random(7)
    for at in range(0, len(data), 7):
        flipped = bytes([data[at] ^ 1 << choice.randrange(8)])
        changed[court.verdicts(data[:at] + flipped + data[at + 1 :])[:2]] += 1
    assert set(changed) == {(1, 1)}
