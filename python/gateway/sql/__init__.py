"""Which protected column flows where, by the server's own parse tree.

`analyse` refuses each statement that is not one SELECT understood to its last function; nothing
that is not understood runs.
"""

from gateway.sql.analyse import Settings, analyse
from gateway.sql.beside import bring_along
from gateway.sql.describe import Described, describe, selecting
from gateway.sql.fencing import check_kept, check_predicate, keep_to_rows
from gateway.sql.grouping import without_dependents
from gateway.sql.planning import keep_order_untold
from gateway.sql.source import mask_at_source
from gateway.sql.template import template
from gateway.sql.vocabulary import Vocabulary

__all__ = [
    "Described",
    "Settings",
    "Vocabulary",
    "analyse",
    "bring_along",
    "check_kept",
    "check_predicate",
    "describe",
    "keep_order_untold",
    "keep_to_rows",
    "mask_at_source",
    "selecting",
    "template",
    "without_dependents",
]
