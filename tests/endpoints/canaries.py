"""One canary for each of the eighteen identifiers of 45 CFR 164.514(b)(2)(i), made for a channel.

A canary is planted in one channel (statement, params, purpose, …) and looked for in every byte the
gateway left behind: as it is, in any case, in hex and in base64 at each of its three offsets.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

KINDS = {
    "name": "Zebulon Quackenbush{c}",
    "place": "{c} Thistlewick Lane, Ypsilanti",
    "date": "18{c}-07-29",
    "phone": "734-555-{c}",
    "fax": "fax 313-555-{c}",
    "email": "zq{c}@clinic.example",
    "ssn": "529-87-{c}",
    "mrn": "MRN-QX-{c}",
    "plan": "HPBN-{c}-77",
    "account": "ACCT-{c}-001",
    "licence": "LIC-MI-{c}",
    "vehicle": "1FTZQ{c}VIN7",
    "device": "(01)0{c}(21)SER",
    "url": "https://zq.example/{c}",
    "ip": "203.0.{c}",
    "biometric": "voiceprint-{c}-ab",
    "photo": "face-{c}.jpeg",
    "other": "trial-subject-{c}-Q",
}


def of(channel: int) -> dict[str, str]:
    """The eighteen canaries of one channel; `channel` is from 10 to 99."""
    made = {}
    for number, (kind, form) in enumerate(KINDS.items()):
        code = f"{channel}{number + 10}"
        if kind == "ip":
            code = f"{channel + 100}.{number + 100}"
        made[kind] = form.format(c=code)
    return made


def spellings(canary: str) -> Iterator[bytes]:
    raw = canary.encode()
    yield raw.lower()
    yield raw.hex().encode()
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + raw)
        # Without the characters that the neighbours decide.
        yield whole[4 if offset else 0 : -4].lower()


def found(canaries: Iterable[str], data: bytes) -> list[str]:
    lowered = data.lower()
    return [one for one in canaries if any(s in lowered for s in spellings(one))]


def left_behind(home: Path) -> dict[str, bytes]:
    """What the gateway wrote: the log with everything in it, stderr, the SIEM's file."""
    files = {
        str(path.relative_to(home)): path.read_bytes().replace(bytes(4096), b"")
        for path in home.rglob("*")
        if path.is_file()
        and "idp" not in path.relative_to(home).parts
        and not re.fullmatch(r".*\.toml|token\.key|issuer\.err|.*\.auditor", path.name)
    }
    assert any(name.endswith(".wal") for name in files)
    return files
