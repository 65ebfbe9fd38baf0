"""The one file that knows every room: builds the house from a configuration and runs it.

Order of building: configuration, policy, token key, session log (its recovery runs first of all
that writes), control store, upstreams. Order of leaving is the reverse; sessions close before the
log does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvicorn
import uvloop

from gateway import config, diagnostics, floor_wiring, grants_wiring, log_wiring
from gateway.config import Configuration, ConnectionSettings
from gateway.doors.http import BoundedProtocol, create_app, listener
from gateway.errors import ConfigurationError, MaskgateError
from gateway.flows import floor, health
from gateway.flows.floor import Findings
from gateway.flows.gate import Gate
from gateway.flows.house import Connection, House, Limits
from gateway.flows.possible import impossible
from gateway.flows.session import Desk, close_left_over
from gateway.grants import (
    Clock,
    ControlStore,
    Grants,
    Lookups,
    Quota,
    Reviews,
    Sessions,
    SignIns,
    Standing,
    Usage,
    Webhooks,
)
from gateway.identity import Verifier
from gateway.identity_wiring import build_identity, build_saml, origins
from gateway.masking import load_token_key
from gateway.patterns import Definitions
from gateway.places import placed
from gateway.policy import Policy, PolicyShelf
from gateway.sessionlog import Anchoring, Errand, SessionLog, Witness, reachable
from gateway.sql import Settings as AnalysisSettings
from gateway.sql import Vocabulary, describe
from gateway.upstream import Database, UpstreamSettings
from gateway.upstream.embedded import EmbeddedPostgres

_LOG = logging.getLogger("maskgate")
#: How often expired grants and their sessions are looked for, seconds.
_CLOCK_TICK = 1.0


def serve(path: Path) -> None:
    """Run the gateway of this configuration until a signal ends it."""
    configuration = config.load(path)
    diagnostics.install()
    uvloop.run(_serve(path, configuration))


async def _serve(path: Path, configuration: Configuration) -> None:
    host, port = configuration.server.address
    try:
        door = listener(host, port)
    except OSError as error:
        raise ConfigurationError(f"server.listen: {host}:{port}: {error.strerror}") from error
    bound = door.getsockname()
    async with open_house(path, configuration, origins(configuration, bound[1])) as house:
        settings = configuration.server
        server = _Server(
            uvicorn.Config(
                create_app(house),
                http=BoundedProtocol,
                proxy_headers=False,  # who calls is the peer, not what a field says
                ws="none",  # a request to upgrade is answered as the plain request it also is
                access_log=False,
                log_config=None,  # `diagnostics` is the one place that words them
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=3,
                ssl_certfile=settings.tls_cert and str(path.parent / settings.tls_cert),
                ssl_keyfile=settings.tls_key and str(path.parent / settings.tls_key),
            )
        )
        scheme = "https" if settings.tls_cert else "http"
        url = f"{scheme}://{host}:{bound[1]}"
        for sentence in await health.missing(house):
            _LOG.warning("not ready: %s", sentence)
        sys.stdout.write(json.dumps({"maskgate": house.version, "url": url}) + "\n")
        sys.stdout.flush()
        if house.siem is not None:
            house.siem.shipper.start()
        # What is there by now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        # And of what a statement makes nearly all goes without it.
        gc.set_threshold(10_000)
        await server.serve(sockets=[door])


class _Server(uvicorn.Server):
    """uvicorn's own handlers raise the signal again when it has stopped serving, which would end
    the process before its sessions and its log are closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        yield

    def _asked_to_stop(self) -> None:
        self.force_exit = self.should_exit  # the second time without waiting for clients
        self.should_exit = True


