#!/usr/bin/env python3
"""Says whether an evidence bundle is what the gateway recorded: every byte of it, or not at all.

    python verify.py BUNDLE --trust TRUST.json

Exit code 0: verified and anchored; 1: tampered, which part, expected and got; 2: incomplete or not
anchored, what is missing; 3: usage. One file, the standard library alone, no network. Its BLAKE3
and Ed25519 are written from the specifications; the wheels are used when they are installed, and
step 0 says which. A bundle cannot vouch for itself: verdict 0 needs a trust file from outside it,
and a copy of this script that you had before (`--self` prints its SHA-256; `python -I` keeps its
folder out). Refuses to repair, to guess, and to warn and go on. See docs/session-log.md.
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
FILE_LIMIT, RECORD_LIMIT, INTEGER_LIMIT = 0xFFFF_FFFF, 16 << 20, 1 << 53  # there is no ZIP64
DEPTH_LIMIT, TRUST_LIMIT, LEAF_LIMIT, BLOCK = 64, 1 << 16, 0xFFFF, 1 << 20
# Members in their order, with the most bytes each may have.
MEMBERS = {
    "manifest.json": 1 << 16, "session.jsonl": FILE_LIMIT, "ledger/leaves.jsonl": 1 << 20,
    "ledger/consistency.json": 1 << 16, "checkpoint": 1 << 16, "grant.json": 16 << 20,
    "policy.toml": 16 << 20, "report.html": FILE_LIMIT, "verify.py": 1 << 20, "README.txt": 1 << 20,
}  # fmt: skip
GENESIS_CONTEXT = "maskgate 2026-11 session genesis v1"
RECORD_CONTEXT = "maskgate 2026-11 record v1"
MANIFEST_PREFIX = b"maskgate evidence manifest v1\n"
RECEIPT_PREFIX = b"maskgate receipt v1\n"
CERTIFICATE_PREFIX = b"maskgate epoch certificate v1\n"
EPOCH_PREFIX = b"maskgate epoch checkpoint v1\n"
LOG, WITNESS, EPOCH = b"\x01", b"\x04", b"\xffmaskgate epoch v1"  # C2SP types of signatures
UNFINISHED = {  # what the last leaf says of a session that did not close
    "recovery": "the gateway stopped before the session was closed",
    "commit": "the session was still open when this was exported",
}
_NAME = r"[\w./:~-]{1,255}"  # an origin or a witness
RECEIPT = ("rows", "truncated", "cells_masked", "digest", "notes")  # of the release record

Bytes = bytes | memoryview
Input = tuple[Sequence[int], Bytes, int, int]  # of the compression function
Point = tuple[int, int, int, int]  # extended coordinates (X, Y, Z, T)
Proof = Sequence[bytes]
Object = dict[str, Any]
Found = dict[str, tuple[int, Object]]  # a leaf of each type, and where it stands


class TamperedError(Exception):
    """Something is not as it was recorded; the message says what, expected and got."""


class UsageError(Exception):
    """The script was called wrongly, or not heard to its end; nothing was judged."""


def refuse(when: object, text: str) -> None:
    """Say what is wrong, when it is."""
    if when:
        raise TamperedError(text)


def same(where: str, got: object, expected: object) -> None:
    """The two agree in value and kind (True is not 1)."""
    if repr(got) != repr(expected):
        raise TamperedError(f"{where}: expected {shown(expected)}, got {shown(got)}")


def shown(value: object, limit: int = 200) -> str:
    """Anything as one line without control characters or text that runs the other way."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "…"


# BLAKE3, from its specification: hash and derive_key with 32 bytes of output.
_IV_WORDS = "6A09E667 BB67AE85 3C6EF372 A54FF53A 510E527F 9B05688C 1F83D9AB 5BE0CD19"
_IV = tuple(int(word, 16) for word in _IV_WORDS.split())
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT, _CONTEXT, _MATERIAL = 1, 2, 4, 8, 32, 64
# Columns, then diagonals.
_LANES = [tuple(4 * row + (i + row * d) % 4 for row in range(4)) for d in (0, 1) for i in range(4)]
_ORDERS = [tuple(range(16))]
while len(_ORDERS) < 7:
    _ORDERS.append(tuple(_ORDERS[-1][i] for i in _PERMUTATION))
_SCHEDULE = [(*v, m[2 * i], m[2 * i + 1]) for m in _ORDERS for i, v in enumerate(_LANES)]


def _compress(cv: Sequence[int], block: Bytes, counter: int, flags: int) -> bytes:
    """The first half of the compression function's output."""
    m = struct.unpack("<16I", bytes(block).ljust(64, b"\0"))
    v = [*cv, *_IV[:4], counter & 0xFFFFFFFF, counter >> 32, len(block), flags]
    for a, b, c, d, x, y in _SCHEDULE:
        halves = (a, b, d, m[x], 16), (c, d, b, 0, 12), (a, b, d, m[y], 8), (c, d, b, 0, 7)
        for to, by, then, word, right in halves:
            v[to] = (v[to] + v[by] + word) & 0xFFFFFFFF
            turned = v[then] ^ v[to]
            v[then] = (turned >> right | turned << 32 - right) & 0xFFFFFFFF
    return struct.pack("<8I", *(v[i] ^ v[i + 8] for i in range(8)))


def _output(key: Sequence[int], data: Bytes, mode: int, first: int = 0) -> Input:
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


pure_blake3: Callable[[Bytes], bytes] = functools.partial(_blake3, _IV, mode=0)


def pure_derive_key(context: str, material: Bytes) -> bytes:
    key = struct.unpack("<8I", _blake3(_IV, context.encode(), _CONTEXT))
    return _blake3(key, material, _MATERIAL)


