"""The configuration file, parsed once into frozen values; each error names key, value and line.

Refuses: unknown keys, a non-loopback address without TLS, a development issuer in a production
configuration, rules that name what is not there, values that PostgreSQL would read as something
else (`$user`, `pg_temp`, the role `none`). It never prints a secret: DSNs may be written `env:NAME`
or `file:PATH` and are resolved by `resolve`.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway import places
from gateway.errors import ConfigurationError
from gateway.pkcs11_uri import KeyUri
from gateway.values import (
    SCHEMES,
    AuthorityUrl,
    Control,
    CredentialPlace,
    Dsn,
    Duration,
    Hook,
    KeyFile,
    Most,
    Name,
    Names,
    Principal,
    PublicUrl,
    Role,
    SearchPath,
    SecretPlace,
    ServiceUrl,
    Target,
    is_loopback,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSettings(_Section):
    listen: str = "127.0.0.1:8080"
    public_url: PublicUrl | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allow_development_issuer: bool = False

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class StateSettings(_Section):
    control: Control = "embedded"
    log: str = "state/log"
    data: str = "state/postgres"  # where the embedded control store lives
    origin: str | None = None  # the log's name for auditors; default: the listen address


class WitnessSettings(_Section):
    url: ServiceUrl
    vkey: str
    ca: str | None = None  # PEM file of the authority of its certificate


class TimestampSettings(_Section):
    url: AuthorityUrl
    roots: str  # PEM file of the roots that its tokens must lead to
    ca: str | None = None  # PEM file of the authority of its address


class CopySettings(_Section):
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    access_key: CredentialPlace
    secret_key: CredentialPlace
    endpoint: ServiceUrl | None = None  # None: the region's
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$")
    prefix: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)*$", max_length=200)
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"
    retention_days: int = Field(default=6 * 366, ge=1, le=36_500)
    every: Duration = 300
    ca: str | None = None  # PEM file of the authority of the endpoint's certificate


class LogSettings(_Section):
    # "sealed": statements and what else is worded are encrypted to the auditor's key.
    statements: Literal["verbatim", "sealed"] = "verbatim"
    auditor_key: str | None = None  # X25519 public key, PEM
    # The long-term key in a token; None: a file in the log's directory.
    key: Annotated[KeyUri, BeforeValidator(KeyUri.parse)] | None = None
    witnesses: list[WitnessSettings] = []
    quorum: int | None = Field(default=None, ge=1)  # default: more than half of the witnesses
    require_within: Duration | None = None
    timestamps: list[TimestampSettings] = []
    timestamp_every: Duration = 3600
    copies: CopySettings | None = None

    @property
    def enough(self) -> int:
        """How many cosignatures a checkpoint needs."""
        most = len(self.witnesses) // 2 + 1 if self.witnesses else 0
        return most if self.quorum is None else self.quorum


class SiemSettings(_Section):
    target: Target
    authorization: SecretPlace | None = None
    ca: str | None = None  # PEM file of the authorities that the endpoint's certificate comes from
    behind: Duration = 300  # after which /readyz says so


class MaskingSettings(_Section):
    token_key: KeyFile = "file:state/token.key"  # noqa: S105 - a place
    key_id: str = Field(default="k1", pattern=r"^[a-z0-9]{1,8}$")


class IssuerSettings(_Section):
    issuer: str
    audience: Names = ["maskgate"]
    authorized_parties: list[str] = []
    identity_claim: str = "sub"
    actor_claim: str = "act"
    groups_claim: str = "groups"
    groups: dict[str, str] | None = None  # the issuer's names to the gateway's
    require_dpop: bool = False
    ca: str | None = None  # PEM file of the authorities of its certificate
    development: bool = False


class SamlSettings(_Section):
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    entity_id: str
    metadata: str  # the provider's metadata file
    sp_entity_id: str | None = None  # default: the address of our own metadata
    identity_attribute: str | None = None  # default: the persistent NameID
    groups_attribute: str = "groups"
    groups: dict[str, str] | None = None  # the provider's names to the gateway's
    force_authn: bool = False
    max_sign_in: Duration = 8 * 3600
    same_people_as_issuer: bool = False


class AutoApprove(_Section):
    who: Principal
    connection: str
    max_duration: Duration


class BreakGlass(_Section):
    who: Principal
    connection: str
    max_duration: Duration = 900


class WebhookSettings(_Section):
    url: Hook
    secret: SecretPlace
    ca: str | None = None  # PEM file of the authorities that its certificate comes from


class AccessSettings(_Section):
    auditors: list[Principal] = []
    approvers: list[Principal] = []
    approvals: int = Field(default=1, ge=1, le=16)  # how many people must approve a request
    auto_approve: list[AutoApprove] = []
    break_glass: list[BreakGlass] = []
    webhooks: list[WebhookSettings] = []
    max_duration: Duration = 8 * 3600


class QuotaSettings(_Section):
    per: Literal["identity", "connection", "grant"]
    connection: str | None = None
    concurrent: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    rows_a_day: Most = None
    bytes_a_day: Most = None


class LimitSettings(_Section):
    statement_bytes: int = Field(default=1 << 20, ge=1024, le=16 << 20)
    statement_time: Duration = 600
    client_stall: Duration = 60
    statements_per_session: int = Field(default=100_000, ge=1)
    concurrent_statements: int = Field(default=8, ge=1)  # an identity
    pool: int = Field(default=16, ge=1, le=500)  # connections to one database
    waiting: int = Field(default=1024, ge=0, le=100_000)  # statements that wait for one of them
    quotas: list[QuotaSettings] = []


class ConnectionSettings(_Section):
    dsn: Dsn
    admin_dsn: Dsn | None = None
    # A pre-made role with the tables' rights; SET LOCAL ROLE around the COPY.
    role: Role | None = None
    # One with the clear columns only, where they are all it takes.
    clear_role: Role | None = None
    approvals: int | None = Field(default=None, ge=1, le=16)  # instead of access.approvals
    require_dpop: bool = False
    # Keep analysed statements, literals included, out of the server's own log.
    quiet_server_log: bool = False
    search_path: SearchPath = ["public"]
    unclassified: Literal["redact", "null", "deny"] = "redact"
    expressions: Literal["mask-at-source", "refuse"] = "mask-at-source"
    text: Literal["scan", "clear"] = "scan"
    infinity: Literal["error", "null"] = "error"
    # Equal tokens inside one domain; default: the connection's name.
    token_domain: Annotated[str, Field(min_length=1)] | None = None
    columns: dict[str, str | dict[str, Any]] = {}


class PatternSettings(_Section):
    regex: str
    label: str | None = None
    clear: bool = True  # also in text of clear columns


class DictionarySettings(_Section):
    words: list[str] | None = None
    file: str | None = None
    label: str | None = None
    clear: bool = True


class Configuration(_Section):
    server: ServerSettings = ServerSettings()
    state: StateSettings = StateSettings()
    log: LogSettings = LogSettings()
    masking: MaskingSettings = MaskingSettings()
    siem: SiemSettings | None = None
    access: AccessSettings = AccessSettings()
    limits: LimitSettings = LimitSettings()
    issuers: list[IssuerSettings]
    saml: list[SamlSettings] = []
    connections: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ConnectionSettings]
    patterns: dict[Name, PatternSettings] = {}
    dictionaries: dict[Name, DictionarySettings] = {}

    @property
    def log_origin(self) -> str:
        """The log's name for auditors."""
        return self.state.origin or f"maskgate/{self.server.listen}"


