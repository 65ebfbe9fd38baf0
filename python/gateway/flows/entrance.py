"""Step 1 for every journey: who is it; a failed attempt is recorded before it is answered."""

from __future__ import annotations

from gateway.errors import IssuerUnavailable, Unauthenticated
from gateway.flows.house import House
from gateway.model import Identity


async def establish(house: House, credential: str | None, client: str) -> Identity:
    """The identity behind a credential. Raises Unauthenticated or IssuerUnavailable, after the
    record of it."""
    try:
        return await house.identity.establish(credential)
    except (Unauthenticated, IssuerUnavailable) as refusal:
        await house.log.event(
            "login.failed",
            {"client": client, "code": refusal.code, "detail": refusal.detail},
        )
        raise
