"""Which parts of a record stay in clear when statements are sealed: an allow-list by type.

What no rule names is sealed for the auditor, with everything a caller or approver has worded: the
statement, its parameters, the text that ran, purposes, reasons, the sentences of refusals and
notes, names that a statement made up. In clear stay who, when, under which grant, the template,
catalog names, treatments and why, codes, counts and digests: what a verifier checks. A digest of
words that somebody chose (of the tree, of a long statement) is sealed too: guesses could be tried
against it.

Refuses to let through a record of an unknown type in clear.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from gateway import errors
from gateway.evidence import counted_under
from gateway.sessionlog.sealing import AuditorKey, Place
from gateway.sql import template

SEALED = "sealed"  # the member, and what stands for a sentence
_CALLED = re.compile(r"[A-Z]{2,}(?: [A-Z]{2,})*")  # SQL's own words at the beginning of a use

Clear = Callable[[Any], Any]


def _kept(value: Any) -> Any:
    return value


def _none(_: Any) -> None:
    return None


def _empty(_: Any) -> list[Any]:
    return []


def _word(_: Any) -> str:
    return SEALED


def _session(value: Any) -> Any:
    """A session's id; anything else that was sent as one is a text."""
    try:
        return value if str(uuid.UUID(value)) == value else SEALED
    except (ValueError, AttributeError, TypeError):
        return None if value is None else SEALED


def _grant(grant: dict[str, Any]) -> dict[str, Any]:
    worded: dict[str, Any] = {
        name: None if grant.get(name) is None else SEALED
        for name in ("purpose", "reason", "ticket")
        if name in grant
    }
    return {**{name: grant[name] for name in _OF_GRANT if name in grant}, **worded}


_OF_GRANT = (
    "id", "identity", "connection", "tables", "state", "requested_at", "not_before", "expires_at",
    "max_rows", "decided_by", "decided_at", "begins_at", "hours", "approvals_needed", "approvals",
    "break_glass", "renews", "columns", "max_bytes", "max_concurrent", "max_per_minute",
)  # fmt: skip


def _all_kept(names: str) -> dict[str, Clear]:
    return dict.fromkeys(names.split(), _kept)


_COUNTS = _all_kept(
    "statement_no rows chunk chunks bytes cumulative_rows digest truncated infinities"
)
# `statement`, `analysis` and what else leans on the statement's names is worded by `Sealing`.
_RULES: dict[str, dict[str, Clear]] = {
    "open": {
        **_all_kept(
            "identity issuer subject actor groups token_fingerprint jkt credential client "
            "connection policy_hash gateway_version database_floor kind"
        ),
        "grant": _grant,
        "purpose": _word,
    },
    "intent": {
        **_all_kept("statement_no policy_hash grant format role database_floor permitted"),
        "params": _none,
        "server_text": _none,
        "notes": _empty,
    },
    "result": _COUNTS,
    "release": {**_COUNTS, "notes": _empty},
    "refused": _all_kept("statement_no statement_bytes"),
    "error": _all_kept("statement_no rows"),
    "cancel": {**_all_kept("statement_no rows"), "reason": _word},
    "export": {},
    "close": _all_kept("reason statements"),
    "event": {
        **_all_kept(
            "kind identity actor client grant tables state duration_s not_before expires_at "
            "max_rows rows_released by at policy_hash policy quarantined sessions what "
            "statement_bytes before witness begins_at hours approvals_needed approvals "
            "break_glass renews columns max_bytes bytes_released max_concurrent max_per_minute "
            "credential provider issuer subject groups token_fingerprint"
        ),
        "session": _session,
        "purpose": _word,
    },
}


def templates(known: Container[str]) -> Callable[[str, Mapping[str, Any]], str]:
    """What makes the template of a statement from its record, for those who get no more."""

    def made(text: str, body: Mapping[str, Any]) -> str:
        return template(text, Names(known, body) if "analysis" in body else known)

    return made


def _codes(base: type[errors.MaskgateError]) -> dict[str, str]:
    """The title of each code of the contract."""
    found = {base.code: base.title}
    for one in base.__subclasses__():
        found |= _codes(one)
    return found


