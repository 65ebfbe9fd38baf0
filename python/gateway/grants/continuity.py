"""Whether the control store is still the one that this gateway began with.

Looked at on every new connection, each second, and behind each change of a grant. Refuses, until
the gateway is restarted, a store that has lost a change which was seen in it (a replica that was
behind has been promoted, or a copy put back: what was revoked may be active there), and one that a
newer version has changed: a grant may be narrower there than this version can read.
"""

from __future__ import annotations

import logging
from typing import Any

from gateway.errors import StoreUnavailable

_LOOK = """
SELECT (SELECT pg_catalog.max(m.version) FROM maskgate.schema_migrations m) AS version,
       EXISTS (SELECT FROM maskgate.grant_events e
                WHERE e.seq = $1 AND e.grant_id = $2 AND e.at = $3) AS kept,
       l.seq, l.grant_id, l.at
  FROM (VALUES (1)) one
  LEFT JOIN LATERAL (SELECT e.seq, e.grant_id, e.at FROM maskgate.grant_events e
                      ORDER BY e.seq DESC LIMIT 1) l ON true"""
_LOST = (
    "The control store has lost changes of grants that this gateway has seen: an older copy of it "
    "has taken its place, and what was revoked may be active there."
)
_NEWER = "A newer version of the gateway has changed the control store, which this one misreads."
_LOG = logging.getLogger("maskgate")


class Continuity:
    """Of one gateway's store, whatever connections it is asked on."""

    def __init__(self, version: int) -> None:
        """`version`: of the last migration that this program knows."""
        self._version = version
        self._seen: Any = None  # the last change of a grant
        self.trouble = ""
        self._hint = ""

    async def look(self, connection: Any) -> None:
        """Once there is trouble it stays: what was lost does not come back."""
        seen = self._seen
        known = (None, None, None) if seen is None else (seen["seq"], seen["grant_id"], seen["at"])
        row = await connection.fetchrow(_LOOK, *known)
        version = row["version"] or 0
        if version > self._version:
            self._tell(_NEWER, "The operator has to start that version here as well.")
        elif version < self._version or (seen is not None and not row["kept"]):
            self._tell(
                _LOST,
                "The operator has to compare the history of grants with the logs, decide again "
                "what is missing, and restart this gateway.",
            )
        elif row["seq"] is not None and (self._seen is None or row["seq"] > self._seen["seq"]):
            self._seen = row

    def check(self) -> None:
        """Raises StoreUnavailable for a store that is not the same any more."""
        if self.trouble:
            raise StoreUnavailable(self.trouble, hint=self._hint)

    def _tell(self, trouble: str, hint: str) -> None:
        if not self.trouble:
            self.trouble, self._hint = trouble, hint
            _LOG.warning("%s %s", trouble, hint)