# Ed25519, RFC 8032: verification without cofactor, and strict. Encodings must be canonical, S below
# the group's order, neither A nor R of small order: one signature has one spelling.
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)


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
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    x = x if (x * x - square) % _P == 0 else x * _SQRT_M1 % _P
    if y >= _P or (x * x - square) % _P or (x == 0 and sign):
        raise ValueError("not reduced, not a point of the curve, or zero with a sign")
    x = x if x & 1 == sign else _P - x
    return (x, y, 1, x * y % _P)


_BASE = _decompress((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def ed25519_verify(public: bytes, message: bytes, signature: bytes, engine: Engine) -> None:
    """Raises ValueError unless `signature` is the strict Ed25519 signature of `message`."""
    if len(public) != 32 or len(signature) != 64:
        raise ValueError("a key has 32 bytes and a signature 64")
    s = int.from_bytes(signature[32:], "little")
    if s >= _L:
        raise ValueError("S is not below the order of the group")
    a, r = _decompress(public), _decompress(signature[:32])
    for name, point in (("the key", a), ("R", r)):
        eighth = _multiply(8, point)
        if eighth[0] == 0 and eighth[1] == eighth[2]:
            raise ValueError(f"{name} is of small order")
    if engine.ed25519 is not None:
        engine.ed25519(public, message, signature)
        return
    # The equation [S]B = R + [k]A.
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(hashed, "little") % _L
    p, q = _multiply(s, _BASE), _add(r, _multiply(k, a))
    if (p[0] * q[2] - q[0] * p[2]) % _P or (p[1] * q[2] - q[1] * p[2]) % _P:
        raise ValueError("the signature does not match")


class Engine:
    """Which implementation does the work: wheels where they are, this script where not."""

    def __init__(self, pure: bool = False) -> None:
        self.blake3: Callable[[Bytes], bytes] = pure_blake3
        self.derive_key: Callable[[str, Bytes], bytes] = pure_derive_key
        self.ed25519: Callable[[bytes, bytes, bytes], None] | None = None
        self.names = ["BLAKE3 of this script", "Ed25519 of this script"]
        if pure:
            return
        # A wheel that is missing, or broken in whatever way, is a wheel that is not used.
        with contextlib.suppress(Exception):
            from blake3 import __version__ as version
            from blake3 import blake3 as hashed

            self.names[0] = f"BLAKE3 of the blake3 wheel {version}"
            self.blake3 = lambda data: hashed(data).digest()
            self.derive_key = lambda name, data: hashed(data, derive_key_context=name).digest()
        with contextlib.suppress(Exception):
            from cryptography import __version__ as version
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Public

            self.names[1] = f"Ed25519 of the cryptography wheel {version}"
            self.ed25519 = lambda key, text, sig: Public.from_public_bytes(key).verify(sig, text)


# RFC 6962 trees, verified as RFC 9162, 2.1.3.2 and 2.1.4.2 say.
def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(where: str, fn: int, sn: int, start: bytes, siblings: Proof) -> tuple[bytes, bytes]:
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


def check_inclusion(where: str, leaf: bytes, at: int, size: int, way: Proof, root: bytes) -> None:
    refuse(not 0 <= at < size or len(root) != 32, f"{where}: leaf {at} is not in a tree of {size}")
    same(f"{where}, root", _climb(where, at, size - 1, leaf, way)[1].hex(), root.hex())


def check_extension(where: str, old: int, new: int, proof: Proof, was: bytes, now: bytes) -> None:
    wrong = not 0 <= old <= new or len(now) != 32
    refuse(wrong, f"{where}: a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        known = was if old else hashlib.sha256().digest()
        same(f"{where}, proof and root", (len(proof), was), (0, known))
        same(f"{where}, root", now if old == new else known, known)
        return
    path = list(proof) if old & (old - 1) else [was, *proof]
    refuse(not path, f"{where}: the proof is empty")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    same(f"{where}, roots", _climb(where, fn, sn, path[0], path[1:]), (was, now))


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
_NUMBERS: Any = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), _integer)
_loads: Callable[[str], Any] = functools.partial(json.loads, object_pairs_hook=_pairs, **_NUMBERS)


def parse_file(path: Path, limit: int, where: str) -> Object:
    """The object in a file, which people may have laid out over lines."""
    with path.open("rb") as file:
        raw = file.read(limit + 1)
    refuse(len(raw) > limit, f"{where}: longer than {limit} bytes")
    return parse(raw, where, laid_out=True)


def parse(raw: bytes, where: str, laid_out: bool = False) -> Object:
    """One object on one line, nothing before it and nothing behind it."""
    if not laid_out:
        refuse(re.search(rb"[\x00-\x1f]", raw), f"{where}: a control character stands in it")
        refuse(raw[:1] != b"{" or raw[-1:] != b"}", f"{where}: not one object")
    try:
        made: Object = _loads(raw.decode("utf-8"))
        if b"\\u" in raw:
            json.dumps(made, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as reason:
        raise TamperedError(f"{where}: {shown(str(reason))}") from None
    if raw.count(b"[") + raw.count(b"{") > DEPTH_LIMIT:  # else there cannot be so many levels
        level: list[Any] = [made]
        for _ in range(DEPTH_LIMIT):
            inner = (one.values() if isinstance(one, dict) else one for one in level)
            level = [one for values in inner for one in values if isinstance(one, dict | list)]
        refuse(level, f"{where}: more than {DEPTH_LIMIT} levels")
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


# What an object must hold: s text, n a count, h and k 32 and 16 bytes in hex, u a session's id, b
# true or false, l a list, o an object, * anything; ? allows null, ~ that it is not there.
_TABLE = """
manifest created:s key:s members:o origin:s records:n session:u signature:s type:s v:n
member bytes:n sha256:h
consistency from:n proof:l since:o~ to:n
since from:n proof:l
entry index:n leaf:s proof:l
leaf type:s v:n
boot boot:k epoch:n~ key:s origin:s
epoch boot:k first:n from:n key:s number:n previous:n signature:s ts:s
checkpoint boot:k certificate:n epoch:n ts:s
record body:o genesis:o~ i:n prev:h sid:s ts:s type:s v:n
genesis boot:k cp_root:h cp_size:n origin:s session_no:n
open identity:s issuer:s subject:s actor:s? token_fingerprint:s client:* connection:s grant:o
  purpose:s policy_hash:h gateway_version:s database_floor:*
grant id:s identity:s connection:s tables:l purpose:s not_before:s expires_at:s decided_by:s
  max_rows:n?
intent statement_no:n statement:s params:* server_text:s? analysis:o decision:l format:s notes:l
analysis outputs:l control:l tables:l
decision column:s treatment:* reason:s columns:l
result statement_no:n chunk:n rows:n bytes:n digest:h cumulative_rows:n
release statement_no:n rows:n chunks:n truncated:b cells_masked:o detectors:o digest:h notes:l
refused statement_no:n code:s detail:s
long statement_bytes:n statement_blake3:h statement_head:s
error statement_no:n code:s detail:s rows:n
cancel statement_no:n reason:s rows:n
export
close reason:s statements:n
hash h:h
trust epochs:n~ keys:l origin:s quorum:n~ type:s v:n witnesses:l~
receipt key:s session:s signature:s statement:n
"""
_ROWS = [line.split() for line in _TABLE.replace("\n  ", " ").strip().split("\n")]
SHAPES = {name: [member.split(":") for member in members] for name, *members in _ROWS}
_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_LIKE = {"n": r"\d+", "h": f"{_HEX}{{64}}", "k": f"{_HEX}{{32}}", "u": _UUID}
_TYPES = {"s": str, "n": int, "h": str, "k": str, "u": str, "b": bool, "l": list, "o": dict}


def fits(body: Any, shape: str, where: str, exactly: bool = False) -> Object:
    """`body` is an object of this shape: with further members only where it may have them."""
    refuse(type(body) is not dict, f"{where}: not an object")
    for name, kind in SHAPES[shape]:
        refuse(name not in body and kind[1:] != "~", f"{where}: {name} is missing")
        value, like = body.get(name), _LIKE.get(kind[0], "")
        if kind != "*" and name in body and (value is not None or kind[1:] != "?"):
            formed = type(value) is _TYPES[kind[0]]
            if not formed or (like and not re.fullmatch(like, str(value), re.A)):
                word = f"{where}: {name} must be a {_TYPES[kind[0]].__name__} {like}".rstrip()
                raise TamperedError(f"{word}, got {shown(value, 60)}")
    if exactly:
        same(f"{where}, more", sorted({*body}.difference(name for name, _ in SHAPES[shape])), [])
    return dict(body)


def spelled(raw: bytes, shape: str, where: str) -> Object:
    """An object of exactly this shape, in its canonical spelling."""
    made = fits(parse(raw, where), shape, where, exactly=True)
    refuse(canonical(made) != raw, f"{where}: not in its canonical spelling")
    return made


def hashes(holder: Object, where: str) -> list[bytes]:
    return [bytes.fromhex(fits({"h": one}, "hash", where)["h"]) for one in holder["proof"]]


def decode64(text: str, where: str) -> bytes:
    """Base64 in its one spelling, padding and unused bits included."""
    with contextlib.suppress(ValueError):
        data = base64.b64decode(text, validate=True)
        if base64.b64encode(data).decode() == text:
            return data
    raise TamperedError(f"{where}: not base64 in its one spelling: {shown(text, 100)}")


def lp(*texts: str) -> bytes:
    """Each behind its length."""
    return b"".join(struct.pack(">I", len(raw)) + raw for raw in map(str.encode, texts))


def moment(text: str, where: str) -> datetime:
    """An RFC 3339 time in UTC."""
    if match := re.fullmatch(r"([\d-]{10}T[\d:]{8})(\.\d{1,6})?(?:Z|\+00:00)", text, re.A):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(match[1] + (match[2] or ".0").ljust(7, "0") + "+00:00")
    raise TamperedError(f"{where}: not an RFC 3339 time in UTC: {shown(text, 60)}")


# Step 1: the container. Its one date is 1980-01-01: the time of export is in the manifest.
_LAYOUTS = "<IHHHHHIIIHH", "<IHHHHHHIIIHHHHHII", "<IHHHHIIH"
_LOCAL, _CENTRAL, _END = map(struct.Struct, _LAYOUTS)
_DATE, _ATTRIBUTES = 0x0021, 0o100644 << 16


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
        same(f"container, member {len(members) + 1}", found, name)
        size, most = header[8], min(limit, len(data) - start)
        refuse(size > most, f"{where}: {size} bytes, more than the {most} that it may have")
        members[name] = body = data[start : start + size]
        crc = zlib.crc32(body)
        fields = (0x04034B50, 20, 0, 0, 0, _DATE, crc, size, size, len(name), 0)
        same(f"{where}, header (mark, version, flags, method, time, …, sizes)", header, fields)
        entry = (0x02014B50, 0x0314, *header[1:11], 0, 0, 0, _ATTRIBUTES, at)
        central += _CENTRAL.pack(*entry) + name.encode()
        at = start + size
    ending = central + _END.pack(0x06054B50, 0, 0, *[len(MEMBERS)] * 2, len(central), at, 0)
    refuse(data[at:] != ending, "container: does not end with the directory of these members")
    return members


# Steps 2 and 3: the manifest and what it covers.
class Key:
    """A verifier key in C2SP form: name+hash+base64(kind, 32 bytes)."""

    def __init__(self, vkey: str, where: str, kind: bytes = LOG) -> None:
        refuse(type(vkey) is not str, f"{where}: a key is text")
        self.vkey = vkey
        self.name, stated, encoded = (*vkey.split("+", 2), "", "")[:3]
        key = decode64(encoded, where)
        formed = key[:-32] == kind and re.fullmatch(_NAME, self.name, re.A)
        refuse(not formed, f"{where}: not an Ed25519 verifier key of this kind: {shown(vkey)}")
        self.public = key[-32:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + key).digest()[:4]
        same(f"{where}, key hash", stated, self.id.hex())

    def verify(self, message: bytes, signature: bytes, where: str, engine: Engine) -> None:
        try:
            ed25519_verify(self.public, message, signature, engine)
        except Exception as reason:  # the wheel has exceptions of its own
            said = f"{type(reason).__name__} {reason}"
            raise TamperedError(f"{where}: signature by {shown(self.name)}: {said}") from None

    def signed(self, stated: Object, prefix: bytes, where: str, engine: Engine) -> None:
        """The object's `signature` is this key's, of what else is in it in its one spelling."""
        unsigned = canonical({name: stated[name] for name in stated if name != "signature"})
        signature = decode64(stated["signature"], f"{where}, signature")
        self.verify(prefix + unsigned, signature, where, engine)


def check_manifest(members: dict[str, memoryview], engine: Engine) -> tuple[Object, Key]:
    """It is signed, and true of every other member; what is in it is believed from here on."""
    where = "manifest.json"
    manifest = spelled(bytes(members[where]), "manifest", where)
    same(f"{where}, type and v", (manifest["type"], manifest["v"]), ("evidence", 1))
    moment(manifest["created"], where)
    key = Key(manifest["key"], where)
    same(f"{where}, key name", key.name, manifest["origin"])
    key.signed(manifest, MANIFEST_PREFIX, where, engine)
    step(2, "manifest", f"signed by {shown(key.vkey)}")
    same(f"{where}, members", sorted([*manifest["members"], where]), sorted(MEMBERS))
    for name, stated in manifest["members"].items():
        entry = fits(stated, "member", f"{where}, {name}", exactly=True)
        got = hashlib.sha256(members[name]).hexdigest()
        changed = got != entry["sha256"] and name == "session.jsonl"
        which = f" (changed: {locate(members[name], engine)})" if changed else ""
        same(f"{name}, SHA-256{which}", got, entry["sha256"])
        same(f"{name}, bytes", len(members[name]), entry["bytes"])
    step(3, "members", "each as long and with the SHA-256 that the manifest says")
    return manifest, key


def locate(session: memoryview, engine: Engine) -> str:
    """Which record was changed, without believing any of it: the next one holds another hash."""
    head, index = b"", 0
    for index, raw in enumerate(lines(session)):
        told = re.fullmatch(rb'.*"prev":"([0-9a-f]{64})",.*', raw)
        previous = bytes.fromhex(told[1].decode()) if told else b""
        if not told or (index and head != previous):
            return f"record {index - 1} or the link of record {index}"
        head = link(engine, previous, index, raw)
    return f"record 0, the last one ({index}), or one at the end"


def lines(data: memoryview) -> Iterator[bytes]:
    """The lines without their LF; the last one must have its LF too."""
    rest = b""
    for start in range(0, len(data), BLOCK):
        *whole, rest = (rest + data[start : start + BLOCK]).split(b"\n")
        longest = max(map(len, (*whole, rest)))
        refuse(longest > RECORD_LIMIT, f"a line is longer than {RECORD_LIMIT} bytes")
        yield from whole
    refuse(rest, "the last line has no end")


def link(engine: Engine, previous: bytes, index: int, raw: bytes) -> bytes:
    return engine.derive_key(RECORD_CONTEXT, previous + struct.pack(">QI", index, len(raw)) + raw)


# Step 5: the checkpoint, a C2SP signed note.
class Checkpoint:
    """Three lines, signed by the log first; `seen` says which witnesses that are known did when."""

    def __init__(self, note: bytes, key: Key, known: Sequence[Key], engine: Engine) -> None:
        parts = note.decode("utf-8", "replace").split("\n")
        wrong: object = len(parts) < 6 or parts[3] or parts[-1]
        refuse(wrong, "checkpoint: expected three lines, an empty one and signatures")
        same("checkpoint, origin", parts[0], key.name)
        sized = re.fullmatch(r"[1-9][0-9]{0,15}", parts[1], re.A)
        refuse(not sized, f"checkpoint: not a size: {shown(parts[1])}")
        self.size, self.root = int(parts[1]), decode64(parts[2], "checkpoint, root")
        same("checkpoint, bytes of the root", len(self.root), 32)
        self.signatures: dict[tuple[str, bytes], bytes] = {}
        for line in parts[4:-1]:
            formed = re.fullmatch(rf"— {_NAME} \S+", line, re.A)
            refuse(not formed, f"checkpoint: not a signature line: {shown(line)}")
            _, name, encoded = line.split(" ")
            raw = decode64(encoded, "checkpoint, signature")
            odd = len(raw) < 5 or (name, raw[:4]) in self.signatures
            refuse(odd, f"checkpoint: {name} stands there twice, or has no signature")
            self.signatures[name, raw[:4]] = raw[4:]
        self.text = "\n".join(parts[:3]).encode() + b"\n"
        same("checkpoint, first signature by", next(iter(self.signatures)), (key.name, key.id))
        key.verify(self.text, self.signatures[key.name, key.id], "checkpoint", engine)
        self.seen: list[str] = []
        for witness in known:
            if (body := self.signatures.get((witness.name, witness.id))) is not None:
                time = int.from_bytes(body[:8], "big")
                refuse(time >= 1 << 63, f"checkpoint: {witness.name} signed at a time that is none")
                cosigned = b"cosignature/v1\ntime %d\n%b" % (time, self.text)
                witness.verify(cosigned, body[8:], "checkpoint", engine)
                self.seen.append(f"{witness.name} at {time}")
        told = f"; cosigned by {', '.join(self.seen) or 'no known witness'}" if known else ""
        self.told = f"{self.size} leaves, root {self.root.hex()}{told}"


# Step 6: the ledger's leaves.
def check_epoch(signed: Checkpoint, key: Key, found: Found, engine: Engine) -> str:
    """The checkpoint is signed by the epoch that its last leaf names, whose key is certified by the
    log's in a leaf below it: no earlier epoch's key signs there, and no later one's."""
    for kind in ("epoch", "checkpoint"):
        refuse(kind not in found, f"epochs hold at {signed.size} leaves: {kind} leaf is missing")
        fits(found[kind][1], kind, f"{kind} leaf")
    (place, leaf), (last, named) = found["epoch"], found["checkpoint"]
    number, where = leaf["number"], f"epoch {leaf['number']}"
    own = Key(leaf["key"], f"{where}, key", EPOCH)
    stated = last, named["epoch"], named["certificate"], leaf["from"], leaf["previous"], own.name
    expected = signed.size - 1, number, place, place + 1, number - 1, key.name
    same(f"{where}: last leaf, what it names, first size, epoch before, key", stated, expected)
    counts = struct.pack(">QQQQ", number, number - 1, place + 1, leaf["first"])
    certified = CERTIFICATE_PREFIX + lp(key.name, leaf["key"], leaf["ts"]) + counts
    key.verify(certified, decode64(leaf["signature"], where), f"{where}, certificate", engine)
    message = EPOCH_PREFIX + struct.pack(">Q", number) + signed.text
    own.verify(message, signed.signatures.get((own.name, own.id), b""), where, engine)
    return f"; signed in epoch {number}, certified at leaf {place}"


class Leaves:
    """What the ledger says of this session: boot, open, and where its chain stood last."""

    def __init__(self, data: memoryview, signed: Checkpoint, key: Key, session: str) -> None:
        self.found: Found = {}
        last = -1
        for number, line in enumerate(lines(data)):
            where = f"ledger/leaves.jsonl, line {number + 1}"
            entry = spelled(line, "entry", where)
            at, raw, way = entry["index"], entry["leaf"].encode(), hashes(entry, where)
            refuse(len(raw) > LEAF_LIMIT, f"{where}: a leaf of {len(raw)} bytes")
            hashed = hashlib.sha256(b"\0" + raw).digest()
            check_inclusion(where, hashed, at, signed.size, way, signed.root)
            leaf = fits(parse(raw, where), "leaf", where)
            same(f"{where}, v", leaf["v"], 1)
            refuse(leaf["type"] in self.found or at <= last, f"{where}: leaves are not in order")
            self.found[leaf["type"]], last = (at, leaf), at
        kinds = [kind for kind in self.found if kind not in ("epoch", "checkpoint")]
        self.last = kinds[-1] if kinds else ""
        ended = self.last in ("close", *UNFINISHED)
        same("ledger/leaves.jsonl, an end", (kinds[:-1], ended), (["boot", "open"], True))
        boot = fits(self.found["boot"][1], "boot", "boot leaf")
        same("boot leaf, origin and key", (boot["origin"], boot["key"]), (key.name, key.vkey))
        self.boot = bytes.fromhex(boot["boot"])
        self.number = self.found["open"][1].get("session_no")
        self.has_epochs = "epoch" in boot or len(self.found) > len(kinds)
        for kind in kinds[1:]:
            leaf, later = self.found[kind][1], kind == "recovery"  # by the next boot
            stated = leaf.get("sid"), leaf.get("session_no"), later or leaf.get("boot")
            expected = session, self.number, later or boot["boot"]
            same(f"{kind} leaf, session, its number, boot", stated, expected)


# Steps 7 and 9: the records and their logic.
class Statement:
    """One statement's way: intent, a result for each chunk, then release, error or cancel."""

    def __init__(self) -> None:
        self.chunks = self.rows = 0
        self.barred = self.ended = ""  # barred: why nothing may have been released
        self.digests, self.receipt = bytearray(), b""  # SHA-256 of what a receipt must say


class Story:
    """The logic of the record: what may follow what, which numbers add up, the grant in force."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.rows, self.closed = engine, 0, False
        self.genesis, self.opened = Object(), Object()
        self.statements: dict[int, Statement] = {}

    def take(self, index: int, kind: str, body: Object, ts: datetime) -> None:
        where = f"record {index} ({shown(kind, 20)})"
        alone = {"open": self._open, "export": lambda *_: None, "close": self._close}
        steps: dict[str, Callable[..., None]]
        steps = {"intent": self._intent, "result": self._result, "refused": self._refused}
        steps |= dict.fromkeys(("release", "error", "cancel"), self._end)
        refuse(kind not in (*alone, *steps), f"{where}: unknown type of record")
        refuse(self.closed, f"{where}: stands behind the close record")
        refuse((kind == "open") != (index == 0), f"{where}: a session begins with its one open")
        fits(body, kind, where)
        if kind in alone:
            alone[kind](where, body)
        else:
            steps[kind](where, body, self._statement(where, kind, body["statement_no"]), ts, kind)

    def _open(self, where: str, body: Object) -> None:
        grant, holder = body["grant"], f"{body['issuer']}#{body['subject']}"
        where = f"{where}, grant"
        fits(grant, "grant", where)
        same(f"{where}, identity", grant["identity"], holder)
        same(f"{where}, connection", grant["connection"], body["connection"])
        refuse(grant["decided_by"] == holder, f"{where}: approved by the one who asked for it")
        named = bool(grant["tables"]) and all(type(table) is str for table in grant["tables"])
        refuse(not named, f"{where}: tables must name tables")
        self.begins, self.ends = (moment(grant[at], where) for at in ("not_before", "expires_at"))
        self.opened = body

    def _statement(self, where: str, kind: str, number: int) -> Statement:
        """Statements may run side by side: first records in any order, no number twice."""
        first, known = kind in ("intent", "refused"), number in self.statements
        refuse(first and known, f"{where}: statement {number} has begun already")
        refuse(number < 1, f"{where}: statements are numbered from 1")
        refuse(not first and not known, f"{where}: statement {number} has no intent before")
        statement = self.statements.setdefault(number, Statement())
        refuse(statement.ended, f"{where}: statement {number} has ended with {statement.ended}")
        released = statement.barred and kind in ("result", "release")
        refuse(released, f"{where}: released although {statement.barred}")
        return statement

    def _intent(self, where: str, body: Object, statement: Statement, ts: datetime, _: str) -> None:
        fits(body["analysis"], "analysis", f"{where}, analysis")
        same(f"{where}, decided columns", len(body["decision"]), len(body["analysis"]["outputs"]))
        for column in body["decision"]:
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

    def _result(self, where: str, body: Object, statement: Statement, *_: object) -> None:
        same(f"{where}, chunk", body["chunk"], statement.chunks)
        statement.chunks += 1
        statement.rows += body["rows"]
        statement.digests += bytes.fromhex(body["digest"])
        same(f"{where}, rows so far", body["cumulative_rows"], statement.rows)
        self.rows += body["rows"]
        limit = self.opened["grant"]["max_rows"]
        over = limit is not None and self.rows > limit
        refuse(over, f"{where}: {self.rows} rows released, the grant allows {limit}")

    def _refused(self, where: str, body: Object, statement: Statement, *_: object) -> None:
        if type(body.get("statement")) is not str:
            fits(body, "long", where)
        statement.ended = "refusal"

    def _end(self, where: str, body: Object, statement: Statement, _: object, kind: str) -> None:
        same(f"{where}, rows", body["rows"], statement.rows)
        if kind == "release":
            same(f"{where}, chunks", body["chunks"], statement.chunks)
            expected = self.engine.blake3(bytes(statement.digests)).hex()
            same(f"{where}, digest of the chunks", body["digest"], expected)
        statement.ended = kind

    def _close(self, where: str, body: Object) -> None:
        same(f"{where}, statements", body["statements"], len(self.statements))
        same(f"{where}, last number", max(self.statements, default=0), len(self.statements))
        for number, statement in self.statements.items():
            refuse(not statement.ended, f"{where}: statement {number} has not ended")
        self.closed = True


def check_genesis(record: Object, manifest: Object, leaves: Leaves, engine: Engine) -> bytes:
    """h_-1 from what the `open` record says, which must be what the ledger says."""
    where = "record 0, genesis"
    genesis = fits(record.get("genesis"), "genesis", where, exactly=True)
    stated = genesis["origin"], genesis["boot"], genesis["session_no"]
    expected = manifest["origin"], leaves.boot.hex(), leaves.number
    same(f"{where}, origin, boot and session number", stated, expected)
    refuse(
        genesis["cp_size"] > leaves.found["open"][0], f"{where}: its checkpoint is newer than open"
    )
    sid = bytes.fromhex(manifest["session"].replace("-", ""))
    material = lp(genesis["origin"]) + sid + leaves.boot
    material += struct.pack(">QQ", genesis["session_no"], genesis["cp_size"])
    return engine.derive_key(GENESIS_CONTEXT, material + bytes.fromhex(genesis["cp_root"]))


def check_records(session: memoryview, manifest: Object, leaves: Leaves, engine: Engine) -> Story:
    """Follow the chain from its genesis, and the story it tells."""
    story, head, last, index = Story(engine), b"", "", -1
    for index, raw in enumerate(lines(session)):
        where = f"record {index}"
        record = fits(parse(raw, where), "record", where, exactly=True)
        same(f"{where}, has a genesis", "genesis" in record, index == 0)
        if index == 0:
            head, story.genesis = check_genesis(record, manifest, leaves, engine), record["genesis"]
        stated = record["v"], record["i"], record["sid"]
        same(f"{where}, v, number and session", stated, (1, index, manifest["session"]))
        same(f"{where}, link to the record before it", record["prev"], head.hex())
        ts = record["ts"]
        wrong = not ts.endswith("Z") or len(ts) != 27 or ts < last
        refuse(wrong, f"{where}: its time is {shown(ts, 60)}, after {last}")
        last, head = ts, link(engine, head, index, raw)
        if index == 0:
            leaf = leaves.found["open"][1]
            same("open leaf, n and head", (leaf.get("n"), leaf.get("head")), (1, head.hex()))
        kind, body = record["type"], record["body"]
        story.take(index, kind, body, moment(ts, where))
        if kind == "release":
            number, told = body["statement_no"], {name: body[name] for name in RECEIPT}
            told |= {"record_hash": head.hex(), "session": record["sid"], "key": manifest["key"]}
            receipt = hashlib.sha256(canonical(told | {"statement": number})).digest()
            story.statements[number].receipt = receipt
    leaf, where = leaves.found[leaves.last][1], f"{leaves.last} leaf"
    same("manifest.json, records", index + 1, manifest["records"])
    refuse(index < 0, "session.jsonl: no record")
    got = {"n": index + 1, "bytes": len(session), "head": head.hex()}
    for name, value in (got | {"sha256": hashlib.sha256(session).hexdigest()}).items():
        same(f"{where}, {name}", value, leaf.get(name))
    same(f"{where}, end of the session", story.closed, leaves.last == "close")
    return story


def check_consistency(data: memoryview, genesis: Object, signed: Checkpoint) -> Object:
    """The checkpoint at open is a beginning of the bundle's; gives the proof that was asked for."""
    where = "ledger/consistency.json"
    stated, size = spelled(bytes(data), "consistency", where), signed.size
    same(f"{where}, from and to", (stated["from"], stated["to"]), (genesis["cp_size"], size))
    before = bytes.fromhex(genesis["cp_root"])
    check_extension(where, stated["from"], size, hashes(stated, where), before, signed.root)
    since = fits(stated.get("since", {"from": 0, "proof": []}), "since", where, exactly=True)
    refuse(since["from"] > size, f"{where}: since is over the checkpoint's size")
    hashes(since, where)
    return since


def remember(file: Path, origin: str, signed: Checkpoint, genesis: Object, since: Object) -> str:
    """Why the ledger is not shown to go on from what the auditor has seen; else it is added."""
    kept, size, root = file.read_bytes() if file.exists() else b"", signed.size, signed.root
    formed = re.fullmatch(rb"([\w./:~-]{1,255} [1-9]\d{0,15} [0-9a-f]{64}\n)*", kept)
    rows = {tuple(row.split(" ")) for row in kept.decode().splitlines()} if formed else set()
    seen = {int(number): known for name, number, known in rows if name == origin}
    if not formed or len(seen) != sum(name == origin for name, _, _ in rows):
        raise UsageError(f"--remember {shown(str(file))}: not one root for each size of an origin")
    for number, stated in ((size, root.hex()), (genesis["cp_size"], genesis["cp_root"])):
        same(f"root of {number} leaves as remembered", stated, seen.get(number, stated))
    newest = max(seen, default=0)
    if size in seen:
        return ""
    if size < newest:
        return f"it is older than the {newest} leaves you remember: have it exported again"
    if newest and newest != genesis["cp_size"]:
        if since["from"] != newest:
            return f"no proof from the {newest} leaves you remember: export --since {newest}"
        proof, old = hashes(since, "since"), bytes.fromhex(seen[newest])
        check_extension("the ledger you remember", newest, size, proof, old, root)
    with file.open("ab") as opened:
        opened.write(f"{origin} {size} {root.hex()}\n".encode())
    return ""


# Receipts: what a client was given of each released statement, signed by the log.
def check_receipts(path: Path, session: str, key: Key, story: Story, engine: Engine) -> list[str]:
    """Each receipt of this session is of a statement in it. Gives what is missing for that."""
    recorded = later = others = 0
    folder = sorted(path.iterdir()) if path.is_dir() else []
    for file in [one for one in folder if one.name.endswith(".json")] if path.is_dir() else [path]:
        where = f"receipt {shown(file.name)}"
        receipt = fits(parse_file(file, RECORD_LIMIT, where), "receipt", where)
        if receipt["session"] != session:
            others += 1
            continue
        same(f"{where}, key", receipt["key"], key.vkey)
        key.signed(receipt, RECEIPT_PREFIX, where, engine)
        del receipt["signature"]
        statement = story.statements.get(receipt["statement"], Statement())
        if not statement.ended and not story.closed:
            later += 1
            continue
        agrees = statement.receipt == hashlib.sha256(canonical(receipt)).digest()
        refuse(not agrees, f"{where}: statement {receipt['statement']} is not recorded as it says")
        recorded += 1
    told = f"{recorded} are of records in this bundle, {others} of other sessions"
    step(11, "receipts", f"{told}, {later} of statements behind it")
    missing = ["incomplete: not every receipt is of a statement in this bundle"]
    return missing if later or not recorded else []


def procedure(options: argparse.Namespace, engine: Engine) -> list[str]:
    """The numbered steps; each prints its line when it has passed. What verdict 0 lacks."""
    trust = Trust(options.trust)
    data = private_copy(options.bundle)
    step(0, "tools", "; ".join(engine.names))
    members = read_container(data)
    step(1, "container", f"{len(members)} members, {len(data)} bytes, none of them free")
    manifest, key = check_manifest(members, engine)
    told = "no trust file: the bundle vouches for itself, which proves nothing"
    if trust.keys:
        refuse(key.vkey not in trust.keys, f"trust: the trust file does not name {shown(key.vkey)}")
        told = f"the trust file names this origin and key: {shown(key.name)}"
    step(4, "trust", told)
    signed = Checkpoint(bytes(members["checkpoint"]), key, trust.witnesses, engine)
    step(5, "checkpoint", signed.told)
    leaves = Leaves(members["ledger/leaves.jsonl"], signed, key, manifest["session"])
    due = leaves.has_epochs or 0 < trust.epochs <= signed.size
    told = check_epoch(signed, key, leaves.found, engine) if due else "; no epochs yet"
    indices = [leaves.found[kind][0] for kind in ("boot", "open", leaves.last)]
    step(6, "ledger", f"boot, open and {leaves.last} leaf are under it: {indices}{told}")
    story = check_records(members["session.jsonl"], manifest, leaves, engine)
    step(7, "records", f"{manifest['records']} in one chain, as the {leaves.last} leaf says")
    since = check_consistency(members["ledger/consistency.json"], story.genesis, signed)
    step(8, "time", f"opened at checkpoint {story.genesis['cp_size']}, which this ledger extends")
    ends = [statement.ended or "unfinished" for statement in story.statements.values()]
    told = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))) or "none"
    step(9, "statements", f"{len(ends)} ({told}); {story.rows} rows released")
    other = members["grant.json"] != canonical(story.opened["grant"]) + b"\n"
    refuse(other, "grant.json: not the grant of the open record")
    policy = engine.blake3(members["policy.toml"]).hex()
    same("policy.toml, BLAKE3", policy, story.opened["policy_hash"])
    which = "is" if members["verify.py"] == Path(__file__).read_bytes() else "is not"
    told = f"grant.json and policy.toml are the recorded ones; verify.py {which} this script"
    step(10, "documents", f"{told}; report.html retells the records, --list shows them")
    missing = [f"incomplete: {UNFINISHED[leaves.last]}"] if leaves.last in UNFINISHED else []
    if options.receipts is not None:
        missing += check_receipts(Path(options.receipts), manifest["session"], key, story, engine)
    if options.trust is None:
        missing.append("not anchored: give --trust a file that you did not get with the bundle")
    elif len(signed.seen) < trust.quorum:
        told = f"{len(signed.seen)} of the {trust.quorum} witnesses it needs have cosigned"
        missing.append(f"not anchored: {told} the checkpoint")
    elif options.remember is not None:
        told = remember(Path(options.remember), key.name, signed, story.genesis, since)
        missing += [f"not anchored: {told}"] if told else []
    if options.list:
        listing(members["session.jsonl"])
    return missing


