"""From a session's files to the signed bundle an auditor receives."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from blake3 import blake3

from gateway.errors import InvalidRequest
from gateway.evidence import canonical, container
from gateway.evidence.report import Review, render
from gateway.evidence.story import Story
from gateway.model import SessionFiles

README = """\
Evidence of one database session recorded by maskgate.

  session.jsonl   the records, one JSON object a line, chained with BLAKE3
  ledger/         the leaves of the ledger that name this session and who signed, and their proofs
  checkpoint      the ledger's signed state (C2SP signed note, Ed25519)
  grant.json      the grant in force, as recorded when the session was opened
  policy.toml     the masking policy, as named by its hash in the records
  report.html     the session for people; opens without a network
  verify.py       a copy of the auditor's script
  manifest.json   the SHA-256 of each member, signed

To verify, use the copy of verify.py you already have, not the one in this file, and a trust file
you did not receive together with this file:

  python3 -I verify.py BUNDLE --trust trust.json

Exit code 0: verified and anchored. 1: tampered. 2: incomplete or not anchored. 3: usage.
"""


def build(
    files: SessionFiles,
    *,
    policy: bytes,
    verifier: bytes,
    sign: Callable[[bytes], bytes],
    created: datetime,
    reviews: Sequence[Review] = (),
) -> bytes:
    """The bundle of one agent's session.

    `policy` must hash (BLAKE3) to the `policy_hash` of the open record; `verifier` is the bytes of
    auditor/verify.py; `sign` gives the log's signature over the manifest
    (SessionLog.sign_manifest); `reviews` are told in the report.
    Raises InvalidRequest when the parts do not belong together and LimitExceeded when they are more
    than a bundle holds.
    """
    story = Story.read(files.records)
    recorded = story.opened.get("policy_hash")
    if recorded != blake3(policy).hexdigest():
        raise InvalidRequest("this policy is not the one that the session was opened under")
    members = {
        "session.jsonl": files.records,
        "ledger/leaves.jsonl": _leaves(files),
        "ledger/consistency.json": _consistency(files, story.genesis["cp_size"]),
        "checkpoint": files.checkpoint,
        "grant.json": canonical.encode(story.opened["grant"]) + b"\n",
        "policy.toml": policy,
        "report.html": render(story, files, created, reviews),
        "verify.py": verifier,
        "README.txt": README.encode(),
    }
    manifest: dict[str, Any] = {
        "created": canonical.moment(created),
        "key": files.key,
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        },
        "origin": files.origin,
        "records": story.count,
        "session": files.session_id,
        "type": "evidence",
        "v": 1,
    }
    signature = sign(canonical.encode(manifest))
    manifest["signature"] = base64.b64encode(signature).decode()
    return container.pack({"manifest.json": canonical.encode(manifest), **members})


def _consistency(files: SessionFiles, opened_at: int) -> bytes:
    """From the checkpoint the session was opened at, and from the one an auditor remembers."""
    stated: dict[str, Any] = {
        "from": opened_at,
        "proof": [part.hex() for part in files.consistency],
        "to": int(files.checkpoint.split(b"\n")[1]),
    }
    if files.since is not None:
        size, proof = files.since
        stated["since"] = {"from": size, "proof": [part.hex() for part in proof]}
    return canonical.encode(stated)


def _leaves(files: SessionFiles) -> bytes:
    """One line a leaf, as they stand in the ledger: its index, its bytes as a string, its path."""
    lines = [
        canonical.encode(
            {
                "index": leaf.index,
                "leaf": leaf.data.decode(),
                "proof": [part.hex() for part in leaf.proof],
            }
        )
        for leaf in sorted((*files.leaves, *files.epoch), key=lambda leaf: leaf.index)
    ]
    return b"".join(line + b"\n" for line in lines)
