#!/usr/bin/env python3
"""Says whether an evidence bundle is what the gateway recorded: every byte of it, or not at all.

    python verify.py BUNDLE --trust TRUST.json      0 verified and anchored
                                                    1 tampered: which part, expected and got
                                                    2 incomplete (session open) or not anchored
                                                    3 usage

One file, the standard library alone, no network. Its BLAKE3 and Ed25519 are written from the
specifications; the `blake3` and `cryptography` wheels are used when they are installed, and step 0
says which. `--pure` does without them.

A bundle cannot vouch for itself: verdict 0 needs a trust file from outside the bundle, and a copy
of this script that you had before (`--self` prints its SHA-256; `python -I` keeps its folder out).
Refuses to repair, to guess, and to warn and go on: the first thing that is wrong is the verdict.
`--list` shows the verified bytes only. The formats are in docs/session-log.md.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import hashlib
import json
import mmap
import re
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

VERIFIED, TAMPERED, INCOMPLETE, USAGE = 0, 1, 2, 3

# Members in their order, with the most bytes each may have.
MEMBERS = {
    "manifest.json": 1 << 16, "session.jsonl": 0xFFFF_FFFF, "ledger/leaves.jsonl": 1 << 20,
    "ledger/consistency.json": 1 << 16, "checkpoint": 1 << 16, "grant.json": 16 << 20,
    "policy.toml": 16 << 20, "report.html": 0xFFFF_FFFF, "verify.py": 1 << 20,
    "README.txt": 1 << 20,
}  # fmt: skip
FILE_LIMIT = 0xFFFF_FFFF  # the container has no ZIP64
RECORD_LIMIT = 16 << 20
INTEGER_LIMIT = 1 << 53

GENESIS_CONTEXT = "maskgate 2026-11 session genesis v1"
RECORD_CONTEXT = "maskgate 2026-11 record v1"
MANIFEST_PREFIX = b"maskgate evidence manifest v1\n"

Bytes = bytes | memoryview
Object = dict[str, Any]


class TamperedError(Exception):
    """Something is not as it was recorded; the message says what, expected and got."""


class UsageError(Exception):
    """The script was called wrongly; nothing was judged."""


def refuse(when: object, text: str) -> None:
    """Say what is wrong, when it is."""
    if when:
        raise TamperedError(text)


def same(where: str, got: object, expected: object) -> None:
    """The two agree in value and kind (True is not 1)."""
    if type(got) is not type(expected) or got != expected:
        raise TamperedError(f"{where}: expected {shown(expected)}, got {shown(got)}")


def shown(value: object, limit: int = 200) -> str:
    """Anything as one line without control characters or text that runs the other way."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "…"


# BLAKE3, from its specification: hash and derive_key with 32 bytes of output.

_IV = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT, _CONTEXT, _MATERIAL = 1, 2, 4, 8, 32, 64
_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def _schedule() -> Iterator[tuple[int, int, int, int, int, int]]:
    order = list(range(16))
    for _ in range(7):
        for i, lanes in enumerate(_COLUMNS_AND_DIAGONALS):
            yield (*lanes, order[2 * i], order[2 * i + 1])
        order = [order[i] for i in _PERMUTATION]


_SCHEDULE = list(_schedule())


def _compress(cv: Sequence[int], block: Bytes, counter: int, flags: int) -> bytes:
    """The first half of the compression function's output."""
    m = struct.unpack("<16I", bytes(block).ljust(64, b"\0"))
    low, high = counter & 0xFFFFFFFF, counter >> 32
    v = [*cv, *_IV[:4], low, high, len(block), flags]
    for a, b, c, d, x, y in _SCHEDULE:
        va, vb, vc, vd = v[a], v[b], v[c], v[d]
        va = (va + vb + m[x]) & 0xFFFFFFFF
        vd ^= va
        vd = (vd >> 16 | vd << 16) & 0xFFFFFFFF
        vc = (vc + vd) & 0xFFFFFFFF
        vb ^= vc
        vb = (vb >> 12 | vb << 20) & 0xFFFFFFFF
        va = (va + vb + m[y]) & 0xFFFFFFFF
        vd ^= va
        vd = (vd >> 8 | vd << 24) & 0xFFFFFFFF
        vc = (vc + vd) & 0xFFFFFFFF
        vb ^= vc
        v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & 0xFFFFFFFF, vc, vd
    return struct.pack("<8I", *(v[i] ^ v[i + 8] for i in range(8)))


