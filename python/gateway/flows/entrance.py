"""Step 1 for every journey: who is it; a failed attempt is recorded before it is answered."""

from __future__ import annotations

from gateway.errors import IssuerUnavailable, LimitExceeded, Unauthenticated
from gateway.flows.house import House
from gateway.model import Credential, Identity


async def establish(house: House, credential: Credential, client: str) -> Identity:
    """The identity behind a credential. Raises Unauthenticated, IssuerUnavailable or
    LimitExceeded (proofs of possession), after the record of it."""
    try:
        return await house.identity.establish(credential.authorization, credential.call)
    except (Unauthenticated, IssuerUnavailable, LimitExceeded) as refusal:
        await house.log.event(
            "login.failed",
            {"client": client, "code": refusal.code, "detail": refusal.detail},
        )
        raise