@asynccontextmanager
async def open_house(
    path: Path, configuration: Configuration, addresses: Sequence[str]
) -> AsyncIterator[House]:
    """Every room, built and connected; left in order whatever happens. `addresses`: the
    gateway's own."""
    base = path.parent
    policies = build_policies(path, configuration)
    issuers, rules = build_identity(path, configuration)
    saml = build_saml(path, configuration, addresses, _now)
    anchoring = build_anchoring(path, configuration)
    key_place = configuration.masking.token_key
    async with contextlib.AsyncExitStack() as stack:
        with placed(path, "masking", "token_key"):
            token_key = load_token_key(
                base / key_place.removeprefix("file:"), configuration.masking.key_id
            )
        log_directory = base / configuration.state.log
        vocabulary = Vocabulary()
        tail = log_wiring.tail(path, configuration, log_directory)
        seal = log_wiring.sealing(path, configuration, vocabulary)
        stampers = log_wiring.authorities(path, configuration)
        copied = log_wiring.bucket(path, configuration)
        if away := await asyncio.to_thread(log_wiring.refuse_unlocked, path, copied):
            _LOG.warning("%s", away)
        held = await asyncio.to_thread(log_wiring.held_key, path, configuration)
        if held is not None:
            stack.push_async_callback(asyncio.to_thread, held.close)
        with placed(path, "state", "origin" if configuration.state.origin else "log"):
            log = SessionLog.open(
                log_directory,
                origin=configuration.log_origin,
                version=version("maskgate"),
                anchoring=anchoring,
                seal=seal,
                held=held,
            )
        siem = log_wiring.siem(path, configuration, log, tail, vocabulary)
        if siem is not None:
            # After the log has closed: what it closed with goes along.
            stack.push_async_callback(asyncio.to_thread, siem.shipper.stop)
        errands = log_wiring.errands(log_directory, configuration, log, stampers, copied)
        # After it too: its last checkpoint is stamped.
        stack.push_async_callback(_stop, errands)
        stack.push_async_callback(log.aclose)
        log.anchor()
        for errand in errands:
            errand.start()
        _write_trust(log_directory / "trust.json", log)
        store = await _control_store(stack, path, configuration)
        with placed(path, "issuers"):
            verifier = Verifier(issuers, clock=_now, origins=addresses)
        await stack.enter_async_context(verifier)
        connections = {
            name: await _connection(stack, path, name, settings, policies[name], configuration)
            for name, settings in configuration.connections.items()
        }
        shelf = PolicyShelf(log_directory / "policies")
        for connection in connections.values():
            # What columns are called now; a database that is away is asked by its first statement.
            with contextlib.suppress(MaskgateError, OSError):
                async with connection.upstream.transaction("names") as transaction:
                    await connection.analysis.names.learn(transaction)
                    if seal is not None or siem is not None:
                        await vocabulary.learn(transaction)
        clock = Clock()
        await clock.hear(store)
        connections = await floor_wiring.floors(
            stack, path, configuration, connections, store, clock
        )
        webhooks = Webhooks(store, await grants_wiring.hooks(stack, path, configuration))
        grants = Grants(store, rules, grants_wiring.recorder(log), clock, webhooks)
        stack.push_async_callback(grants.close)
        house = House(
            version=version("maskgate"),
            identity=verifier,
            store=store,
            rules=rules,
            grants=grants,
            sessions=Sessions(store, rules, clock),
            standing=Standing(store, grants, clock),
            lookups=Lookups(store),
            usage=Usage(store, float(configuration.limits.statement_time)),
            reviews=Reviews(store),
            sign_ins=SignIns(store),
            saml=saml,
            log=log,
            connections=connections,
            policies=shelf,
            token_key=token_key,
            limits=Limits(
                statement_bytes=configuration.limits.statement_bytes,
                statement_seconds=float(configuration.limits.statement_time),
                client_stall_seconds=float(configuration.limits.client_stall),
                statements_per_session=configuration.limits.statements_per_session,
                concurrent_statements=configuration.limits.concurrent_statements,
                quotas=tuple(Quota(**one.model_dump()) for one in configuration.limits.quotas),
            ),
            desk=Desk(),
            now=clock,
            siem=siem,
            errands=errands,
        )
        for name, policy in policies.items():
            shelf.keep(policy.text)
            await log.event(
                "policy.loaded",
                {"connection": name, "policy_hash": policy.hash, "policy": policy.text},
            )
        left = await close_left_over(house)
        if left:
            _LOG.warning("%d sessions that a crash had left open are closed", left)
        tasks = [asyncio.create_task(_clock(house)), asyncio.create_task(webhooks.run())]
        try:
            yield house
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if log.healthy:
                await house.desk.close_all(house, "the gateway is stopping")


