"""Evidence: what an auditor takes away about one session.

(1) who is it  (2) may it see this session  (3) the export itself is recorded  (4) the bundle is
built from the log's own bytes.
"""

from __future__ import annotations

import asyncio

from gateway import evidence
from gateway.flows.entrance import establish
from gateway.flows.house import House
from gateway.flows.session import grant_record


async def export(house: House, credential: str | None, client: str, session_id: str) -> bytes:
    """`GET /v1/sessions/{id}/evidence`: the ZIP bundle of contract and docs/session-log.md."""
    identity = await establish(house, credential, client)
    session = await house.sessions.get_session(session_id, identity)
    await house.log.event("export", {"identity": identity.key, "session": session_id})
    grant = await house.grants.get(session.grant, identity)
    policy = house.connection(session.connection).policy
    files = await house.log.session_bytes(session_id)
    return await asyncio.to_thread(
        evidence.build,
        files,
        grant=grant_record(grant),
        policy=policy.text,
        sign=house.log.sign_manifest,
    )
