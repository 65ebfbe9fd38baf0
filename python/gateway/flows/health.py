"""What stands between this gateway and its work, in sentences for an operator."""

from __future__ import annotations

from gateway.errors import MaskgateError
from gateway.flows.house import House


async def missing(house: House) -> list[str]:
    """One sentence for each part that does not answer; empty when a query would be served."""
    found = []
    if house.log.trouble:
        found.append(f"session log: {house.log.trouble}")
    try:
        await house.store.check()
    except (MaskgateError, OSError) as error:
        found.append(f"control store: {_words(error)}")
    found += [f"issuer: {sentence}" for sentence in await house.identity.unreachable()]
    for connection in house.connections.values():
        try:
            await connection.upstream.ping()
        except (MaskgateError, OSError) as error:
            found.append(f"connection {connection.name}: {_words(error)}")
    return found


def _words(error: BaseException) -> str:
    return error.detail if isinstance(error, MaskgateError) else type(error).__name__
