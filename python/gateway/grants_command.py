"""`maskgate grants`: ask for access, wait for it, decide about it, end it.

Tables and sentences for people, `--json` for programs. `request --wait` ends by itself: when
somebody has decided, when its time is over, on Ctrl-C. Refuses nothing itself; the gateway does.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.arguments import DEFAULT_URL, ERR, OUT, AsJson, Connection, GrantId, Token, Url, cell
from gateway.arguments import show as print_items
from gateway.client import Bearer, Client, RefusedError, UnreachableError
from gateway.oauth import SignInError

app = typer.Typer(help="Ask for access, decide about it, end it.", no_args_is_help=True)

_COLUMNS = ("id", "state", "identity", "connection", "tables", "until", "purpose")
_ASK_EVERY_S = 1.0

Purpose = Annotated[str, typer.Option(help="Why; the approver and the auditor read it.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the record.")]
Minutes = Annotated[int, typer.Option(min=1, help="How long, from its beginning on.")]
Ticket = Annotated[str | None, typer.Option(help="The ticket that it is for.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Stay until somebody has decided; exit 1 if it is a no.")
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", help="Only these rows: \"patient: city = 'Boston'\"; repeat it."),
]
Patience = Annotated[int, typer.Option(min=1, help="Seconds that --wait stays at most.")]


@app.command("request")
def request(
    connection: Connection,
    tables: Annotated[
        list[str],
        typer.Argument(help="schema.table or a name alone if it is unique; 'table(a, b)'; or '*'."),
    ],
    purpose: Purpose,
    token: Token,
    url: Url = DEFAULT_URL,
    minutes: Minutes = 60,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="The most rows over the grant's whole life.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="As --max-rows, in bytes.")] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="The most statements at once.")
    ] = None,
    max_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The most statements a minute.")
    ] = None,
    filters: Filters = None,
    statement: Annotated[
        str | None, typer.Option(help="Run this one statement and no other, to the letter.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="Its $1, $2, … as well; repeat it. Free without.")
    ] = None,
    ticket: Ticket = None,
    not_before: Annotated[
        str | None, typer.Option(help="When it begins at the earliest: 2026-11-30T08:00:00Z.")
    ] = None,
    hours: Annotated[
        list[str] | None,
        typer.Option(help="Only then, in UTC: 'mon-fri 08:00-18:00'; repeat it."),
    ] = None,
    break_glass: Annotated[
        str | None,
        typer.Option(help="The reason of an emergency: begins at once and raises the alarm."),
    ] = None,
    wait: Wait = False,
    timeout: Patience = 3600,
    as_json: AsJson = False,
) -> None:
    """Ask to read tables for a limited time."""
    body = {
        "connection": connection,
        "tables": tables,
        "purpose": purpose,
        "duration_s": minutes * 60,
        "max_rows": max_rows,
        "max_bytes": max_bytes,
        "max_concurrent": max_concurrent,
        "max_per_minute": max_per_minute,
        "filters": _filters(filters),
        "statement": statement,
        "params": param,
        "ticket": ticket,
        "not_before": not_before,
        "hours": hours or [],
        "break_glass": break_glass,
    }
    with Client(url, token) as client:
        _asked(client, client.post("/v1/grants", body), wait, timeout, as_json)


@app.command("renew")
def renew(
    grant: GrantId,
    token: Token,
    url: Url = DEFAULT_URL,
    purpose: Annotated[str | None, typer.Option(help="Instead of the old one.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, help="Instead of as long again.")] = None,
    ticket: Ticket = None,
    wait: Wait = False,
    timeout: Patience = 3600,
    as_json: AsJson = False,
) -> None:
    """Ask for the same scope again: a new grant, which has to be approved anew."""
    body = {
        "purpose": purpose,
        "duration_s": None if minutes is None else minutes * 60,
        "ticket": ticket,
    }
    with Client(url, token) as client:
        _asked(client, client.post(f"/v1/grants/{grant}/renew", body), wait, timeout, as_json)


@app.command("list")
def list_all(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own grants; approvers and auditors see everybody's."""
    with Client(url, token) as client:
        grants = client.items("/v1/grants")
    if as_json or not grants:
        print_items(grants, as_json)
        return
    _print_columns(grants)


