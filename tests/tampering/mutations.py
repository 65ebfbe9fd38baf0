"""Changes to bundles, from a seed: of bytes, of JSON as text, of JSON as values, and with a plan.

Each has an auditor, whose trust file, memory and receipts come from the seed too.
"""

from __future__ import annotations

import copy
import random
import re
from typing import Any

from auditors import Brought
from forged_epochs import EpochKey
from forger import ORIGIN, STAGES, Forger, Signer, Touch

#: Deep enough for any reader to refuse.
_DEEP = b"[" * 3000 + b"]" * 3000
_ATOMS: list[Any] = [
    None, True, False, 0, 1, 2, -1, 2**53 - 1, 2**53, -(2**53), 10**16, 10**17, "", "x", "1",
    "open", "deny", "00" * 32, "AB" * 32, "2026-11-22T12:00:00Z", "9999-12-31T23:59:59.999999Z", [],
    {}, [[]], [1], {"name": "clear"}, {"name": 1}, {"name": "deny"}, "\u202e", "\U0001f600",
    "\x7f", "\ud800",
]  # fmt: skip
_KEYS = ("", "v", "name", "more", "\U0001f600", "\ufb33", "statement_no", "\x7f", "policy_hash")
_TIMES = (
    "2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2026-11-22T12:00:60.000000Z",
    "2026-11-22T12:00:00.0000000Z", "2026-11-22T12:00:00.1+00:00", "2026-11-22t12:00:00Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-11-22T12:00:00-00:00", "2026-11-22",
    "2026-11-22T12:00:00,5Z", "2026-11-22T12:00:00.000000\u0660", "2026-11-22T12:00:0\u0660Z",
)  # fmt: skip
#: Parts of JSON texts and others that mean the same, or nothing.
_TEXTS: list[tuple[bytes, bytes]] = [
    (b'":', b'": '), (b'":', b'" :'), (b",", b", "), (b"{", b"{ "), (b"}", b" }"), (b'":', b'":\t'),
    (b",", b",\n"), (b",", b",\r"), (b":0", b":-0"), (b":1", b":1.0"), (b":1", b":1e0"),
    (b":1", b":01"), (b":1", b":+1"), (b":1", b":1E0"), (b":0", b":0.0"), (b":null", b":NaN"),
    (b":null", b":Infinity"), (b":null", b":nul"), (b":null", b":None"), (b":true", b":True"),
    (b":0", b":9007199254740991"), (b":0", b":9007199254740992"), (b":0", b":-9007199254740991"),
    (b":0", b":-9007199254740992"), (b":0", b":18446744073709551616"),
    (b":0", b":00000000000000000"), (b"e", b"\\u0065"), (b"e", b"\\u006"), (b"e", b"\\u00FF"),
    (b"e", b"\\ud800"), (b"e", b"\\udc00"), (b"e", b"\\ud83d\\ude00"), (b"e", b"\\ud83d\\u0065"),
    (b"e", b"\\ude00\\ud83d"), (b"e", b"\\/"), (b"e", b"\\b\\f\\n\\r\\t\\\"\\\\"), (b"e", b"\\x65"),
    (b"e", b"\\"), (b"e", b"\x7f"), (b"e", b"\x00"), (b"e", b"\x1f"), (b"e", b"\xff"),
    (b"e", b"\xc0\x80"), (b"e", b"\xed\xa0\x80"), (b"e", b"\xf4\x90\x80\x80"), (b"e", b"\xc3\xa9"),
    (b"e", b"\xef\xbf\xbf"), (b"e", b"\xe2\x80\xa8"), (b"}", b"},"), (b"}", b",}"), (b"]", b",]"),
    (b"{", b"{,"), (b"[]", _DEEP), (b"[]", b"[" * 40 + b"]" * 40),
    (b"{}", b'{"a":' * 40 + b"1" + b"}" * 40),
    *((b"[]", b"[" * levels + b"]" * levels) for levels in range(59, 67)),
    *((b"{}", b'{"a":' * levels + b"{}" + b"}" * levels) for levels in range(59, 65)),
    (b"{", b'{"v":1,'), (b"{", b'{"\\u0076":1,'), (b"{", b'{"zzz":0,"zzz":0,'),
    (b"{", b'{"zz\\u007a":0,"zzz":0,'), (b"{", b'{"b":0,"a":0,'), (b"{", b'{1:0,'), (b'"', b"'"),
    (b"}", b"}}"), (b"]", b"]]"), (b"{", b"\xef\xbb\xbf{"), (b":[", b":[1 2,"), (b":[", b":[[],"),
]  # fmt: skip


