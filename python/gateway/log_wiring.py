"""What becomes of the log by the configuration: whose key, sealed, told on, stamped, copied."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import config
from gateway.config import Configuration, SiemSettings
from gateway.errors import ConfigurationError
from gateway.flows.house import Siem
from gateway.flows.sealed import Sealing, templates
from gateway.places import placed
from gateway.sessionlog import Errand, SessionLog
from gateway.sessionlog.copies import Copies
from gateway.sessionlog.errand import FailedError
from gateway.sessionlog.objects import Bucket, Place, RefusedError
from gateway.sessionlog.sealing import AuditorKey
from gateway.sessionlog.tail import Tail
from gateway.sessionlog.timestamps import Authority, Stamper
from gateway.siem import FileSink, HttpSink, Shipper, Sink, StdoutSink
from gateway.sql import Vocabulary

if TYPE_CHECKING:
    from gateway.sessionlog import token


def key_place(path: Path, configuration: Configuration) -> token.Place | None:
    """Where the log's long-term key is, when it is in a token; looked at by nobody yet."""
    uri = configuration.log.key
    if uri is None:
        return None
    try:
        from gateway.sessionlog import token
    except ImportError:
        with placed(path, "log", "key"):
            raise ConfigurationError(
                "log.key: a key in a token needs the package's extra pkcs11: "
                "pip install 'maskgate[pkcs11]'"
            ) from None
    return token.Place(
        uri, (path.parent / uri.module).resolve(), lambda: config.pin(uri.pin, path.parent)
    )


def held_key(path: Path, configuration: Configuration) -> token.TokenKey | None:
    """The key in a token, logged in to. Raises ConfigurationError with the line."""
    place = key_place(path, configuration)
    if place is None:
        return None
    with placed(path, "log", "key"):
        return place.log_in()


def make_key(path: Path, place: token.Place) -> None:
    """A new key there. Raises ConfigurationError with the line."""
    with placed(path, "log", "key"):
        place.generate()


def sealing(path: Path, configuration: Configuration, vocabulary: Vocabulary) -> Sealing | None:
    """What seals the records for the auditor, if that is asked for."""
    place = configuration.log.auditor_key
    if place is None:
        return None
    with placed(path, "log", "auditor_key"):
        key = AuditorKey.load(path.parent / place)
    return Sealing(key, vocabulary, configuration.connections)


def tail(path: Path, configuration: Configuration, directory: Path) -> Tail | None:
    """What reads the log for the SIEM. Before the log is opened: its start drops segments."""
    if configuration.siem is None:
        return None
    tail = Tail(directory)
    with placed(path, "siem", "target"):
        tail.adopt()
    return tail


def siem(
    path: Path,
    configuration: Configuration,
    log: SessionLog,
    tail: Tail | None,
    vocabulary: Vocabulary,
) -> Siem | None:
    settings = configuration.siem
    if settings is None or tail is None:
        return None
    shipper = Shipper(
        tail,
        sink(path, settings),
        lambda: log.synced,
        templates(vocabulary),
        connections=frozenset(configuration.connections),
        origin=str(log.trust_file()["origin"]),
        version=version("maskgate"),
    )
    return Siem(shipper, float(settings.behind))


def authorities(path: Path, configuration: Configuration) -> list[Authority]:
    """Who stamps the log's checkpoints. Raises ConfigurationError with the line."""
    found: list[Authority] = []
    for index, one in enumerate(configuration.log.timestamps):
        with placed(path, "log", "timestamps", index, "roots"):
            ca = None if one.ca is None else path.parent / one.ca
            made = Authority.parse(one.url, path.parent / one.roots, ca)
            if any(made.url == earlier.url for earlier in found):
                raise ConfigurationError(f"time stamps: {made.url} is listed twice")
            found.append(made)
    return found


def bucket(path: Path, configuration: Configuration) -> Bucket | None:
    """Where the log is copied to, not yet asked. Raises ConfigurationError with the line."""
    settings = configuration.log.copies
    if settings is None:
        return None
    with placed(path, "log", "copies", "access_key"):
        access_key = config.header(settings.access_key, path.parent)
    with placed(path, "log", "copies", "secret_key"):
        secret_key = config.header(settings.secret_key, path.parent)
    ca = None if settings.ca is None else path.parent / settings.ca
    with placed(path, "log", "copies", "ca"):
        if ca is not None and not ca.is_file():
            raise ConfigurationError(f"log.copies.ca = {settings.ca!r}: there is no such file")
    place = Place(
        settings.bucket,
        settings.region,
        settings.endpoint,
        settings.prefix,
        settings.mode,
        settings.retention_days,
        access_key,
        secret_key,
        ca,
    )
    with placed(path, "log", "copies", "bucket"):
        return Bucket(place)


def refuse_unlocked(path: Path, found: Bucket | None) -> str:
    """Raises ConfigurationError when the store says that nothing can be locked there. One that
    does not answer is asked again before the first copy: then the sentence that says so."""
    try:
        if found is not None:
            found.check()
    except RefusedError as refused:
        with placed(path, "log", "copies", "bucket"):
            raise ConfigurationError(f"log.copies: {refused}") from None
    except FailedError as failed:
        return f"log.copies: {failed}"
    return ""


def errands(
    directory: Path,
    configuration: Configuration,
    log: SessionLog,
    stampers: list[Authority],
    copied: Bucket | None,
) -> tuple[Errand, ...]:
    """The work behind the log's back, not yet begun."""
    settings = configuration.log
    every = float(settings.timestamp_every)
    made = [
        Errand(f"timestamps {one.url}", Stamper(directory, one, log.newest).stamp, every)
        for one in stampers
    ]
    if copied is not None and settings.copies is not None:
        copies = Copies(directory, copied, copied.place.name, log.newest, log.vkey)
        made.append(Errand("copies", copies.copy, float(settings.copies.every)))
    return tuple(made)


def sink(path: Path, settings: SiemSettings) -> Sink:
    """Where events go. Raises ConfigurationError with the line of what is wrong."""
    base, target = path.parent, settings.target
    if target == "stdout":
        return StdoutSink()
    if target.startswith("file:"):
        return FileSink(base / target.removeprefix("file:"))
    authorization = None
    if settings.authorization is not None:
        with placed(path, "siem", "authorization"):
            authorization = config.header(settings.authorization, base)
    ca = None if settings.ca is None else base / settings.ca
    try:
        return HttpSink(target, authorization, ca)
    except (OSError, ValueError):
        with placed(path, "siem", "ca"):
            raise ConfigurationError(
                f"siem.ca = {settings.ca!r}: not a file of certificates in PEM"
            ) from None
