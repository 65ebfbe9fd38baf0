"""An issuer with a certificate of its own authority, over real TLS: believed by that one alone."""

from __future__ import annotations

import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from provider import published, unchecked

import mint
from gateway.errors import ConfigurationError
from gateway.identity import IssuerConfig, Verifier


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


class _Server(http.server.ThreadingHTTPServer):
    documents: dict[str, object]

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us hangs up; that is the test."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        body = json.dumps(self.server.documents[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[mint.Mint]:
    """An issuer at https://127.0.0.1, certified by tmp_path/cluster.pem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "cluster"))
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        issuer = f"https://127.0.0.1:{server.server_port}"
        made = mint.new_mint(issuer)
        server.documents = {
            "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/jwks"},
            "/jwks": {"keys": published(made)},
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


async def test_its_own_authority_and_no_other(cluster: mint.Mint, tmp_path: Path) -> None:
    async with Verifier(
        [IssuerConfig(cluster.issuer, mint.AUDIENCE, ca=tmp_path / "cluster.pem")]
    ) as verifier:
        assert (await verifier.establish(cluster.authorization())).issuer == cluster.issuer
    other, _ = certificate(tmp_path, "other")
    for ca in (None, other):
        config = IssuerConfig(cluster.issuer, mint.AUDIENCE, ca=ca)
        async with Verifier([config]) as verifier:
            assert "cannot be reached" in await unchecked(verifier, cluster)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_that_is_none(tmp_path: Path, content: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(ConfigurationError, match="PEM file"):
        Verifier([IssuerConfig("https://idp.example.org", mint.AUDIENCE, ca=ca)])
