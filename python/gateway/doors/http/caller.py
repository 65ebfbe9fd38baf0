"""Who calls, as the head of a request says; whether it is true is the corridor's to find out.

Refuses nothing itself: several Authorization fields are joined as RFC 9110, 5.3 joins them, and so
are no bearer token, whichever of them another program on the way has looked at. DPoP fields are
kept apart: two of them are refused for what they are.
"""

from __future__ import annotations

from starlette.requests import Request

from gateway.model import Call, Credential


def caller(request: Request) -> tuple[Credential, str]:
    """The credential and the address that it came from."""
    given = request.headers.getlist("authorization")
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    call = Call(
        method=request.method,
        path=raw.decode("latin-1").partition("?")[0],
        proofs=tuple(request.headers.getlist("dpop")),
    )
    credential = Credential(", ".join(given) if given else None, call)
    return credential, request.client.host if request.client else ""
