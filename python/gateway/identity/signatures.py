"""Signatures by the four algorithms of `tokens.ALGORITHMS`, and by no other whatever a header says.

Raises Unauthenticated where a signature does not match; never answers False.
"""

from __future__ import annotations

from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError

from gateway.identity.keys import PublishedKey
from gateway.identity.tokens import ALGORITHMS, MAX_TOKEN_BYTES, TOKEN, Kind


class _Algorithms(jws.JWSRegistry):
    """joserfc's registry, narrowed to `ALGORITHMS` whatever a caller passes."""

    max_header_length = MAX_TOKEN_BYTES
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError("not accepted")
        return self.algorithms[name]


# Unknown headers are ignored (RFC 7515 section 4); those that matter were refused by `parse`.
_REGISTRY = _Algorithms(algorithms=list(ALGORITHMS), strict_check_header=False)


def verify_signature(text: str, published: PublishedKey, kind: Kind = TOKEN) -> None:
    """Return when the compact JWS `text` is signed with this key."""
    try:
        jws.deserialize_compact(text, published.key, registry=_REGISTRY)
    except (JoseError, ValueError) as wrong:
        raise kind.refused("signature does not match") from wrong
