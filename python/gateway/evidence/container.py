"""A ZIP file that has one form: stored, in a fixed order, at a fixed time, nothing extra.

Any tool can unpack it. The auditor's script rebuilds it from its members and compares it byte for
byte, so a bundle has no place to hide a byte in. The constants here and in auditor/verify.py agree.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from gateway.errors import LimitExceeded

# Members in their order, with the most bytes each may have.
MEMBERS = {
    "manifest.json": 1 << 16,
    "session.jsonl": 0xFFFF_FFFF,
    "ledger/leaves.jsonl": 1 << 20,
    "ledger/consistency.json": 1 << 16,
    "checkpoint": 1 << 16,
    "grant.json": 16 << 20,
    "policy.toml": 16 << 20,
    "report.html": 0xFFFF_FFFF,
    "verify.py": 1 << 20,
    "README.txt": 1 << 20,
}
FILE_LIMIT = 0xFFFF_FFFF  # no ZIP64

_VERSION = 20
_UNIX = 0x0300
_DATE = 0x0021  # 1980-01-01 00:00:00; the time of export is in the manifest
_ATTRIBUTES = 0o100644 << 16
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")


def pack(members: Mapping[str, bytes]) -> bytes:
    """The container of exactly these members; raises LimitExceeded beyond its limits."""
    parts: list[bytes] = []
    central = b""
    at = 0
    for name, limit in MEMBERS.items():
        data = members[name]
        if len(data) > limit:
            raise LimitExceeded(f"{name} has {len(data)} bytes, a bundle holds {limit}")
        encoded, size = name.encode(), len(data)
        fields = (_VERSION, 0, 0, 0, _DATE, zlib.crc32(data), size, size, len(encoded), 0)
        parts += [_LOCAL.pack(0x04034B50, *fields), encoded, data]
        central += _CENTRAL.pack(0x02014B50, _UNIX | _VERSION, *fields, 0, 0, 0, _ATTRIBUTES, at)
        central += encoded
        at += _LOCAL.size + len(encoded) + size
        if at + len(central) + _END.size > FILE_LIMIT:
            raise LimitExceeded(f"the bundle would be over {FILE_LIMIT} bytes")
    count = len(MEMBERS)
    end = _END.pack(0x06054B50, 0, 0, count, count, len(central), at, 0)
    return b"".join([*parts, central, end])
