"""Content negotiation: what an Accept header gets."""

from __future__ import annotations

import pytest

from gateway.doors.http.formats import negotiate
from gateway.errors import NotAcceptable


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (None, "arrow"),
        ("", "arrow"),
        ("*/*", "arrow"),
        ("application/*", "arrow"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("Text/CSV; charset=utf-8", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv;q=0.5, application/x-ndjson;q=0.9", "ndjson"),
        ("application/vnd.apache.arrow.stream;q=0, */*;q=0.1", "ndjson"),
        ("application/vnd.apache.parquet, text/csv;q=0.2", "csv"),
    ],
)
def test_accepts(accept: str | None, encoding: str) -> None:
    assert negotiate(accept) == encoding


@pytest.mark.parametrize(
    "accept", ["application/json", "image/png", "text/csv;q=0", "text/csv;q=x", "csv"]
)
def test_refuses_what_is_not_offered(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)
