"""Sessions whose bytes are genuine and whose story cannot be: the verifier reads, too."""

from __future__ import annotations

import json
import uuid
from typing import Any

import bundles
import pytest
from blake3 import blake3
from bundles import Case, Judge, intent, moment, opened, release, result

Records = list[tuple[str, dict[str, Any]]]


def close(statements: int) -> tuple[str, dict[str, Any]]:
    return "close", {"reason": "done", "statements": statements}


def grant(**changes: Any) -> dict[str, Any]:
    body = opened()
    return body | {"grant": body["grant"] | changes}


def missing(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != key}


def told(*records: tuple[str, dict[str, Any]], opening: dict[str, Any] | None = None) -> Records:
    return [("open", opening or opened()), *records]


GOOD = ("intent", intent(1)), ("result", result(1, 0, 3, 3)), ("release", release(1, 3, b"rows"))
ERROR = {"statement_no": 1, "code": "upstream_failed", "detail": "lost", "rows": 0}
EXPIRED = grant(not_before=moment(-3), expires_at=moment(-1))
DENIED = intent(1)["decision"]
DENIED = [DENIED[0], DENIED[1] | {"treatment": "deny"}]

# name: (records, what the verdict says); an empty sentence means that the story is possible.
STORIES: dict[str, tuple[Records, str]] = {
    "nothing-asked": (told(close(0)), ""),
    "one-statement": (told(*GOOD, close(1)), ""),
    "treatment-by-name": (
        told(
            ("intent", intent(1, decision=[{**d, "treatment": "clear"} for d in DENIED])),
            ("error", ERROR),
            close(1),
        ),
        "",
    ),
    "released-without-rows": (told(GOOD[0], ("release", release(1, 0)), close(1)), ""),
    "two-at-once": (
        told(
            GOOD[0],
            ("intent", intent(2)),
            ("result", result(2, 0, 1, 1)),
            GOOD[1],
            GOOD[2],
            ("release", release(2, 1, b"rows")),
            close(2),
        ),
        "",
    ),
    "long-statement": (
        told(
            (
                "refused",
                {
                    "statement_no": 1,
                    "statement_bytes": 9 << 20,
                    "code": "invalid_request",
                    "statement_blake3": "00" * 32,
                    "statement_head": "SELECT",
                    "detail": "too long",
                },
            ),
            close(1),
        ),
        "",
    ),
    "extra-members": (told(("intent", intent(1, more=1)), ("error", ERROR), close(1)), ""),
    "stopped-by-an-expired-grant": (
        told(GOOD[0], ("error", {**ERROR, "code": "grant_expired"}), close(1), opening=EXPIRED),
        "",
    ),
    "result-without-intent": (told(GOOD[1], close(0)), "has no intent before"),
    "release-without-intent": (told(GOOD[2], close(0)), "has no intent before"),
    "released-twice": (told(*GOOD, GOOD[2], close(1)), "has ended with release"),
    "result-after-release": (
        told(*GOOD, ("result", result(1, 1, 1, 4)), close(1)),
        "has ended with release",
    ),
    "result-after-refusal": (
        told(("refused", {**ERROR, "statement": "x"}), GOOD[1], close(1)),
        "has ended with refusal",
    ),
    "never-ended": (told(GOOD[0], close(1)), "has not ended"),
    "starts-at-two": (told(("intent", intent(2)), close(1)), "last number"),
    "number-twice": (told(*GOOD, ("intent", intent(1)), close(2)), "statement 1 has begun already"),
    "number-left-out": (told(*GOOD, ("intent", intent(3)), close(2)), "last number"),
    "chunk-left-out": (told(GOOD[0], ("result", result(1, 1, 3, 3)), close(1)), "chunk"),
    "chunk-twice": (told(GOOD[0], GOOD[1], GOOD[1], close(1)), "chunk: expected 1, got 0"),
    "rows-so-far-wrong": (told(GOOD[0], ("result", result(1, 0, 3, 4)), close(1)), "rows so far"),
    "release-of-more-rows": (
        told(*GOOD[:2], ("release", release(1, 4, b"rows")), close(1)),
        "rows: expected 3, got 4",
    ),
    "release-of-other-bytes": (
        told(*GOOD[:2], ("release", release(1, 3, b"tows")), close(1)),
        "digest of the chunks",
    ),
    "release-of-more-chunks": (
        told(*GOOD[:2], ("release", release(1, 3, b"rows", b"rows")), close(1)),
        "chunks: expected 1, got 2",
    ),
    "error-with-other-rows": (
        told(*GOOD[:2], ("error", {**ERROR, "rows": 0}), close(1)),
        "rows: expected 3",
    ),
    "close-counts-wrong": (told(*GOOD, close(2)), "statements: expected 1, got 2"),
    "grant-expired": (told(*GOOD, close(1), opening=EXPIRED), "the grant is in force from"),
    "grant-not-yet": (
        told(*GOOD, close(1), opening=grant(not_before=moment(1))),
        "the grant is in force from",
    ),
    "released-nothing-under-an-expired-grant": (
        told(GOOD[0], ("release", release(1, 0)), close(1), opening=EXPIRED),
        "released although",
    ),
    "column-denied": (
        told(("intent", intent(1, decision=DENIED)), *GOOD[1:], close(1)),
        "although a column was denied",
    ),
    "more-rows-than-granted": (
        told(*GOOD, close(1), opening=grant(max_rows=2)),
        "3 rows released, the grant allows 2",
    ),
    "grant-of-another": (told(close(0), opening=grant(identity="x#y")), "grant, identity"),
    "grant-for-another-database": (
        told(close(0), opening=grant(connection="ledger")),
        "grant, connection",
    ),
    "approved-by-oneself": (
        told(close(0), opening=grant(decided_by="https://idp.example.org#a-17")),
        "approved by the one who asked",
    ),
    "grant-for-no-table": (told(close(0), opening=grant(tables=[])), "tables must name tables"),
    "grant-until-whenever": (told(close(0), opening=grant(expires_at="later")), "RFC 3339"),
    "grant-in-another-zone": (
        told(close(0), opening=grant(expires_at="2099-01-01T00:00:00+02:00")),
        "RFC 3339",
    ),
    "fewer-decisions-than-columns": (
        told(("intent", intent(1, decision=DENIED[:1])), close(1)),
        "decided columns: expected 2, got 1",
    ),
    "treatment-without-name": (
        told(("intent", intent(1, decision=[d | {"treatment": {}} for d in DENIED])), close(1)),
        "a treatment without a name",
    ),
    "another-policy": (told(("intent", intent(1, policy_hash="00" * 32)), close(1)), "policy"),
    "true-for-a-number": (
        told(GOOD[0], ("result", {**GOOD[1][1], "rows": True}), close(1)),
        "rows must be a int",
    ),
    "negative-rows": (
        told(GOOD[0], ("result", {**GOOD[1][1], "rows": -1}), close(1)),
        "rows must be a int",
    ),
    "digest-in-capitals": (
        told(GOOD[0], ("result", {**GOOD[1][1], "digest": "AB" * 32}), close(1)),
        "digest must be a str",
    ),
}
for _key in ("identity", "issuer", "actor", "token_fingerprint", "grant", "policy_hash", "purpose"):
    STORIES[f"open-without-{_key}"] = (
        told(close(0), opening=missing(opened(), _key)),
        f"{_key} is missing",
    )