def build_policies(path: Path, configuration: Configuration) -> dict[str, Policy]:
    """One Policy a connection. Raises ConfigurationError with the line of the wrong rule."""
    policies = {}
    definitions = _definitions(path, configuration)
    for name, settings in configuration.connections.items():
        try:
            policies[name] = Policy(
                name,
                settings.columns,
                unclassified=settings.unclassified,
                expressions=settings.expressions,
                text=settings.text,
                definitions=definitions,
            )
        except ConfigurationError as error:
            named = [key for key in settings.columns if f"{key!r}" in error.detail]
            named += [key for key in settings.columns if f'"{key}"' in error.detail]
            with placed(path, "connections", name, "columns", *named[:1]):
                raise ConfigurationError(error.detail) from None
    return policies


def _definitions(path: Path, configuration: Configuration) -> Definitions:
    """The patterns and dictionaries of every policy. Raises ConfigurationError with the line."""
    sections = {
        section: {name: one.model_dump(exclude_none=True) for name, one in found.items()}
        for section, found in (
            ("patterns", configuration.patterns),
            ("dictionaries", configuration.dictionaries),
        )
    }
    try:
        return Definitions.parse(**sections, folder=path.parent)
    except ConfigurationError as error:
        # `patterns.NAME`, and perhaps a key of it
        where, _, _ = error.detail.partition(":")
        with placed(path, *where.partition(" ")[0].split(".")):
            raise ConfigurationError(error.detail) from None


def check(path: Path) -> Findings:
    """What is wrong and what is loose in what the configuration names; ConfigurationError for the
    file itself."""
    configuration = config.load(path)
    return asyncio.run(problems(path, configuration))


def options(path: Path) -> list[str]:
    """A line for each rule that allows more than its treatment: what nobody should overlook."""
    policies = build_policies(path, config.load(path))
    return [
        f"connections.{name}.columns: {pattern} {allowed}"
        for name, policy in policies.items()
        for pattern, allowed in (
            *policy.with_options().items(),
            *(
                (pattern, f"what these detectors would find: {silent}")
                for pattern, silent in policy.with_detectors_left_out().items()
            ),
        )
    ]


async def problems(path: Path, configuration: Configuration) -> Findings:
    """A sentence for each thing a loaded configuration names that does not answer as it says."""
    policies = build_policies(path, configuration)
    issuers, _ = build_identity(path, configuration)
    build_saml(path, configuration, origins(configuration, configuration.server.address[1]), _now)
    log_wiring.sealing(path, configuration, Vocabulary())
    log_wiring.authorities(path, configuration)
    if (held := log_wiring.held_key(path, configuration)) is not None:
        held.close()
    if configuration.siem is not None:
        log_wiring.sink(path, configuration.siem).close()
    wrong: list[str] = []
    loose: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        await grants_wiring.hooks(stack, path, configuration)
        for name, settings in configuration.connections.items():
            try:
                connection = await _connection(
                    stack, path, name, settings, policies[name], configuration
                )
                await connection.upstream.ping()
                wrong += await _unknown_columns(connection, settings)
                unfit = await impossible(connection)
                wrong += [f"connections.{name}.columns: {sentence}" for sentence in unfit]
                found = await floor.inspect(connection)
                wrong += [f"connections.{name}: {sentence}" for sentence in found.wrong]
                loose += [f"connections.{name}: {sentence}" for sentence in found.loose]
                loose += await floor_wiring.inspect(path, name, settings, connection)
            except (MaskgateError, OSError) as error:
                detail = error.detail if isinstance(error, MaskgateError) else str(error)
                wrong.append(f"connections.{name}: {detail}")
        try:
            if configuration.state.control != "embedded":
                with placed(path, "state", "control"):
                    dsn = config.resolve(configuration.state.control, path.parent)
                await ControlStore.reach(dsn)
        except MaskgateError as error:
            wrong.append(f"state.control: {error.detail}")
        anchoring = build_anchoring(path, configuration)
        answers = await asyncio.gather(*map(reachable, anchoring.witnesses))
        wrong += [f"log.witnesses: {sentence}" for sentence in answers if sentence]
        away = log_wiring.refuse_unlocked(path, log_wiring.bucket(path, configuration))
        wrong += [away] if away else []
        with placed(path, "issuers"):
            verifier = Verifier(issuers)
        await stack.enter_async_context(verifier)
        wrong += [f"issuers: {sentence}" for sentence in await verifier.unreachable()]
    return Findings(tuple(wrong), tuple(loose))


