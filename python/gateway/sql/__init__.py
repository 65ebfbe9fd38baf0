"""Which protected column flows where, by the server's own parse tree.

`analyse` refuses each statement that is not one SELECT understood to its last function; nothing
that is not understood runs.
"""

from gateway.sql.analyse import Settings, analyse
from gateway.sql.describe import Described, describe

__all__ = ["Described", "Settings", "analyse", "describe"]
