"""What stands between this gateway and its work, in sentences for an operator."""

from __future__ import annotations

from dataclasses import dataclass

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
    if house.now.trouble:
        found.append(f"clock: {house.now.trouble}")
    found += [f"issuer: {sentence}" for sentence in await house.identity.unreachable()]
    for connection in house.connections.values():
        try:
            await connection.upstream.ping()
        except (MaskgateError, OSError) as error:
            found.append(f"connection {connection.name}: {_words(error)}")
        if connection.floor is not None and connection.floor.trouble:
            found.append(f"connection {connection.name}: {connection.floor.trouble}")
    return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the SIEM's delivery stands, in numbers."""

    lag_seconds: float
    delivered: int
    failures: int


def delivery(house: House) -> Delivery | None:
    """None when there is no SIEM."""
    if house.siem is None:
        return None
    found = house.siem.shipper.standing
    return Delivery(found.behind(house.now()), found.delivered, found.failures)


def behind(house: House) -> list[str]:
    """A sentence when the SIEM waits for too long, for each time stamp and copy of the log that
    could not be made, and each role that is left in a database. None hinders a query, or says
    anything about whether one would be served."""
    troubles = [one.trouble for one in house.errands if one.trouble]
    for connection in house.connections.values():
        left = connection.floor.left if connection.floor is not None else ()
        troubles += [f"connection {connection.name}: {sentence}" for sentence in left]
    found = delivery(house)
    if house.siem is None or found is None or found.lag_seconds <= house.siem.behind_seconds:
        return troubles
    error = house.siem.shipper.standing.error
    why = f"; the last delivery failed: {error}" if error else ""
    return [f"siem: the oldest record has waited for {found.lag_seconds:.0f} s{why}", *troubles]


def _words(error: BaseException) -> str:
    return error.detail if isinstance(error, MaskgateError) else type(error).__name__