TITLES = _codes(errors.MaskgateError) | {"cancelled": "The client went away"}


class Sealing:
    """What the session log calls with each body, in the order of the records."""

    def __init__(self, key: AuditorKey, known: Container[str], connections: Iterable[str]) -> None:
        self._key = key
        self._known = known
        self._connections = frozenset(connections)
        # Of statements that run: the keys that their release counts by, and what stands for each.
        self._counted: dict[tuple[str, Any], dict[str, str]] = {}

    def __call__(self, place: Place, body: dict[str, Any]) -> dict[str, Any]:
        """The body that is recorded: what stays in clear, and all the rest sealed."""
        clear = self._clear(place, body)
        secret = {name: value for name, value in body.items() if clear.get(name, ...) != value}
        if not secret:
            return clear
        return {**clear, SEALED: self._key.seal(place, secret)}

    def _clear(self, place: Place, body: dict[str, Any]) -> dict[str, Any]:
        rules = _RULES.get(place.type, {})
        clear = {name: rules[name](value) for name, value in body.items() if name in rules}
        if body.get("break_glass") is True:
            clear["break_glass"] = True  # of every record
        if "code" in body:
            clear["code"] = body["code"] if body["code"] in TITLES else SEALED
        if "detail" in body:
            clear["detail"] = TITLES.get(body.get("code", ""), SEALED)
        if place.type == "event" and "connection" in body:
            given = body["connection"]
            clear["connection"] = given if given in {None, *self._connections} else SEALED
        words = body.get("statement", body.get("statement_head"))
        statement = (place.sid, body.get("statement_no"))
        if place.type == "intent":
            names = Names(self._known, body)
            clear["statement"] = template(words or "", names)
            clear |= names.clear(body)
            self._counted[statement] = names.counted
        elif words is not None:
            clear["statement"] = template(words, self._known)
        if place.type in ("release", "error", "cancel", "refused"):
            counted = self._counted.pop(statement, {})
            for name in ("cells_masked", "detectors"):
                if name in body:
                    clear[name] = _renamed(body[name], counted)
        if place.type == "close":
            for ended in [one for one in self._counted if one[0] == place.sid]:
                del self._counted[ended]
        return clear


class Names:
    """The names that one analysed statement may show, and what stands for those it made up."""

    def __init__(self, known: Container[str], body: Mapping[str, Any]) -> None:
        self._known = known
        outputs = body["analysis"]["outputs"]
        columns = [column for output in outputs for column in output["columns"]]
        columns += [use["column"] for use in body["analysis"]["control"]]
        named = [*columns, *body["analysis"]["tables"]]
        self._own = {part for name in named for part in str(name).split(".")}
        shown = [
            output["name"] if output["name"] in self else f"column {number}"
            for number, output in enumerate(outputs, 1)
        ]
        self._outputs = shown
        self.counted = dict(
            zip(
                counted_under([output["name"] for output in outputs]),
                counted_under(shown),
                strict=True,
            )
        )

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._known

    def clear(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The members of an intent that hold names, without those that the statement made up."""
        analysis = body["analysis"]
        return {
            "analysis": {
                "outputs": [
                    {"name": name, "shape": output["shape"], "columns": output["columns"]}
                    for name, output in zip(self._outputs, analysis["outputs"], strict=True)
                ],
                "control": [
                    {"column": use["column"], "use": _use(use["use"])}
                    for use in analysis["control"]
                ],
                "tables": analysis["tables"],
            },
            "decision": [
                {**column, "column": name}
                for name, column in zip(self._outputs, body["decision"], strict=True)
            ],
            "masked_at_source": [
                {
                    "column": one["column"],
                    "relation": one["relation"],
                    "reference": one["reference"] if one["reference"] in self else SEALED,
                    "uses": [_use(use) for use in one["uses"]],
                    "reason": one["reason"],
                }
                for one in body["masked_at_source"]
            ],
        }


def _use(use: str) -> str:
    """Where a column is used, without the name of an output that the sentence may hold."""
    found = _CALLED.match(use)
    if found is not None:
        return found[0]
    return use if use == "unused mention" else "an expression"


def _renamed(counts: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[key]: count for key, count in counts.items() if key in names}