async def _unknown_columns(connection: Connection, settings: ConnectionSettings) -> list[str]:
    """Rules without a wildcard that name no column: most often a spelling mistake."""
    async with connection.upstream.transaction("check") as transaction:
        known = {str(entry.column) for entry in await describe(transaction)}
    return [
        f'connections.{connection.name}.columns."{pattern}": the database has no such column'
        for pattern in settings.columns
        if "*" not in pattern and '"' not in pattern and pattern not in known
    ]


async def _control_store(
    stack: contextlib.AsyncExitStack, path: Path, configuration: Configuration
) -> ControlStore:
    place = configuration.state.control
    if place == "embedded":
        embedded = EmbeddedPostgres(path.parent / configuration.state.data)
        dsn = await asyncio.to_thread(embedded.start)
        stack.callback(embedded.stop)
    else:
        with placed(path, "state", "control"):
            dsn = config.resolve(place, path.parent)
    store = await ControlStore.connect(dsn)
    stack.push_async_callback(store.close)
    return store


async def _connection(
    stack: contextlib.AsyncExitStack,
    path: Path,
    name: str,
    settings: ConnectionSettings,
    policy: Policy,
    configuration: Configuration,
) -> Connection:
    limits = configuration.limits
    with placed(path, "connections", name, "dsn"):
        dsn = config.resolve(settings.dsn, path.parent)
    upstream = Database(
        UpstreamSettings(
            dsn=dsn,
            schemas=tuple(settings.search_path),
            role=settings.role,
            clear_role=settings.clear_role,
            quiet_server_log=settings.quiet_server_log,
            statement_timeout=float(limits.statement_time),
            max_connections=limits.pool,
        )
    )
    with placed(path, "connections", name, "dsn"):
        await upstream.open()
    stack.push_async_callback(upstream.close)
    return Connection(
        name=name,
        upstream=upstream,
        role=settings.role,
        clear_role=settings.clear_role,
        analysis=AnalysisSettings(max_bytes=limits.statement_bytes),
        policy=policy,
        infinity=settings.infinity,
        token_domain=settings.token_domain or name,
        quiet_server_log=settings.quiet_server_log,
        require_dpop=settings.require_dpop,
        provisioned=settings.admin_dsn is not None,
        gate=Gate(limits.pool, limits.waiting),
    )


def build_anchoring(path: Path, configuration: Configuration) -> Anchoring:
    """The witnesses and their quorum. Raises ConfigurationError with the line of what is wrong."""
    settings = configuration.log
    witnesses: list[Witness] = []
    for index, one in enumerate(settings.witnesses):
        with placed(path, "log", "witnesses", index, "vkey"):
            ca = None if one.ca is None else path.parent / one.ca
            found = Witness.parse(one.url, one.vkey, ca)
            if any(found.key.public == earlier.key.public for earlier in witnesses):
                raise ConfigurationError(f"witness {found.key.name}: its key is another's, too")
            witnesses.append(found)
    within = settings.require_within
    return Anchoring(
        tuple(witnesses), settings.enough, float(within) if within is not None else None
    )


async def _stop(errands: tuple[Errand, ...]) -> None:
    """All at once: each may take its time."""
    await asyncio.gather(*(asyncio.to_thread(errand.stop) for errand in errands))


def _write_trust(path: Path, log: SessionLog) -> None:
    """What an auditor takes away once and keeps: origin and public key, no secret."""
    text = json.dumps(log.trust_file(), indent=2, sort_keys=True) + "\n"
    if not path.exists() or path.read_text() != text:
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        os.replace(partial, path)  # noqa: PTH105 - atomic on the same directory


async def _clock(house: House) -> None:
    """Ends what time ends. Whatever goes wrong is tried again at the next tick: a clock that had
    stopped would end nothing from then on, and nobody would be told."""
    while True:
        await asyncio.sleep(_CLOCK_TICK)
        try:
            await house.now.hear(house.store)
            await house.store.look()
            if not house.now.trouble:
                await house.grants.expire_due()
            await house.desk.close_ended(house)
            await house.desk.tell_counts(house)
        except Exception as error:
            _LOG.warning("the clock could not run: %s", type(error).__name__)


def _now() -> datetime:
    return datetime.now(UTC)
