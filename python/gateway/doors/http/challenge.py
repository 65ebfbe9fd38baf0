"""What a 401 says in its WWW-Authenticate fields: RFC 6750 section 3, 9449 section 7.1, 9728 5.1.

Names schemes, the kind of the error and where the metadata stands. Repeats nothing of the request.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from gateway.errors import MaskgateError, Unauthenticated
from gateway.flows import metadata
from gateway.flows.house import House

#: What may not stand in an error_description (RFC 6750 section 3), nor end a quoted string.
_NOT_DESCRIBED = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def challenges(house: House, request: Request, error: MaskgateError) -> tuple[str, ...]:
    """The fields of an answer to this request; none unless its credential was at fault."""
    if not isinstance(error, Unauthenticated):
        return ()
    origin = metadata.origin(house, request.headers.get("host"))
    where = "" if origin is None else f'resource_metadata="{origin}{metadata.PATH}"'
    said = ""
    if error.error is not None:
        told = _NOT_DESCRIBED.sub("?", error.detail)
        said = f'error="{error.error}", error_description="{told}"'
    with_proof = request.headers.get("authorization", "").lower().startswith("dpop")
    bearer = [where, "" if with_proof else said]
    proof = [f'algs="{" ".join(metadata.SIGNED_WITH)}"', where, said if with_proof else ""]
    return tuple(
        f"{scheme} {', '.join(part for part in parts if part)}".rstrip()
        for scheme, parts in (("Bearer", bearer), ("DPoP", proof))
    )
