"""A key whose possession the client proves with each request (RFC 9449), and the proofs by it.

Refuses to sign for what it is not: a proof names one method, one address and one token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx
from joserfc import jws
from joserfc.jwk import ECKey


class ProofKey:
    """A P-256 key; `document` holds it whole and belongs into a file of its owner alone."""

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self._public = key.as_dict(private=False)

    @classmethod
    def new(cls) -> ProofKey:
        return cls(ECKey.generate_key("P-256"))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ProofKey:
        """Raises ValueError when the document is no private key."""
        try:
            key = ECKey.import_key(dict(document))
        except Exception as wrong:  # joserfc's and cryptography's own, of several roots
            raise ValueError("not a key") from wrong
        if not key.is_private:
            raise ValueError("not a private key")
        return cls(key)

    @property
    def document(self) -> dict[str, Any]:
        return dict(self._key.as_dict(private=True))

    @property
    def thumbprint(self) -> str:
        return self._key.thumbprint()

    def proof(
        self, method: str, url: httpx.URL | str, token: str | None = None, nonce: str | None = None
    ) -> str:
        """The DPoP field of one request, which carries `token` unless it asks for one."""
        address = httpx.URL(str(url)).copy_with(query=None, fragment=None)
        now = time.time()
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": str(address),
            # A gateway that has started within this very second takes the fraction's word for what
            # came first (RFC 7519 allows one); to issuers it goes as they usually get it.
            "iat": int(now) if token is None else int(now * 1000) / 1000,
        }
        if token is not None:
            digest = hashlib.sha256(token.encode("ascii")).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._public}
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        return jws.serialize_compact(header, json.dumps(claims), self._key, registry=registry)
