"""The development issuer's device flow (RFC 8628) and its refresh tokens; knows nothing of HTTP.

Refuses codes that ended, that nobody approved, that were asked for too often, and a second use of
anything that is used once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass

CODE_LIFE_S = 300
INTERVAL_S = 1
#: Without letters and digits that look alike (RFC 8628, 6.1).
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


class RefusedError(Exception):
    """The code of RFC 6749, 5.2 or RFC 8628, 3.5 that the client is told."""


@dataclass(slots=True)
class Asked:
    """One device that waits for its person."""

    user_code: str
    device_code: str
    client_id: str
    challenge: str | None
    resource: str | None
    ends: float
    interval: int = INTERVAL_S
    polled: float = 0.0
    who: str | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What a refresh token stands for."""

    who: str
    client_id: str
    resource: str | None
    jkt: str | None


class Devices:
    """Codes and refresh tokens of one start."""

    def __init__(self) -> None:
        self._by_device: dict[str, Asked] = {}
        self._refresh: dict[str, Kept] = {}

    def begin(self, client_id: str, challenge: str | None, resource: str | None) -> Asked:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        asked = Asked(
            user_code=f"{code[:4]}-{code[4:]}",
            device_code=secrets.token_urlsafe(32),
            client_id=client_id,
            challenge=challenge,
            resource=resource,
            ends=time.monotonic() + CODE_LIFE_S,
        )
        self._by_device[asked.device_code] = asked
        return asked

    def decide(self, user_code: str, who: str, *, approve: bool) -> bool:
        """What a person who has proven who he is says about a code; False when there is none."""
        wanted = user_code.upper().replace(" ", "")
        for asked in self._by_device.values():
            if asked.user_code == wanted and asked.who is None and time.monotonic() < asked.ends:
                asked.who, asked.denied = who, not approve
                return True
        return False

    def poll(self, device_code: str, client_id: str, verifier: str | None) -> Asked:
        """The approved code, once. Raises RefusedError with what the device is to do."""
        asked = self._by_device.get(device_code)
        if asked is None or asked.client_id != client_id:
            raise RefusedError("invalid_grant")
        now = time.monotonic()
        if now >= asked.ends:
            del self._by_device[device_code]
            raise RefusedError("expired_token")
        too_soon = now - asked.polled < asked.interval * 0.9
        asked.polled = now
        if too_soon:
            asked.interval += 5
            raise RefusedError("slow_down")
        if asked.who is None:
            raise RefusedError("authorization_pending")
        del self._by_device[device_code]
        if asked.denied:
            raise RefusedError("access_denied")
        if asked.challenge is not None and _challenge(verifier) != asked.challenge:
            raise RefusedError("invalid_grant")
        return asked

    def keep(self, kept: Kept) -> str:
        token = secrets.token_urlsafe(32)
        self._refresh[token] = kept
        return token

    def use(self, token: str, client_id: str, jkt: str | None) -> Kept:
        """What a refresh token stands for, once."""
        kept = self._refresh.pop(token, None)
        if kept is None or kept.client_id != client_id or kept.jkt != jkt:
            raise RefusedError("invalid_grant")
        return kept

    def revoke(self, token: str) -> None:
        self._refresh.pop(token, None)


def _challenge(verifier: str | None) -> str:
    """RFC 7636, section 4.2."""
    digest = hashlib.sha256((verifier or "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
