"""Every policy that was ever in force, by its hash, so that old evidence can show its own.

Refuses to hand out a text that does not have the hash it is asked for by.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from blake3 import blake3

from gateway.errors import NotFound

_HASH = re.compile(r"[0-9a-f]{64}")


class PolicyShelf:
    """A directory of canonical policies, `HASH.toml`; no address and no secret is in them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, text: str) -> str:
        """Store a policy's canonical text, durably; its hash."""
        digest = blake3(text.encode()).hexdigest()
        path = self._directory / f"{digest}.toml"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return digest

    def find(self, digest: str) -> bytes:
        """The text with this hash. Raises NotFound."""
        path = self._directory / f"{digest}.toml"
        if _HASH.fullmatch(digest) is None or not path.exists():
            raise NotFound("the policy that the session was opened under is not kept here any more")
        text = path.read_bytes()
        if blake3(text).hexdigest() != digest:
            raise NotFound("the policy kept for the session is not the one it was opened under")
        return text
