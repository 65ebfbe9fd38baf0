"""What a terminal that signs a person in and the page in his browser can both work out.

The terminal keeps a secret and shows its hash (RFC 7636); the page shows a code made of that hash,
so that a person sees which terminal he is about to let in.
"""

from __future__ import annotations

import base64
import hashlib
import re

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
#: Where a terminal's browser begins, and where the terminal takes and gives back its credential.
LOGIN = "/v1/saml/{name}/login"
TOKEN = "/v1/saml/token"  # noqa: S105 - a path


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2, S256."""
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def user_code(challenge: str) -> str:
    """Eight letters and digits that the terminal and the page both show."""
    digest = hashlib.sha256(b"maskgate sign-in " + challenge.encode()).digest()
    letters = base64.b32encode(digest).decode()[:8]
    return f"{letters[:4]}-{letters[4:]}"
