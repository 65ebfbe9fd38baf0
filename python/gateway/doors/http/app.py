"""The routes of the contract. Each reads its request, calls one journey, writes its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.doors.http import metrics, sign_in
from gateway.doors.http.body import StrictRoute
from gateway.doors.http.caller import caller
from gateway.doors.http.challenge import challenges
from gateway.doors.http.download import Download
from gateway.doors.http.problem import gateway_failed, problem
from gateway.doors.http.stream import QueryAnswer
from gateway.errors import InvalidRequest, MaskgateError, NotFound
from gateway.flows import evidence, grant, health, metadata, review, schema, session
from gateway.flows.house import House
from gateway.flows.session import grant_record

#: What keeps its own status; everything else about a request that is wrong is 422.
_STATUS = {405: 405, 413: 413}
_SCOPE = (
    "max_rows", "columns", "filters", "statement", "parameters", "max_bytes", "max_concurrent",
    "max_per_minute", "hours",
)  # fmt: skip
_Leaves = Query(ge=0, lt=2**53)
_QUERY = re.compile(r"/v1/(?:sessions/(?P<session>[^/]+)/)?query")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class GrantRequest(_Body):
    connection: str
    tables: list[str | dict[str, Any]]
    purpose: str
    duration_s: int
    max_rows: Annotated[int, Field(gt=0, lt=2**53)] | None = None
    ticket: str | None = None
    not_before: str | None = None
    hours: list[str] = []
    filters: dict[str, str] | None = None
    statement: str | None = None
    params: list[Any] | None = None
    max_bytes: int | None = None
    max_concurrent: int | None = None
    max_per_minute: int | None = None
    break_glass: str | None = None  # the reason of an emergency


class GrantRenewal(_Body):
    purpose: str | None = None
    duration_s: int | None = None
    ticket: str | None = None


class GrantDecision(_Body):
    reason: str
    filters: dict[str, str] | None = None  # of an approval


class SessionRequest(_Body):
    connection: str
    grant: str | None = None


class EvidenceRequest(_Body):
    """All that is given must hold. A body, not a query: addresses are written down on the way."""

    identity: str | None = None
    actor: str | None = None
    connection: str | None = None
    grant: str | None = None
    table: str | None = None
    patient_token: str | None = None
    since: str | None = None
    until: str | None = None


class ReviewRequest(_Body):
    note: str


class _App(FastAPI):
    """FastAPI, but for queries: their body, answer and errors are this door's own, and the way
    through the framework takes as long as the rest of a small statement's."""

    house: House

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _QUERY.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if asked is None:
            await super().__call__(scope, receive, send)
        elif scope["method"] == "POST":
            request = Request(scope, receive)
            await QueryAnswer(self.house, request, asked["session"])(scope, receive, send)
        else:
            refusal = problem(InvalidRequest("Method Not Allowed"), status=405)
            refusal.headers["Allow"] = "POST"
            await refusal(scope, receive, send)


