"""How a statement that reads protected values is planned: by no way that orders rows by them.

Rows of an index-only scan come in the order of the index's key, and those of a merge join in the
order of the values it compares, whatever the statement asks for. Refuses nothing; what the planner
then does is slower at worst.
"""

from __future__ import annotations

from gateway.sql.server import Server

_INDEX_ONLY = "enable_indexonlyscan = off"
_MERGE = "enable_mergejoin = off"


def keep_order_untold(transaction: Server, *, joined: bool) -> None:
    """For the rest of the transaction; before its rows are asked for.

    `joined`: protected columns are compared with each other.
    """
    transaction.before_rows(_INDEX_ONLY, *([_MERGE] if joined else ()))
