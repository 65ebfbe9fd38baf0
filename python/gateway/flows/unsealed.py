"""A sealed record read back by the auditor who has the private key.

Shows only bytes that belong to their place: what does not open for its origin, session, number and
type is refused, not skipped. Whether the records are the ones that were anchored is the verifier's
to say, over the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.errors import InvalidRequest
from gateway.flows.sealed import SEALED
from gateway.sessionlog.sealing import AuditorPrivateKey, Place

MEMBER = "session.jsonl"


def records_of(data: bytes, path: Path) -> bytes:
    """The session's lines, from a bundle or from its file. Raises InvalidRequest."""
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            if bundle.getinfo(MEMBER).compress_type != zipfile.ZIP_STORED:
                raise InvalidRequest(f"{path}: a bundle's members are stored, not compressed")
            return bundle.read(MEMBER)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError):
        raise InvalidRequest(f"{path}: neither a bundle nor a session's records") from None


def unseal(records: bytes, key: AuditorPrivateKey) -> Iterator[dict[str, Any]]:
    """Each record as it was before it was sealed: `i`, `ts`, `type`, `body`. Raises InvalidRequest
    for a line that is no record, and for one that does not open at its place."""
    origin = sid = ""
    for number, line in enumerate(records.removesuffix(b"\n").split(b"\n")):
        try:
            record = json.loads(line)
            if number == 0:
                origin, sid = record["genesis"]["origin"], record["sid"]
            place = Place(origin, sid, record["i"], record["type"])
            if (record["i"], record["sid"]) != (number, sid):
                raise InvalidRequest(f"line {number}: is record {record['i']} of {record['sid']}")
            place.info()
            body = dict(record["body"])
            moment = record["ts"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InvalidRequest(f"line {number}: not a record of a session") from None
        if SEALED in body:
            body |= key.open(place, body.pop(SEALED))
        yield {"i": number, "ts": moment, "type": place.type, "body": body}
