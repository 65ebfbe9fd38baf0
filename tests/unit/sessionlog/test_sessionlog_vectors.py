"""Known answers: the standards' own, the format's, and two implementations against each other."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.auditor import verify
from gateway.errors import InvalidRequest
from gateway.evidence import canonical as exported
from gateway.sessionlog import canonical, chain, merkle
from gateway.sessionlog.note import LogKey, NoteError

VECTORS = Path(__file__).parents[2] / "vectors"
ENGINES = [verify.Engine(), verify.Engine(pure=True)]


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def pattern(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


def test_blake3_of_the_specification() -> None:
    known = vectors("blake3.json")
    for length, digest in known["hash"].items():
        assert verify.pure_blake3(pattern(int(length))).hex() == digest
    for length, digest in known["derive_key"].items():
        material = pattern(int(length))
        assert verify.pure_derive_key(known["context"], material).hex() == digest


@given(st.integers(0, 9000), st.sampled_from([verify.GENESIS_CONTEXT, verify.RECORD_CONTEXT]))
def test_blake3_is_the_wheels(length: int, context: str) -> None:
    data = pattern(length)
    assert verify.pure_blake3(data) == blake3(data).digest()
    derived = blake3(data, derive_key_context=context).digest()
    assert verify.pure_derive_key(context, data) == derived
    assert ENGINES[0].derive_key(context, data) == derived


@pytest.mark.parametrize("engine", ENGINES, ids=["wheel", "pure"])
def test_ed25519_of_rfc_8032(engine: verify.Engine) -> None:
    for known in vectors("ed25519.json")["tests"]:
        public, message, signature = (
            bytes.fromhex(known[name]) for name in ("public", "message", "signature")
        )
        verify.ed25519_verify(public, message, signature, engine)
        for wrong in (signature[:-1], signature + b"\0", signature[::-1], bytes(64)):
            with pytest.raises(Exception, match=r"signature|S is|small order|point|reduced|^$"):
                verify.ed25519_verify(public, message, wrong, engine)
        with pytest.raises(Exception, match=r"match|^$"):
            verify.ed25519_verify(public, message + b"x", signature, engine)


@pytest.mark.parametrize("engine", ENGINES, ids=["wheel", "pure"])
def test_ed25519_encodings_that_are_not_the_one(engine: verify.Engine) -> None:
    private = Ed25519PrivateKey.generate()
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    more = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    unreduced = (2**255 - 19 + 1).to_bytes(32, "little")
    cases = {
        "S is not below": (public, signature[:32] + more),
        "not reduced": (unreduced, signature),
        "small order": ((1).to_bytes(32, "little"), signature),
        "R is of small order": (public, (1).to_bytes(32, "little") + signature[32:]),
        "zero with a sign": ((1 | 1 << 255).to_bytes(32, "little"), signature),
        "not a point": ((2).to_bytes(32, "little"), signature),
    }
    for sentence, (key, signed) in cases.items():
        with pytest.raises(ValueError, match=sentence):
            verify.ed25519_verify(key, b"m", signed, engine)


def test_the_chain_worked_by_hand() -> None:
    known = vectors("chain.json")
    sid, boot = uuid.UUID(known["sid"]), bytes.fromhex(known["boot"])
    head = chain.genesis(
        known["origin"], sid, boot, known["session_no"], known["cp_size"], bytes(32)
    )
    assert head.hex() == known["genesis"]
    for index, (record, digest) in enumerate(zip(known["records"], known["hashes"], strict=True)):
        for engine in ENGINES:
            assert verify.link(engine, head, index, record.encode()).hex() == digest
        head = chain.link(head, index, record.encode())
        assert head.hex() == digest
        assert canonical.encode(json.loads(record)) == record.encode()
    assert merkle.leaf_hash(known["leaf"].encode()).hex() == known["leaf_hash"]


# Merkle trees: against the definition, and against answers known from it.


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return merkle.leaf_hash(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(root_of(leaves[:k]), root_of(leaves[k:]))


def stored(leaves: list[bytes]) -> merkle.Node:
    return lambda level, n: root_of(leaves[n << level : (n + 1) << level])


def accepts(check: Callable[..., None], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except (merkle.ProofError, verify.TamperedError):
        return False
    return True


def test_trees_of_each_size_against_the_definition() -> None:
    leaves = [f"leaf {n}".encode() for n in range(40)]
    node, tree = stored(leaves), merkle.Frontier()
    for size in range(41):
        root = root_of(leaves[:size])
        assert tree.root() == root
        assert merkle.Frontier.read(node, size).root() == root
        for index in range(size):
            proof, leaf = merkle.inclusion_proof(node, index, size), merkle.leaf_hash(leaves[index])
            assert accepts(merkle.verify_inclusion, leaf, index, size, proof, root)
            assert accepts(verify.check_inclusion, "x", leaf, index, size, proof, root)
            for wrong in ((*proof, root), proof[:-1], tuple(reversed(proof)), (root, *proof)):
                if wrong != proof:
                    assert not accepts(merkle.verify_inclusion, leaf, index, size, wrong, root)
                    assert not accepts(verify.check_inclusion, "x", leaf, index, size, wrong, root)
        for old in range(size + 1):
            proof, before = merkle.consistency_proof(node, old, size), root_of(leaves[:old])
            assert accepts(merkle.verify_consistency, old, size, proof, before, root)
            assert accepts(verify.check_extension, "x", old, size, proof, before, root)
            for wrong in ((*proof, root), proof[1:], tuple(reversed(proof))):
                if wrong != proof:
                    assert not accepts(merkle.verify_consistency, old, size, wrong, before, root)
                    assert not accepts(verify.check_extension, "x", old, size, wrong, before, root)
        if size < 40:
            tree.append(merkle.leaf_hash(leaves[size]))


def test_trees_worked_from_the_definition() -> None:
    """Made from RFC 6962's own recursion, with hashlib and nothing of this project."""
    known = vectors("merkle.json")
    leaves = [bytes.fromhex(leaf) for leaf in known["leaves"]]
    assert [merkle.leaf_hash(leaf).hex() for leaf in leaves] == known["leaf_hashes"]
    tree, roots = merkle.Frontier(), [merkle.EMPTY_ROOT.hex()]
    for leaf in leaves:
        tree.append(merkle.leaf_hash(leaf))
        roots.append(tree.root().hex())
    assert roots == known["roots"]


