"""`maskgate witness` as a process: over HTTP, killed under load, started again."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_witness_protocol import KEY, NAME, TREE, grown

from gateway.errors import ConfigurationError
from gateway.sessionlog import Witness, cosignature, reachable
from gateway.sessionlog.cosignature import parse_witness
from gateway.sessionlog.note import Note, Signature

MASKGATE = str(Path(sys.executable).parent / "maskgate")


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """The process, its address and its verifier key."""
    command = [MASKGATE, "witness", str(home), "--name", NAME, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield process, told["url"], told["witness"]
    finally:
        process.kill()
        process.communicate()


def test_a_witness_killed_at_any_time_forgets_nothing(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"keys": [KEY.vkey], "origin": KEY.origin, "type": "trust"}))
    home = tmp_path / "witness"
    size = 0
    with started(home, "--log", str(trust)) as (process, url, vkey):
        key = parse_witness(vkey)
        with httpx.Client(base_url=url) as client:
            for new in (3, 8):
                answer = client.post("/add-checkpoint", content=grown(size, new))
                assert answer.status_code == 200
                cosignature.verify(
                    Note.parse(TREE.note(new)).text, Signature.parse(answer.text[:-1]), key
                )
                size = new
            assert client.post("/add-checkpoint", content=grown(0, 3)).status_code == 409
            assert client.get("/add-checkpoint").status_code == 405
            assert client.post("/elsewhere", content=b"").status_code == 404
            assert client.post("/add-checkpoint", content=b"x" * 70_000).status_code == 413
        process.send_signal(signal.SIGKILL)
    with started(home, "--log", KEY.vkey) as (process, url, again):
        assert again == vkey
        answer = httpx.post(f"{url}/add-checkpoint", content=grown(0, 9))
        assert (answer.status_code, answer.text) == (409, "8\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"
        second = subprocess.run(
            [MASKGATE, "witness", str(home), "--name", NAME, "--log", KEY.vkey],
            capture_output=True,
            text=True,
        )
        assert second.returncode == 2
        assert "another process is writing it" in re.sub(r"\s+", " ", second.stderr)
        process.terminate()
        assert process.wait(10) in (0, -signal.SIGTERM)
    shown = subprocess.run(
        [MASKGATE, "witness", str(home), "--name", NAME, "--show-key"],
        capture_output=True,
        text=True,
    )
    assert (shown.returncode, shown.stdout) == (0, vkey + "\n")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "witness.example.org")])
    now = datetime.now(UTC) - timedelta(hours=1)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "tls.pem"
    chain.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


def test_over_tls_under_an_authority_of_one_s_own(tmp_path: Path) -> None:
    chain, secret = certificate(tmp_path)
    arguments = "--log", KEY.vkey, "--tls-cert", str(chain), "--tls-key", str(secret)
    with started(tmp_path / "witness", *arguments) as (_, url, vkey):
        assert url.startswith("https://127.0.0.1:")
        assert asyncio.run(reachable(Witness.parse(url, vkey, chain))) == ""
        # Nobody else vouches for it.
        assert asyncio.run(reachable(Witness.parse(url, vkey))) == f"{url}: ConnectError"
    assert asyncio.run(reachable(Witness.parse(url, vkey, chain))) == f"{url}: ConnectError"
    with pytest.raises(ConfigurationError, match="not a PEM file"):
        Witness.parse(url, vkey, tmp_path / "witness" / "lock")