#: Makes the error of a key, its value and why.
_Wrong = Callable[[tuple[str | int, ...], object, str], ConfigurationError]


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
        lines = [places.sentence(path, text, data, item) for item in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error
    wrong = partial(places.wrong, path, text)
    _check_server(path.parent, wrong, configuration)
    _check_witnesses(wrong, configuration.log)
    _check_access(wrong, configuration)
    _check_statements(wrong, configuration.log)
    _check_floors(wrong, configuration)
    return configuration


def resolve(value: str, base: Path) -> str:
    """The database's address: the value itself, or what `env:NAME` or `file:PATH` point at."""
    kind, _, name = value.partition(":")
    found = _found(value, base)
    if not found.startswith(SCHEMES):
        raise ConfigurationError(f"{kind}:{name} does not hold an address postgresql://…")
    return found


def header(value: str, base: Path) -> str:
    """A header field's value from where `env:NAME` or `file:PATH` point."""
    found = _found(value, base)
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", found):
        raise ConfigurationError(f"{value} does not hold the value of a header field")
    return found


def pin(value: str, base: Path) -> str:
    """A token's PIN from where `env:NAME` or `file:PATH` point; the file is its owner's alone."""
    kind, _, name = value.partition(":")
    if kind == "file" and (base / name).exists():
        mode = (base / name).stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ConfigurationError(
                f"{base / name}: mode is {stat.S_IMODE(mode):04o}, expected a file of mode 0600"
            )
    found = _found(value, base)
    if not found:
        raise ConfigurationError(f"{value} holds no PIN")
    return found


def _found(value: str, base: Path) -> str:
    kind, _, name = value.partition(":")
    found = value
    if kind == "env":
        found = os.environ.get(name, "")
        if not found:
            raise ConfigurationError(f"the environment variable {name} is not set")
    elif kind == "file":
        try:
            found = (base / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{base / name}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ConfigurationError(f"{base / name}: is not text") from None
    return found


def _check_server(base: Path, wrong: _Wrong, configuration: Configuration) -> None:
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
        if name is not None and not (base / name).is_file():
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
    if server.tls_cert and server.tls_key:
        try:
            # An empty password: a key that needs one would be asked for on a terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                base / server.tls_cert, base / server.tls_key, password=""
            )
        except (ssl.SSLError, ValueError, OSError):
            raise wrong(
                ("server", "tls_cert"),
                server.tls_cert,
                "with tls_key it must be a PEM certificate chain and its key, without a password",
            ) from None


def _check_witnesses(wrong: _Wrong, log: LogSettings) -> None:
    """A quorum that nobody can reach would be found out by the first refusal."""
    count = len(log.witnesses)
    if log.enough > count:
        said = f"there are {count} witnesses" if count else "there is no [[log.witnesses]]"
        raise wrong(("log", "quorum"), log.quorum, said)
    if log.require_within is not None and not count:
        why = "there is no [[log.witnesses]]"
        raise wrong(("log", "require_within"), log.require_within, why)
    for index, one in enumerate(log.witnesses):
        if any(one.vkey == earlier.vkey for earlier in log.witnesses[:index]):
            raise wrong(("log", "witnesses", index, "vkey"), one.vkey, "listed twice")


def _check_access(wrong: _Wrong, configuration: Configuration) -> None:
    """A rule that can never apply is a mistake that somebody would find out too late."""
    access = configuration.access
    for index, quota in enumerate(configuration.limits.quotas):
        if quota.connection is not None and quota.connection not in configuration.connections:
            known = ", ".join(sorted(configuration.connections))
            where = ("limits", "quotas", index, "connection")
            raise wrong(where, quota.connection, f"no connection but {known}")
    for index, hook in enumerate(access.webhooks):
        if any(hook.url == earlier.url for earlier in access.webhooks[:index]):
            raise wrong(("access", "webhooks", index, "url"), hook.url, "listed twice")
    rules: list[tuple[tuple[str | int, ...], AutoApprove | BreakGlass]] = [
        *((("access", "auto_approve", n), rule) for n, rule in enumerate(access.auto_approve)),
        *((("access", "break_glass", n), rule) for n, rule in enumerate(access.break_glass)),
    ]
    for keys, rule in rules:
        if rule.connection not in configuration.connections:
            known = ", ".join(sorted(configuration.connections))
            raise wrong((*keys, "connection"), rule.connection, f"no connection but {known}")
        if int(rule.max_duration) > int(access.max_duration):
            raise wrong(
                (*keys, "max_duration"),
                rule.max_duration,
                f"longer than access.max_duration, {access.max_duration} s",
            )


def _check_floors(wrong: _Wrong, configuration: Configuration) -> None:
    for name, one in configuration.connections.items():
        for key in ("role", "clear_role"):
            if one.admin_dsn is not None and getattr(one, key) is not None:
                why = "with admin_dsn the gateway makes the roles itself: leave one of them out"
                raise wrong(("connections", name, key), getattr(one, key), why)


def _check_statements(wrong: _Wrong, log: LogSettings) -> None:
    """What is sealed is sealed to somebody."""
    if log.statements == "sealed" and log.auditor_key is None:
        raise wrong(("log", "statements"), log.statements, "needs auditor_key to seal to")
    if log.statements == "verbatim" and log.auditor_key is not None:
        raise wrong(
            ("log", "auditor_key"),
            log.auditor_key,
            'nothing is sealed to it unless statements = "sealed"',
        )
