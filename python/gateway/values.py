"""What the values of a configuration may be: durations, addresses, places of secrets, names.

Each refuses with a sentence that says what to write, and never repeats what may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SCHEMES = ("postgresql://", "postgres://")
_FILE = re.compile(r"file:.+")
KEPT = re.compile(rf"env:[A-Za-z_][A-Za-z0-9_]*|{_FILE.pattern}")  # where a secret may be


def _seconds(value: int | str) -> int:
    """Seconds from 900, "900s", "15m", "8h" or "1d"."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    else:
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            raise ValueError('write a duration as "15m", "8h" or "1d"')
        seconds = int(found[1]) * _UNITS[found[2]]
    if not 1 <= seconds <= 366 * 86400:
        raise ValueError("a duration is at least one second and at most 366 days")
    return seconds


def _principal(value: str) -> str:
    if not re.fullmatch(r"group:.+|https?://[^\s#]+#.+", value):
        raise ValueError("write group:NAME or ISSUER#SUBJECT")
    return value


def _dsn(value: str) -> str:
    """An address of PostgreSQL, or where it is kept; never repeated, it may hold a password."""
    if not KEPT.fullmatch(value) and not value.startswith(SCHEMES):
        raise ValueError("write env:NAME, file:PATH or postgresql://…")
    return value


def _control(value: str) -> str:
    if value == "embedded":
        return value
    try:
        return _dsn(value)
    except ValueError:
        raise ValueError('write "embedded", env:NAME, file:PATH or postgresql://…') from None


def _key_file(value: str) -> str:
    if not _FILE.fullmatch(value):
        raise ValueError("write file:PATH")
    return value


def _target(value: str) -> str:
    """Where events go. An address holds no secret: what an endpoint wants is `authorization`."""
    if value == "stdout" or _FILE.fullmatch(value):
        return value
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https"):
        raise ValueError('write "stdout", file:PATH or https://…')
    if url.username or url.password:
        raise ValueError("a password belongs into authorization, not into the address")
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError("http:// to another machine has no TLS: write https://…")
    return value


def _hook(value: str) -> str:
    if not _target(value).startswith(("http://", "https://")):
        raise ValueError("write https://…")
    return value


def _secret_place(value: str, holds: str = "the field Authorization") -> str:
    if not KEPT.fullmatch(value):
        raise ValueError(f"write env:NAME or file:PATH, which hold {holds}")
    return value


def _credential_place(value: str) -> str:
    return _secret_place(value, "the credential")


def _identifier(value: str) -> str:
    """A name as PostgreSQL keeps it; a longer one would be cut and name something else."""
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("a name of PostgreSQL is not empty and has no surrounding blanks")
    if len(value.encode("utf-8", "replace")) > 63:
        raise ValueError("a name of PostgreSQL has at most 63 bytes")
    return value


def _schema(value: str) -> str:
    if _identifier(value).startswith("$") or value.lower().startswith("pg_temp"):
        raise ValueError("name the schema itself: $user and pg_temp differ from login to login")
    return value


def _role(value: str) -> str:
    if _identifier(value).lower() in ("none", "public"):
        raise ValueError("PostgreSQL has no role of that name: it stands for something else")
    return value


def _schemas(value: list[str]) -> list[str]:
    if not value or len(set(value)) != len(value):
        raise ValueError("name at least one schema, and each once")
    return value


def _public_url(value: str) -> str:
    """The gateway as its clients address it: scheme, host and perhaps port, in small letters."""
    host = r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)"
    found = re.fullmatch(rf"(https?)://{host}(:[1-9]\d{{0,4}})?/?", value)
    if found is None:
        raise ValueError("write https://host or https://host:port, in small letters, without path")
    if found[1] == "http" and not is_loopback(found[2].strip("[]")):
        raise ValueError("http on a loopback address only; write https://…")
    if found[3] == {"http": ":80", "https": ":443"}[found[1]]:
        raise ValueError(f"leave out {found[3]}, as clients do")
    return value.rstrip("/")


def _service_url(value: str) -> str:
    """A witness is believed for what it signs; that it stops the log is said by the answer alone,
    which nobody on the way may write."""
    found = re.fullmatch(
        r"(https?)://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[^?#\s]*)?", value
    )
    if found is None:
        raise ValueError("write https://host:port/path, without user, query and fragment")
    if found[1] == "http" and not is_loopback(found[2].strip("[]")):
        raise ValueError("http on a loopback address only; write https://…")
    return value


def _authority_url(value: str) -> str:
    """What goes there is a hash, and what comes back is signed: no TLS is needed. It is told to
    whoever asks how the gateway stands, and so holds no secret."""
    if not re.fullmatch(
        r"https?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[^?#\s]*)?", value
    ):
        raise ValueError("write http://host/path or https://…, without user, query and fragment")
    return value


def _several(value: Any) -> Any:
    """A list, or the one name that stands for a list of it."""
    return [value] if isinstance(value, str) else value


def is_web_address(name: str) -> bool:
    """Whether a name is written as an address on the web, without what makes NAME#SUBJECT
    ambiguous."""
    return bool(re.fullmatch(r"https?://[\x21-\x22\x24-\x7e]{1,1000}", name))


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine alone: a loopback address or the name `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


Duration = Annotated[int | str, AfterValidator(_seconds)]
Principal = Annotated[str, AfterValidator(_principal)]
Dsn = Annotated[str, AfterValidator(_dsn)]
Control = Annotated[str, AfterValidator(_control)]
KeyFile = Annotated[str, AfterValidator(_key_file)]
Target = Annotated[str, AfterValidator(_target)]
Hook = Annotated[str, AfterValidator(_hook)]
SecretPlace = Annotated[str, AfterValidator(_secret_place)]
CredentialPlace = Annotated[str, AfterValidator(_credential_place)]
Role = Annotated[str, AfterValidator(_role)]
SearchPath = Annotated[list[Annotated[str, AfterValidator(_schema)]], AfterValidator(_schemas)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
AuthorityUrl = Annotated[str, AfterValidator(_authority_url)]
Names = Annotated[list[str], BeforeValidator(_several)]
Most = Annotated[int | None, Field(ge=1, lt=2**53)]
#: What reports count by: no detector, no column could be taken for it.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
