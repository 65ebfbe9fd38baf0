"""A record as an event of the Open Cybersecurity Schema Framework 1.6.0.

Statements are Datastore Activity (6005): the intent and the release are a Query, a chunk's result a
Read. Log-ins are Authentication (3002): the opening of a session, its close, a failed log-in. A
grant that began without approval is User Access Management (3005). Every record of an agent's
session has one event, so that numbers (`unmapped.record`) show a gap; of the gateway's own session
what is a log-in, a refused statement or a broken glass has one.

Refuses to carry what somebody has worded: statements, parameters, purposes, reasons, sentences of
refusals, names of outputs. Each member below is taken from a record by name; nothing is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Any

from gateway.model import DurableRecord

VERSION = "1.6.0"
DATASTORE, AUTHENTICATION, ACCESS = 6005, 3002, 3005
_NAMES = {
    DATASTORE: "Datastore Activity",
    AUTHENTICATION: "Authentication",
    ACCESS: "User Access Management",
}
_CATEGORIES = {
    DATASTORE: (6, "Application Activity"),
    AUTHENTICATION: (3, "Identity & Access Management"),
    ACCESS: (3, "Identity & Access Management"),
}
_ACTIVITIES = {
    (DATASTORE, 1): "Read", (DATASTORE, 4): "Query",
    (AUTHENTICATION, 1): "Logon", (AUTHENTICATION, 2): "Logoff",
    (ACCESS, 1): "Assign Privileges",
}  # fmt: skip
_SUCCESS, _FAILURE, _OTHER = (1, "Success"), (2, "Failure"), (99, "Other")
_INFORMATIONAL, _LOW, _MEDIUM = (1, "Informational"), (2, "Low"), (3, "Medium")
_CRITICAL = (5, "Critical")
_MOST_TABLES = 100

#: By type of record: class, activity, status, severity.
_KINDS: dict[str, tuple[int, int, tuple[int, str], tuple[int, str]]] = {
    "open": (AUTHENTICATION, 1, _SUCCESS, _INFORMATIONAL),
    "close": (AUTHENTICATION, 2, _SUCCESS, _INFORMATIONAL),
    "login.saml": (AUTHENTICATION, 1, _SUCCESS, _INFORMATIONAL),
    "login.ended": (AUTHENTICATION, 2, _SUCCESS, _INFORMATIONAL),
    "login.failed": (AUTHENTICATION, 1, _FAILURE, _MEDIUM),
    "intent": (DATASTORE, 4, (0, "Unknown"), _INFORMATIONAL),
    "result": (DATASTORE, 1, _SUCCESS, _INFORMATIONAL),
    "release": (DATASTORE, 4, _SUCCESS, _INFORMATIONAL),
    "refused": (DATASTORE, 4, _FAILURE, _LOW),
    "error": (DATASTORE, 4, _FAILURE, _LOW),
    "cancel": (DATASTORE, 4, _OTHER, _INFORMATIONAL),
    "export": (DATASTORE, 1, _SUCCESS, _INFORMATIONAL),
    "grant.break_glass": (ACCESS, 1, _SUCCESS, _CRITICAL),
}
#: The members of an `open` record that its session's events are made of.
ABOUT_SESSION = (
    "kind", "identity", "issuer", "subject", "groups", "client", "connection", "grant",
    "policy_hash",
)  # fmt: skip
_COUNTS = ("rows", "cumulative_rows", "chunk", "chunks", "bytes", "truncated", "digest")


def event(
    found: DurableRecord,
    opened: Mapping[str, Any] | None,
    template: Callable[[str, Mapping[str, Any]], str],
    *,
    connections: Container[str],
    origin: str,
    version: str,
) -> dict[str, Any] | None:
    """The event of one record, or None for one that has none.

    `opened` is the body of its session's `open` record, if it is known; `template` makes one of a
    statement's text and its record's body. A refused request may have named a connection that is
    none: only those of `connections` are told.
    """
    record, body = found.record, found.record["body"]
    kind = body.get("kind", record["type"]) if record["type"] == "event" else record["type"]
    if kind not in _KINDS or body.get("kind") == "gateway":
        return None
    own = record["type"] == "event"
    who: Mapping[str, Any] = body if own or record["type"] == "open" else opened or {}
    if not own and who.get("kind") == "gateway":
        return None  # the close of the gateway's own session
    class_uid, activity, status, severity = _KINDS[kind]
    if kind == "open" and body.get("break_glass") is True:
        severity = _CRITICAL
    made = {
        **_classified(class_uid, activity, status, severity),
        "time": _milliseconds(record["ts"]),
        "metadata": {
            "version": VERSION,
            "product": {"name": "maskgate", "vendor_name": "maskgate", "version": version},
            "uid": f"{record['sid']}:{record['i']}",
            "correlation_uid": _correlation(record),
            "event_code": kind,
            "log_name": origin,
            "log_provider": "maskgate",
            "original_time": record["ts"],
            "sequence": record["i"],
        },
        "actor": _actor(who, record["sid"]),
        "src_endpoint": {"ip": who["client"]} if who.get("client") else {"name": "unknown"},
        "unmapped": _unmapped(found, body, who),
    }
    if "code" in body:
        made["status_code"] = str(body["code"])
    if class_uid == AUTHENTICATION:
        return made | _authentication(who, body, record["sid"], origin)
    connection = str(who.get("connection"))
    name = connection if connection in connections else "unknown"
    if class_uid == ACCESS:
        return made | {"user": _user(who), "privileges": [f"read {name}"]}
    return made | _datastore(record, body, name, template)


def _classified(
    class_uid: int, activity: int, status: tuple[int, str], severity: tuple[int, str]
) -> dict[str, Any]:
    category, category_name = _CATEGORIES[class_uid]
    name = _ACTIVITIES[class_uid, activity]
    return {
        "category_uid": category,
        "category_name": category_name,
        "class_uid": class_uid,
        "class_name": _NAMES[class_uid],
        "activity_id": activity,
        "activity_name": name,
        "type_uid": class_uid * 100 + activity,
        "type_name": f"{_NAMES[class_uid]}: {name}",
        "status_id": status[0],
        "status": status[1],
        "severity_id": severity[0],
        "severity": severity[1],
    }


def _authentication(
    who: Mapping[str, Any], body: Mapping[str, Any], sid: str, origin: str
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "user": _user(who),
        "service": {"name": "maskgate", "uid": origin},
        "auth_protocol_id": 6,
        "auth_protocol": "OAUTH 2.0",
        "logon_type_id": 3,
        "logon_type": "Network",
        "is_remote": True,
    }
    if body.get("kind") is None:
        made["session"] = {"uid": sid}
    return made


def _datastore(
    record: Mapping[str, Any],
    body: Mapping[str, Any],
    connection: str,
    template: Callable[[str, Mapping[str, Any]], str],
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "database": {"name": connection, "type_id": 1, "type": "Relational"},
        "type_id": 1,
        "type": "Database",
        "dst_endpoint": {"svc_name": connection},
    }
    words = body.get("statement", body.get("statement_head"))
    if words is not None:
        shown = words if "sealed" in body else template(words, body)
        made["query_info"] = {"uid": _correlation(record), "query_string": shown}
    tables = _tables(body)
    if len(tables) == 1:
        made["table"] = {"name": tables[0]}
    return made


def _unmapped(
    found: DurableRecord, body: Mapping[str, Any], who: Mapping[str, Any]
) -> dict[str, Any]:
    """What OCSF has no member for: where the record stands, and what was decided and released."""
    record = found.record
    grant = who.get("grant")
    told: dict[str, Any] = {
        "session": record["sid"],
        "record": record["i"],
        "record_hash": found.hash,
        "leaf_hash": found.leaf,
        "statement": body.get("statement_no"),
        "grant": grant.get("id") if isinstance(grant, dict) else grant,
        "break_glass": body.get("break_glass") or None,
        "policy_hash": body.get("policy_hash", who.get("policy_hash")),
        "tables": _tables(body) or None,
        "treatments": _treatments(body) or None,
        **{name: body.get(name) for name in _COUNTS},
        "cells_masked": _cells(body),
        "statements": body.get("statements") if record["type"] == "close" else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _actor(who: Mapping[str, Any], sid: str) -> dict[str, Any]:
    made: dict[str, Any] = {"user": _user(who), "session": {"uid": sid}}
    if who.get("issuer"):
        made["idp"] = {"name": who["issuer"], "uid": who["issuer"]}
    return made


def _user(who: Mapping[str, Any]) -> dict[str, Any]:
    identity = who.get("identity")
    if not identity:
        return {"name": "unknown", "type_id": 0, "type": "Unknown"}
    made: dict[str, Any] = {
        "uid": identity,
        "name": who.get("subject", identity),
        "type_id": 1,
        "type": "User",
    }
    if who.get("groups"):
        made["groups"] = [{"name": name} for name in who["groups"]]
    return made


def _correlation(record: Mapping[str, Any]) -> str:
    """The statement's name over all its records; the session's where there is none."""
    number = record["body"].get("statement_no")
    return record["sid"] if number is None else f"{record['sid']}/{number}"


def _tables(body: Mapping[str, Any]) -> list[str]:
    analysis = body.get("analysis")
    return analysis["tables"][:_MOST_TABLES] if isinstance(analysis, dict) else []


def _treatments(body: Mapping[str, Any]) -> dict[str, int]:
    """How many columns come under each treatment."""
    counts: dict[str, int] = {}
    for column in body.get("decision", ()):
        counts[column["treatment"]] = counts.get(column["treatment"], 0) + 1
    return counts


def _cells(body: Mapping[str, Any]) -> int | None:
    """Masked cells of all columns together: their names may be the statement's own."""
    masked = body.get("cells_masked")
    if not isinstance(masked, dict):
        return None
    return sum(int(count) for column in masked.values() for count in column.values())


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
