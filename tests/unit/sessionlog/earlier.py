"""A log as earlier versions wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.sessionlog import epochs, leaves


def without_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a version wrote that had none."""
    plain = leaves.boot

    def boot(*told: Any) -> bytes:
        leaf = json.loads(plain(*told))
        del leaf["epoch"]
        return json.dumps(leaf, separators=(",", ":"), sort_keys=True).encode()

    def sign(self: epochs.Epochs, size: int, root: bytes) -> Any:
        return self._log.sign_checkpoint(size, root)

    monkeypatch.setattr(leaves, "boot", boot)
    monkeypatch.setattr(epochs.Epochs, "leaves", lambda *_: [])
    monkeypatch.setattr(epochs.Epochs, "sign", sign)