class Trust:
    """The auditor's own file; without one nothing is asked for, and nothing anchored."""

    def __init__(self, path: str | None) -> None:
        self.keys, self.witnesses = list[str](), list[Key]()
        self.quorum = self.epochs = 0
        if path is None:
            return
        try:
            # Exactly: a misspelled demand is one that nobody checks.
            stated = fits(parse_file(Path(path), TRUST_LIMIT, "it"), "trust", "it", exactly=True)
            same("type and v", (stated["type"], stated["v"]), ("trust", 1))
            self.quorum, self.epochs = stated.get("quorum", 0), stated.get("epochs", 0)
            self.keys = [Key(key, "keys").vkey for key in stated["keys"]]
            same("names of the keys", {key.split("+")[0] for key in self.keys}, {stated["origin"]})
            self.witnesses = [Key(one, "witnesses", WITNESS) for one in stated.get("witnesses", [])]
            different = len({witness.public for witness in self.witnesses})
            same("witnesses with keys of their own", different, len(self.witnesses))
            asked = "witnesses" in stated or "quorum" in stated
            refuse(asked and not 1 <= self.quorum <= different, "no quorum of these witnesses")
        except (OSError, ValueError, TamperedError) as reason:
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
    with Path(path).open("rb") as file, tempfile.TemporaryFile() as copy:
        while block := file.read(BLOCK):
            copy.write(block)
            refuse(copy.tell() > FILE_LIMIT, f"container: more than {FILE_LIMIT} bytes")
        copy.flush()
        refuse(copy.tell() == 0, "container: the file is empty")
        return memoryview(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))


