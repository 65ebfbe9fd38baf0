"""People who sign in at a SAML 2.0 provider: SP-initiated, signed assertions only, each taken once.

Refuses what is not signed itself by a key of the provider's configured metadata, and never reads
what no signature covers. Who comes out of it is an identity as any issuer's.
"""

from __future__ import annotations

from gateway.identity.saml.assertions import Person
from gateway.identity.saml.documents import MAX_RESPONSE_BYTES
from gateway.identity.saml.provider import ProviderConfig, ServiceProvider

__all__ = ["MAX_RESPONSE_BYTES", "Person", "ProviderConfig", "ServiceProvider"]
