"""Bundles made from nothing but the page, by someone who holds the key, with a hand in every stage.

Everything is computed again behind the stage that was touched: a change of one record reaches the
verifiers inside a chain, a ledger, a checkpoint and a manifest that fit it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import struct
import uuid
from collections.abc import Callable
from typing import Any

import auditors
from auditors import Brought
from blake3 import blake3
from bundles import ORIGIN, POLICY, intent, opened, release, result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from forged_epochs import EpochKey, certificate

from gateway.evidence import container

#: The stages, in the order in which they are worked.
STAGES = (
    "records", "raw", "session", "leaves", "certificate", "epochs", "leaf", "entries", "entry",
    "note body", "epoch key", "note",
    "consistency", "consistency.json", "documents", "manifest", "manifest.json", "members",
    "bundle", "trust", "trust.json", "remembered", "receipt", "receipt.json",
)  # fmt: skip

Touch = Callable[[Any], Any]
Record = dict[str, Any]


def spelled(value: Any) -> bytes:
    """Canonical for what occurs here: the names are ASCII."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(
        "utf-8", "surrogatepass"
    )


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it stands there."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256()
    at = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1", root_of(hashes[:at]), root_of(hashes[at:]))


def path_of(index: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) < 2:
        return []
    at = 1 << (len(hashes) - 1).bit_length() - 1
    if index < at:
        return [*path_of(index, hashes[:at]), root_of(hashes[at:])]
    return [*path_of(index - at, hashes[at:]), root_of(hashes[:at])]


def extension_of(old: int, hashes: list[bytes], whole: bool = True) -> list[bytes]:
    if old in (0, len(hashes)):
        return [] if whole or not old else [root_of(hashes)]
    at = 1 << (len(hashes) - 1).bit_length() - 1
    if old <= at:
        return [*extension_of(old, hashes[:at], whole), root_of(hashes[at:])]
    return [*extension_of(old - at, hashes[at:], False), root_of(hashes[:at])]


class Signer:
    """An origin's key, spelled and used as the page says."""

    def __init__(self, private: Ed25519PrivateKey | None = None, origin: str = ORIGIN) -> None:
        self.private = private or Ed25519PrivateKey.generate()
        self.origin = origin
        encoded = b"\x01" + self.private.public_key().public_bytes_raw()
        self.id = sha256(origin.encode(), b"\n", encoded)[:4]
        self.vkey = f"{origin}+{self.id.hex()}+{base64.b64encode(encoded).decode()}"

    def trust(self) -> dict[str, Any]:
        return {"type": "trust", "v": 1, "origin": self.origin, "keys": [self.vkey]}

    def note(self, body: bytes) -> bytes:
        signed = base64.b64encode(self.id + self.private.sign(body)).decode()
        return body + f"\n— {self.origin} {signed}\n".encode()


def story(choice: random.Random, closed: bool) -> list[tuple[str, Record]]:
    """A few statements side by side, each ended in some way."""
    told: list[tuple[str, Record]] = []
    ways: list[list[tuple[str, Record]]] = []
    total = choice.randrange(4)
    for number in range(1, total + 1):
        failed = {"statement_no": number, "code": "upstream_failed", "detail": "lost"}
        way = choice.randrange(4)
        if way == 0:
            ways.append([("refused", {**failed, "statement": "SELECT 1"})])
            continue
        records = [("intent", intent(number))]
        chunks = [b"x" * rows for rows in range(1, 1 + choice.randrange(3))]
        rows = 0
        for chunk, data in enumerate(chunks):
            rows += len(data)
            records.append(("result", result(number, chunk, len(data), rows, data)))
        if way == 1:
            records.append(("release", release(number, rows, *chunks)))
        elif way == 2:
            records.append(("error", {**failed, "rows": rows}))
        else:
            records.append(("cancel", {"statement_no": number, "reason": "gone", "rows": rows}))
        ways.append(records)
    while ways:
        way_on = choice.choice(ways)
        told.append(way_on.pop(0))
        ways = [one for one in ways if one]
    if closed:
        told.append(("close", {"reason": "done", "statements": total}))
    elif choice.random() < 0.5:
        told.append(("export", {}))
    return told