for _key in ("statement", "params", "server_text", "analysis", "decision", "format", "notes"):
    STORIES[f"intent-without-{_key}"] = (
        told(("intent", missing(intent(1), _key)), close(1)),
        f"{_key} is missing",
    )
for _key in ("digest", "cells_masked", "detectors", "truncated", "chunks", "rows"):
    STORIES[f"release-without-{_key}"] = (
        told(*GOOD[:2], ("release", missing(GOOD[2][1], _key)), close(1)),
        f"{_key} is missing",
    )


@pytest.mark.parametrize("name", STORIES)
async def test_stories(case: Case, judge: Judge, name: str, monkeypatch: Any) -> None:
    records, sentence = STORIES[name]
    sid = str(uuid.uuid4())
    for kind, body in records:
        if kind == "open":
            await case.log.open_session(sid, body)
        elif kind == "close":
            await case.log.close_session(sid, body)
        else:
            await case.log.append(sid, kind, body)
    monkeypatch.setattr("gateway.evidence.bundle.Story", Unread)
    monkeypatch.setattr("gateway.evidence.bundle.render", lambda *_: b"")
    code, text = judge(bundles.export(case.log, await case.log.session_bytes(sid)))
    assert (code, sentence in text) == ((1 if sentence else 0), True), text


class Unread:
    """The exporter without its own opinion: a wrong story must reach the verifier."""

    @classmethod
    def read(cls, records: bytes) -> Unread:
        self = cls()
        lines = records.splitlines()
        record = json.loads(lines[0])
        self.opened = record["body"]
        self.opened.setdefault("grant", {})
        self.opened["policy_hash"] = blake3(bundles.POLICY).hexdigest()
        self.genesis = record["genesis"]
        self.count = len(lines)
        return self
