"""What a client may know before it has a token: where to get one (RFC 9728).

Names nothing but what the configuration makes public: the gateway's address, its issuers and how
tokens are sent. Refuses to take an address from the request: a Host field only chooses among ours.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import NotFound
from gateway.flows.house import House
from gateway.identity import ALGORITHMS

PATH = "/.well-known/oauth-protected-resource"
SIGNED_WITH = tuple(sorted(ALGORITHMS))


def origin(house: House, host: str | None) -> str | None:
    """The gateway's address as this client wrote it, if it is one of ours; else its first."""
    ours = house.identity.origins
    named = [one for one in ours if one.partition("://")[2] == (host or "").lower()]
    return next(iter([*named, *ours]), None)


def protected_resource(house: House, host: str | None) -> dict[str, Any]:
    """The metadata document, section 2. Raises NotFound when the address is not known."""
    resource = origin(house, host)
    if resource is None:
        raise NotFound(
            "this gateway was not told its own address", hint="the operator sets server.public_url"
        )
    issuers = house.identity.issuers
    # Where people sign in who have no token: RFC 9728, section 2, lets more members stand here.
    more = {"maskgate_saml_providers": sorted(house.saml)} if house.saml else {}
    return {
        "resource": resource,
        "resource_name": "maskgate",
        "authorization_servers": [one.issuer for one in issuers],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(SIGNED_WITH),
        "dpop_bound_access_tokens_required": all(one.require_dpop for one in issuers),
        **more,
    }