def _output(
    key: Sequence[int], data: Bytes, mode: int, first: int = 0
) -> tuple[Sequence[int], Bytes, int, int]:
    """What the last compression of a subtree takes; its left side is as full as it can be."""
    chunks = -(-len(data) // 1024)
    if chunks > 1:
        left = 1 << (chunks - 1).bit_length() - 1
        parts = (data[: left * 1024], first), (data[left * 1024 :], first + left)
        pair = b"".join(_compress(*_output(key, part, mode, at)) for part, at in parts)
        return key, pair, 0, mode | _PARENT
    cv, flags = key, mode | _CHUNK_START
    while len(data) > 64:
        cv = struct.unpack("<8I", _compress(cv, data[:64], first, flags))
        data, flags = data[64:], mode
    return cv, data, first, flags | _CHUNK_END


def _blake3(key: Sequence[int], data: Bytes, mode: int) -> bytes:
    cv, block, counter, flags = _output(key, memoryview(data), mode)
    return _compress(cv, block, counter, flags | _ROOT)


def pure_blake3(data: Bytes) -> bytes:
    return _blake3(_IV, data, 0)


@functools.cache
def _context_key(context: str) -> tuple[int, ...]:
    return struct.unpack("<8I", _blake3(_IV, context.encode(), _CONTEXT))


def pure_derive_key(context: str, material: Bytes) -> bytes:
    return _blake3(_context_key(context), material, _MATERIAL)


# Ed25519, RFC 8032: verification without cofactor, and strict. Encodings must be canonical, S below
# the group's order, neither A nor R of small order: one signature has one spelling.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]  # extended coordinates (X, Y, Z, T)


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _multiply(scalar: int, p: Point) -> Point:
    q: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            q = _add(q, p)
        p = _add(p, p)
        scalar >>= 1
    return q


def _decompress(encoded: bytes) -> Point:
    """RFC 8032, 5.1.3; raises ValueError for what is not the one encoding of a point."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        raise ValueError("the y coordinate is not reduced")
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_M1 % _P
    if (x * x - square) % _P:
        raise ValueError("not a point of the curve")
    if x == 0 and sign:
        raise ValueError("zero with a sign")
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


_BASE = _decompress((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def ed25519_verify(public: bytes, message: bytes, signature: bytes, engine: Engine) -> None:
    """Raises ValueError unless `signature` is the strict Ed25519 signature of `message`."""
    if len(public) != 32 or len(signature) != 64:
        raise ValueError("a key has 32 bytes and a signature 64")
    if int.from_bytes(signature[32:], "little") >= _L:
        raise ValueError("S is not below the order of the group")
    a, r = _decompress(public), _decompress(signature[:32])
    for name, point in (("the key", a), ("R", r)):
        eighth = _multiply(8, point)
        if eighth[0] == 0 and eighth[1] == eighth[2]:
            raise ValueError(f"{name} is of small order")
    engine.ed25519(public, message, signature)


def pure_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """The equation [S]B = R + [k]A, after the checks of `ed25519_verify`."""
    s = int.from_bytes(signature[32:], "little")
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(hashed, "little") % _L
    r = _decompress(signature[:32])
    p, q = _multiply(s, _BASE), _add(r, _multiply(k, _decompress(public)))
    if (p[0] * q[2] - q[0] * p[2]) % _P or (p[1] * q[2] - q[1] * p[2]) % _P:
        raise ValueError("the signature does not match")


class Engine:
    """Which implementation does the work: wheels where they are, this script where not."""

    def __init__(self, pure: bool = False) -> None:
        self.blake3: Callable[[Bytes], bytes] = pure_blake3
        self.derive_key: Callable[[str, Bytes], bytes] = pure_derive_key
        self.ed25519: Callable[[bytes, bytes, bytes], None] = pure_ed25519
        self.names = ["BLAKE3 of this script", "Ed25519 of this script"]
        for use in () if pure else (self._use_blake3, self._use_cryptography):
            # A wheel that is missing, or broken in whatever way, is a wheel that is not used.
            with contextlib.suppress(Exception):
                use()

    def _use_blake3(self) -> None:
        import blake3 as wheel

        contexts = (GENESIS_CONTEXT, RECORD_CONTEXT)
        fresh = {context: wheel.blake3(derive_key_context=context) for context in contexts}
        self.names[0] = f"BLAKE3 of the blake3 wheel {wheel.__version__}"
        self.blake3 = lambda data: bytes(wheel.blake3(data).digest())
        self.derive_key = lambda context, data: bytes(fresh[context].copy().update(data).digest())

    def _use_cryptography(self) -> None:
        from cryptography import __version__ as version
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Public

        self.names[1] = f"Ed25519 of the cryptography wheel {version}"
        self.ed25519 = lambda key, text, sig: Public.from_public_bytes(key).verify(sig, text)


# RFC 6962 trees, verified as RFC 9162, 2.1.3.2 and 2.1.4.2 say.
def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(
    where: str, fn: int, sn: int, start: bytes, siblings: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Both walks at once: the old root that a proof leads to, and the new one."""
    first = second = start
    for sibling in siblings:
        refuse(sn == 0, f"{where}: the proof is too long")
        if fn & 1 or fn == sn:
            first, second = _node(sibling, first), _node(sibling, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = _node(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    refuse(sn, f"{where}: the proof is too short")
    return first, second


def check_inclusion(
    where: str, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    possible = 0 <= index < size and len(root) == 32
    refuse(not possible, f"{where}: leaf {index} is not in a tree of {size}")
    reached = _climb(where, index, size - 1, leaf, proof)[1]
    same(f"{where}, root that the proof leads to", reached.hex(), root.hex())


def check_extension(
    where: str, old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    possible = 0 <= old <= new and len(new_root) == 32
    refuse(not possible, f"{where}: a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        known = old_root if old else hashlib.sha256().digest()
        same(f"{where}, proof and root", (len(proof), old_root), (0, known))
        same(f"{where}, root", new_root if old == new else known, known)
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    refuse(not path, f"{where}: the proof is empty")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    same(f"{where}, roots", _climb(where, fn, sn, path[0], path[1:]), (old_root, new_root))


# JSON with one reading: no duplicate keys, floats, control characters, lone surrogates.
def _pairs(pairs: list[tuple[str, Any]]) -> Object:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _integer(text: str) -> int:
    if len(text) > 17 or text == "-0" or abs(int(text)) >= INTEGER_LIMIT:
        raise ValueError("an integer of 2^53 or more, or a negative zero")
    return int(text)


# What is not an integer (1.5, 1e3, NaN, Infinity) fails in int().
_loads = functools.partial(
    json.loads, object_pairs_hook=_pairs, parse_int=_integer, parse_float=_integer,
    parse_constant=_integer,
)  # fmt: skip


def parse(raw: bytes, where: str) -> Object:
    """One object on one line, nothing before it and nothing behind it."""
    made: Object
    try:
        control = re.search(rb"[\x00-\x1f]", raw)
        if control:
            raise ValueError(f"control character at byte {control.start()}")
        if raw[:1] != b"{" or raw[-1:] != b"}":
            raise ValueError("not one object")
        made = _loads(raw.decode("utf-8"))
        if b"\\u" in raw:
            json.dumps(made, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as reason:
        raise TamperedError(f"{where}: {shown(str(reason))}") from None
    return made


def canonical(value: Any) -> bytes:
    """RFC 8785 for the types that occur: keys sorted by UTF-16 code units."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        parts = (canonical(key) + b":" + canonical(value[key]) for key in keys)
        return b"{" + b",".join(parts) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def spelled(raw: bytes, keys: set[str], where: str) -> Object:
    """An object with exactly these keys, in its canonical spelling."""
    made = parse(raw, where)
    same(f"{where}, keys", sorted(made), sorted(keys))
    refuse(canonical(made) != raw, f"{where}: not in its canonical spelling")
    return made


def need(holder: Object, key: str, kind: type, where: str) -> Any:
    """A required member, of this very type."""
    if key not in holder or type(holder[key]) is not kind:
        got = shown(holder[key], 60) if key in holder else "nothing"
        raise TamperedError(f"{where}: {key} must be a {kind.__name__}, got {got}")
    return holder[key]


def count(holder: Object, key: str, where: str) -> int:
    value = need(holder, key, int, where)
    refuse(value < 0, f"{where}: {key} is negative")
    return int(value)


def digest(holder: Object, key: str, where: str, size: int = 32) -> bytes:
    """A member that holds `size` bytes in lower-case hex."""
    value = need(holder, key, str, where)
    if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", value):
        raise TamperedError(f"{where}: {key} is not {size} bytes in hex: {shown(value, 80)}")
    return bytes.fromhex(value)


def hashes(holder: Object, where: str) -> list[bytes]:
    """A proof: a list of hashes in hex."""
    proof = need(holder, "proof", list, where)
    return [digest({"proof": item}, "proof", where) for item in proof]


def decode64(text: str, where: str) -> bytes:
    """Base64 in its one spelling, padding and unused bits included."""
    with contextlib.suppress(ValueError):
        data = base64.b64decode(text, validate=True)
        if base64.b64encode(data).decode() == text:
            return data
    raise TamperedError(f"{where}: not base64 in its one spelling: {shown(text, 100)}")


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?(?:Z|\+00:00)", re.A)


def moment(text: str, where: str) -> datetime:
    """An RFC 3339 time in UTC."""
    match = _RFC3339.fullmatch(text)
    if match is not None:
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(match[1] + (match[2] or ".0").ljust(7, "0") + "+00:00")
    raise TamperedError(f"{where}: not an RFC 3339 time in UTC: {shown(text, 60)}")


# Step 1: the container.

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_DATE = 0x0021  # 1980-01-01: the time of export is in the manifest, not here
_ATTRIBUTES = 0o100644 << 16


def read_container(data: memoryview) -> dict[str, memoryview]:
    """Rebuild the only container that these members have, and compare it byte for byte."""
    members: dict[str, memoryview] = {}
    at, central = 0, b""
    for name, limit in MEMBERS.items():
        where = f"container, {name}"
        refuse(len(data) - at < _LOCAL.size, f"{where}: the file ends before this member")
        header = _LOCAL.unpack(data[at : at + _LOCAL.size])
        start = at + _LOCAL.size + header[9]
        found = bytes(data[at + _LOCAL.size : start]).decode("utf-8", "replace")
        refuse(header[0] != 0x04034B50, f"{where}: no member begins at byte {at}")
        same(f"container, member {len(members) + 1}", found, name)
        refuse(header[8] > limit, f"{where}: {header[8]} bytes, at most {limit} allowed")
        refuse(start + header[8] > len(data), f"{where}: the file ends inside this member")
        body = data[start : start + header[8]]
        size, crc = len(body), zlib.crc32(body)
        fields = (0x04034B50, 20, 0, 0, 0, _DATE, crc, size, size, len(name), 0)
        same(f"{where}, header (mark, version, flags, method, time, …, sizes)", header, fields)
        members[name] = body
        entry = (0x02014B50, 0x0314, *header[1:11], 0, 0, 0, _ATTRIBUTES, at)
        central += _CENTRAL.pack(*entry) + name.encode()
        at = start + header[8]
    total = len(MEMBERS)
    ending = central + _END.pack(0x06054B50, 0, 0, total, total, len(central), at, 0)
    stored = bytes(data[at : at + len(ending)])
    refuse(stored != ending, "container: the directory is not the one these members have")
    same("container, bytes of the file", len(data), at + len(ending))
    return members


# Steps 2 and 3: the manifest and what it covers.

_MANIFEST_KEYS = {
    "created", "key", "members", "origin", "records", "session", "signature", "type", "v",
}  # fmt: skip


class Key:
    """A verifier key in C2SP form: name+hash+base64(0x01, 32 bytes)."""

    def __init__(self, vkey: str, where: str) -> None:
        self.vkey = vkey
        self.name, _, rest = vkey.partition("+")
        stated, _, encoded = rest.partition("+")
        key = decode64(encoded, where)
        if len(key) != 33 or key[0] != 1 or not re.fullmatch(r"[\w./:~-]{1,255}", self.name, re.A):
            raise TamperedError(f"{where}: not an Ed25519 verifier key: {shown(vkey)}")
        self.public = key[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + key).digest()[:4]
        same(f"{where}, key hash", stated, self.id.hex())

    def verify(self, message: bytes, signature: bytes, where: str, engine: Engine) -> None:
        try:
            ed25519_verify(self.public, message, signature, engine)
        except Exception as reason:  # the wheel has exceptions of its own
            said = f"{type(reason).__name__} {reason}"
            raise TamperedError(f"{where}: signature by {shown(self.name)}: {said}") from None


def check_manifest(raw: bytes, engine: Engine) -> tuple[Object, Key]:
    where = "manifest.json"
    manifest = spelled(raw, _MANIFEST_KEYS, where)
    same(f"{where}, v", manifest["v"], 1)
    same(f"{where}, type", manifest["type"], "evidence")
    for name in ("created", "key", "origin", "session", "signature"):
        need(manifest, name, str, where)
    moment(manifest["created"], where)
    count(manifest, "records", where)
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", manifest["session"]):
        raise TamperedError(f"{where}: not a session's id: {shown(manifest['session'], 60)}")
    key = Key(manifest["key"], where)
    same(f"{where}, key name", key.name, manifest["origin"])
    signature = decode64(manifest["signature"], f"{where}, signature")
    unsigned = canonical({k: v for k, v in manifest.items() if k != "signature"})
    key.verify(MANIFEST_PREFIX + unsigned, signature, where, engine)
    return manifest, key


def check_members(manifest: Object, members: dict[str, memoryview], engine: Engine) -> None:
    listed = need(manifest, "members", dict, "manifest.json")
    names = [name for name in MEMBERS if name != "manifest.json"]
    same("manifest.json, members", sorted(listed), sorted(names))
    for name in names:
        where = f"manifest.json, {name}"
        entry = need(listed, name, dict, "manifest.json")
        same(where, sorted(entry), ["bytes", "sha256"])
        expected = digest(entry, "sha256", where)
        got = hashlib.sha256(members[name]).digest()
        if got != expected and name == "session.jsonl":
            locate(members[name], manifest["records"], engine)
        same(f"{name}, SHA-256", got.hex(), expected.hex())
        same(f"{name}, bytes", len(members[name]), count(entry, "bytes", where))


_TAIL = re.compile(rb',"i":(\d{1,15}),"prev":"([0-9a-f]{64})","sid":"[^"]*","ts":"[^"]*","type":"')


def locate(session: memoryview, records: int, engine: Engine) -> None:
    """session.jsonl is not what was signed: name the record, without believing any of it."""
    head, index = b"", 0
    for index, raw in enumerate(lines(session)):
        tails = _TAIL.findall(raw[-400:])
        refuse(not tails, f"session.jsonl: record {index} was changed: no envelope")
        number, previous = int(tails[-1][0]), bytes.fromhex(tails[-1][1].decode())
        same(f"session.jsonl: record {index}, number", number, index)
        if index and head != previous:
            which = f"session.jsonl: record {index - 1} (or the link of record {index}), hash"
            same(which, head.hex(), previous.hex())
        head = link(engine, previous, index, raw)
    same("session.jsonl, number of records", index + 1, records)
    raise TamperedError(f"session.jsonl: record 0 or record {index} was changed")


def lines(data: memoryview) -> Iterator[bytes]:
    """The lines without their LF; the last one must have its LF too."""
    at, step, rest = 0, 1 << 16, b""
    while at < len(data):
        block = rest + bytes(data[at : at + step])
        at += step
        *whole, rest = block.split(b"\n")
        yield from whole
        refuse(len(rest) > RECORD_LIMIT, f"a line is longer than {RECORD_LIMIT} bytes")
        step = max(1 << 16, len(rest))
    refuse(rest, "the last line has no end")


def link(engine: Engine, previous: bytes, index: int, raw: bytes) -> bytes:
    """h_i from h_{i-1}."""
    return engine.derive_key(RECORD_CONTEXT, previous + struct.pack(">QI", index, len(raw)) + raw)


# Step 5: the checkpoint, a C2SP signed note.
def check_checkpoint(note: bytes, key: Key, engine: Engine) -> tuple[int, bytes]:
    where = "checkpoint"
    parts = note.decode("utf-8", "replace").split("\n")
    formed = len(parts) == 6 and not parts[3] and not parts[5]
    refuse(not formed, f"{where}: expected three lines, an empty one and one signature")
    same(f"{where}, origin", parts[0], key.name)
    if not re.fullmatch(r"[1-9][0-9]{0,15}", parts[1], re.A):
        raise TamperedError(f"{where}: not a size: {shown(parts[1])}")
    root = decode64(parts[2], f"{where}, root")
    same(f"{where}, bytes of the root", len(root), 32)
    prefix = f"— {key.name} "
    same(f"{where}, beginning of the signature line", parts[4][: len(prefix)], prefix)
    signed = decode64(parts[4][len(prefix) :], f"{where}, signature")
    same(f"{where}, key hash", signed[:4].hex(), key.id.hex())
    key.verify("\n".join(parts[:3]).encode() + b"\n", signed[4:], where, engine)
    return int(parts[1]), root


# Step 6: the ledger's leaves.
class Leaves:
    """What the ledger says of this session: boot, open, and where its chain stood last."""

    def __init__(self, data: memoryview, size: int, root: bytes, key: Key, session: str) -> None:
        self.found: dict[str, Object] = {}
        self.indices: list[int] = []
        for number, line in enumerate(lines(data)):
            self._take(line, f"ledger/leaves.jsonl, line {number + 1}", size, root)
        kinds = list(self.found)
        self.last = kinds[-1] if kinds else ""
        same("ledger/leaves.jsonl", kinds[:-1], ["boot", "open"])
        ends = self.last in ("close", "commit", "recovery")
        refuse(not ends, "ledger/leaves.jsonl: ends with no close, commit or recovery")
        boot = self.found["boot"]
        self.boot = digest(boot, "boot", "boot leaf", 16)
        same("boot leaf, origin", boot.get("origin"), key.name)
        same("boot leaf, key", boot.get("key"), key.vkey)
        self.number = count(self.found["open"], "session_no", "open leaf")
        for kind in kinds[1:]:
            leaf, where = self.found[kind], f"{kind} leaf"
            same(f"{where}, session", leaf.get("sid"), session)
            same(f"{where}, session number", leaf.get("session_no"), self.number)
            if kind != "recovery":
                same(f"{where}, boot", leaf.get("boot"), self.boot.hex())

    def _take(self, line: bytes, where: str, size: int, root: bytes) -> None:
        entry = spelled(line, {"index", "leaf", "proof"}, where)
        index, data = count(entry, "index", where), need(entry, "leaf", str, where).encode()
        hashed = hashlib.sha256(b"\0" + data).digest()
        check_inclusion(where, hashed, index, size, hashes(entry, where), root)
        leaf = parse(data, where)
        same(f"{where}, v", leaf.get("v"), 1)
        kind = need(leaf, "type", str, where)
        ordered = kind not in self.found and index > max(self.indices, default=-1)
        refuse(not ordered, f"{where}: leaves are not in order")
        self.found[kind] = leaf
        self.indices.append(index)


# Steps 7 and 9: the records and their logic.

_RECORD_KEYS = ["body", "i", "prev", "sid", "ts", "type", "v"]
_GENESIS_KEYS = ["boot", "cp_root", "cp_size", "origin", "session_no"]

# What each body must hold: s string, n count, h hash, b boolean, l list, o object, * anything;
# ? allows null. Members beside these are allowed and ignored.
REQUIRED = {
    "open": "identity:s issuer:s subject:s actor:s? token_fingerprint:s client:* connection:s "
    "grant:o purpose:s policy_hash:h gateway_version:s database_floor:*",
    "grant": "id:s identity:s connection:s tables:l purpose:s not_before:s expires_at:s "
    "decided_by:s max_rows:n?",
    "intent": "statement_no:n statement:s params:* server_text:s? analysis:o decision:l format:s "
    "notes:l",
    "analysis": "outputs:l control:l tables:l",
    "decision": "column:s treatment:* reason:s columns:l",
    "result": "statement_no:n chunk:n rows:n bytes:n digest:h cumulative_rows:n",
    "release": "statement_no:n rows:n chunks:n truncated:b cells_masked:o detectors:o digest:h "
    "notes:l",
    "refused": "statement_no:n code:s detail:s",
    "long": "statement_bytes:n statement_blake3:h statement_head:s",
    "error": "statement_no:n code:s detail:s rows:n",
    "cancel": "statement_no:n reason:s rows:n",
    "export": "",
    "close": "reason:s statements:n",
}
_SHAPES = {name: [m.split(":") for m in text.split()] for name, text in REQUIRED.items()}
_TYPES = {"s": str, "b": bool, "l": list, "o": dict, "n": int, "h": str}


def fits(body: Any, shape: str, where: str) -> None:
    """`body` holds what REQUIRED says of this shape."""
    refuse(not isinstance(body, dict), f"{where}: not an object")
    for name, kind in _SHAPES[shape]:
        refuse(name not in body, f"{where}: {name} is missing")
        if kind != "*" and not (kind[1:] == "?" and body[name] is None):
            need(body, name, _TYPES[kind[0]], where)
            if kind[0] in "nh":
                (count if kind[0] == "n" else digest)(body, name, where)


class Statement:
    """One statement's way: intent, a result for each chunk, then release, error or cancel."""

    def __init__(self) -> None:
        self.chunks = self.rows = 0
        self.digests = bytearray()
        self.barred = ""  # why nothing may have been released
        self.ended = ""


class Story:
    """The logic of the record: what may follow what, which numbers add up, the grant in force."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.opened: Object = {}
        self.statements: dict[int, Statement] = {}
        self.rows = 0
        self.closed = False

    def take(self, index: int, kind: str, body: Object, ts: datetime) -> None:
        where = f"record {index} ({shown(kind, 20)})"
        steps = {
            "open": self._open, "intent": self._intent, "result": self._result,
            "release": self._release, "refused": self._refused, "error": self._stopped,
            "cancel": self._stopped, "export": lambda *_: None, "close": self._close,
        }  # fmt: skip
        refuse(kind not in steps, f"{where}: unknown type of record")
        refuse(self.closed, f"{where}: stands behind the close record")
        refuse((kind == "open") != (index == 0), f"{where}: a session begins with its one open")
        fits(body, kind, where)
        steps[kind](where, body, ts)

    def _open(self, where: str, body: Object, ts: datetime) -> None:
        grant, holder = body["grant"], f"{body['issuer']}#{body['subject']}"
        where = f"{where}, grant"
        fits(grant, "grant", where)
        same(f"{where}, identity", grant["identity"], holder)
        same(f"{where}, connection", grant["connection"], body["connection"])
        refuse(grant["decided_by"] == holder, f"{where}: approved by the one who asked for it")
        named = bool(grant["tables"]) and all(type(table) is str for table in grant["tables"])
        refuse(not named, f"{where}: tables must name tables")
        self.begins = moment(grant["not_before"], where)
        self.ends = moment(grant["expires_at"], where)
        self.opened = body

    def _new(self, where: str, body: Object) -> Statement:
        """Statements may run side by side: first records in any order, no number twice."""
        number = body["statement_no"]
        refuse(number in self.statements, f"{where}: statement {number} has begun already")
        refuse(number < 1, f"{where}: statements are numbered from 1")
        return self.statements.setdefault(number, Statement())

    def _running(self, where: str, body: Object) -> Statement:
        number = body["statement_no"]
        refuse(number not in self.statements, f"{where}: statement {number} has no intent before")
        statement = self.statements[number]
        refuse(statement.ended, f"{where}: statement {number} has ended with {statement.ended}")
        return statement

    def _intent(self, where: str, body: Object, ts: datetime) -> None:
        statement = self._new(where, body)
        fits(body["analysis"], "analysis", f"{where}, analysis")
        outputs, decision = body["analysis"]["outputs"], body["decision"]
        same(f"{where}, decided columns", len(decision), len(outputs))
        for column in decision:
            fits(column, "decision", f"{where}, decision")
            named = column["treatment"]
            named = named.get("name") if isinstance(named, dict) else named
            refuse(not isinstance(named, str), f"{where}, decision: a treatment without a name")
            if named == "deny":
                statement.barred = "a column was denied"
        policy = self.opened["policy_hash"]
        same(f"{where}, policy", body.get("policy_hash", policy), policy)
        if not self.begins <= ts <= self.ends:
            statement.barred = f"the grant is in force from {self.begins} to {self.ends}, not {ts}"

    def _result(self, where: str, body: Object, ts: datetime) -> None:
        statement = self._running(where, body)
        refuse(statement.barred, f"{where}: bytes were released although {statement.barred}")
        same(f"{where}, chunk", body["chunk"], statement.chunks)
        statement.chunks += 1
        statement.rows += body["rows"]
        statement.digests += digest(body, "digest", where)
        same(f"{where}, rows so far", body["cumulative_rows"], statement.rows)
        self.rows += body["rows"]
        limit = self.opened["grant"]["max_rows"]
        over = limit is not None and self.rows > limit
        refuse(over, f"{where}: {self.rows} rows released, the grant allows {limit}")

    def _release(self, where: str, body: Object, ts: datetime) -> None:
        statement = self._running(where, body)
        refuse(statement.barred, f"{where}: released although {statement.barred}")
        same(f"{where}, rows", body["rows"], statement.rows)
        same(f"{where}, chunks", body["chunks"], statement.chunks)
        expected = self.engine.blake3(bytes(statement.digests)).hex()
        same(f"{where}, digest of the chunks", body["digest"], expected)
        statement.ended = "release"

    def _refused(self, where: str, body: Object, ts: datetime) -> None:
        if not isinstance(body.get("statement"), str):
            fits(body, "long", where)
        self._new(where, body).ended = "refusal"

    def _stopped(self, where: str, body: Object, ts: datetime) -> None:
        """`error` and `cancel`."""
        statement = self._running(where, body)
        same(f"{where}, rows", body["rows"], statement.rows)
        statement.ended = "error" if "code" in body and "detail" in body else "cancel"

    def _close(self, where: str, body: Object, ts: datetime) -> None:
        same(f"{where}, statements", body["statements"], len(self.statements))
        same(f"{where}, last number", max(self.statements, default=0), len(self.statements))
        for number, statement in self.statements.items():
            refuse(not statement.ended, f"{where}: statement {number} has not ended")
        self.closed = True


def check_genesis(record: Object, manifest: Object, leaves: Leaves, engine: Engine) -> bytes:
    """h_-1 from what the `open` record says, which must be what the ledger says."""
    where = "record 0, genesis"
    genesis = need(record, "genesis", dict, "record 0")
    same(where, sorted(genesis), _GENESIS_KEYS)
    same(f"{where}, origin", genesis["origin"], manifest["origin"])
    same(f"{where}, boot", genesis["boot"], leaves.boot.hex())
    same(f"{where}, session number", genesis["session_no"], leaves.number)
    later = count(genesis, "cp_size", where) > leaves.indices[1]
    refuse(later, f"{where}: the checkpoint at open is newer than the open leaf")
    origin = genesis["origin"].encode()
    sid = bytes.fromhex(manifest["session"].replace("-", ""))
    material = struct.pack(">I", len(origin)) + origin + sid + leaves.boot
    material += struct.pack(">QQ", leaves.number, genesis["cp_size"])
    return engine.derive_key(GENESIS_CONTEXT, material + digest(genesis, "cp_root", where))


def check_records(
    session: memoryview, manifest: Object, leaves: Leaves, engine: Engine
) -> tuple[Story, Object]:
    """Follow the chain from its genesis and the story it tells; gives the genesis too."""
    story, head, last, index = Story(engine), b"", "", -1
    genesis: Object = {}
    for index, raw in enumerate(lines(session)):
        where = f"record {index}"
        record = parse(raw, where)
        same(where, sorted(record), _RECORD_KEYS if index else sorted([*_RECORD_KEYS, "genesis"]))
        if index == 0:
            head, genesis = check_genesis(record, manifest, leaves, engine), record["genesis"]
        same(f"{where}, v", record["v"], 1)
        same(f"{where}, number", record["i"], index)
        same(f"{where}, session", record["sid"], manifest["session"])
        same(f"{where}, link to the record before it", record["prev"], head.hex())
        ts = need(record, "ts", str, where)
        if not ts.endswith("Z") or len(ts) != 27 or ts < last:
            raise TamperedError(f"{where}: its time is {shown(ts, 60)}, after {last}")
        last, head = ts, link(engine, head, index, raw)
        if index == 0:
            same("open leaf, head", leaves.found["open"].get("head"), head.hex())
            same("open leaf, n", leaves.found["open"].get("n"), 1)
        kind, body = need(record, "type", str, where), need(record, "body", dict, where)
        story.take(index, kind, body, moment(ts, where))
    leaf, where = leaves.found[leaves.last], f"{leaves.last} leaf"
    same("manifest.json, records", index + 1, manifest["records"])
    same(f"{where}, n", index + 1, leaf.get("n"))
    same(f"{where}, bytes", len(session), leaf.get("bytes"))
    same(f"{where}, head of the chain", head.hex(), leaf.get("head"))
    same(f"{where}, SHA-256", hashlib.sha256(session).hexdigest(), leaf.get("sha256"))
    same(f"{where}, end of the session", story.closed, leaves.last == "close")
    return story, genesis


def check_consistency(data: memoryview, genesis: Object, size: int, root: bytes) -> None:
    """The checkpoint the session was opened at is a beginning of the one in the bundle."""
    where = "ledger/consistency.json"
    stated = spelled(bytes(data), {"from", "proof", "to"}, where)
    same(f"{where}, from", stated["from"], genesis["cp_size"])
    same(f"{where}, to", stated["to"], size)
    before = bytes.fromhex(genesis["cp_root"])
    check_extension(where, stated["from"], size, hashes(stated, where), before, root)


# The procedure.
def procedure(data: memoryview, trust: Trust | None, engine: Engine) -> tuple[int, str, memoryview]:
    """The numbered steps; each prints its line when it has passed. Verdict, sentence, records."""
    step(0, "tools", "; ".join(engine.names))
    members = read_container(data)
    step(1, "container", f"{len(members)} members, {len(data)} bytes, none of them free")
    manifest, key = check_manifest(bytes(members["manifest.json"]), engine)
    step(2, "manifest", f"signed by {shown(key.vkey)}")
    check_members(manifest, members, engine)
    step(3, "members", "each as long and with the SHA-256 that the manifest says")
    if trust is None:
        step(4, "trust", "no trust file: the bundle vouches for itself, which proves nothing")
    else:
        same("trust, origin", key.name, trust.origin)
        refuse(key.vkey not in trust.keys, f"trust: the trust file does not name {shown(key.vkey)}")
        step(4, "trust", f"the trust file names this origin and key: {shown(trust.origin)}")
    size, root = check_checkpoint(bytes(members["checkpoint"]), key, engine)
    step(5, "checkpoint", f"{size} leaves, root {root.hex()}")
    leaves = Leaves(members["ledger/leaves.jsonl"], size, root, key, manifest["session"])
    step(6, "ledger", f"boot, open and {leaves.last} leaf are under it: {leaves.indices}")
    session = members["session.jsonl"]
    story, genesis = check_records(session, manifest, leaves, engine)
    step(7, "records", f"{manifest['records']} in one chain, as the {leaves.last} leaf says")
    check_consistency(members["ledger/consistency.json"], genesis, size, root)
    step(8, "time", f"opened at checkpoint {genesis['cp_size']}, which this ledger extends")
    ends = [statement.ended or "unfinished" for statement in story.statements.values()]
    told = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))) or "none"
    step(9, "statements", f"{len(ends)} ({told}); {story.rows} rows released")
    if bytes(members["grant.json"]) != canonical(story.opened["grant"]) + b"\n":
        raise TamperedError("grant.json: not the grant of the open record")
    policy = engine.blake3(members["policy.toml"]).hex()
    same("policy.toml, BLAKE3", policy, story.opened["policy_hash"])
    copy = hashlib.sha256(members["verify.py"]).hexdigest()
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    which = "is this script" if copy == own else "is not this script"
    told = f"grant.json and policy.toml are the recorded ones; verify.py {which}"
    step(10, "documents", f"{told}; report.html retells the records, --list shows them")
    if leaves.last == "recovery":
        sentence = "incomplete: the gateway stopped before the session was closed"
    elif leaves.last == "commit":
        sentence = "incomplete: the session was still open when this was exported"
    elif trust is None:
        sentence = "not anchored: give --trust a file that you did not get with the bundle"
    else:
        return VERIFIED, "verified and anchored", session
    return INCOMPLETE, sentence, session


class Trust:
    """The auditor's own file: which origin, and which keys sign for it."""

    def __init__(self, path: str) -> None:
        try:
            with Path(path).open("rb") as file:
                stated = _loads(file.read(1 << 16).decode("utf-8"))
            if not isinstance(stated, dict):
                raise ValueError("not an object")
            same("type", stated.get("type"), "trust")
            same("v", stated.get("v"), 1)
            self.origin, keys = stated.get("origin"), need(stated, "keys", list, "trust")
            if not keys or any(type(key) is not str for key in keys):
                raise ValueError("keys must name keys")
            self.keys = [Key(key, "keys").vkey for key in keys]
            for key in self.keys:
                same("name of a key", key.split("+", 1)[0], self.origin)
        except (OSError, ValueError, RecursionError, TamperedError) as reason:
            raise UsageError(f"trust file {shown(path)}: {shown(str(reason))}") from None


def step(number: int, name: str, text: str) -> None:
    print(f"{number:2d}. {name}: {text}")


def listing(session: memoryview) -> None:
    """The session for people, from bytes that have just been verified."""
    for raw in lines(session):
        record = json.loads(raw)
        print(f"\n[{record['i']}] {record['ts']} {record['type']}")
        for name, value in sorted(record["body"].items()):
            text = value if isinstance(value, str) else canonical(value).decode()
            first, *more = (shown(line, 1 << 24) for line in text.split("\n"))
            print("\n        ".join([f"    {shown(name)}: {first}", *more]))


def private_copy(path: str) -> memoryview:
    """The file's bytes where nobody else can change them between the proof and the listing."""
    if not Path(path).is_file():
        raise UsageError(f"{shown(path)}: no such file")
    try:
        with Path(path).open("rb") as file, tempfile.TemporaryFile() as copy:
            while block := file.read(1 << 20):
                copy.write(block)
                refuse(copy.tell() > FILE_LIMIT, f"container: more than {FILE_LIMIT} bytes")
            copy.flush()
            refuse(copy.tell() == 0, "container: the file is empty")
            return memoryview(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as reason:
        raise UsageError(f"{shown(path)}: {reason.strerror or reason}") from None


def judge(argv: Sequence[str] | None) -> tuple[int, str]:
    parser = argparse.ArgumentParser(
        prog="verify.py", description="Verify an evidence bundle, offline. Exit code: 0 verified "
        "and anchored, 1 tampered, 2 incomplete or not anchored, 3 usage.",
    )  # fmt: skip
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="the bundle, a ZIP file")
    parser.add_argument("--trust", metavar="FILE", help="JSON that names the log's origin and keys")
    parser.add_argument("--list", action="store_true", help="show the records once verified")
    parser.add_argument("--pure", action="store_true", help="use no wheel, only this script")
    parser.add_argument("--self", action="store_true", help="print this script's SHA-256")
    options = parser.parse_args(argv)
    if options.self:
        return VERIFIED, hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if options.bundle is None:
        raise UsageError("the following argument is required: BUNDLE")
    trust = Trust(options.trust) if options.trust is not None else None
    try:
        data, engine = private_copy(options.bundle), Engine(options.pure)
        verdict, sentence, session = procedure(data, trust, engine)
        if options.list:
            listing(session)
    except TamperedError as reason:
        return TAMPERED, f"verdict 1: tampered: {reason}"
    return verdict, f"verdict {verdict}: {sentence}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the procedure; the result is the exit code, and there is no traceback."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    try:
        verdict, sentence = judge(argv)
        print(sentence)
        sys.stdout.flush()
        return verdict
    except SystemExit as asked:
        return USAGE if asked.code else VERIFIED
    except UsageError as reason:
        print(f"verify.py: {reason}\nusage: verify.py BUNDLE --trust FILE", file=sys.stderr)
        return USAGE
    except BaseException as reason:
        # A verifier that falls over has not verified; what made it fall was in the bundle.
        text = f"not verifiable ({type(reason).__name__}: {shown(str(reason))})"
        with contextlib.suppress(Exception):
            print(f"verdict 1: tampered: {text}", file=sys.stderr)
        return TAMPERED


if __name__ == "__main__":
    sys.exit(main())
