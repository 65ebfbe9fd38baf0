"""Claims of a verified token, read into one identity.

Refuses a token for another audience or another time, without the unique claim, bound to a key in a
way that this gateway does not check, or with values that could be mistaken for others in records
(control characters, surrounding blanks, letters that show nothing).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from gateway.errors import Unauthenticated
from gateway.identity.issuers import IssuerConfig
from gateway.identity.names import checked_name
from gateway.model import Identity

LEEWAY = timedelta(seconds=60)  # between this gateway's clock and the issuer's
MAX_GROUPS = 1000
TIMES = ("exp", "nbf", "iat")  # the claims that `check_times` reads

# OIDC Core 3.1.3.6 and 3.3.2.11, FAPI; Back-Channel Logout 2.4.
_OF_OTHER_KINDS = ("at_hash", "c_hash", "s_hash", "events")
# What some providers say inside of the token, as they give every kind the same `typ` in its header.
_OTHER_KINDS = {"typ": {"id", "refresh", "offline", "logout"}, "token_use": {"id", "refresh"}}
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def read_identity(
    claims: Mapping[str, Any],
    config: IssuerConfig,
    now: datetime,
    fingerprint: str,
    own: Sequence[str] = (),
    named_by: Mapping[str, str] = MappingProxyType({}),
) -> Identity:
    """The identity a verified token of this issuer stands for at `now`, or Unauthenticated. `own`
    are the gateway's addresses: who asked its issuer for a token for one (RFC 8707) named it.
    `named_by` has the identity claims of all issuers, whose people may be actors."""
    _check_kind(claims)
    _check_audience(claims, config, own)
    expires_at = check_times(claims, now)
    jkt = _bound_to(claims)
    if "sub" in claims:
        _name(claims["sub"], "sub")
    if config.identity_claim not in claims:
        raise Unauthenticated(
            f"The token has no claim {config.identity_claim!r}, which names one agent or person."
        )
    subject = _name(claims[config.identity_claim], config.identity_claim)
    return Identity(
        issuer=config.issuer,
        subject=subject,
        name=subject,
        groups=_groups(claims, config),
        actor=_actor(claims, config, named_by),
        token_fingerprint=fingerprint,
        expires_at=expires_at,
        jkt=jkt,
    )


def _check_kind(claims: Mapping[str, Any]) -> None:
    """A token of another kind by the same issuer, for the same audience, is none for this (RFC 8725
    section 3.11): an ID token travels through browsers and logs, where access tokens do not."""
    for claim in _OF_OTHER_KINDS:
        if claim in claims:
            raise Unauthenticated(
                f"The token is no access token: it has {claim}, as ID or logout tokens have.",
                hint="Send the access token of the same answer.",
            )
    for claim, others in _OTHER_KINDS.items():
        if str(claims.get(claim)).lower() in others:
            raise Unauthenticated(f"The token is no access token, as its claim {claim!r} says.")


def _check_audience(claims: Mapping[str, Any], config: IssuerConfig, own: Sequence[str]) -> None:
    """`aud` names this gateway (RFC 7519 4.1.3); when it names others, too, the token is for a
    client that the configuration knows, or `azp` names this gateway (OIDC Core 2 and 3.1.3.7)."""
    named = claims.get("aud")
    if "aud" not in claims:
        raise Unauthenticated("The token has no audience (aud).")
    several = [named] if isinstance(named, str) else named
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise Unauthenticated("The token's audience (aud) must be a string or a list of strings.")
    ours = {*config.audiences, *own}
    if ours.isdisjoint(several):
        raise Unauthenticated(
            "The token is for another audience; this gateway's audience is "
            f"{' or '.join(repr(one) for one in config.audiences)}."
        )
    if config.authorized_parties:
        if claims.get("azp", claims.get("client_id")) not in config.authorized_parties:
            raise Unauthenticated(
                "The token was issued to a client (azp, client_id) that this gateway does not "
                "take tokens from."
            )
        return
    if ours.issuperset(several):
        return
    hint = "Ask for a token for this gateway alone, or have issuers.authorized_parties name yours."
    if "azp" not in claims:
        raise Unauthenticated(
            "The token has several audiences but names no authorised party (azp).", hint=hint
        )
    if not isinstance(claims["azp"], str) or claims["azp"] not in ours:
        raise Unauthenticated(
            "The token has several audiences and its authorised party (azp) is another one.",
            hint=hint,
        )


def _bound_to(claims: Mapping[str, Any]) -> str | None:
    """The thumbprint of the key that the token is bound to (RFC 9449 section 6.1), if it is."""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    # RFC 7800 section 3.1 has more members (RFC 8705: a certificate's hash); what is not checked
    # would be no binding.
    if not isinstance(confirmation, dict) or set(confirmation) != {"jkt"}:
        raise Unauthenticated(
            "The token is bound to a key (cnf) in a way that this gateway does not check; it "
            "checks DPoP (jkt)."
        )
    jkt = confirmation["jkt"]
    if not isinstance(jkt, str) or not _THUMBPRINT.fullmatch(jkt):
        raise Unauthenticated("The token's key (cnf.jkt) is not a SHA-256 thumbprint.")
    return jkt


def check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """The token's expiry, or Unauthenticated when `now` is not within its times."""
    if "exp" not in claims:
        raise Unauthenticated("The token has no expiry (exp); tokens that never end are refused.")
    expires_at = _time(claims["exp"], "exp")
    if now >= expires_at + LEEWAY:
        raise Unauthenticated("The token has expired; ask your issuer for a new one.")
    if "nbf" in claims and now < _time(claims["nbf"], "nbf") - LEEWAY:
        raise Unauthenticated("The token is not valid yet (nbf).")
    if "iat" in claims and now < _time(claims["iat"], "iat") - LEEWAY:
        raise Unauthenticated("The token was issued in the future (iat); compare the clocks.")
    return expires_at


