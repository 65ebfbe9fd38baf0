"""What becomes of the log by the configuration: sealed, told to a SIEM, stamped, copied."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from gateway import config
from gateway.config import Configuration, SiemSettings
from gateway.errors import ConfigurationError
from gateway.flows.house import Siem
from gateway.flows.sealed import Sealing, templates
from gateway.places import placed
from gateway.sessionlog import Errand, SessionLog
from gateway.sessionlog.sealing import AuditorKey
from gateway.sessionlog.tail import Tail
from gateway.sessionlog.timestamps import Authority, Stamper
from gateway.siem import FileSink, HttpSink, Shipper, Sink, StdoutSink
from gateway.sql import Vocabulary


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


def errands(
    directory: Path, configuration: Configuration, log: SessionLog, stampers: list[Authority]
) -> tuple[Errand, ...]:
    """The work behind the log's back, not yet begun."""
    every = float(configuration.log.timestamp_every)
    return tuple(
        Errand(f"timestamps {one.url}", Stamper(directory, one, log.newest).stamp, every)
        for one in stampers
    )


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
