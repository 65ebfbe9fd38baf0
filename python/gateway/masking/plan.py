"""From a Decision to the kernel's plan, and the key that tokens are made with."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway._kernel import MaskedStream, Patterns
from gateway.errors import ConfigurationError
from gateway.latest import Latest
from gateway.model import Analysis, ColumnDecision, Decision, Treatment
from gateway.treatments import asked, left_out

_KEY_BYTES = 32

#: What `redact` writes unless a rule says otherwise.
DEFAULT_LABEL = "[REDACTED]"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """32 secret bytes and the short name that every token carries. Its thief can test guesses
    against tokens, which he cannot invert without guessing, and decipher what `fpe` made."""

    secret: bytes
    key_id: str

    def __repr__(self) -> str:
        return f"TokenKey(key_id={self.key_id!r})"


def load_token_key(path: Path, key_id: str) -> TokenKey:
    """Read the key file, or make it (mode 0600) at the first start.

    The file holds 64 hexadecimal digits. Raises ConfigurationError when it is readable by others
    or holds anything else: a changed key silently breaks every join on tokens.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
    return read_token_key(path, key_id)


def read_token_key(path: Path, key_id: str) -> TokenKey:
    """The key in a file that is there. Raises ConfigurationError as `load_token_key` does, and when
    there is no such file: a key made by mistake makes tokens that nothing can be joined on."""
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: there is no such key file; a new key is made by "
            f"(umask 077; openssl rand -hex {_KEY_BYTES} > {path})"
        )
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path}: the token key is readable by others: chmod 600 {path}")
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ConfigurationError(f"{path}: a token key is 64 hexadecimal digits")
    return TokenKey(secret, key_id)


def open_stream(
    analysis: Analysis,
    decision: Decision,
    key: TokenKey,
    *,
    encoding: str,
    metadata: dict[str, str],
    limit_rows: int | None,
    infinity: str,
    token_domain: str,
    patterns: Patterns | None = None,
) -> MaskedStream:
    """The kernel stream for one statement. `encoding` is arrow, ndjson or csv. `patterns`: the
    policy's own.

    Raises InvalidRequest when a treatment cannot be applied to a column's type.
    """
    plan = {
        "format": encoding,
        "metadata": {**metadata, **_notes(decision)},
        "infinity": infinity,
        "limit_rows": limit_rows,
    }
    columns = _columns_again(analysis, decision, key, token_domain)
    return MaskedStream(f'{json.dumps(plan)[:-1]}, "columns": {columns}}}', key.secret, patterns)


_MOST_KNOWN = 256
#: The columns of plans, by the shape of the analysis and with all else that they follow from.
_known: Latest[object, tuple[Decision, TokenKey, str, str]] = Latest(_MOST_KNOWN)


def _columns_again(analysis: Analysis, decision: Decision, key: TokenKey, token_domain: str) -> str:
    if analysis.shape is None:
        return _columns(analysis, decision, key, token_domain)
    known = _known.get(analysis.shape)
    if known is None or known[0] is not decision or known[1:3] != (key, token_domain):
        columns = _columns(analysis, decision, key, token_domain)
        known = _known.put(analysis.shape, (decision, key, token_domain, columns))
    return known[3]


def _columns(analysis: Analysis, decision: Decision, key: TokenKey, token_domain: str) -> str:
    """What the plan says of each column that the server gives, as JSON."""
    columns: list[dict[str, Any]] = [
        {
            "name": output.name,
            "type": output.type,
            "treatment": kernel_treatment(column.treatment, key, token_domain, output.name),
            "metadata": _field_metadata(column),
        }
        for output, column in zip(analysis.outputs, decision.columns, strict=True)
    ]
    for place, others in analysis.rows.items():
        # What was NULL at source is `null` by now and needs nothing.
        if columns[place]["treatment"]["name"] in ("scan", "shift"):
            columns[place]["row"] = list(others)
    columns += [
        {
            "name": output.name,
            "type": _as_written(output.type),
            "treatment": {"name": "null"},
            "hidden": True,
        }
        for output in analysis.beside
    ]
    return json.dumps(columns)


def _as_written(column_type: Mapping[str, Any]) -> Mapping[str, Any]:
    """A type in which every value that only comes along can be read: a decimal has no NaN, and a
    statement that fails would tell of one."""
    return {"kind": "numeric"} if column_type.get("kind") == "numeric" else column_type


def _notes(decision: Decision) -> dict[str, str]:
    """What an Arrow schema says of the answer as a whole: a JSON list of sentences."""
    if not decision.notes:
        return {}
    return {"maskgate.notes": json.dumps(decision.notes, ensure_ascii=False)}


def _field_metadata(column: ColumnDecision) -> dict[str, str]:
    """What an Arrow field says besides its treatment: the columns that were NULL at source."""
    if not column.masked_at_source:
        return {}
    return {"maskgate.masked_at_source": ", ".join(column.masked_at_source)}


def kernel_treatment(
    treatment: Treatment, key: TokenKey, domain: str, column: str
) -> dict[str, Any]:
    """A treatment as the kernel reads it, with the key's id and the domain where it names none."""
    options = dict(treatment.options)
    name = treatment.name
    if name == "redact":
        options.setdefault("label", DEFAULT_LABEL)
    elif name == "token":
        options = {"domain": options.get("domain", domain), "key_id": key.key_id}
    elif name == "shift":
        options = {"domain": domain, **options, "key_id": key.key_id}
        options.pop("subject")  # said by its place, in the plan
    elif name == "fpe":
        options = {"domain": domain, **options, "key_id": key.key_id}
    elif name == "scan":
        # What stands beside it is said by places, in the plan.
        options = {key: value for key, value in options.items() if key == "patterns"}
        if left_out(treatment):
            options["detectors"] = list(asked(treatment))
    elif name == "deny":
        raise ConfigurationError(f"column {column} is denied and reached the kernel")
    return {"name": name, **options}
