"""Step 1 for every journey: who is it; a failed attempt is recorded before it is answered."""

from __future__ import annotations

from gateway.errors import Forbidden, Unauthenticated
from gateway.flows.house import House
from gateway.model import Identity


async def establish(house: House, credential: str | None, client: str) -> Identity:
    """The identity behind a credential. Raises Unauthenticated, after the record of it."""
    try:
        return await house.identity.establish(credential)
    except Unauthenticated as refusal:
        await house.log.event("login.failed", {"client": client, "detail": refusal.detail})
        raise


def is_auditor(house: House, identity: Identity) -> bool:
    """Whether the configuration lets this identity read every session and its evidence."""
    return house.grants.rules.is_auditor(identity)


def require_auditor(house: House, identity: Identity) -> None:
    """Raises Forbidden unless the identity is an auditor."""
    if not is_auditor(house, identity):
        raise Forbidden("only an auditor may do this", hint="access.auditors names them")
