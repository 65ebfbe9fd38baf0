"""Evidence: what an auditor takes away about one session.

(1) who is it  (2) may it see this session  (3) the export itself is recorded  (4) the bundle is
built from the log's own bytes.
"""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files

from gateway import evidence
from gateway.flows.entrance import establish
from gateway.flows.house import House


async def export(
    house: House, credential: str | None, client: str, session_id: str, since: int | None = None
) -> bytes:
    """`GET /v1/sessions/{id}/evidence`: the ZIP bundle of contract and docs/session-log.md, with
    the proof from `since` leaves on, which an auditor remembers."""
    identity = await establish(house, credential, client)
    await house.sessions.get_session(session_id, identity)
    await house.log.event("export", {"identity": identity.key, "session": session_id})
    found = await house.log.session_bytes(session_id, since)
    opened = json.loads(found.records.partition(b"\n")[0])
    return await asyncio.to_thread(
        evidence.build,
        found,
        policy=house.policies.find(opened["body"]["policy_hash"]),
        verifier=files("gateway.auditor").joinpath("verify.py").read_bytes(),
        sign=house.log.sign_manifest,
        created=house.now(),
    )
