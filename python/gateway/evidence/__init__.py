"""The evidence bundle: one session as a file in which no byte is free, and several of them.

Refuses to bundle what it cannot prove: a policy that is not the recorded one, a session that is not
an agent's, members beyond what the container holds. Everything in a bundle is made from the bytes
that are in it. The gateway signs what it exports here, which proves where a bundle comes from; that
nothing was left out is proved by the ledger and by what auditors keep.
"""

from gateway.evidence.bundle import build
from gateway.evidence.collection import Collection, Listed
from gateway.evidence.report import Review
from gateway.evidence.selection import WHY, Selection, search
from gateway.evidence.story import counted_under

__all__ = [
    "WHY",
    "Collection",
    "Listed",
    "Review",
    "Selection",
    "build",
    "counted_under",
    "search",
]
