"""What commands that call a gateway share: checked arguments, and how an answer is shown.

Refuses what no header and no path can carry; nothing that is shown is markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gateway import logins
from gateway.client import Bearer, check_token, check_url
from gateway.oauth import shown

OUT = Console()
ERR = Console(stderr=True)


def checked(check: Callable[[str], str]) -> Callable[[str], str]:
    """A check of the client's as one of the command line's: what is wrong is a usage error."""

    def callback(value: str) -> str:
        try:
            return check(value)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from None

    return callback


def _name(value: str) -> str:
    """An identifier that stands in an address; any other character would name another address."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", value):
        raise ValueError("letters, digits, - and _ only")
    return value


def optional_name(value: str | None) -> str | None:
    """A name that may be left out."""
    return None if value is None else checked(_name)(value)


def _token(context: typer.Context, value: Bearer) -> Bearer:
    """The token that was given, or that of the sign-in at this gateway."""
    if not value.token:
        # Of the options the eager ones come first; the address is one.
        url = context.params["url"]
        return replace(logins.current(url), renew=partial(logins.current, url))
    try:
        return Bearer(check_token(value.token))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


Url = Annotated[
    str,
    typer.Option(
        envvar="MASKGATE_URL",
        help="The gateway's address.",
        callback=checked(check_url),
        is_eager=True,
    ),
]
Token = Annotated[
    Bearer,
    typer.Option(
        envvar="MASKGATE_TOKEN",
        help="A token of a configured issuer; by default that of `maskgate login`.",
        show_envvar=True,
        show_default=False,
        metavar="TEXT",
        parser=Bearer,
        default_factory=lambda: "",
        callback=_token,
    ),
]
Connection = Annotated[
    str, typer.Argument(help="A connection of the configuration.", callback=checked(_name))
]
GrantId = Annotated[str, typer.Argument(help="The grant's id.", callback=checked(_name))]
SessionId = Annotated[str, typer.Argument(help="The session's id.", callback=checked(_name))]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]

DEFAULT_URL = "http://127.0.0.1:8080"


def show(items: list[dict[str, Any]], as_json: bool) -> None:
    """One thing, or several, line by line: nothing is cut off, so an id can be copied."""
    if as_json:
        OUT.print_json(json.dumps(items))
        return
    if not items:
        OUT.print("nothing")
    for number, item in enumerate(items):
        if number:
            OUT.print()
        for key, value in item.items():
            OUT.print(Text(f"{shown(key)}: ", style="bold") + cell(value), soft_wrap=True)


def cell(value: Any) -> Text:
    """Text, never markup: `[REDACTED]` is no tag, and a value may try to be one. Nor does it
    command the terminal, or draw a line of its own: others have worded it."""
    if value is None or value == []:
        return Text("–")
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        told = ", ".join(str(one) for one in value)
    else:
        told = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return Text(shown(told, len(told)))
