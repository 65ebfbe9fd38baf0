"""Exports of several sessions, made by the real journey over a real log.

The rooms that it only asks for yes or no are stood in for.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import bundles
from blake3 import blake3

from gateway.flows import evidence as journey
from gateway.flows import review
from gateway.model import Call, Credential, Identity
from gateway.sessionlog import SessionLog

ISSUER = "https://idp.example.org"


def person(subject: str, *groups: str, actor: str | None = None) -> Identity:
    expires = datetime(2099, 1, 1, tzinfo=UTC)
    return Identity(ISSUER, subject, subject, frozenset(groups), actor, "ab" * 32, expires)


class Reviews:
    """The control store's part, in memory."""

    def __init__(self) -> None:
        self.places: dict[str, list[Any]] = {}

    async def add(self, session: str, place: Any) -> None:
        self.places.setdefault(session, []).append(place)

    async def of(self, session: str) -> list[Any]:
        return self.places.get(session, [])


class Policies:
    def find(self, digest: str) -> bytes:
        assert digest == blake3(bundles.POLICY).hexdigest()
        return bundles.POLICY


def house(log: SessionLog, caller: Identity) -> Any:
    async def establish(*_: object) -> Identity:
        return caller

    async def get_session(session: str, by: Identity) -> Any:
        return SimpleNamespace(id=session, identity=f"{ISSUER}#a-17", actor=None)

    return SimpleNamespace(
        log=log,
        identity=SimpleNamespace(establish=establish),
        saml={},
        rules=SimpleNamespace(audits=lambda who: "auditors" in who.groups),
        sessions=SimpleNamespace(get_session=get_session),
        reviews=Reviews(),
        policies=Policies(),
        desk=SimpleNamespace(exporting=False),
        now=lambda: datetime.now(UTC),
    )


CREDENTIAL = Credential("token", Call("POST", "/v1/evidence"))
AUDITOR = person("auditor-amir", "auditors")


async def collected(of: Any, **asked: str) -> bytes:
    """The whole file of such an export."""
    names = ("identity", "actor", "connection", "grant", "table", "patient_token", "since", "until")
    made = await journey.collect(of, CREDENTIAL, "127.0.0.1", {n: asked.get(n) for n in names})
    data = b"".join([part async for part in made])
    await made.aclose()
    return data


async def reviewed(of: Any, session: str, note: str = "nothing found") -> dict[str, Any]:
    return await review.review(of, CREDENTIAL, "127.0.0.1", session, note)


async def session(
    log: SessionLog, *, statement: str = "SELECT id, mrn FROM public.patient", params: Any = None,
    tables: tuple[str, ...] = ("public.patient",), treatment: str = "token", close: bool = True,
    grant: str = "6f1c", subject: str = "a-17", **opened: Any,
) -> str:  # fmt: skip
    """A session with one statement that released three rows."""
    sid = str(uuid.uuid4())
    body = bundles.opened(**opened) | {"identity": f"{ISSUER}#{subject}", "subject": subject}
    body["grant"] = body["grant"] | {"id": grant, "identity": f"{ISSUER}#{subject}"}
    await log.open_session(sid, body)
    intent = bundles.intent(1, statement)
    intent["params"] = params
    intent["analysis"]["tables"] = list(tables)
    for column in intent["decision"]:
        column["columns"] = [f"{tables[0]}.{column['column']}"]
    intent["decision"][1]["treatment"] = treatment
    await log.append(sid, "intent", intent)
    await log.append(sid, "result", bundles.result(1, 0, 3, 3))
    await log.append(sid, "release", bundles.release(1, 3, b"rows"))
    if close:
        await log.close_session(sid, {"reason": "done", "statements": 1})
    return sid
