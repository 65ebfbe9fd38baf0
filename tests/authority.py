"""A time-stamping authority for tests: `openssl ts -reply` behind a small HTTP server."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="there is no command openssl here")

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {home}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = {digests}
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def made(
    name: str, issuer: tuple[x509.Name, Any] | None, number: int | None = None
) -> tuple[Any, Any]:
    """A certificate with its key: a root, or one for time stamping that an issuer signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0] if issuer else subject)
        .public_key(key.public_key())
        .serial_number(number or x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def pem(certificate: Any) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """`mode` is how it answers, by default as it should."""

    def __init__(self, home: Path) -> None:
        self.home, self.mode = home, "well"
        self.requests: list[bytes] = []
        self.port = 0
        home.mkdir()
        for name in ("ours", "other"):
            root, root_key = made(f"{name} root", None)
            signer, key = made(f"{name} signer", (root.subject, root_key))
            twin, _ = made(f"{name} signer", (root.subject, key), signer.serial_number)
            (home / f"{name}.twin.pem").write_bytes(pem(twin))
            (home / f"{name}.roots.pem").write_bytes(pem(root))
            (home / f"{name}.pem").write_bytes(pem(signer))
            private = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            (home / f"{name}.key").write_bytes(private)
        more = [made(f"more {number}", None)[0] for number in range(3)]
        more.sort(key=lambda one: one.public_bytes(serialization.Encoding.DER), reverse=True)
        (home / "unordered.pem").write_bytes(b"".join(map(pem, more)))
        for name, digests in (("ts.cnf", "sha256"), ("refuses.cnf", "sha512")):
            (home / name).write_text(CONFIG.format(home=home, digests=digests))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tsr"

    @property
    def roots(self) -> Path:
        return self.home / "ours.roots.pem"

    def reply(self, query: bytes) -> bytes:
        self.requests.append(query)
        if self.mode == "another imprint":
            at = query.index(b"\x04\x20") + 2  # the digest's 32 bytes
            query = query[:at] + bytes(32) + query[at + 32 :]
        if self.mode == "an old nonce":
            query = self.requests[0]
        if self.mode == "an answer of before":
            return self.before
        if self.mode == "noise":
            return bytes(range(256))
        if self.mode == "too long":
            return bytes(1 << 20)
        if self.mode == "unfolds":
            return gzip.compress(bytes(1 << 20))
        by = "other" if self.mode == "another authority" else "ours"
        (self.home / "query").write_bytes(query)
        config = "refuses.cnf" if self.mode == "refused" else "ts.cnf"
        command = ["ts", "-reply", "-config", config, "-queryfile", "query", "-out", "answer"]
        signing = ["-signer", f"{by}.pem", "-inkey", f"{by}.key"]
        if self.mode == "certificates in any order":
            signing += ["-chain", "unordered.pem"]
        if self.mode == "another certificate of one number":
            signing += ["-chain", f"{by}.twin.pem"]
        subprocess.run(
            [str(OPENSSL), *command, *signing], cwd=self.home, check=True, capture_output=True
        )
        self.before = (self.home / "answer").read_bytes()
        return self.before


@contextlib.contextmanager
def answering(home: Path) -> Iterator[Authority]:
    """An authority on a loopback port."""
    one = Authority(home)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = 200, b""
            if one.mode in ("500", "307"):
                status = int(one.mode)
            elif self.headers["Content-Type"] == "application/timestamp-query":
                body = one.reply(query)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for _ in range(60 if one.mode == "line by line" else 0):
                    self.send_header("X-More", "to come")
                    self.flush_headers()
                    time.sleep(0.05)
                if one.mode == "unfolds":
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Type", "application/timestamp-reply")
                if status == 307:
                    self.send_header("Location", one.url)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    one.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
