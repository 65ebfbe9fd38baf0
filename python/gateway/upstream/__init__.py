"""The PostgreSQL that holds the data: one read-only transaction a statement, rows as COPY bytes.

Refuses to open a server whose minor version leaks statistics, to give on a byte before the tree of
the statement that runs equals the approved one, and to pass on the server's words once rows may
have been read.
"""

from gateway.upstream.columns import ColumnSet, Table
from gateway.upstream.database import Database, UpstreamSettings
from gateway.upstream.failures import Denied
from gateway.upstream.roles import Desk, Role, Roles, Unfit
from gateway.upstream.transaction import RoleRefused, Transaction

__all__ = [
    "ColumnSet",
    "Database",
    "Denied",
    "Desk",
    "Role",
    "RoleRefused",
    "Roles",
    "Table",
    "Transaction",
    "Unfit",
    "UpstreamSettings",
]
