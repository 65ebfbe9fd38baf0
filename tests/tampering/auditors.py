"""What an auditor brings to a forged bundle: trust file, memory, receipts, and who cosigned it.

At most one of them is wrong, so that the steps behind are reached; in every way that is known.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
import uuid
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Object = dict[str, Any]


@dataclass
class Brought:
    """Files beside the bundle; None where the auditor has none."""

    trust: bytes | None = None
    remembered: bytes | None = None
    receipts: dict[str, bytes] | None = None


class Witness:
    """A key of a witness, spelled and used as the page says."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.name, self.private = name, private
        encoded = b"\x04" + private.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + encoded).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(encoded).decode()}"

    def line(self, body: bytes, time: int, *, stated: int | None = None) -> bytes:
        """The signature line over `body` at `time`, or with another time stated."""
        signature = self.private.sign(b"cosignature/v1\ntime %d\n%b" % (time, body))
        behind = (time if stated is None else stated).to_bytes(8, "big") + signature
        return self.spelled(behind)

    def spelled(self, behind: bytes) -> bytes:
        return f"— {self.name} {base64.b64encode(self.id + behind).decode()}\n".encode()


WITNESSES = [
    Witness(f"witness.example.org/w{n}", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32))
    for n in (1, 2, 3)
]
STRANGER = Witness(WITNESSES[0].name, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
#: The same key under a second name: no second witness.
ALIAS = Witness("witness.example.org/alias", WITNESSES[0].private)
LATEST = 2**63 - 1
#: Which of them is wrong; often none.
FAULTS = ("cosignatures", "since", "trust", "remembered", "receipts", "", "", "")


def cosignatures(choice: random.Random, body: bytes, own: bytes, wrong: bool) -> list[bytes]:
    """Lines behind the log's `own`, in any order."""
    lines = {
        witness: witness.line(body, choice.choice((0, 1_795_000_000, LATEST)))
        for witness in (*WITNESSES, STRANGER)
        if choice.random() < 0.7
    }
    if wrong:
        witness = choice.choice((*WITNESSES, STRANGER))
        genuine = witness.line(body, 7)
        behind = base64.b64decode(genuine.split(b" ")[2])[4:]
        odd = choice.choice((
            genuine + genuine,
            own[len(body) + 1 :],
            witness.line(body, LATEST + 1),
            witness.line(body, 2**64 - 1),
            witness.line(body, 7, stated=8),
            witness.line(body + b"more\n", 7),
            witness.spelled(behind[:-1]),
            witness.spelled(behind + b"\0"),
            witness.spelled(behind[:8]),
            witness.spelled(behind[:7]),
            witness.spelled(b"\0"),
            witness.spelled(b""),
            witness.spelled(behind[:8] + witness.private.sign(body)),
            b"\n" + genuine,
            genuine.replace(b"\n", b"\r\n"),
            genuine.replace(b" w", b"  w"),
            genuine.replace(b"\n", b" x\n"),
            genuine.replace(b"=", b""),
            genuine.replace(b"witness.", b"witness+"),
            genuine.replace(b"witness.", "wítness.".encode()),
            b"AAAAAAAA\n",
        ))  # fmt: skip
        lines[witness] = odd
    shuffled = list(lines.values())
    choice.shuffle(shuffled)
    return shuffled


def trust(choice: random.Random, plain: Object, wrong: bool) -> Object:
    """The log's trust file, mostly with witnesses of whom some are enough."""
    if choice.random() < 0.3:
        plain = plain | {"epochs": choice.choice((0, 1, 1, 5, 12, 1000))}
    if choice.random() < 0.4 and not wrong:
        return plain
    named = choice.sample(WITNESSES, choice.randrange(1, 4))
    stated = plain | {"witnesses": [one.vkey for one in named]}
    stated["quorum"] = choice.randrange(1, len(named) + 1)
    if wrong:
        stated |= choice.choice((
            {"quorum": 0}, {"quorum": len(named) + 1}, {"quorum": True}, {"quorum": None},
            {"witnesses": []}, {"witnesses": [], "quorum": 0}, {"witnesses": None},
            {"witnesses": [STRANGER.vkey, ALIAS.vkey], "quorum": 1},
            {"witnesses": [WITNESSES[0].vkey, ALIAS.vkey], "quorum": 1},
            {"witnesses": [named[0].vkey] * 2, "quorum": 1},
            {"witnesses": plain["keys"], "quorum": 1}, {"keys": [named[0].vkey]},
            {"quorom": 1}, {"epochs": -1}, {"epochs": True}, {"epochs": None}, {"epoch": 1},
            {"note": "by post"}, {"keys": plain["keys"] * 2}, {"keys": []},
        ))  # fmt: skip
        if choice.random() < 0.2:
            stated.pop(choice.choice(("witnesses", "quorum", "type", "origin")))
    return stated


def trust_file(choice: random.Random, stated: Object) -> bytes:
    """Laid out in some way, and now and then as long as it may be, or longer by one."""
    raw = json.dumps(stated, indent=choice.choice((None, 1, "\t"))).encode()
    if choice.random() < 0.05:
        raw = raw.ljust((1 << 16) + choice.choice((-1, 0, 1, 2, 1000)))
    return raw


def remembered(
    choice: random.Random, origin: str, roots: list[bytes], likely: list[int], wrong: bool
) -> bytes | None:
    """Lines of checkpoints; `roots` are those of the ledger, `likely` the sizes to have seen."""
    if choice.random() < 0.3 and not wrong:
        return None
    lines, malformed = [], wrong and choice.random() < 0.5
    for _ in range(choice.choice((0, 1, 1, 1, 2, 3))):
        size = choice.choice((*likely, *likely, choice.randrange(len(roots) + 3)))
        root = roots[size] if size < len(roots) else choice.randbytes(32)
        if wrong and not malformed:
            root = choice.randbytes(32)
        name = origin if choice.random() < 0.9 else "log.example.org/other"
        if size or malformed:
            lines.append(f"{name} {size} {root.hex()}\n")
    if malformed:
        good = f"{origin} 7 {'0a' * 32}\n"
        lines.append(choice.choice((
            good[:-1], good.replace("\n", "\r\n"), good.replace(" 7", " 07"), "\n", "word\n",
            good.replace("0a", "0A"), good.replace(" 7", "  7"), good.replace(" 7", " +7"),
            good.replace(" 7", " ٧"), good.replace(" 7", " 1_0"), good.replace("log", "l+g"),
            good.replace(" 7 ", " 12345678901234567 "), good.replace("\n", "\u2028"), "\ufeff",
            good.replace("\n", " x\n"), good.replace("\n", "\x0b"), good.replace("0a", "0a0a", 1),
        )))  # fmt: skip
    return "".join(lines).encode()


def receipts(
    choice: random.Random,
    session: str,
    key: Any,
    records: list[Object],
    heads: list[bytes],
    wrong: bool,
) -> list[Object] | None:
    """What clients of this session and of others may come with; `key` signs."""
    if choice.random() < 0.4 and not wrong:
        return None
    made = []
    for record, head in zip(records, heads, strict=False):
        body = record.get("body")
        released = record.get("type") == "release" and isinstance(body, dict)
        if released and choice.random() < 0.8:
            names = ("rows", "truncated", "cells_masked", "digest", "notes")
            stated = {name: copy.deepcopy(body.get(name)) for name in names}
            stated |= {"statement": body.get("statement_no"), "record_hash": head.hex()}
            made.append(stated | {"session": session, "key": key.vkey})
    if not made or choice.random() < 0.2:
        # Of another session; or of a statement that ended otherwise, or not yet, or is not there.
        made.append(
            {
                "session": session if wrong else str(uuid.UUID(int=8)),
                "statement": choice.randrange(5),
                "record_hash": "00" * 32,
                "rows": 1,
                "truncated": False,
                "cells_masked": {},
                "digest": "00" * 32,
                "notes": [],
                "key": key.vkey,
            }
        )
    at = choice.randrange(len(made))
    kind = choice.randrange(4) if wrong else -1
    if kind in (0, 1):
        made[at] |= choice.choice((
            {"session": str(uuid.UUID(int=7))}, {"session": session.upper()}, {"session": 7},
            {"statement": 99}, {"statement": 0}, {"statement": True}, {"statement": -1},
            {"record_hash": "00" * 32}, {"rows": 77}, {"rows": True}, {"truncated": True},
            {"truncated": 0}, {"cells_masked": {}}, {"digest": "é\u2028\x7f"}, {"notes": ["x"]},
            {"more": 1}, {"key": "x"}, {"\U0001f600": 1, "\ufb33": 2},
        ))  # fmt: skip
    for receipt in made:
        receipt["signature"] = signed(key, receipt)
    if kind == 2:
        changes = ({"rows": 78}, {"signature": ""}, {"signature": 1}, {"key": 1}, {"more": 2})
        made[at] |= choice.choice(changes)
    if kind == 3 and choice.random() < 0.3:
        made[at].pop(choice.choice(sorted(made[at])))
    return made


def signed(key: Any, receipt: Object) -> str:
    # The one spelling sorts by UTF-16 units, which differs from Python's order for some names.
    names = sorted(receipt, key=lambda name: name.encode("utf-16-be"))
    ordered = {name: receipt[name] for name in names}
    masked = ordered.get("cells_masked")
    if isinstance(masked, dict):
        ordered["cells_masked"] = dict(sorted(masked.items()))
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    message = b"maskgate receipt v1\n" + text.encode("utf-8", "surrogatepass")
    return base64.b64encode(key.private.sign(message)).decode()


def receipt_files(choice: random.Random, made: list[Object], wrong: bool) -> dict[str, bytes]:
    """The directory: the receipts, and what is none and is not called so."""
    files = {
        f"{number}.json": json.dumps(one, indent=choice.choice((None, 2))).encode()
        for number, one in enumerate(made)
    }
    if choice.random() < 0.3:
        files["read me.txt"] = b"not a receipt"
    if wrong and choice.random() < 0.1:
        files[choice.choice((".json", "z.json"))] = choice.choice((b"", b"[]", b"{}", b"\xff"))
    return files