def create_app(house: House, lifespan: Lifespan | None = None) -> FastAPI:
    """The ASGI application over a built house."""
    app = _App(
        title="maskgate",
        version=house.version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.house = house
    app.router.route_class = StrictRoute
    _errors(app, house)
    _open_routes(app, house)
    _people_routes(app, house)
    _session_routes(app, house)
    _auditor_routes(app, house)
    sign_in.add_routes(app, house)
    return app


def _grant_answer(found: Any) -> dict[str, Any]:
    record = grant_record(found)
    scope = {
        "connection": record["connection"],
        "tables": record["tables"],
        **{name: record[name] for name in _SCOPE},
        "actions": ["read"],
    }
    return {**record, "scope": scope, "duration_s": found.duration_s}


def _errors(app: FastAPI, house: House) -> None:
    @app.exception_handler(MaskgateError)
    async def ours(request: Request, error: MaskgateError) -> Response:
        return problem(error, challenges=challenges(house, request, error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(InvalidRequest(f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, MaskgateError):  # raised while a body was read
            return problem(error.__cause__)
        if error.status_code == 404:
            return problem(NotFound(f"nothing at {request.url.path}"))
        answer = problem(InvalidRequest(str(error.detail)), status=_STATUS.get(error.status_code))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return problem(gateway_failed(error))


def _open_routes(app: FastAPI, house: House) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "version": house.version}

    @app.get("/readyz")
    async def readyz() -> Response:
        missing = await health.missing(house)
        answer = {"ready": not missing, "missing": missing}
        if late := health.behind(house):
            answer["behind"] = late
        return JSONResponse(answer, status_code=503 if missing else 200)

    @app.get(metadata.PATH)
    async def protected_resource(request: Request) -> dict[str, Any]:
        return metadata.protected_resource(house, request.headers.get("host"))

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(
            metrics.render(health.delivery(house)), media_type="text/plain; version=0.0.4"
        )


def _people_routes(app: FastAPI, house: House) -> None:
    @app.get("/v1/whoami")
    async def whoami(request: Request) -> dict[str, Any]:
        identity = await grant.whoami(house, *caller(request))
        return {
            "identity": identity.key,
            "name": identity.name,
            "issuer": identity.issuer,
            "subject": identity.subject,
            "actor": identity.actor,
            "groups": sorted(identity.groups),
            "expires_at": identity.expires_at,
        }

    @app.get("/v1/connections")
    async def connections(request: Request) -> dict[str, Any]:
        return {"items": await grant.connections(house, *caller(request))}

    @app.get("/v1/connections/{name}/schema")
    async def columns(request: Request, name: str) -> dict[str, Any]:
        return {"items": await schema.schema(house, *caller(request), name)}

    @app.post("/v1/grants", status_code=201)
    async def ask(request: Request, body: GrantRequest) -> dict[str, Any]:
        return _grant_answer(await grant.request(house, *caller(request), **body.model_dump()))

    @app.get("/v1/grants")
    async def grants(request: Request) -> dict[str, Any]:
        found = await grant.list_all(house, *caller(request))
        return {"items": [_grant_answer(one) for one in found]}

    @app.get("/v1/grants/{grant_id}")
    async def one_grant(request: Request, grant_id: str) -> dict[str, Any]:
        return _grant_answer(await grant.show(house, *caller(request), grant_id))

    @app.get("/v1/grants/{grant_id}/history")
    async def history(request: Request, grant_id: str) -> dict[str, Any]:
        return {"items": await grant.history(house, *caller(request), grant_id)}

    @app.post("/v1/grants/{grant_id}/renew", status_code=201)
    async def renew(request: Request, grant_id: str, body: GrantRenewal) -> dict[str, Any]:
        asked = await grant.renew(house, *caller(request), grant_id, **body.model_dump())
        return _grant_answer(asked)

    @app.post("/v1/grants/{grant_id}/{verb}")
    async def decide(
        request: Request,
        grant_id: str,
        verb: Annotated[str, Path(pattern="^(approve|deny|revoke)$")],
        body: GrantDecision,
    ) -> dict[str, Any]:
        changed = await grant.decide(
            house, *caller(request), grant_id, verb, body.reason, body.filters
        )
        return _grant_answer(changed)


def _session_routes(app: FastAPI, house: House) -> None:
    @app.post("/v1/sessions", status_code=201)
    async def open_session(request: Request, body: SessionRequest) -> dict[str, Any]:
        return await session.open_session(house, *caller(request), body.connection, body.grant)

    @app.get("/v1/sessions")
    async def sessions(request: Request) -> dict[str, Any]:
        return {"items": await session.list_sessions(house, *caller(request))}

    @app.get("/v1/sessions/{session_id}")
    async def one_session(request: Request, session_id: str) -> dict[str, Any]:
        return await session.show_session(house, *caller(request), session_id)

    @app.delete("/v1/sessions/{session_id}", status_code=204)
    async def close_session(request: Request, session_id: str) -> Response:
        await session.close_session(house, *caller(request), session_id)
        return Response(status_code=204)

    @app.get("/v1/sessions/{session_id}/statements/{number}")
    async def receipt(request: Request, session_id: str, number: int) -> dict[str, Any]:
        return await session.receipt(house, *caller(request), session_id, number)

    @app.get("/v1/sessions/{session_id}/evidence")
    async def bundle(
        request: Request, session_id: str, since: Annotated[int | None, _Leaves] = None
    ) -> Response:
        data = await evidence.export(house, *caller(request), session_id, since)
        name = f'attachment; filename="maskgate-{session_id}.zip"'
        return Response(data, media_type="application/zip", headers={"Content-Disposition": name})


def _auditor_routes(app: FastAPI, house: House) -> None:
    @app.post("/v1/evidence")
    async def collection(request: Request, body: EvidenceRequest) -> Response:
        made = await evidence.collect(house, *caller(request), body.model_dump())
        return Download(made, house.limits.client_stall_seconds)

    @app.get("/v1/reviews")
    async def reviews(
        request: Request, state: Annotated[str, Query(pattern="^(due|done)$")] = "due"
    ) -> dict[str, Any]:
        found = await review.list_reviews(house, *caller(request), done=state == "done")
        return {"items": found}

    @app.post("/v1/sessions/{session_id}/reviews", status_code=201)
    async def add_review(request: Request, session_id: str, body: ReviewRequest) -> dict[str, Any]:
        return await review.review(house, *caller(request), session_id, body.note)
