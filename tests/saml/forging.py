"""Forged responses by their names, each with what its refusal must say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from played_idp import DS, SAML, Idp, Response, encoded

from gateway.errors import Unauthenticated

ASSERTION, SIGNATURE = f"{{{SAML}}}Assertion", f"{{{DS}}}Signature"
NO_KEY = "does not match any key"
WRAPPED = "several assertions"
EVIL = "6f1d-mallory"

Forge = Callable[[Idp], Any]


class Forgeries(dict[str, tuple[str, Forge]]):
    """What one file forges."""

    def forged(self, because: str) -> Callable[[Forge], Forge]:
        """Register a forgery under its name."""

        def register(made: Forge) -> Forge:
            self[made.__name__] = (because, made)
            return made

        return register

    def said(self, because: str, called: str, /, **changed: Any) -> None:
        """A well signed response that says the wrong thing."""
        self[called] = (because, lambda idp: idp.signed(Response(**changed)))

    def refused(self, idp: Idp, name: str) -> None:
        """Refused for its own reason, without a word of the forger's."""
        because, made = self[name]
        with pytest.raises(Unauthenticated) as refusal:
            found = idp.provider().person(encoded(made(idp)))
            pytest.fail(f"taken: {found}")
        assert because in refusal.value.detail
        said = f"{refusal.value.detail} {refusal.value.hint}"
        assert not re.search("mallory|script|passwd", said)
