"""Leave to read: who may read which tables of which connection, for what purpose, until when.

Refuses approval by the requester or by anybody who shares a party with the request, any way back
from a terminal state, and any answer it cannot take from the control store now. Every change is
recorded before it takes effect.
"""

from __future__ import annotations

from gateway.grants.access import AccessRules, AutoApprove, BreakGlass
from gateway.grants.clock import Clock
from gateway.grants.force import until
from gateway.grants.lifecycle import Grants
from gateway.grants.lookups import Lookups
from gateway.grants.needs import Needed, Needs
from gateway.grants.requests import parameters_text
from gateway.grants.reviews import ReviewPlace, Reviews
from gateway.grants.sessions import SessionRow, Sessions
from gateway.grants.sign_ins import (
    PREFIX,
    Answered,
    SignIn,
    SignIns,
    Terminal,
    identity_of,
    issue,
)
from gateway.grants.standing import Standing
from gateway.grants.store import ControlStore
from gateway.grants.usage import Bound, Quota, Usage, bounds_of
from gateway.grants.watch import Watch
from gateway.grants.webhooks import Hook, Webhooks

__all__ = [
    "PREFIX",
    "AccessRules",
    "Answered",
    "AutoApprove",
    "Bound",
    "BreakGlass",
    "Clock",
    "ControlStore",
    "Grants",
    "Hook",
    "Lookups",
    "Needed",
    "Needs",
    "Quota",
    "ReviewPlace",
    "Reviews",
    "SessionRow",
    "Sessions",
    "SignIn",
    "SignIns",
    "Standing",
    "Terminal",
    "Usage",
    "Watch",
    "Webhooks",
    "bounds_of",
    "identity_of",
    "issue",
    "parameters_text",
    "until",
]
