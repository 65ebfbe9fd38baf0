"""What an attacker can rebuild: the container, the manifest, and with a key the signature."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from gateway.evidence import canonical, container


def members(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts: Mapping[str, bytes]) -> bytes:
    """The canonical container, so that only the content is wrong."""
    return container.pack(parts)


def restate(
    parts: Mapping[str, bytes], sign: Callable[[bytes], bytes], **changes: Any
) -> dict[str, bytes]:
    """The members under a manifest that fits them again, signed by whoever `sign` is."""
    manifest = json.loads(parts["manifest.json"]) | changes
    manifest.pop("signature")
    manifest["members"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in parts.items()
        if name != "manifest.json"
    }
    signature = sign(canonical.encode(manifest))
    manifest["signature"] = base64.b64encode(signature).decode()
    return {**parts, "manifest.json": canonical.encode(manifest)}
