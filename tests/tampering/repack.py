"""What an attacker can rebuild: the container, the manifest, and with a key the signature."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from gateway.evidence import canonical, container
from gateway.sessionlog import chain, epochs, merkle
from gateway.sessionlog.note import LogKey


def members(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts: Mapping[str, bytes]) -> bytes:
    """The canonical container, so that only the content is wrong."""
    return container.pack(parts)


def restate(
    parts: Mapping[str, bytes], sign: Callable[[bytes], bytes], **changes: Any
) -> dict[str, bytes]:
    """The members under a manifest that fits them again, signed by whoever `sign` is."""
    manifest = json.loads(parts["manifest.json"]) | changes
    manifest.pop("signature")
    manifest["members"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in parts.items()
        if name != "manifest.json"
    }
    signature = sign(canonical.encode(manifest))
    manifest["signature"] = base64.b64encode(signature).decode()
    return {**parts, "manifest.json": canonical.encode(manifest)}


def lines(parts: dict[str, bytes]) -> list[bytes]:
    return parts["session.jsonl"].splitlines(keepends=True)


def rehash(records: list[dict[str, Any]], origin: str) -> tuple[bytes, str]:
    """The whole chain made again, as whoever can write the file would."""
    genesis = records[0]["genesis"]
    head = chain.genesis(
        origin, uuid.UUID(records[0]["sid"]), bytes.fromhex(genesis["boot"]),
        genesis["session_no"], genesis["cp_size"], bytes.fromhex(genesis["cp_root"]),
    )  # fmt: skip
    out = b""
    for index, record in enumerate(records):
        record |= {"i": index, "prev": head.hex()}
        raw = canonical.encode(record)
        head = chain.link(head, index, raw)
        out += raw + b"\n"
    return out, head.hex()


def forge(bundle: bytes, change: Callable[[list[dict[str, Any]]], None], key: LogKey) -> bytes:
    """Change records, then everything after them: chain, leaves, tree, checkpoint, manifest."""
    parts = members(bundle)
    records = [json.loads(line) for line in lines(parts)]
    change(records)
    data, head = rehash(records, key.origin)
    entries = [json.loads(line) for line in parts["ledger/leaves.jsonl"].splitlines()]
    told = [json.loads(entry["leaf"]) for entry in entries]
    boot, opening, closing = (leaf for leaf in told if leaf["type"] not in ("epoch", "checkpoint"))
    boot["key"] = key.vkey
    first = data.split(b"\n")[0]
    opening["head"] = chain.link(bytes.fromhex(records[0]["prev"]), 0, first).hex()
    closing |= {
        "head": head,
        "n": len(records),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    # A small tree of his own: the genesis's checkpoint is kept as its first leaf's tree. And an
    # epoch of his own, which he can certify.
    leaves = [canonical.encode(leaf) for leaf in (boot, opening, closing)]
    epoch = epochs.Epochs(key, bytes(16), None)
    leaves += epoch.leaves(3)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]

    def node(level: int, number: int) -> bytes:
        if level == 0:
            return hashes[number]
        return merkle.node_hash(node(level - 1, 2 * number), node(level - 1, 2 * number + 1))

    tree = merkle.Frontier()
    for value in hashes:
        tree.append(value)
    parts["ledger/leaves.jsonl"] = b"".join(
        canonical.encode(
            {
                "index": index,
                "leaf": leaf.decode(),
                "proof": [part.hex() for part in merkle.inclusion_proof(node, index, 5)],
            }
        )
        + b"\n"
        for index, leaf in enumerate(leaves)
    )
    parts["session.jsonl"] = data
    parts["checkpoint"] = epoch.sign(5, tree.root()).note
    size = records[0]["genesis"]["cp_size"]
    stated = {"from": size, "proof": [], "to": 5}
    parts["ledger/consistency.json"] = canonical.encode(stated)
    restated = restate(parts, key.sign_manifest, records=len(records), key=key.vkey)
    return pack(restated)
