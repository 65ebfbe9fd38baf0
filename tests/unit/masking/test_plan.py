"""A plan's columns are worded once for all that they follow from, and for nothing more."""

from __future__ import annotations

import pytest

from copybytes import copy, row
from gateway.masking import TokenKey, open_stream
from gateway.model import Analysis, ColumnDecision, Decision, Output, Shape, Treatment

KEY = TokenKey(bytes(32), "k1")
ROWS = copy(row(b"Zanthe"))


def analysed(shape: object, name: str = "name") -> Analysis:
    output = Output(name, {"kind": "text"}, Shape.BARE, ())
    analysis = Analysis("", "", "", (output,), (), (), ())
    analysis.take_shape(shape)
    return analysis


def decided(treatment: str) -> Decision:
    options = {"scan": False} if treatment == "clear" else {}
    return Decision((ColumnDecision("name", Treatment(treatment, options), "", ()),), "")


def given(
    shape: object,
    decision: Decision,
    key: TokenKey = KEY,
    domain: str = "d",
    session: str = "s",
    name: str = "name",
) -> bytes:
    stream = open_stream(
        analysed(shape, name),
        decision,
        key,
        encoding="ndjson",
        metadata={"maskgate.session": session},
        limit_rows=None,
        infinity="error",
        token_domain=domain,
    )
    chunks = [stream.head(), *stream.feed(ROWS), *stream.finish()]
    return b"".join(chunk.data for chunk in chunks)


@pytest.mark.parametrize("shape", ["a shape", None])
def test_another_decision_key_or_domain_is_another_plan(shape: object) -> None:
    clear, token, redact = decided("clear"), decided("token"), decided("redact")
    for _ in range(2):
        assert b"Zanthe" in given(shape, clear)
        assert b"REDACTED" in given(shape, redact)
        assert b"Zanthe" not in given(shape, token)
    others = [
        given(shape, token),
        given(shape, token, domain="e"),
        given(shape, token, TokenKey(bytes(31) + b"1", "k1")),
        given(shape, token, TokenKey(bytes(32), "k2")),
    ]
    assert len(set(others)) == len(others)
    assert given(shape, token, session="t") == others[0]


@pytest.mark.parametrize("shapes", [("one", "other"), (None, None)])
def test_one_decision_on_another_statement_is_another_plan(shapes: tuple[object, object]) -> None:
    decision = decided("redact")
    for shape, name in zip(shapes, ("name", "born"), strict=True):
        assert given(shape, decision, name=name).startswith(f'{{"{name}":'.encode())
