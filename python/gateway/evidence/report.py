"""The session as a page for people: opens without a network, prints well, runs nothing.

Statements are an attacker's text. Every value is escaped by the template, characters that steer a
terminal or the direction of writing are shown by their number, and the page's policy forbids
scripts, frames, images and every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from importlib import resources

from jinja2 import Environment, StrictUndefined

from gateway.evidence.story import Story
from gateway.model import SessionFiles

_PACKAGE = resources.files("gateway.evidence")


def render(story: Story, files: SessionFiles, created: datetime) -> bytes:
    """report.html, made from nothing but the bytes that stand beside it in the bundle."""
    style = _PACKAGE.joinpath("report.css").read_text("utf-8")
    template = _environment().from_string(_PACKAGE.joinpath("report.html.j2").read_text("utf-8"))
    leaves = [{"index": leaf.index, **json.loads(leaf.data)} for leaf in files.leaves]
    page = template.render(
        story=story,
        opened=story.opened,
        grant=story.opened["grant"],
        files=files,
        leaves=leaves,
        digest=hashlib.sha256(files.records).hexdigest(),
        checkpoint=files.checkpoint.decode(),
        created=created.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return page.encode()


def visible(value: object) -> str:
    """Text whose every character shows: controls and direction marks become ⟨U+202E⟩."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else f"⟨U+{ord(c):04X}⟩" for c in text)


def _environment() -> Environment:
    # `style` is a file of ours, marked safe in the template; everything else is escaped.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["visible"] = visible
    return environment
