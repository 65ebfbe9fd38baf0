"""Names of people, agents and groups as records hold them: one name has one spelling.

Refuses names that could be mistaken for others: control characters, surrounding blanks, letters
that show nothing, letters spelled in parts.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from gateway.errors import Unauthenticated

MAX_NAME_CHARS = 255  # OpenID Connect Core, section 2, for `sub`

# Letters, marks and symbols that show nothing: Default_Ignorable_Code_Point of Unicode outside the
# categories C and Z, the empty Braille pattern and the null notehead.
_PRINT_NOTHING = frozenset(
    {
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x180B,
        0x180C,
        0x180D,
        0x180F,
        0x2800,
        0x3164,
        0xFFA0,
        0x1D159,
    }
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0100, 0xE01F0))
)


def checked_name(value: Any, what: str) -> str:
    """A name as records hold it: what prints the same is the same, as far as a reader can see.
    `what` begins the sentence of a refusal."""
    if not isinstance(value, str):
        raise Unauthenticated(f"{what} must be a string.")
    if not value:
        raise Unauthenticated(f"{what} is empty.")
    if len(value) > MAX_NAME_CHARS:
        raise Unauthenticated(f"{what} is longer than {MAX_NAME_CHARS} characters.")
    if value != value.strip() or any(_invisible(character) for character in value):
        raise Unauthenticated(f"{what} has surrounding blanks or invisible characters.")
    if not unicodedata.is_normalized("NFC", value):
        raise Unauthenticated(f"{what} spells letters in parts (it is not in Unicode's form C).")
    return value


def _invisible(character: str) -> bool:
    """Controls, formats, unassigned characters, blanks but the space, and what prints nothing."""
    category = unicodedata.category(character)
    blank = category[0] == "Z" and character != " "
    return category[0] == "C" or blank or ord(character) in _PRINT_NOTHING