def damaged(choice: random.Random, data: bytes) -> bytes:
    """Bytes changed, taken away, put in, moved."""
    out = bytearray(data)
    for _ in range(choice.choice((1, 1, 1, 2, 4))):
        if not out:
            break
        start = choice.randrange(len(out))
        end = min(len(out), start + choice.choice((1, 1, 2, 8, 40)))
        kind = choice.randrange(7)
        if kind == 0:
            out[start] ^= 1 << choice.randrange(8)
        elif kind == 1:
            out[start:end] = choice.randbytes(end - start)
        elif kind == 2:
            del out[start:end]
        elif kind == 3:
            out[start:start] = out[start:end]
        elif kind == 4:
            out[start] = choice.choice(b'\x00\n "{}[]0919az\\\xff')
        elif kind == 5:
            del out[choice.choice((start, len(out) - 1)) :]
        else:
            other = choice.randrange(len(out))
            out[start:end], out[other : other + end - start] = (
                out[other : other + end - start],
                out[start:end],
            )
    return bytes(out)


def respelled(choice: random.Random, text: bytes) -> bytes:
    """The JSON text with one part in another spelling, or in none."""
    for _ in range(20):
        old, new = choice.choice(_TEXTS)
        places = [found.start() for found in re.finditer(re.escape(old), text)]
        if places:
            at = choice.choice(places)
            return text[:at] + new + text[at + len(old) :]
    return damaged(choice, text)


