"""The PostgreSQL that holds the data: one read-only transaction a statement, rows as COPY bytes.

Refuses to open a server whose minor version leaks statistics, to give on a byte before the tree of
the statement that runs equals the approved one, and to pass on the server's words once rows may
have been read.
"""

from gateway.upstream.database import Database, UpstreamSettings
from gateway.upstream.transaction import Transaction

__all__ = ["Database", "Transaction", "UpstreamSettings"]
