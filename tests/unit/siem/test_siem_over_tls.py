"""An HTTPS endpoint is spoken to when its certificate is good, and not otherwise."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.siem import HttpSink
from receiver import Receiver

LINE = b'{"metadata":{"uid":"s:0"}}\n'


def certificate(folder: Path, address: str) -> Path:
    """A self-signed certificate and its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "siem")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{address}.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


def test_a_good_certificate_is_needed(tmp_path: Path) -> None:
    own, other = certificate(tmp_path, "127.0.0.1"), certificate(tmp_path, "192.0.2.1")
    for presented, ca, good in ((own, own, True), (own, None, False), (own, other, False),
                                (other, other, False)):  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(presented)
        receiver = Receiver()
        receiver.start(context)
        sink = HttpSink(receiver.url.replace("http:", "https:"), None, ca)
        try:
            if good:
                sink.send(LINE)
            else:
                with pytest.raises(httpx.ConnectError):
                    sink.send(LINE)
            assert receiver.uids() == (["s:0"] if good else [])
        finally:
            sink.close()
            receiver.stop()
