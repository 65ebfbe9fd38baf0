"""Who is calling: every call is one agent or person, proven by a token of a configured OIDC issuer.

Refuses shared keys and static API keys, tokens nobody can check now, and every token whose header,
key or claims are not exactly what this package knows. It never fetches an address that a token
names, and never repeats a token or an unverified claim in a message.
"""

from __future__ import annotations

from gateway.identity.issuers import IssuerConfig
from gateway.identity.tokens import ALGORITHMS, sent
from gateway.identity.verifier import Verifier

__all__ = ["ALGORITHMS", "IssuerConfig", "Verifier", "sent"]
