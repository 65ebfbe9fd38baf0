"""PKCS#11 URIs (RFC 7512): which key in which token, through which module, and where its PIN is.

Refuses what it does not know, in the path and in the query alike: an attribute that was passed over
might have said that another key is meant. Refuses the PIN itself, and repeats no value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.values import KEPT

_PATH = ("token", "serial", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_VALUE = re.compile(r"(?:[\x21-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})+")
_FORM = "pkcs11:token=LABEL;object=LABEL?module-path=PATH&pin-source=file:PATH"


@dataclass(frozen=True, slots=True)
class KeyUri:
    """One key: the token by label or serial number, the key by label or id (CKA_ID)."""

    module: str  # the module's file
    pin: str  # where the PIN is: env:NAME or file:PATH
    token: str | None = None
    serial: str | None = None
    object: str | None = None
    id: bytes | None = None

    @classmethod
    def parse(cls, text: Any) -> KeyUri:
        """Raises ValueError with a sentence that says what to write."""
        scheme, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
        path, _, query = rest.partition("?")
        if scheme != "pkcs11":
            raise ValueError(f"write {_FORM}")
        found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if found.pop("type", b"private") != b"private":
            raise ValueError("type=private is what signs")
        id_ = found.pop("id", None)
        try:
            said = {name: value.decode() for name, value in found.items()}
        except UnicodeDecodeError:
            raise ValueError("labels and paths are UTF-8") from None
        if "token" not in said and "serial" not in said:
            raise ValueError("name the token: token=LABEL, or serial=NUMBER")
        if "object" not in said and id_ is None:
            raise ValueError("name the key in the token: object=LABEL, or id=%XX…")
        if "module-path" not in said:
            raise ValueError("name the module's file: module-path=PATH")
        if not KEPT.fullmatch(said.get("pin-source", "")):
            raise ValueError("say where the PIN is: pin-source=file:PATH or pin-source=env:NAME")
        return cls(
            said["module-path"],
            said["pin-source"],
            said.get("token"),
            said.get("serial"),
            said.get("object"),
            id_,
        )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, _, value = part.partition("=")
        if name == "pin-value":
            raise ValueError("a PIN does not belong here: write pin-source=file:PATH")
        if name not in known:
            raise ValueError(f"nothing but {', '.join(known)} may stand there; write {_FORM}")
        if name in found:
            raise ValueError(f"{name} stands there twice")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name} is empty, or what should be percent-encoded is not")
        found[name] = unquote_to_bytes(value)
    return found