def _time(value: Any, claim: str) -> datetime:
    """A NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction; never a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated(f"The token's {claim} is not a number of seconds.")
    try:
        # The leeway is added and subtracted later: both must stay within what a datetime holds.
        moment = datetime.fromtimestamp(value, UTC)
        _ = (moment + LEEWAY, moment - LEEWAY)
    except (OverflowError, ValueError, OSError) as wrong:
        raise Unauthenticated(f"The token's {claim} is not a time.") from wrong
    return moment


def _name(value: Any, claim: str) -> str:
    return checked_name(value, f"The token's claim {claim!r}")


def _groups(claims: Mapping[str, Any], config: IssuerConfig) -> frozenset[str]:
    """A list of names. A string is refused: "a b" could be one group or two."""
    claim = config.groups_claim
    listed = claims.get(claim, [])
    if not isinstance(listed, list):
        raise Unauthenticated(f"The token's claim {claim!r} must be a list of strings.")
    if len(listed) > MAX_GROUPS:
        raise Unauthenticated(f"The token's claim {claim!r} lists more than {MAX_GROUPS} groups.")
    names = frozenset(_name(one, claim) for one in listed)
    if config.groups is None:
        return names
    return frozenset(config.groups[name] for name in names if name in config.groups)


def _actor(
    claims: Mapping[str, Any], config: IssuerConfig, named_by: Mapping[str, str]
) -> str | None:
    """Whom `act` (RFC 8693 section 4.1) names, or the name in the configured claim. Read so that
    he is the same when he calls himself: else he could approve what his own agent asked for."""
    issuer, claim = config.issuer, config.actor_claim
    if claim not in claims:
        return None
    if claim != "act":
        return _party(issuer, _name(claims[claim], claim), issuer)
    act = claims["act"]
    if not isinstance(act, dict):
        raise Unauthenticated("The token's actor (act) must be an object.")
    if "act" in act:
        # Section 4.1: a chain of delegations. A record has room for one actor; the others would
        # be lost from it.
        raise Unauthenticated("The token's actor (act) acts for another one; chains are refused.")
    other = _name(act.get("iss", issuer), "act.iss")
    if "#" in other:
        raise Unauthenticated("The token's claim 'act.iss' holds a #, as no issuer does.")
    by = config.identity_claim if other == issuer else named_by.get(other, "sub")
    if by not in act:
        raise Unauthenticated(f"The token's actor (act) must be an object with {by!r}.")
    return _party(other, _name(act[by], f"act.{by}"), issuer)


def _party(issuer: str, subject: str, own: str) -> str:
    """The subject alone where its issuer is the token's; ISSUER#SUBJECT of another one, and of a
    subject that could be taken for that."""
    looks_whole = subject.startswith(("https://", "http://")) and "#" in subject
    return f"{issuer}#{subject}" if issuer != own or looks_whole else subject
