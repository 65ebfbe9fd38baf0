"""Step 1 for every journey: who is it; a failed attempt is recorded before it is answered."""

from __future__ import annotations

from gateway.errors import IssuerUnavailable, LimitExceeded, Unauthenticated
from gateway.flows.house import House
from gateway.grants import PREFIX, identity_of
from gateway.identity import sent
from gateway.model import Credential, Identity

_SIGN_IN = f" {PREFIX}"


async def establish(house: House, credential: Credential, client: str) -> Identity:
    """The identity behind a credential. Raises Unauthenticated, IssuerUnavailable or
    LimitExceeded (proofs of possession, sign-ins), after the record of it."""
    try:
        if house.saml and _SIGN_IN in (credential.authorization or "")[:12]:
            return await _signed_in(house, credential)
        return await house.identity.establish(credential.authorization, credential.call)
    except (Unauthenticated, IssuerUnavailable, LimitExceeded) as refusal:
        await house.log.event(
            "login.failed",
            {"client": client, "code": refusal.code, "detail": refusal.detail},
        )
        raise


async def _signed_in(house: House, credential: Credential) -> Identity:
    """The person of a sign-in at a provider that is still trusted."""
    given = sent(credential.authorization)
    if given.dpop:
        raise Unauthenticated(
            "A sign-in's credential is not bound to a key, and so is none for the scheme DPoP.",
            hint="Send it as 'Authorization: Bearer CREDENTIAL'.",
        )
    found, fingerprint = await house.sign_ins.identify(given.text)
    provider = house.saml.get(found.provider)
    if provider is None or provider.entity_id != found.issuer:
        raise Unauthenticated("The sign-in's provider is not one this gateway trusts any more.")
    return identity_of(found, fingerprint)
