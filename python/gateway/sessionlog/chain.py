"""The hash chain of one session: order, locality, and nothing more.

Stored bytes are what is hashed. The chain alone proves nothing against someone who can write the
file, who would re-hash it: the evidence comes from the ledger's leaves and signed checkpoints.
The two context strings are part of the format; docs/session-log.md has an example worked by hand.
"""

from __future__ import annotations

import struct
import uuid

from blake3 import blake3

GENESIS_CONTEXT = "maskgate 2026-11 session genesis v1"
RECORD_CONTEXT = "maskgate 2026-11 record v1"

# Deriving the context key once and copying the hasher saves a fifth of each record's hash.
_RECORD = blake3(derive_key_context=RECORD_CONTEXT)


def genesis(
    origin: str, sid: uuid.UUID, boot: bytes, session_no: int, cp_size: int, cp_root: bytes
) -> bytes:
    """h_-1: what the first record of a session is chained to.

    `boot` is 16 bytes, `cp_root` 32; `cp_*` is the newest checkpoint when the session was opened,
    which bounds its time from below.
    """
    name = origin.encode()
    material = struct.pack(">I", len(name)) + name + sid.bytes + boot
    material += struct.pack(">QQ", session_no, cp_size) + cp_root
    return blake3(material, derive_key_context=GENESIS_CONTEXT).digest()


def link(previous: bytes, index: int, raw: bytes) -> bytes:
    """h_i of the record whose stored line, without its LF, is `raw`."""
    hasher = _RECORD.copy()
    hasher.update(previous + struct.pack(">QI", index, len(raw)))
    hasher.update(raw)
    return hasher.digest()
