"""Which treatment each column gets, and whether a statement's use of it is allowed.

Refuses to guess: a column that no rule names is protected, two rules of equal reach that disagree
do not load, and a use of a protected column that is not a bare output is refused.
"""

from gateway.policy.beside import to_bring, unreadable_beside
from gateway.policy.decide import decide
from gateway.policy.rules import Policy
from gateway.policy.shelf import PolicyShelf
from gateway.policy.source import foreseen, to_hide

__all__ = [
    "Policy",
    "PolicyShelf",
    "decide",
    "foreseen",
    "to_bring",
    "to_hide",
    "unreadable_beside",
]
