"""How a statement that compares protected columns is planned: by no way that sorts their values.

Rows of a merge join come in the order of the values it compares, and those of an index-only scan
in the order of its key, whatever the statement asks for. Refuses nothing; what the planner then
does is slower at worst.
"""

from __future__ import annotations

from gateway.sql.server import Server

_SETTINGS = ("enable_mergejoin", "enable_indexonlyscan")


async def keep_order_untold(transaction: Server) -> None:
    """For the rest of the transaction; before its rows are asked for."""
    for setting in _SETTINGS:
        await transaction.fetch(f"SET LOCAL {setting} = off")