@app.command("show")
def show(grant: GrantId, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One grant."""
    with Client(url, token) as client:
        print_items([client.get(f"/v1/grants/{grant}")], as_json)


@app.command("history")
def history(grant: GrantId, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Who asked for it, who decided, when and why."""
    with Client(url, token) as client:
        print_items(client.items(f"/v1/grants/{grant}/history"), as_json)


@app.command("approve")
def approve(
    grant: GrantId,
    reason: Reason,
    token: Token,
    filters: Filters = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let another identity's grant begin, as the last or one of several who must."""
    body = {"reason": reason, "filters": _filters(filters)}
    _decide("approve", grant, body, token, url, as_json)


@app.command("deny")
def deny(
    grant: GrantId, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Refuse a pending grant."""
    _decide("deny", grant, {"reason": reason}, token, url, as_json)


@app.command("revoke")
def revoke(
    grant: GrantId, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """End a grant now; running streams stop within a second."""
    _decide("revoke", grant, {"reason": reason}, token, url, as_json)


def _decide(
    verb: str, grant: str, body: dict[str, Any], token: Bearer, url: str, as_json: bool
) -> None:
    with Client(url, token) as client:
        print_items([client.post(f"/v1/grants/{grant}/{verb}", body)], as_json)


def _filters(given: list[str] | None) -> dict[str, str]:
    pairs = [one.partition(":") for one in given or []]
    if not all(name.strip() and predicate.strip() for name, _, predicate in pairs):
        raise typer.BadParameter("write TABLE: CONDITION", param_hint="--filter")
    found = {name.strip(): predicate.strip() for name, _, predicate in pairs}
    if len(found) != len(pairs):  # the last alone would count, and show more than was meant
        raise typer.BadParameter("one for a table; join them with and", param_hint="--filter")
    return found


def _asked(
    client: Client, grant: dict[str, Any], wait: bool, timeout: float, as_json: bool
) -> None:
    """Show the request; with `wait` the grant it has become. Ends the command with 1 on a no."""
    if wait and grant["state"] == "pending":
        try:
            grant = _decided(client, grant, timeout)
        except KeyboardInterrupt:
            _tell(f"stopped waiting; the request {grant['id']} still waits for a decision")
            raise typer.Exit(1) from None
    print_items([grant], as_json)
    if wait and grant["state"] == "pending":
        _tell(f"nobody decided within {timeout:g} s; the request {grant['id']} still waits")
    if wait and grant["state"] != "active":
        raise typer.Exit(1)


def _decided(client: Client, grant: dict[str, Any], timeout: float) -> dict[str, Any]:
    """The grant once it is no longer pending, or as it is when the time is over."""
    until = time.monotonic() + timeout
    told = None
    while grant["state"] == "pending" and time.monotonic() < until:
        if (now := _state(grant)) != told:
            _tell(f"{grant['id']}: {now}")
            told = now
        time.sleep(min(_ASK_EVERY_S, max(0.0, until - time.monotonic())))
        try:
            client.renew()
        except SignInError as gone:
            _tell(str(gone))  # the gateway has the last word on the token that there is
        try:
            grant = client.get(f"/v1/grants/{grant['id']}")
        except (UnreachableError, RefusedError) as gone:
            if isinstance(gone, RefusedError) and gone.status < 500 and gone.status != 429:
                raise
            _tell(f"{gone}; asking again")  # it may come back before the time is over
    return grant


def _print_columns(grants: list[dict[str, Any]]) -> None:
    """A line for each, in columns, as wide as they are: nothing is cut off, so an id can be
    copied."""
    rows = [
        [
            cell({**grant, "state": _state(grant), "until": grant["expires_at"]}[name]).plain
            for name in _COLUMNS
        ]
        for grant in grants
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in ([*_COLUMNS], *rows):
        line = "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        OUT.print(Text(line.rstrip()), soft_wrap=True)


def _state(grant: dict[str, Any]) -> str:
    """The state, with what a person wants to know at once."""
    said = str(grant["state"])
    if said == "pending":
        said = f"pending, {len(grant['approvals'])} of {grant['approvals_needed']} approvals"
    return f"{said}, break-glass" if grant["break_glass"] else said


def _tell(sentence: str) -> None:
    ERR.print(Text(sentence), soft_wrap=True)