def judge(argv: Sequence[str] | None) -> tuple[int, str]:
    parser = argparse.ArgumentParser(prog="verify.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle, a ZIP file")
    parser.add_argument("--trust", metavar="FILE", help="JSON that names the log's origin and keys")
    parser.add_argument("--remember", metavar="FILE", help="checkpoints seen, kept and compared")
    parser.add_argument("--receipts", metavar="FILE|DIR", help="what clients kept of statements")
    parser.add_argument("--list", action="store_true", help="show the records once verified")
    parser.add_argument("--pure", action="store_true", help="use no wheel, only this script")
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    parser.add_argument("--self", action="version", version=own, help="print this script's SHA-256")
    options = parser.parse_args(argv)
    try:
        missing = procedure(options, Engine(options.pure))
    except TamperedError as reason:
        return TAMPERED, f"verdict 1: tampered: {reason}"
    verdict = INCOMPLETE if missing else VERIFIED
    return verdict, f"verdict {verdict}: {'; '.join(missing) or 'verified and anchored'}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the procedure; the result is the exit code, and there is no traceback."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    try:
        if sys.stdout is None:
            raise UsageError("standard output is closed: nobody would hear the verdict")
        verdict, sentence = judge(argv)
        print(sentence, flush=True)
        return verdict
    except SystemExit as asked:
        return USAGE if asked.code else VERIFIED
    except BaseException as reason:
        # Called wrongly, stopped, or heard by nobody: that says nothing about the bundle. Whatever
        # else makes a verifier fall over was in the bundle, and it has not verified.
        usage = isinstance(reason, UsageError | OSError | KeyboardInterrupt)
        said = f"verdict 1: tampered: not verifiable ({type(reason).__name__}: {shown(reason)})"
        if usage:
            told = shown(str(reason), 600) or "stopped before the verdict"
            said = f"verify.py: {told}\nusage: verify.py BUNDLE --trust FILE"
        with contextlib.suppress(Exception):
            print(said, file=sys.stderr)
        try:  # what cannot be written must not change the exit code when the interpreter ends
            getattr(sys.stdout, "flush", str)()
        except OSError:
            sys.stdout = None
        return USAGE if usage else TAMPERED


if __name__ == "__main__":
    sys.exit(main())
