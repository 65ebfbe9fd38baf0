"""Ed25519 public keys that prove something: points of small order are none.

Under such a key one signature fits many messages, whoever made it (RFC 8032 leaves the check to the
application). Refuses encodings that are not canonical, too: one key has one spelling.
"""

from __future__ import annotations

_P = 2**255 - 19
# The y coordinates of the eight points whose order divides the cofactor: the identity, the points
# of order two, four and eight.
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = frozenset({1, _P - 1, 0, _EIGHTH, _P - _EIGHTH})


def has_full_order(public: bytes) -> bool:
    """Whether these 32 bytes are a canonical encoding of a point that is not of small order."""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return len(public) == 32 and y < _P and y not in SMALL_ORDER_Y
