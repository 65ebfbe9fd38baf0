"""Bundles to attack: a small session with every outcome, made by the real log and exporter."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blake3 import blake3

from gateway import evidence
from gateway.auditor import verify
from gateway.model import SessionFiles
from gateway.sessionlog import SessionLog

ORIGIN = "log.example.org/clinic"
POLICY = b'[connections.clinic.columns]\n"public.patient.mrn" = "redact"\n'
VERIFIER = Path(verify.__file__).read_bytes()
CREATED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STAND_IN = b"# not the script: keeps the bundle small\n"

Judge = Callable[..., tuple[int, str]]


@dataclass
class Case:
    """A session and what can be made of it."""

    log: SessionLog
    files: SessionFiles
    bundle: bytes  # with the script itself
    small: bytes  # with a stand-in for the script
    trust: Path
    open_files: SessionFiles  # another session, still open


def moment(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def opened(**changes: Any) -> dict[str, Any]:
    """The body of an `open` record."""
    body: dict[str, Any] = {
        "identity": "agent-reporting",
        "issuer": "https://idp.example.org",
        "subject": "a-17",
        "actor": "maria@example.org",
        "token_fingerprint": "ab" * 32,
        "client": "127.0.0.1",
        "connection": "clinic",
        "purpose": "find the wrong join in the monthly report",
        "policy_hash": blake3(POLICY).hexdigest(),
        "gateway_version": "0.1.0",
        "database_floor": "login without table rights; SELECT on public.visit",
        "grant": {
            "id": "6f1c",
            "identity": "https://idp.example.org#a-17",
            "connection": "clinic",
            "tables": ["public.patient", "public.visit"],
            "purpose": "find the wrong join in the monthly report",
            "not_before": moment(-1),
            "expires_at": moment(2),
            "decided_by": "https://idp.example.org#steward",
            "max_rows": 1000,
        },
    }
    return body | changes


def intent(
    number: int, statement: str = "SELECT id, mrn FROM public.patient", **changes: Any
) -> Any:
    return {
        "statement_no": number,
        "statement": statement,
        "params": [],
        "server_text": None,
        "analysis": {
            "outputs": [{"name": "id"}, {"name": "mrn"}],
            "control": [],
            "tables": ["public.patient"],
        },
        "decision": [
            {
                "column": "id",
                "treatment": {"name": "clear"},
                "reason": "classified clear",
                "columns": ["public.patient.id"],
            },
            {
                "column": "mrn",
                "treatment": {"name": "redact", "label": "[REDACTED]"},
                "reason": "rule public.patient.mrn",
                "columns": ["public.patient.mrn"],
            },
        ],
        "format": "arrow",
        "notes": [],
        **changes,
    }


def result(number: int, chunk: int, rows: int, so_far: int, data: bytes = b"rows") -> Any:
    return {
        "statement_no": number,
        "chunk": chunk,
        "rows": rows,
        "bytes": len(data),
        "digest": blake3(data).hexdigest(),
        "cumulative_rows": so_far,
    }


def release(number: int, rows: int, *chunks: bytes, **changes: Any) -> Any:
    joined = b"".join(blake3(chunk).digest() for chunk in chunks)
    return {
        "statement_no": number,
        "rows": rows,
        "chunks": len(chunks),
        "truncated": False,
        "cells_masked": {"mrn": {"redact": rows}},
        "detectors": {},
        "digest": blake3(joined).hexdigest(),
        "notes": [],
        **changes,
    }


async def converse(log: SessionLog, sid: str) -> None:
    """A session with every outcome a statement can have."""
    await log.open_session(sid, opened())
    await log.append(sid, "intent", intent(1))
    await log.append(sid, "result", result(1, 0, 3, 3, b"first"))
    await log.append(sid, "result", result(1, 1, 2, 5, b"second"))
    await log.append(sid, "release", release(1, 5, b"first", b"second"))
    refused = {"statement_no": 2, "code": "protected_use", "detail": "mrn decides which rows come"}
    await log.append(
        sid, "refused", {**refused, "statement": "SELECT 1 WHERE mrn = '1'\n-- é\u202e"}
    )
    await log.append(sid, "intent", intent(3))
    error = {"statement_no": 3, "code": "upstream_failed", "detail": "lost", "rows": 0}
    await log.append(sid, "error", error)
    await log.append(sid, "intent", intent(4))
    await log.append(sid, "result", result(4, 0, 7, 7))
    await log.append(sid, "cancel", {"statement_no": 4, "reason": "client gone", "rows": 7})


async def closed_session(log: SessionLog) -> str:
    sid = str(uuid.uuid4())
    await converse(log, sid)
    await log.close_session(sid, {"reason": "done", "statements": 4})
    return sid


def export(log: SessionLog, files: SessionFiles, verifier: bytes = VERIFIER) -> bytes:
    return evidence.build(
        files, policy=POLICY, verifier=verifier, sign=log.sign_manifest, created=CREATED
    )
