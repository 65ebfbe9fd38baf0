"""Issuers as configured: wrong values are refused at start."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.identity import IssuerConfig, Verifier
from gateway.values import is_loopback


@pytest.mark.parametrize(
    ("issuer", "wrong"),
    [
        ("", "expected https"),
        ("idp.example.org", "expected https"),
        ("ftp://idp.example.org", "expected https"),
        ("https://", "expected https"),
        ("http://idp.example.org", "http:// is allowed on this machine only"),
        ("http://127.0.0.1.example.org", "http:// is allowed on this machine only"),
        ("http://localhost.example.org", "http:// is allowed on this machine only"),
        ("http://0.0.0.0:8080", "http:// is allowed on this machine only"),
        ("https://user:secret@idp.example.org", "must not hold credentials"),
        ("http://127.0.0.1@idp.example.org", "must not hold credentials"),
        ("https://idp.example.org?tenant=1", "no query"),
        ("https://idp.example.org#frag", "no query and no fragment"),
        ("https://idp.example.org:port", "not an address"),
        ("https://idp.example.org/a b", "printable ASCII"),
        ("https://idp.exämple.org", "printable ASCII"),
        ("https://idp.example.org\n", "printable ASCII"),
    ],
)
def test_addresses_that_are_refused(issuer: str, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong) as refusal:
        IssuerConfig(issuer=issuer, audience="maskgate")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("key", ["audience", "identity_claim", "groups_claim"])
def test_empty_values_are_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        IssuerConfig(**{"issuer": "https://idp.example.org", "audience": "maskgate", key: " "})


def test_a_development_issuer_is_on_this_machine() -> None:
    with pytest.raises(ConfigurationError, match="on this machine"):
        IssuerConfig(issuer="https://idp.example.org", audience="maskgate", development=True)
    assert IssuerConfig("http://127.0.0.1:8080", "maskgate", development=True).development


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://idp.example.org", "https://idp.example.org/.well-known/openid-configuration"),
        ("https://idp.example.org/", "https://idp.example.org/.well-known/openid-configuration"),
        ("https://i.example.org/a/b", "https://i.example.org/a/b/.well-known/openid-configuration"),
    ],
)
def test_where_the_discovery_document_is(issuer: str, url: str) -> None:
    assert IssuerConfig(issuer, "maskgate").discovery_url == url


def test_an_issuer_is_listed_once() -> None:
    config = IssuerConfig("https://idp.example.org", "maskgate")
    with pytest.raises(ConfigurationError, match="listed twice"):
        Verifier([config, config])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("example.org", False),
        ("2130706433", False),
        (None, False),
    ],
)
def test_loopback(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected
