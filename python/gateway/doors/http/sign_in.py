"""The routes of a browser that signs a person in: forms read strictly, pages that hold no script.

Refuses forms that are large or name a field twice. No page names an address that a request brought:
a browser is sent to the configured provider, to this gateway, or to 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from gateway.doors.http.caller import caller
from gateway.errors import InvalidRequest, MaskgateError
from gateway.flows import sign_in
from gateway.flows.house import House

#: A response in base64, escaped as a form field.
FORM_BYTES = 1 << 20
_CODE = 128
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>maskgate</title>
<h1>{title}</h1>
{body}
</html>
"""
_CONFIRM = """<p>You are <strong>{subject}</strong> of {issuer}.</p>
<p>A terminal on this computer wants to sign in as you. It shows the code
<strong>{code}</strong>.</p>
<p>If no terminal of yours shows that code, close this page: somebody else began this.</p>
<form method="post" action="{action}"><input type="hidden" name="handle" value="{handle}">
<button>The code is the same: sign in</button></form>"""


class Redemption(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    code: str
    code_verifier: str


def add_routes(app: FastAPI, house: House) -> None:
    """The routes of sign-ins at SAML providers."""

    @app.get("/v1/saml/{name}/metadata")
    async def described(name: str) -> Response:
        document = sign_in.provider(house, name).metadata
        return Response(document, media_type="application/samlmetadata+xml")

    @app.get("/v1/saml/{name}/login")
    async def begin(request: Request, name: str) -> Response:
        async def answered() -> Response:
            if at := sign_in.elsewhere(house, name, request.headers.get("host")):
                # The cookie is of one host name: the one that the provider sends people back to.
                return RedirectResponse(f"{at}/login?{request.url.query}", status_code=303)
            asked = _once(request.scope["query_string"], "code_challenge", "port", "state")
            begun = await sign_in.begin(house, name, *asked)
            answer = RedirectResponse(begun.location, status_code=303)
            answer.set_cookie(
                begun.cookie, begun.secret, max_age=600, path="/", secure=begun.secure,
                httponly=True, samesite="lax",
            )  # fmt: skip
            return answer

        return await _shown(answered)

    @app.post("/v1/saml/{name}/acs")
    async def consumer(request: Request, name: str) -> Response:
        async def answered() -> Response:
            # RelayState comes back as the provider likes; nobody is sent where it says.
            response, _ = _once(await _form(request), "SAMLResponse", RelayState="")
            handle = await sign_in.answer(house, name, response, _peer(request))
            # The browser's cookie comes with a step that it makes within this site.
            query = urlencode({"handle": handle})
            return RedirectResponse(f"/v1/saml/{name}/confirm?{query}", status_code=303)

        return await _shown(answered)

    @app.get("/v1/saml/{name}/confirm")
    async def confirmation(request: Request, name: str) -> Response:
        async def answered() -> Response:
            (handle,) = _once(request.scope["query_string"], "handle")
            found = await sign_in.waiting(house, name, handle, request.cookies, _peer(request))
            body = _CONFIRM.format(
                subject=escape(found.subject),
                issuer=escape(found.issuer),
                code=escape(found.terminal.user_code),
                action=escape(f"/v1/saml/{name}/confirm"),
                handle=escape(handle),
            )
            # Where the form's answer may send the browser on to counts as its action, too.
            return _page("Sign in?", body, forms=f"'self' {sign_in.loopback(found)}")

        return await _shown(answered)

    @app.post("/v1/saml/{name}/confirm")
    async def confirmed(request: Request, name: str) -> Response:
        async def answered() -> Response:
            (handle,) = _once(await _form(request), "handle")
            to = await sign_in.confirm(house, name, handle, request.cookies, _peer(request))
            return RedirectResponse(to, status_code=303)

        return await _shown(answered)

    @app.post("/v1/saml/token")
    async def redeem(request: Request, body: Redemption) -> Response:
        if max(len(body.code), len(body.code_verifier)) > _CODE:
            raise InvalidRequest(f"code and code_verifier have at most {_CODE} characters")
        found = await sign_in.redeem(house, body.code, body.code_verifier, _peer(request))
        found["expires_at"] = found["expires_at"].timestamp()
        return _closed(JSONResponse(found))

    @app.delete("/v1/saml/token", status_code=204)
    async def end(request: Request) -> Response:
        await sign_in.end(house, *caller(request))
        return Response(status_code=204)


async def _shown(answer: Callable[[], Awaitable[Response]]) -> Response:
    """What a person sees: an answer, or why there is none."""
    try:
        return _closed(await answer())
    except MaskgateError as error:
        hint = f"<p>{escape(error.hint)}</p>" if error.hint else ""
        page = _page(error.title, f"<p>{escape(error.detail)}</p>{hint}")
        page.status_code = error.status
        if error.retry_after is not None:
            page.headers["Retry-After"] = str(error.retry_after)
        return _closed(page)


def _page(title: str, body: str, forms: str = "'none'") -> Response:
    policy = f"default-src 'none'; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    return HTMLResponse(
        _PAGE.format(title=escape(title), body=body),
        headers={"Content-Security-Policy": policy, "X-Frame-Options": "DENY"},
    )


def _closed(answer: Response) -> Response:
    """Nothing of it is kept, told to another site or taken for something else."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


async def _form(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest("send a form (application/x-www-form-urlencoded)")
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > FORM_BYTES:
            raise InvalidRequest(f"the form is larger than {FORM_BYTES} bytes")
    return bytes(read)


def _once(raw: bytes, *names: str, **optional: str) -> list[str]:
    """The values of these fields, each of which stands once; other fields count for nothing."""
    try:
        fields = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=16, errors="strict"
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    found: dict[str, Any] = {}
    for name, value in fields:
        if name in found and name in (*names, *optional):
            raise InvalidRequest(f"{name} stands twice")
        found[name] = value
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidRequest(f"{missing[0]} is missing")
    return [found[name] for name in names] + [
        found.get(name, default) for name, default in optional.items()
    ]


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
