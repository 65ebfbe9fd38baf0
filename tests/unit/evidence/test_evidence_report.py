"""The report: every value is text, every section is there, nothing leaves the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from gateway import evidence
from gateway.evidence.story import Statement
from gateway.sessionlog import SessionLog

EVIL = "</pre></style><script>alert(1)</script><img src=x onerror=alert(1)>\u202e{{ 7 * 7 }}\x1b[2J"
POLICY = b"x = 1\n"


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def opened(text: str) -> dict[str, Any]:
    return {
        "identity": text,
        "issuer": text,
        "subject": text,
        "actor": text,
        "token_fingerprint": text,
        "client": {"agent": text},
        "connection": text,
        "purpose": text,
        "policy_hash": blake3(POLICY).hexdigest(),
        "gateway_version": text,
        "database_floor": text,
        "grant": {
            "id": text,
            "identity": text,
            "connection": text,
            "tables": [text],
            "purpose": text,
            "not_before": text,
            "expires_at": text,
            "decided_by": text,
            "max_rows": None,
        },
    }


def intent(text: str) -> dict[str, Any]:
    column = {"column": text, "reason": text, "columns": [text]}
    return {
        "statement_no": 1,
        "statement": text,
        "params": json.dumps([text]),
        "server_text": text + " ",
        "analysis": {"outputs": [text], "control": [], "tables": [text]},
        "decision": [{**column, "treatment": {"name": "redact", "label": text}}],
        "format": text,
        "notes": [text],
    }


async def report(directory: Path, text: str) -> str:
    log = SessionLog.open(directory / "log", origin="log.example.org", version="0")
    sid = str(uuid.uuid4())
    await log.open_session(sid, opened(text))
    await log.append(sid, "intent", intent(text))
    chunk = {"statement_no": 1, "chunk": 0, "rows": 12, "bytes": 345, "digest": "ab" * 32}
    await log.append(sid, "result", {**chunk, "cumulative_rows": 12})
    end = {
        "statement_no": 1,
        "rows": 12,
        "chunks": 1,
        "truncated": True,
        "cells_masked": {text: {"redact": 12}},
        "detectors": {text: {"ssn": {"cells": 3, "spans": 4}}},
        "digest": "cd" * 32,
        "notes": [text],
    }
    await log.append(sid, "release", end)
    refused = {"statement_no": 2, "statement": text, "code": text, "detail": text}
    await log.append(sid, "refused", refused)
    await log.close_session(sid, {"reason": text, "statements": 2})
    bundle = evidence.build(
        await log.session_bytes(sid),
        policy=POLICY,
        verifier=b"",
        sign=log.sign_manifest,
        created=datetime(2026, 11, 22, tzinfo=UTC),
    )
    await log.aclose()
    start = bundle.index(b"<!DOCTYPE html>")
    return bundle[start : bundle.index(b"</html>", start)].decode()


async def test_an_attackers_text_stays_text(tmp_path: Path) -> None:
    page = Page()
    source = await report(tmp_path, EVIL)
    page.feed(source)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "a", "form", "svg"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "{{ 7 * 7 }}" in page.text
    assert "⟨U+202E⟩" in page.text
    assert "⟨U+001B⟩[2J" in page.text
    assert "\u202e" not in source
    assert "\x1b" not in source
    assert source.count("<style>") == 1


async def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    page = Page()
    source = await report(tmp_path, "plain")
    page.feed(source)
    policies = [attrs for tag, attrs in page.tags if tag == "meta" and "content" in attrs]
    content = str(policies[0]["content"])
    assert content.startswith("default-src 'none'; style-src 'sha256-")
    assert not [attrs for _, attrs in page.tags if {"src", "href", "srcset", "action"} & set(attrs)]
    assert "url(" not in source
    assert "@import" not in source
    style = source[source.index("<style>") + 7 : source.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in content


async def test_each_question_of_the_rule_has_its_answer(tmp_path: Path) -> None:
    source = await report(tmp_path, "the-value")
    page = Page()
    page.feed(source)
    for rule in (
        "164.312(a)(2)(i)", "164.312(b)", "164.312(c)", "164.312(d)",
        "164.502(b)", "164.514(b)(2)", "164.528",
    ):  # fmt: skip
        assert rule in page.text
    assert page.text.count("the-value") > 25
    for shown in (
        "redact 12",
        "ssn (cells 3, spans 4)",
        "12 rows in 1 chunks, 345 bytes",
        "cd" * 32,
    ):
        assert shown in page.text
    assert re.search(r"closed, and covered by a signed checkpoint", page.text)
    assert "@media print" in source


@pytest.mark.parametrize("text", ["", "\n\n", "é" * 1000, "\ufffe\u2028\u200b"])
async def test_any_text_makes_a_page(tmp_path: Path, text: str) -> None:
    assert "Evidence of one database session" in await report(tmp_path, text)


async def test_what_was_null_at_its_source_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    before = intent("x")["decision"]
    blank = {"column": "code", "reason": "r", "columns": [], "treatment": {"name": "clear"}}
    asked = {**intent("x"), "decision": [*before, {**blank, "masked_at_source": ["s.t.mrn"]}]}
    monkeypatch.setitem(globals(), "intent", lambda _: asked)
    page = await report(tmp_path, "x")
    assert "<td>s.t.mrn</td><td>clear, made of NULL</td>" in page


async def test_parameters_are_shown_as_they_were_recorded(tmp_path: Path) -> None:
    assert "Parameters: <code>[&#34;plain&#34;]</code>" in await report(tmp_path, "plain")


def test_columns_of_one_name_have_their_own_counts() -> None:
    """The kernel counts under name, name_2, name_3, and steps over a name that another has."""
    names = ["mrn", "mrn_2", "mrn", "city", "mrn"]
    cells = {"mrn": 1, "mrn_2": 2, "mrn_3": 3, "mrn_4": 4}
    kept = [{"column": name, "reason": "r", "columns": [], "treatment": "token"} for name in names]
    statement = Statement(
        1, "now", 1, "select", decision=kept,
        cells_masked={name: {"token": count} for name, count in cells.items()},
        detectors={name: {"ssn": {"cells": count}} for name, count in cells.items()},
    )  # fmt: skip
    assert [(column.name, column.masked) for column in statement.columns] == [
        ("mrn", "token 1"), ("mrn_2", "token 2"), ("mrn", "token 3"), ("city", ""),
        ("mrn", "token 4"),
    ]  # fmt: skip
    assert [column.detectors for column in statement.columns][2] == "ssn (cells 3)"