class Forger:
    """One bundle; `touches` gives a change for some of the stages, of one record or of `every`.

    An `audited` one may be cosigned and lead on from what is remembered, and `brought` is then what
    its auditor has: good or bad, with the rest.
    """

    def __init__(
        self,
        choice: random.Random,
        signer: Signer,
        touches: dict[str, Touch],
        every: bool = False,
        audited: bool = False,
        epochs: bool = True,
    ) -> None:
        unknown = set(touches) - set(STAGES)
        if unknown:
            raise ValueError(f"no stage is called {unknown}")
        self.choice = choice
        self.signer = signer
        self.touches = touches
        self.every = every
        self.audited = audited
        self.epochs = epochs
        self.brought = Brought()

    def touched(self, stage: str, value: Any) -> Any:
        touch = self.touches.get(stage)
        return value if touch is None else touch(value)

    def one_of(self, stage: str, values: list[Any]) -> list[Any]:
        """The touch of a stage on one of its values."""
        if stage in self.touches and values:
            at = self.choice.randrange(len(values))
            values = [*values[:at], self.touches[stage](values[at]), *values[at + 1 :]]
        return values

    def bundle(self) -> bytes:
        choice = self.choice
        end = choice.choice(("close", "close", "close", "commit", "recovery"))
        boot, sid = choice.randbytes(16), str(uuid.UUID(bytes=choice.randbytes(16)))
        number = choice.randrange(1, 9)
        # The ledger up to the open leaf; the checkpoint at open covers some of it.
        before = [choice.randbytes(32) for _ in range(choice.randrange(1, 7))]
        epoch = EpochKey(ORIGIN, choice.randbytes(32), choice.randrange(1, 50))
        counted = {"epoch": choice.randrange(1, epoch.number + 1)} if self.epochs else {}
        named = {"key": self.signer.vkey, "origin": ORIGIN, "version": "0", **counted}
        boot_leaf = self.leaf("boot", boot, **named)
        before[choice.randrange(len(before))] = boot_leaf
        hashed = [sha256(b"\0", spelled(leaf)) if leaf is boot_leaf else leaf for leaf in before]
        size = choice.randrange(len(before) + 1)
        genesis = {
            "boot": boot.hex(), "cp_root": root_of(hashed[:size]).hex(), "cp_size": size,
            "origin": ORIGIN, "session_no": number,
        }  # fmt: skip
        session, heads, grant = self.session(sid, genesis, end)

        about = {"sid": sid, "session_no": number}
        state = {
            "n": len(heads), "head": heads[-1].hex() if heads else "", "bytes": len(session),
            "sha256": sha256(session).hex(),
        }  # fmt: skip
        first = heads[0].hex() if heads else ""
        later = choice.randbytes(16) if end == "recovery" else boot
        leaves = self.touched("leaves", [
            boot_leaf,
            self.leaf("open", boot, **about, n=1, head=first),
            self.leaf(end, later, **about, **state),
        ])  # fmt: skip
        tree: list[bytes] = list(before)
        places = [before.index(boot_leaf), len(before)]
        tree += [b""] + [choice.randbytes(32) for _ in range(choice.randrange(3))] + [b""]
        places += [len(tree) - 1]
        tree += [choice.randbytes(32) for _ in range(choice.randrange(3))]
        placed = list(zip(places, leaves, strict=False))
        if self.epochs:
            placed += self.epoch_leaves(epoch, boot.hex(), tree, places)
        places = [place for place, _ in sorted(placed, key=lambda one: one[0])]
        leaves = [leaf for _, leaf in sorted(placed, key=lambda one: one[0])]
        data = self.one_of("leaf", [spelled(leaf) for leaf in leaves])
        for place, leaf in zip(places, data, strict=False):
            tree[place] = sha256(b"\0", leaf)
        # Leaves that were taken away leave their places to something.
        tree = [one if isinstance(one, bytes) and len(one) == 32 else bytes(32) for one in tree]
        entries = self.touched("entries", [
            {"index": place, "leaf": leaf.decode("utf-8", "replace"),
             "proof": [one.hex() for one in path_of(place, tree)]}
            for place, leaf in zip(places, data, strict=False)
        ])  # fmt: skip
        lines = self.one_of("entry", [spelled(entry) for entry in entries])

        root = base64.b64encode(root_of(tree)).decode()
        body = self.touched("note body", f"{ORIGIN}\n{len(tree)}\n{root}\n".encode())
        note = self.signer.note(body)
        if self.epochs:
            note += self.touched("epoch key", epoch).line(body)
        stated = self.extension(size, tree) | {"to": len(tree)}
        if self.audited:
            wrong = choice.choice(auditors.FAULTS)
            note += b"".join(auditors.cosignatures(choice, body, note, wrong == "cosignatures"))
            self.bring(sid, size, tree, heads, stated, wrong)
        consistency = self.touched("consistency", stated)
        documents = self.touched("documents", {"grant.json": grant, "policy.toml": POLICY})
        members = {
            "session.jsonl": session,
            "ledger/leaves.jsonl": b"".join(line + b"\n" for line in lines),
            "ledger/consistency.json": self.touched("consistency.json", spelled(consistency)),
            "checkpoint": self.touched("note", note),
            **documents,
            "report.html": b"<p>", "verify.py": b"#", "README.txt": b"read me",
        }  # fmt: skip
        return self.signed(members, sid, len(heads))

    def epoch_leaves(
        self, epoch: EpochKey, boot: str, tree: list[bytes], taken: list[int]
    ) -> list[tuple[int, Record]]:
        """The certificate, behind the open leaf, and the last leaf, which the tree grows by."""
        free = [at for at in range(taken[1], len(tree)) if at not in taken]
        if not free or self.choice.random() < 0.3:
            tree.append(b"")
            free = [len(tree) - 1]
        place = self.choice.choice(free)
        tree.append(b"")
        stated = self.touched("certificate", epoch.stated(place, boot))
        signed = certificate(self.signer.private, ORIGIN, stated)
        both = self.touched("epochs", [signed, epoch.named(place, boot)])
        return list(zip((place, len(tree) - 1), both, strict=False))

    def extension(self, old: int, tree: list[bytes]) -> Record:
        return {"from": old, "proof": [one.hex() for one in extension_of(old, tree)]}

    def bring(
        self,
        sid: str,
        opened: int,
        tree: list[bytes],
        heads: list[bytes],
        stated: Record,
        wrong: str,
    ) -> None:
        """What the auditor has; `stated` may get the proof that he asked for."""
        choice = self.choice
        since = choice.randrange(len(tree) + 1)
        if choice.random() < 0.6 or wrong == "since":
            stated["since"] = self.extension(since, tree)
            if wrong == "since":
                stated["since"] |= choice.choice(
                    ({"from": len(tree) + 1}, {"from": -1}, {"proof": ["00" * 32]}, {"to": 1},
                     {"proof": [1]}, {"proof": ["00"]}, {"from": None})
                )  # fmt: skip
        known = self.touched("trust", auditors.trust(choice, self.signer.trust(), wrong == "trust"))
        roots = [root_of(tree[:number]) for number in range(len(tree) + 1)]
        likely = [opened, since, since, len(tree)]
        seen = auditors.remembered(choice, ORIGIN, roots, likely, wrong == "remembered")
        altered = wrong == "receipts"
        kept = auditors.receipts(choice, sid, self.signer, self.records, heads, altered)
        self.brought = Brought(
            self.touched("trust.json", auditors.trust_file(choice, known)),
            None if seen is None else self.touched("remembered", seen),
        )
        if kept is not None:
            files = auditors.receipt_files(choice, self.one_of("receipt", kept), altered)
            written = self.one_of("receipt.json", list(files.values()))
            self.brought.receipts = dict(zip(files, written, strict=True))

    def leaf(self, kind: str, boot: bytes, **more: Any) -> Record:
        return {
            "type": kind,
            "v": 1,
            "ts": "2026-11-22T12:00:00.000000Z",
            "boot": boot.hex(),
            **more,
        }

    def session(self, sid: str, genesis: Record, end: str) -> tuple[bytes, list[bytes], bytes]:
        """The member's bytes, the chain's heads, grant.json."""
        about = opened()
        about["grant"] |= {
            "not_before": "2026-11-22T11:00:00Z",
            "expires_at": "2026-11-22T12:00:59.5+00:00",
            "max_rows": self.choice.choice((None, None, 1000, 1000, 1000, 3)),
        }
        told = [("open", about), *story(self.choice, end == "close")]
        records = self.touched("records", [
            {"body": body, "sid": sid, "ts": f"2026-11-22T12:00:{at:02d}.000000Z", "type": kind,
             "v": 1, "i": at, **({} if at else {"genesis": genesis})}
            for at, (kind, body) in enumerate(told)
        ])  # fmt: skip
        self.records = records
        grant = told[0][1]["grant"]
        if records and isinstance(records[0].get("body"), dict):
            grant = records[0]["body"].get("grant", grant)
        material = struct.pack(">I", len(ORIGIN)) + ORIGIN.encode() + uuid.UUID(sid).bytes
        material += bytes.fromhex(genesis["boot"])
        material += struct.pack(">QQ", genesis["session_no"], genesis["cp_size"])
        context = "maskgate 2026-11 session genesis v1"
        head = blake3(
            material + bytes.fromhex(genesis["cp_root"]), derive_key_context=context
        ).digest()
        lines, heads = [], []
        touched = self.choice.randrange(len(records)) if records else -1
        for at, record in enumerate(records):
            raw = spelled({"prev": head.hex(), **record})
            if self.every or at == touched:
                raw = self.touched("raw", raw)
            joined = head + struct.pack(">QI", at, len(raw)) + raw
            head = blake3(joined, derive_key_context="maskgate 2026-11 record v1").digest()
            lines.append(raw + b"\n")
            heads.append(head)
        return self.touched("session", b"".join(lines)), heads, spelled(grant) + b"\n"

    def signed(self, members: dict[str, bytes], sid: str, records: int) -> bytes:
        manifest: Record = {
            "created": "2026-11-22T12:00:00.000000Z", "key": self.signer.vkey, "origin": ORIGIN,
            "records": records, "session": sid, "type": "evidence", "v": 1,
            "members": {
                name: {"bytes": len(data), "sha256": sha256(data).hex()}
                for name, data in members.items()
            },
        }  # fmt: skip
        manifest = self.touched("manifest", manifest)
        signature = self.signer.private.sign(b"maskgate evidence manifest v1\n" + spelled(manifest))
        manifest["signature"] = base64.b64encode(signature).decode()
        stated = self.touched("manifest.json", spelled(manifest))
        parts = self.touched("members", {"manifest.json": stated, **members})
        bundle: bytes = self.touched("bundle", container.pack(parts))
        return bundle
