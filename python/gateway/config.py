"""The configuration file, parsed once into frozen values; each error names key, value and line.

Refuses: unknown keys, a non-loopback address without TLS, a development issuer in a production
configuration, rules that disagree. It never prints a secret: DSNs may be written `env:NAME` or
`file:PATH` and are resolved by `resolve`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import ConfigurationError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SECRET_KEYS = {"dsn", "admin_dsn", "control", "token_key"}


def _seconds(value: int | str) -> int:
    """Seconds from 900, "900s", "15m", "8h" or "1d"."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    else:
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            raise ValueError('write a duration as "15m", "8h" or "1d"')
        seconds = int(found[1]) * _UNITS[found[2]]
    if seconds < 1:
        raise ValueError("a duration is at least one second")
    return seconds


Duration = Annotated[int | str, AfterValidator(_seconds)]
Principal = Annotated[str, Field(pattern=r"^(group:.+|\S+#.+)$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSettings(_Section):
    listen: str = "127.0.0.1:8080"
    tls_cert: str | None = None
    tls_key: str | None = None
    allow_development_issuer: bool = False

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class StateSettings(_Section):
    control: str = "embedded"
    log: str = "state/log"
    data: str = "state/postgres"  # where the embedded control store lives
    origin: str | None = None  # the log's name for auditors; default: the listen address


class MaskingSettings(_Section):
    token_key: str = "file:state/token.key"  # noqa: S105 - where the key is, not the key
    key_id: str = Field(default="k1", pattern=r"^[a-z0-9]{1,8}$")


class IssuerSettings(_Section):
    issuer: str
    audience: str = "maskgate"
    identity_claim: str = "sub"
    groups_claim: str = "groups"
    development: bool = False


class AutoApprove(_Section):
    who: Principal
    connection: str
    max_duration: Duration


class AccessSettings(_Section):
    auditors: list[Principal] = []
    approvers: list[Principal] = []
    auto_approve: list[AutoApprove] = []
    max_duration: Duration = 8 * 3600


class LimitSettings(_Section):
    statement_bytes: int = Field(default=1 << 20, ge=1024, le=16 << 20)
    statement_time: Duration = 600
    client_stall: Duration = 60
    statements_per_session: int = Field(default=100_000, ge=1)
    concurrent_statements: int = Field(default=8, ge=1)  # an identity
    pool: int = Field(default=16, ge=1, le=500)  # connections to one database


class ConnectionSettings(_Section):
    dsn: str
    admin_dsn: str | None = None
    role: str | None = (
        None  # a pre-made role with the tables' rights; SET LOCAL ROLE around the COPY
    )
    clear_role: str | None = None  # one with the clear columns only, where they are all it takes
    search_path: list[str] = ["public"]
    unclassified: Literal["redact", "null", "deny"] = "redact"
    expressions: Literal["refuse"] = "refuse"
    text: Literal["scan", "clear"] = "scan"
    infinity: Literal["error", "null"] = "error"
    token_domain: str | None = (
        None  # equal tokens inside one domain; default: the connection's name
    )
    columns: dict[str, str | dict[str, Any]] = {}


class Configuration(_Section):
    server: ServerSettings = ServerSettings()
    state: StateSettings = StateSettings()
    masking: MaskingSettings = MaskingSettings()
    access: AccessSettings = AccessSettings()
    limits: LimitSettings = LimitSettings()
    issuers: list[IssuerSettings]
    connections: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ConnectionSettings]


def load(path: Path) -> Configuration:
    """Read and check the file. Raises ConfigurationError, all wrong keys in one message."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8")
        data = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    try:
        configuration = Configuration.model_validate(data)
    except ValidationError as error:
        lines = [_sentence(path, text, data, item) for item in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error
    _check_server(path, text, configuration)
    return configuration


def resolve(value: str, base: Path) -> str:
    """The value itself, or what `env:NAME` or `file:PATH` point at."""
    kind, _, name = value.partition(":")
    if kind == "env":
        found = os.environ.get(name)
        if not found:
            raise ConfigurationError(f"the environment variable {name} is not set")
        return found
    if kind == "file":
        try:
            return (base / name).read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"{base / name}: cannot be read: {error.strerror}") from error
    return value


def is_loopback(host: str) -> bool:
    """Whether a listener on this host can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which a key of the TOML text stands, or its nearest table."""
    keys = [part for part in path if isinstance(part, str)]
    best: tuple[int, int] | None = None
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        header = re.match(r"\[\[?([^\]]+)\]\]?", stripped)
        if header is not None:
            table = _split_key(header[1])
            here = table
        else:
            name, equals, _ = stripped.partition("=")
            if not equals or stripped.startswith("#"):
                continue
            here = table + _split_key(name)
        depth = 0
        while depth < min(len(here), len(keys)) and here[depth] == keys[depth]:
            depth += 1
        if depth == len(here) and depth > 0 and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _split_key(dotted: str) -> list[str]:
    found = re.findall(r'"([^"]*)"|\'([^\']*)\'|([A-Za-z0-9_-]+)', dotted)
    return [a or b or c for a, b, c in found]


def _sentence(path: Path, text: str, data: Any, item: Any) -> str:
    loc: tuple[str | int, ...] = tuple(part for part in item["loc"] if part != "[key]")
    value = data
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            value = None
            break
    key = ".".join(str(part) for part in loc)
    line = line_of(text, loc)
    where = f"{path}:{line}" if line else str(path)
    # A secret may stand under a mistyped key, or where a table belongs.
    unknown = item["type"] == "extra_forbidden" and loc[:1] != ("server",)
    worded = isinstance(value, str) and ("://" in value or unknown)
    hidden = value is None or worded or bool(_SECRET_KEYS.intersection(map(str, loc)))
    shown = "" if hidden else f" = {value!r}"
    return f"{where}: {key}{shown}: {item['msg']}"


def _check_server(path: Path, text: str, configuration: Configuration) -> None:
    def wrong(keys: tuple[str | int, ...], value: object, why: str) -> ConfigurationError:
        line = line_of(text, keys)
        where = f"{path}:{line}" if line else str(path)
        key = ".".join(str(part) for part in keys)
        return ConfigurationError(f"{where}: {key} = {value!r}: {why}")

    server = configuration.server
    try:
        host, port = server.address
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise wrong(("server", "listen"), server.listen, "write host:port, a port up to 65535")
    if bool(server.tls_cert) != bool(server.tls_key):
        raise wrong(("server", "listen"), server.listen, "tls_cert and tls_key go together")
    for key, name in (("tls_cert", server.tls_cert), ("tls_key", server.tls_key)):
        if name is not None and not (path.parent / name).is_file():
            raise wrong(("server", key), name, "there is no such file")
    if not is_loopback(host) and not (server.tls_cert and server.tls_key):
        raise wrong(
            ("server", "listen"),
            server.listen,
            "a non-loopback address needs tls_cert and tls_key",
        )
    if not configuration.issuers:
        raise wrong(("issuers",), [], "name at least one OIDC issuer")
    if not configuration.connections:
        raise wrong(("connections",), {}, "name at least one connection")
    for index, issuer in enumerate(configuration.issuers):
        if issuer.development and not (is_loopback(host) and server.allow_development_issuer):
            raise wrong(
                ("issuers", index, "development"),
                True,
                "a development issuer needs a loopback listener and "
                "server.allow_development_issuer = true",
            )