def revalued(choice: random.Random, value: Any) -> Any:
    """The JSON value with one value in it, or one key, changed."""
    value = copy.deepcopy(value)
    holders: list[tuple[Any, Any]] = []

    def walk(holder: Any) -> None:
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, inner in list(pairs):
            holders.append((holder, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(value)
    if not holders:
        return choice.choice(_ATOMS)
    # Equal chances for every depth of the value would leave its top nearly untouched.
    holder, key = choice.choice(holders if choice.random() < 0.7 else holders[: len(value) * 2])
    old = holder[key]
    kind = choice.randrange(9)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[choice.choice(_KEYS)] = holder.pop(key)
    elif kind == 2 and isinstance(holder, dict):
        holder[choice.choice(_KEYS)] = choice.choice(_ATOMS)
    elif kind == 3 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(choice.choice(holder)))
    elif kind == 4 and isinstance(holder, list):
        choice.shuffle(holder)
    elif kind in (5, 6) and isinstance(old, int):
        holder[key] = choice.choice((old + 1, old - 1, -old, str(old), bool(old), old * 2**40))
    elif kind in (5, 6) and isinstance(old, str) and old:
        at = choice.randrange(len(old))
        c = choice.choice(
            ("", "0", "a", "A", " ", "\n", "é", "٣", old[at] * 2, "\u202e", "\U0001f600")
        )
        holder[key] = old[:at] + c + old[at + 1 :]
    elif kind == 7 and isinstance(old, str):
        holder[key] = choice.choice(_TIMES)
    else:
        holder[key] = copy.deepcopy(choice.choice(_ATOMS))
    return value


def rewritten(choice: random.Random, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The story changed: a record dropped, repeated, moved, of another type, or a value in it."""
    records = copy.deepcopy(records)
    at = choice.randrange(len(records))
    kind = choice.randrange(12)
    if kind == 0:
        del records[at]
    elif kind == 1:
        records.insert(choice.randrange(len(records) + 1), copy.deepcopy(records[at]))
    elif kind == 2:
        records.insert(choice.randrange(len(records) + 1), records.pop(at))
    elif kind == 3:
        kinds = ("open", "intent", "result", "release", "refused", "error", "cancel", "export",
                 "close", "event", "recovery", "")  # fmt: skip
        records[at]["type"] = choice.choice(kinds)
    elif kind == 4:
        for record in records[choice.randrange(len(records)) :]:
            body = record["body"]
            if "statement_no" in body:
                body["statement_no"] += choice.choice((1, 1, -1, 2**40))
    elif kind == 5:
        records[at]["ts"] = choice.choice((*_TIMES, "2026-11-22T12:00:00.000000Z"))
    elif kind < 10:
        nudge(choice, records)
    else:
        records[at] = revalued(choice, records[at])
        if not isinstance(records[at], dict):
            records[at] = {"body": records[at]}
    if choice.random() < 0.8:  # numbered and linked again
        for number, record in enumerate(records):
            record["i"] = number
        if records and "genesis" not in records[0]:
            moved = [record.pop("genesis") for record in records if "genesis" in record]
            records[0] |= {"genesis": moved[0]} if moved else {}
    return records


def as_long_as_may_be(choice: random.Random, raw: bytes, most: int) -> bytes:
    """A record or leaf with spaces, in all as long as one may be, or a little shorter or longer."""
    length = most + choice.choice((-1, 0, 1, 2, most >> 4, most >> 2))
    return raw[:1] + b" " * (length - len(raw)) + raw[1:]


def nudge(choice: random.Random, records: list[dict[str, Any]]) -> None:
    """A single member of a body nearly as it was: a number beside it, another record's digest."""
    places = [
        (record["body"], name)
        for record in records
        for name, value in record["body"].items()
        if name in ("digest", "truncated", "decision") or type(value) is int
    ]
    grant = records[0]["body"]["grant"]
    limits = ("max_rows", "not_before", "expires_at", "identity", "decided_by", "tables")
    places += [(grant, name) for name in limits]
    body, name = choice.choice(places)
    old = body[name]
    if name == "digest":
        body[name] = choice.choice([holder["digest"] for holder, key in places if key == "digest"])
    elif name == "decision":
        column = choice.choice(old)
        column["treatment"] = choice.choice(
            ("deny", "clear", {"name": "deny"}, {"label": "x"}, None)
        )
    elif name in ("not_before", "expires_at"):
        body[name] = f"2026-11-22T12:00:0{choice.randrange(10)}Z"
    elif name in ("identity", "decided_by"):
        body[name] = choice.choice((grant["identity"], grant["decided_by"]))
    elif name == "tables":
        body[name] = choice.choice(([], ["a", 1], [""], [None]))
    elif name == "max_rows":
        body[name] = choice.choice((None, *range(6)))
    elif type(old) is int:
        body[name] = max(0, old + choice.choice((-1, 1)))


def touch_of(choice: random.Random, stage: str) -> Touch:
    """A change that fits what the stage holds."""
    if stage == "records":
        return lambda value: rewritten(choice, value)
    if stage == "epoch key":
        other = EpochKey(ORIGIN, choice.randbytes(32), choice.randrange(1, 50))
        return lambda value: other if choice.random() < 0.5 else _of_another_number(value)
    if stage in ("leaves", "epochs", "entries"):
        return lambda value: _list_of_objects(choice, value)
    if stage == "raw" and choice.random() < 1 / 250:
        return lambda value: as_long_as_may_be(choice, value, 16 << 20)
    if stage == "leaf" and choice.random() < 0.5:
        return lambda value: as_long_as_may_be(choice, value, 0xFFFF)
    if stage in ("certificate", "consistency", "manifest", "trust", "receipt"):
        return lambda value: _object(choice, value)
    if stage in ("documents", "members"):
        return lambda value: _one_member(choice, value)
    if stage in ("note", "note body", "remembered", "session", "bundle"):
        return lambda value: _note(choice, value) if "note" in stage else damaged(choice, value)
    return lambda value: (respelled if choice.random() < 0.7 else damaged)(choice, value)


def _of_another_number(epoch: EpochKey) -> EpochKey:
    """The same key, which says that it is the epoch before's."""
    seed = epoch.private.private_bytes_raw()
    return EpochKey(ORIGIN, seed, epoch.number - 1)


def _object(choice: random.Random, value: Any) -> Any:
    made = revalued(choice, value)
    return made if isinstance(made, dict) else value


def _list_of_objects(choice: random.Random, value: Any) -> Any:
    """Leaves stay objects; which and how many they are may change."""
    value = copy.deepcopy(value)
    kind = choice.randrange(6)
    if kind == 0:
        del value[choice.randrange(len(value))]
    elif kind == 1:
        value.insert(choice.randrange(4), copy.deepcopy(choice.choice(value)))
    elif kind == 2:
        choice.shuffle(value)
    else:
        at = choice.randrange(len(value))
        value[at] = _object(choice, value[at])
    return [one for one in value if isinstance(one, dict)]


def _one_member(choice: random.Random, members: dict[str, bytes]) -> dict[str, bytes]:
    name = choice.choice(sorted(members))
    change = respelled if choice.random() < 0.5 else damaged
    return {**members, name: change(choice, members[name])}


def _note(choice: random.Random, note: bytes) -> bytes:
    changes = (
        (b"\n", b"\r\n"), (b"\n", b"\n\n"), (b"\n", b""), (b"\n", b"\n0"), (b"\n", b"\n+"),
        (b"\n", b" \n"), (b"=", b""), (b"=", b"=="), (b"+", b"-"), (b"/", b"_"),
        ("—".encode(), b"-"),
        ("—".encode(), "–".encode()), (b" ", b"  "), (b"log", b"Log"), (b"1", "١".encode()),
        (b"\n", b"\nmore\n"),
    )  # fmt: skip
    old, new = choice.choice(changes)
    places = [found.start() for found in re.finditer(re.escape(old), note)]
    if not places or choice.random() < 0.3:
        return damaged(choice, note)
    at = choice.choice(places)
    return note[:at] + new + note[at + len(old) :]


def bundle(seed: int, signer: Signer) -> tuple[bytes, Brought, str]:
    """The bundle of this seed, what its auditor has, and what was done to them."""
    choice = random.Random(seed)
    weights = [8 if stage in ("records", "raw") else 2 for stage in STAGES]
    audited = choice.random() < 0.6
    touched = (0, 0, 0, 0, 1, 1, 1, 2) if audited else (0, 1, 1, 1, 1, 1, 1, 2)
    stages = choice.choices(STAGES, weights, k=choice.choice(touched))
    touches = {stage: touch_of(choice, stage) for stage in stages}
    # Ledgers from before there were epochs, too.
    epochs = choice.random() < 0.8
    forger = Forger(choice, signer, touches, audited=audited, epochs=epochs)
    return forger.bundle(), forger.brought, " and ".join(stages) or "nothing"
