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
from forged_epochs import EpochKey, certificate
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


THIEF = Signer(Ed25519PrivateKey.from_private_bytes(b"another key, as little a secret."))


def signed_by(key: Any, origin: str = ORIGIN, **changes: Any) -> Touch:
    """The epoch leaf certified again, by this key and for this origin, with these changes."""

    def change(both: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [certificate(key.private, origin, both[0] | changes), both[1]]

    return change


def renumbered(by: int) -> Touch:
    """The number moved in both leaves, but not the one before it; the certificate is the log's."""

    def change(both: list[dict[str, Any]]) -> list[dict[str, Any]]:
        number = both[0]["number"] + by
        again = signed_by(SIGNER, number=number)([both[0], both[1] | {"epoch": number}])
        return list(again)

    return change


def numbered(epoch: EpochKey, by: int) -> EpochKey:
    """The same key under a number that is moved too."""
    return EpochKey(ORIGIN, epoch.private.private_bytes_raw(), epoch.number + by)


ELSEWHERE = EpochKey("log.example.org/other", b"\5" * 32, 0)


def named_otherwise(both: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The key that signs is the certified one, under the name of another log."""
    ELSEWHERE.number = both[0]["number"]
    stated = both[0] | {"key": ELSEWHERE.vkey}
    return [certificate(SIGNER.private, ORIGIN, stated), both[1]]


def another(epoch: EpochKey) -> EpochKey:
    """An epoch of the same number by another key."""
    return EpochKey(ORIGIN, b"\7" * 32, epoch.number)


#: Against epochs, by whoever has the long-term key, or had one epoch's; both refuse each.
EPOCHS: dict[str, dict[str, Touch]] = {
    "certified-by-another-key": {"epochs": signed_by(THIEF)},
    "certified-for-another-origin": {"epochs": signed_by(SIGNER, "log.example.org/other")},
    "certified-for-another-place": {"certificate": lambda x: x | {"from": x["from"] + 1}},
    "certified-for-an-earlier-place": {"certificate": lambda x: x | {"from": x["from"] - 1}},
    "certificate-dated-otherwise": {"epochs": lambda x: [x[0] | {"ts": "2026-11-21"}, x[1]]},
    "certificate-of-another-beginning": {
        "epochs": lambda x: [x[0] | {"first": x[0]["first"] + 1}, x[1]]
    },
    "a-gap-in-the-numbers": {"epochs": renumbered(1), "epoch key": lambda x: numbered(x, 1)},
    "a-number-twice": {"epochs": renumbered(-1), "epoch key": lambda x: numbered(x, -1)},
    "number-zero": {"certificate": lambda x: x | {"number": 0, "previous": -1}},
    "an-earlier-epoch-beyond-its-range": {
        "epochs": lambda x: [x[0], x[1] | {"epoch": x[0]["number"] + 1}]
    },
    "a-later-epoch-at-an-earlier-size": {
        "epochs": lambda x: [x[0], x[1] | {"epoch": x[0]["number"] - 1}]
    },
    "the-certificate-of-another-leaf": {
        "epochs": lambda x: [x[0], x[1] | {"certificate": x[1]["certificate"] + 1}]
    },
    "another-key-than-the-certified": {"epoch key": another},
    "a-key-of-another-name": {"epochs": named_otherwise, "epoch key": lambda _: ELSEWHERE},
    "no-certificate": {"epochs": lambda x: x[1:]},
    "not-named-by-the-last-leaf": {"epochs": lambda x: x[:1]},
    "neither": {"epochs": lambda x: []},
    "the-certificate-not-in-the-tree": {
        "entries": lambda x: [
            one | {"proof": [*one["proof"][:-1], "00" * 32]} if '"type":"epoch"' in one["leaf"]
            else one for one in x
        ],
    },
    "the-long-term-key-alone": {"note": lambda x: b"".join(x.splitlines(True)[:5])},
    "the-epoch-alone": {"note": lambda x: b"".join([*x.splitlines(True)[:4], *lines(x)[5:]])},
    "the-epoch-s-signature-as-the-log-s": {"epoch key": lambda x: SignsText(x)},
}  # fmt: skip


class SignsText:
    """An epoch's key that signs the lines alone, as the long-term key does."""

    def __init__(self, epoch: EpochKey) -> None:
        self.epoch = epoch

    def line(self, body: bytes) -> bytes:
        signed = base64.b64encode(self.epoch.id + self.epoch.private.sign(body)).decode()
        return f"— {ORIGIN} {signed}\n".encode()


@pytest.mark.parametrize("plan", EPOCHS)
def test_forged_epochs(court: Court, plan: str) -> None:
    """First the same bundle without the forgery, so that it is what is refused."""
    assert court.verdicts(forged({}))[:2] == (0, 0)
    script, kernel, said = court.verdicts(forged(EPOCHS[plan]))
    assert (script, kernel) == (1, 1), said
    assert "not verifiable" not in said


def test_a_trust_file_demands_epochs(court: Court) -> None:
    """Whoever has the long-term key alone cannot make a ledger look as if there were none yet."""
    old = Forger(random.Random(seed_of("close")), SIGNER, {}, epochs=False).bundle()
    assert court.verdicts(old)[:2] == (0, 0)
    stated = json.loads(court.plain)
    for size, verdict in ((0, 0), (1, 1), (5, 1), (10**15, 0)):
        court.trust.write_text(json.dumps(stated | {"epochs": size}))
        script, kernel, said = court.verdicts(old)
        assert (script, kernel) == (verdict, verdict), said


@pytest.mark.parametrize(("size", "verdict"), [(0xFFFF, 0), (0x10000, 1)])
def test_a_leaf_has_what_a_tile_can_store(court: Court, size: int, verdict: int) -> None:
    def padded(raw: bytes) -> bytes:
        return raw[:1] + b" " * (size - len(raw)) + raw[1:]

    script, kernel, said = court.verdicts(forged({"leaf": padded}))
    assert (script, kernel) == (verdict, verdict), said
    assert verdict == 0 or "a leaf of 65536 bytes" in said


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


@pytest.mark.parametrize(("which", "step"), [("", 7), ("-epochs", 11)])
def test_the_bundles_among_the_vectors(court: Court, which: str, step: int) -> None:
    """Made by nobody's code here: they stay what they are, byte for byte."""
    data = (VECTORS / f"bundle{which}.zip").read_bytes()
    court.trust.write_bytes((VECTORS / f"trust{which}.json").read_bytes())
    assert court.verdicts(data)[:2] == (0, 0)
    assert court.verdicts(data, trusted=False)[:2] == (2, 2)
    changed: Counter[tuple[int, int]] = Counter()
    choice = random.Random(7)
    for at in range(0, len(data), step):
        flipped = bytes([data[at] ^ 1 << choice.randrange(8)])
        changed[court.verdicts(data[:at] + flipped + data[at + 1 :])[:2]] += 1
    assert set(changed) == {(1, 1)}
