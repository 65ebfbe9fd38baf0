"""Which sessions somebody asked for, judged by what the log holds of each.

The log holds statements and decisions, never a value that came back. So `patient_token` finds the
sessions whose statements or parameters name that token, and no others: which sessions were shown it
cannot be found here, only which released any column under `token` at all. Refuses to take a session
that cannot be searched for one that does not match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.errors import InvalidRequest
from gateway.evidence import canonical

_TABLE = re.compile(r"[^.\s][^.\x00-\x1f]{0,62}\.[^.\x00-\x1f]{1,63}")
_TOKEN = re.compile(r"[A-Za-z0-9_.:=+/-]{4,200}")
_TEXT_LIMIT = 1000

#: Why a session is not among those asked for; the last ones are no judgement on the session.
WHY = {
    "period": "outside the period",
    "identity": "another identity's",
    "actor": "for another person",
    "connection": "on another connection",
    "grant": "under another grant",
    "table": "no statement names the table or reads a column of it",
    "patient_token": "no statement or parameter names the token",
    "gateway": "the gateway's own: log-ins, decisions about grants, exports, reviews",
    "sealed": "not searched: its statements are sealed for the auditor",
    "unreadable": "not searched: its records are not here, or not those that the ledger names",
    "no_bundle": "meant, but its records or its policy are not here: no bundle can be made of it",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """All of what is given must hold; nothing given is every session."""

    identity: str | None = None  # ISSUER#SUBJECT
    actor: str | None = None  # whom an agent worked for, as the token named him
    connection: str | None = None
    grant: str | None = None
    table: str | None = None  # schema.table
    patient_token: str | None = None
    since: str | None = None  # sessions that had not ended before; as records spell times
    until: str | None = None  # sessions that were opened before

    @classmethod
    def parse(cls, given: dict[str, str | None]) -> Selection:
        """Raises InvalidRequest with the member that is wrong."""
        for name, value in given.items():
            if value is not None and not 0 < len(value) <= _TEXT_LIMIT:
                raise InvalidRequest(f"{name} has 1 to {_TEXT_LIMIT} characters")
        table, token = given.get("table"), given.get("patient_token")
        if table is not None and not _TABLE.fullmatch(table):
            raise InvalidRequest("table is schema.table", hint="such as public.patient")
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidRequest("patient_token has 4 to 200 letters, digits and _ . : = + / -")
        moments = {name: _moment(given.get(name), name) for name in ("since", "until")}
        made = cls(**{**given, **moments})
        if made.since is not None and made.until is not None and made.since >= made.until:
            raise InvalidRequest("since is not before until")
        return made

    def stated(self) -> dict[str, str]:
        """What was asked for, as records and the index say it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def searches(self) -> bool:
        """Whether statements have to be read."""
        return self.table is not None or self.patient_token is not None

    def too_late(self, opened_at: str) -> bool:
        return self.until is not None and opened_at >= self.until

    def too_early(self, ended_at: str | None) -> bool:
        return self.since is not None and ended_at is not None and ended_at < self.since

    def why_not(self, opened: dict[str, Any]) -> str:
        """Why the session of this `open` body is not meant; empty when it may be."""
        if not isinstance(opened.get("grant"), dict):
            return "gateway"
        actor = opened.get("actor")
        actors = (actor, f"{opened.get('issuer')}#{actor}") if actor else ()
        held = {
            "identity": (opened.get("identity"),),
            "actor": actors,
            "connection": (opened.get("connection"),),
            "grant": (opened["grant"].get("id"),),
        }
        for name, values in held.items():
            wanted = getattr(self, name)
            if wanted is not None and wanted not in values:
                return name
        return ""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search of one session's statements came to."""

    why_not: str  # empty: it is meant
    tokens_released: bool  # it released rows with a column under `token`


def search(selection: Selection, lines: Iterable[bytes]) -> Searched:
    """Read a session's records to their end: only then are they known to be the ledger's."""
    seen = _Seen(selection)
    for line in lines:
        seen.take(line)
    missing = [name for name, found in seen.found.items() if not found]
    if "patient_token" in missing and seen.sealed:
        missing.insert(0, "sealed")
    return Searched(missing[0] if missing else "", seen.tokens_released)


class _Seen:
    def __init__(self, selection: Selection) -> None:
        wanted = {"table": selection.table, "patient_token": selection.patient_token}
        self.found = {name: False for name, value in wanted.items() if value is not None}
        self.sealed = self.tokens_released = False
        self._table = selection.table or ""
        self._token: re.Pattern[str] | None = None
        self._name = _word(self._table.rpartition(".")[2])
        if selection.patient_token is not None:
            self._token = _word(selection.patient_token, re.NOFLAG)
        self._tokens: set[Any] = set()  # statements that have a column under `token`

    def take(self, line: bytes) -> None:
        kind = line[-60:].rpartition(b'"type":"')[2].partition(b'"')[0]
        if kind not in (b"intent", b"refused", b"result"):
            return
        body = json.loads(line)["body"]
        if kind == b"result":
            released = body["rows"] > 0 and body["statement_no"] in self._tokens
            self.tokens_released |= self._token is not None and released
            return
        self.sealed |= "sealed" in body
        text = f"{body.get('statement', body.get('statement_head', ''))}\n{body.get('params')}"
        if self._token is not None and self._token.search(text):
            self.found["patient_token"] = True
        if kind == b"intent":
            if any(_treatment(column) == "token" for column in body["decision"]):
                self._tokens.add(body["statement_no"])
            named = self._table in _tables(body)
        else:  # nothing was analysed: the text alone can say it
            named = bool(self._name.search(text))
        if self._table and named:
            self.found["table"] = True


def _word(text: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_]){re.escape(text)}(?![A-Za-z0-9_])", flags)


def _tables(intent: dict[str, Any]) -> set[str]:
    """The tables that a statement names, and those below its views whose columns it reads."""
    analysis = intent["analysis"]
    columns = [name for column in intent["decision"] for name in column["columns"]]
    columns += [use["column"] for use in analysis["control"]]
    columns += [hidden["column"] for hidden in intent.get("masked_at_source") or ()]
    return {*analysis["tables"], *(str(name).rpartition(".")[0] for name in columns)}


def _treatment(column: dict[str, Any]) -> Any:
    treatment = column["treatment"]
    return treatment.get("name") if isinstance(treatment, dict) else treatment


def _moment(text: str | None, name: str) -> str | None:
    """A date or time as records spell it, so that they compare as text."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and len(text) > len("2026-11-22"):
            raise ValueError("without a zone")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return canonical.moment(moment)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name} is a date, or a time with its zone",
            hint="such as 2026-11-01 (midnight UTC) or 2026-11-01T08:00:00+01:00",
        ) from None
