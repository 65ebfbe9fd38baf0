"""Who calls, as the head of a request says; whether it is true is the corridor's to find out.

Refuses nothing itself: several Authorization fields are joined as RFC 9110, 5.3 joins them, and so
are no bearer token, whichever of them another program on the way has looked at.
"""

from __future__ import annotations

from starlette.requests import Request


def caller(request: Request) -> tuple[str | None, str]:
    """The credential and the address that it came from."""
    given = request.headers.getlist("authorization")
    return ", ".join(given) if given else None, request.client.host if request.client else ""