MERKLE = vectors("merkle.json")


@pytest.mark.parametrize("case", MERKLE["inclusion"], ids=lambda case: case["name"])
def test_known_inclusion_proofs(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(step) for step in case["proof"]]
    arguments = bytes.fromhex(case["leaf"]), case["index"], case["size"], proof
    root = bytes.fromhex(case["root"])
    assert accepts(merkle.verify_inclusion, *arguments, root) == case["good"]
    assert accepts(verify.check_inclusion, "x", *arguments, root) == case["good"]


@pytest.mark.parametrize("case", MERKLE["consistency"], ids=lambda case: case["name"])
def test_known_consistency_proofs(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(step) for step in case["proof"]]
    roots = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
    arguments = case["old"], case["new"], proof, *roots
    assert accepts(merkle.verify_consistency, *arguments) == case["good"]
    assert accepts(verify.check_extension, "x", *arguments) == case["good"]


# Canonical JSON.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_three_writers_have_one_spelling(value: dict[str, Any]) -> None:
    spelling = canonical.encode(value)
    assert exported.encode(value) == spelling
    assert verify.canonical(value) == spelling
    assert verify.parse(spelling, "x") == value
    assert b"\n" not in spelling


def test_keys_are_sorted_by_utf_16() -> None:
    """RFC 8785, 3.2.3: U+1F600 is written as surrogates and sorts before U+FB33."""
    value = {"\ufb33": 1, "\U0001f600": 2, "a": 3}
    expected = '{"a":3,"\U0001f600":2,"\ufb33":1}'.encode()
    assert canonical.encode(value) == exported.encode(value) == verify.canonical(value) == expected


def test_everything_that_python_has_for_a_type_is_spelled_alike() -> None:
    class Name(StrEnum):
        FIRST = 'a\u007f\u0080\u2028\x00\x1f\x7f"\\/\b\f\n\r\t'

    class Number(IntEnum):
        ONE = 1

    class Text(str):
        pass

    values = MappingProxyType(
        {Name.FIRST: (True, Number.ONE, [None, False]), Text("b"): Name.FIRST}
    )
    plain = {str(Name.FIRST): [True, 1, [None, False]], "b": str(Name.FIRST)}
    assert canonical.encode(values) == canonical.encode(plain) == exported.encode(plain)


def test_how_deep_a_record_may_be() -> None:
    deep: Any = []
    for _ in range(62):
        deep = [deep]
    assert canonical.encode({"a": deep}).count(b"[") == 63
    with pytest.raises(InvalidRequest, match="deeper than 64"):
        canonical.encode({"a": [deep]})
    assert canonical.encode({"a": 2**53 - 1, "b": 1 - 2**53})


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        2**64,
        float("nan"),
        2**53,
        -(2**53),
        b"x",
        {1: 2},
        "\ud800",
        {"\udfff": 1},
        {"x": {1, 2}},
    ],
)
def test_what_has_no_spelling_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        canonical.encode({"value": value})


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}', b'{"a":1.0}', b'{"a":1e3}', b'{"a":NaN}', b'{"a":-Infinity}',
        b'{"a":9007199254740992}', b'{"a":-0}', b'{"a":"\\ud800"}', b'{"a":"\x01"}', b'{"a":1} ',
        b' {"a":1}', b'{"a":1}{"b":2}', b"[1]", b"", b"{", b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}',
        b'{"a":1}\n', b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}",
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_has_two_readings_is_refused(raw: bytes) -> None:
    with pytest.raises(verify.TamperedError):
        verify.parse(raw, "x")


def test_a_note_has_one_spelling() -> None:
    key = LogKey("log.example.org", Ed25519PrivateKey.generate())
    made = key.sign_checkpoint(7, bytes(32))
    assert key.open_checkpoint(made.note) == made
    assert made.note.startswith(b"log.example.org\n7\n")
    for wrong in (
        made.note + b"\n",
        made.note.replace(b"\n7\n", b"\n07\n"),
        made.note.replace(b"\n7\n", b"\n8\n"),
        made.note.replace(b"log.example.org ", b"log.example.com "),
        made.note[:-2] + b"\n",
        b"",
    ):
        with pytest.raises(NoteError):
            key.open_checkpoint(wrong)
    other = LogKey("log.example.org", Ed25519PrivateKey.generate())
    with pytest.raises(NoteError):
        other.open_checkpoint(made.note)
