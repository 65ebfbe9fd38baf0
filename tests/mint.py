"""The development issuer as a real process, and a mint that signs what no honest issuer would.

The mint uses the private keys that the issuer wrote to its state directory, so a forged token
differs from a good one in exactly the way a test says.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, JWKRegistry, Key
from joserfc.jws import JWSRegistry

AUDIENCE = "maskgate"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signature(alg: str, key: Key, signing_input: bytes) -> bytes:
    """A raw signature by the named algorithm, without any check that the two fit."""
    return JWSRegistry.algorithms[alg].sign(signing_input, key)


def compact(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """Sign a token by its header's `alg`, whatever the header and the claims say."""
    signing_input = b".".join(b64(json.dumps(part).encode()).encode() for part in (header, claims))
    return f"{signing_input.decode()}.{b64(signature(header['alg'], key, signing_input))}"


@dataclass(frozen=True)
class Mint:
    """Signs tokens as the issuer at `issuer` would, with its keys by algorithm."""

    issuer: str
    keys: Mapping[str, Key]
    secrets: Mapping[str, str]

    def header(self, alg: str = "ES256", **changes: Any) -> dict[str, Any]:
        return {"alg": alg, "typ": "at+jwt", "kid": self.keys[alg].kid, **changes}

    def claims(self, subject: str = "agent-reporting", **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "sub": subject,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "groups": [],
            **changes,
        }

    def token(self, subject: str = "agent-reporting", alg: str = "ES256", **claims: Any) -> str:
        """A good token; `claims` add to it or replace."""
        return compact(self.header(alg), self.claims(subject, **claims), self.keys[alg])

    def authorization(self, subject: str = "agent-reporting", **claims: Any) -> str:
        return f"Bearer {self.token(subject, **claims)}"


@contextlib.contextmanager
def running_issuer() -> Iterator[Mint]:
    """Start the development issuer on a free port; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mg-issuer-") as home:
        command = [sys.executable, "-m", "gateway.demo.issuer", "--port", "0", "--state", home]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if process.stdout is None:
                raise RuntimeError("the issuer has no standard output")
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the issuer ended with {process.wait()}")
            ready = json.loads(line)
            keys = json.loads((Path(home) / "keys.json").read_text())
            yield Mint(
                issuer=ready["issuer"],
                keys={alg: JWKRegistry.import_key(key) for alg, key in keys.items()},
                secrets=json.loads((Path(home) / "clients.json").read_text()),
            )
        finally:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def new_mint(issuer: str, kid: str = "k1") -> Mint:
    """A mint with one fresh ES256 key, for issuers that a test plays itself."""
    key = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
    return Mint(issuer=issuer, keys={"ES256": key}, secrets={})
