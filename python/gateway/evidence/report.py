"""Sessions as pages for people: open without a network, print well, run nothing.

Statements are an attacker's text. Every value is escaped by the template, characters that steer a
terminal or the direction of writing are shown by their number, letters stand in the order in which
they are stored, and the page's policy forbids scripts, frames, images and every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from gateway.evidence.story import Story
from gateway.model import SessionFiles

_PACKAGE = resources.files("gateway.evidence")
_MARK = "\N{WHITE SQUARE}"


@dataclass(frozen=True, slots=True)
class Review:
    """A person's review of a session, from its record and its leaf."""

    by: str
    at: str
    note: str
    index: int  # of the leaf
    leaf: bytes


def render(
    story: Story, files: SessionFiles, created: datetime, reviews: Sequence[Review] = ()
) -> bytes:
    """report.html, made from the bytes that stand beside it in the bundle; the reviews from the
    gateway's records and the ledger."""
    before, behind = frame(f"Session {story.sid}")
    return (before + section(story, files, created, reviews) + behind).encode()


def frame(title: str) -> tuple[str, str]:
    """What stands before and behind the sections of a page."""
    style = _PACKAGE.joinpath("report.css").read_text("utf-8")
    page = template(
        "report.html.j2",
        title=title,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        body=_MARK,
    )
    before, _, behind = page.partition(_MARK)
    return before, behind


def section(story: Story, files: SessionFiles, created: datetime, reviews: Sequence[Review]) -> str:
    """One session, from a new page on."""
    leaves = [{"index": leaf.index, **json.loads(leaf.data)} for leaf in files.leaves]
    return template(
        "session.html.j2",
        story=story,
        number=story.genesis["session_no"],
        opened=story.opened,
        grant=story.opened["grant"],
        files=files,
        leaves=leaves,
        state=state(files),
        reviews=reviews,
        digest=hashlib.sha256(files.records).hexdigest(),
        checkpoint=files.checkpoint.decode(),
        created=day_and_time(created),
    )


def state(files: SessionFiles) -> str:
    """Where the chain stands: closed, recovered after a crash, or open."""
    last = json.loads(files.leaves[-1].data)["type"]
    return "closed" if files.closed else "recovered" if last == "recovery" else "open"


def template(name: str, **values: Any) -> str:
    """One of this room's templates, filled."""
    return _environment().get_template(name).render(**values)


def visible(value: object) -> str:
    """Text whose every character shows: controls and direction marks become ⟨U+202E⟩."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else f"⟨U+{ord(c):04X}⟩" for c in text)


def day_and_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _moment(ts: str) -> str:
    """A record's time to the second, for tables; anything else as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+Z", ts, re.ASCII)
    return f"{found[1]} {found[2]}" if found else visible(ts)


@cache
def _environment() -> Environment:
    # `style` is a file of ours and `body` made by these templates; everything else is escaped.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: _PACKAGE.joinpath(name).read_text("utf-8")),
    )
    environment.filters["visible"] = visible
    environment.filters["moment"] = _moment
    return environment
