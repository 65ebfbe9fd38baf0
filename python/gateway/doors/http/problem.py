"""Errors as RFC 9457 `application/problem+json`; the one place where exceptions become bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse

from gateway.errors import MaskgateError, UpstreamFailed


def problem(
    error: MaskgateError, *, status: int | None = None, challenges: Sequence[str] = ()
) -> JSONResponse:
    """The response for one of our own errors; `detail` never holds a value from the database.
    `challenges` become WWW-Authenticate fields."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "status": status or error.status,
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
    }
    if error.hint is not None:
        body["hint"] = error.hint
    if isinstance(error, UpstreamFailed) and error.sqlstate_class:
        body["sqlstate_class"] = error.sqlstate_class
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    answer = JSONResponse(
        body,
        status_code=status or error.status,
        headers=headers,
        media_type="application/problem+json",
    )
    for challenge in challenges:
        answer.headers.append("WWW-Authenticate", challenge)
    return answer


def gateway_failed(error: Exception) -> MaskgateError:
    """What a client is told of a mistake in the gateway: the kind of it, and no word more."""
    return MaskgateError(f"the gateway failed: {type(error).__name__}")
