"""The database's own floor, built from the configuration where a connection has `admin_dsn`.

Left-overs are gone and the roles of grants in force are there before the first request. Refuses to
start with a credential that cannot do it; a database that is away is asked again by its first
statement, which waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from gateway import config
from gateway.config import Configuration, ConnectionSettings
from gateway.errors import ConfigurationError, MaskgateError
from gateway.flows.covered import Covered
from gateway.flows.house import Connection
from gateway.flows.provisioned import Provisioned
from gateway.grants import ControlStore, Needs
from gateway.places import placed
from gateway.upstream import Roles, Unfit

_LOG = logging.getLogger("maskgate")
_AT_THE_END_S = 10.0
_SESSIONS = 1  # of the login, for questions about what grants cover
_NAMED = 5  # examples in one sentence


async def floors(
    stack: AsyncExitStack,
    path: Path,
    configuration: Configuration,
    connections: Mapping[str, Connection],
    store: ControlStore,
    clock: Callable[[], datetime],
) -> dict[str, Connection]:
    """The connections, those with a second credential with their floor. Raises ConfigurationError
    with the line of a credential that is not good for it."""
    found = dict(connections)
    for name, settings in configuration.connections.items():
        if settings.admin_dsn is None:
            continue
        connection = connections[name]
        needs = Needs(store)
        with placed(path, "connections", name, "admin_dsn"):
            dsn = config.resolve(settings.admin_dsn, path.parent)
            own = connection.upstream.beside(_SESSIONS)
            await own.open()
            stack.push_async_callback(own.close)
            roles = Roles(dsn, await needs.installation(), name, own.login)
            covered = Covered(own, connection.analysis, connection.policy)
            floor = Provisioned(name, connection.upstream, roles, needs, covered, clock)
            await _begun(name, floor)
        for sentence in await _loose(connection):
            _LOG.warning("%s: %s", name, sentence)
        running = asyncio.create_task(floor.run())
        running.add_done_callback(partial(_told, name))
        stack.push_async_callback(_ended, name, floor, running)
        found[name] = replace(connection, floor=floor)
    return found


async def inspect(
    path: Path, name: str, settings: ConnectionSettings, connection: Connection
) -> list[str]:
    """What the second credential leaves open. Raises UpstreamFailed when it is not good for it."""
    if settings.admin_dsn is None:
        return []
    with placed(path, "connections", name, "admin_dsn"):
        dsn = config.resolve(settings.admin_dsn, path.parent)
    kept = sorted(await Roles(dsn, "", name, connection.upstream.login).fits())
    if not kept:
        return []
    more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
    return [
        f"connections.{name}: admin_dsn may not grant all of {', '.join(kept[:_NAMED])}{more}: "
        "GRANT SELECT ON … WITH GRANT OPTION, and USAGE on the schema"
    ]


async def _begun(name: str, floor: Provisioned) -> None:
    try:
        await floor.settle()
    except Unfit as unfit:
        raise ConfigurationError(f"connections.{name}.admin_dsn: {unfit.detail}") from None
    except MaskgateError as error:
        _LOG.warning("%s: %s", name, error.detail)


async def _loose(connection: Connection) -> tuple[str, ...]:
    """What the login can do that no role of a grant allows it."""
    try:
        return await connection.upstream.own_rights()
    except MaskgateError:
        return ()


def _told(name: str, running: asyncio.Task[None]) -> None:
    """It ends by a fault of the gateway alone; each statement whose grant is new still looks."""
    if not running.cancelled() and (error := running.exception()) is not None:
        _LOG.error("%s: nobody looks after its roles any more", name, exc_info=error)


async def _ended(name: str, floor: Provisioned, running: asyncio.Task[None]) -> None:
    """Grants in force keep their roles: another gateway may be using them."""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    try:
        async with asyncio.timeout(_AT_THE_END_S):
            await floor.settle()
    except (MaskgateError, TimeoutError) as error:
        said = error.detail if isinstance(error, MaskgateError) else "it took too long"
        _LOG.warning("%s: roles that nobody needs may be left: %s", name, said)
