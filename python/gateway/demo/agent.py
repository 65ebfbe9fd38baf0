"""The people and programs of the story: a client with a name, and how it gets its token.

Refuses nothing itself: what counts as an answer is gateway/client.py's matter.
"""

from __future__ import annotations

import httpx

from gateway.client import Client

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Caller(Client):
    """One actor of the story."""

    def __init__(self, gateway: str, name: str, bearer: str) -> None:
        super().__init__(gateway, bearer)
        self.name = name


def token(issuer: str, client_id: str, secret: str) -> str:
    """Log in as a machine does: the client-credentials grant at the issuer's token endpoint."""
    with httpx.Client(timeout=_TIMEOUT) as http:
        found = http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        found.raise_for_status()
        answer = http.post(
            found.json()["token_endpoint"],
            data={"grant_type": "client_credentials", "audience": "maskgate"},
            auth=(client_id, secret),
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])
