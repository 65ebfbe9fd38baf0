"""The `maskgate` command. Exit codes: 0 done, 1 refused or failed, 2 usage or configuration."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import gateway.auditor.verify as verifier
from gateway import evidence_command, mask_command, wiring
from gateway.auditor import collection as collection_verifier
from gateway.client import Client, ClientError, RefusedError, check_token, check_url
from gateway.errors import ConfigurationError, MaskgateError

app = typer.Typer(
    help="A gateway between AI agents and a PostgreSQL that holds PHI: "
    "access granted, recorded, masked, provable. Exit codes: 0 done, 1 refused or failed, 2 usage "
    "or configuration; of verify: 0 verified and anchored, 1 tampered, 2 incomplete or not "
    "anchored, 3 usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
grants_app = typer.Typer(help="Ask for access, decide about it, end it.", no_args_is_help=True)
sessions_app = typer.Typer(help="What was done, and its evidence.", no_args_is_help=True)
evidence_app = typer.Typer(help="Evidence of several sessions at once.", no_args_is_help=True)
app.add_typer(evidence_app, name="evidence")
app.add_typer(grants_app, name="grants")
app.add_typer(sessions_app, name="sessions")

OUT = Console()
ERR = Console(stderr=True)

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]


def _checked(check: Callable[[str], str]) -> Callable[[str], str]:
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


def _optional_name(value: str | None) -> str | None:
    return None if value is None else _checked(_name)(value)


Url = Annotated[
    str,
    typer.Option(
        envvar="MASKGATE_URL", help="The gateway's address.", callback=_checked(check_url)
    ),
]
Token = Annotated[
    str,
    typer.Option(
        envvar="MASKGATE_TOKEN",
        help="A bearer token of a configured issuer.",
        show_envvar=True,
        callback=_checked(check_token),
    ),
]
Connection = Annotated[
    str, typer.Argument(help="A connection of the configuration.", callback=_checked(_name))
]
GrantId = Annotated[str, typer.Argument(help="The grant's id.", callback=_checked(_name))]
SessionId = Annotated[str, typer.Argument(help="The session's id.", callback=_checked(_name))]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]

DEFAULT_URL = "http://127.0.0.1:8080"


@app.command()
def serve(config: ConfigFile = Path("maskgate.toml")) -> None:
    """Run the gateway until it is stopped."""
    wiring.serve(config)


@app.command()
def check(config: ConfigFile = Path("maskgate.toml")) -> None:
    """Name each wrong key with its line; connect to what can be connected to."""
    found = wiring.check(config)
    for line in wiring.options(config):
        OUT.print(Text(f"allowed: {line}"), soft_wrap=True)
    told = (("wrong", "red", found.wrong), ("loose", "yellow", found.loose))
    for word, colour, sentences in told:
        for sentence in sentences:
            OUT.print(Text(f"{word}  ", style=colour) + Text(sentence), soft_wrap=True)
    if found.wrong:
        raise typer.Exit(1)
    OUT.print("the configuration is sound and everything it names answers")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where the bundle and report go.")] = Path(
        "demo-output"
    ),
    serve_on: Annotated[
        bool, typer.Option("--serve", help="Leave everything up; print URLs and tokens.")
    ] = False,
) -> None:
    """Play the worked example on an embedded PostgreSQL: grant, masked queries, proof."""
    from gateway.demo import story

    raise typer.Exit(story.run(output, serve=serve_on))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def verify(context: typer.Context) -> None:
    """Verify an evidence bundle: the same code as auditor/verify.py."""
    raise typer.Exit(verifier.main(context.args))


app.command("mask")(mask_command.mask)


@app.command()
def whoami(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Who the gateway takes this token for."""
    with Client(url, token) as client:
        _show([client.get("/v1/whoami")], as_json)


@app.command()
def connections(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The databases behind the gateway, and the grants held on them."""
    with Client(url, token) as client:
        _show(client.items("/v1/connections"), as_json)


@app.command()
def schema(
    connection: Connection, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Tables, columns, types, and what will be done to each."""
    with Client(url, token) as client:
        columns = client.items(f"/v1/connections/{connection}/schema")
    if as_json:
        _show(columns, as_json)
    else:
        names = list(columns[0]) if columns else ["nothing"]
        _print_rows(names, [tuple(column.get(name) for name in names) for column in columns])


@app.command()
def query(
    connection: Connection,
    sql: Annotated[str, typer.Argument(help="One SELECT; $1, $2, … stand for --param.")],
    token: Token,
    url: Url = DEFAULT_URL,
    param: Annotated[
        list[str] | None, typer.Option(help="The value of $1, $2, …; repeat it.")
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many rows; the receipt says so.")
    ] = None,
    grant: Annotated[
        str | None, typer.Option(help="The grant to use instead of the one that ends last.")
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="table, ndjson or csv.")] = "table",
) -> None:
    """Run one SELECT in a session of its own and print the masked rows."""
    accept = {"ndjson": "application/x-ndjson", "csv": "text/csv"}.get(output_format)
    if accept is None and output_format != "table":
        raise typer.BadParameter("table, ndjson or csv", param_hint="--format")
    with Client(url, token) as client:
        session = client.post("/v1/sessions", {"connection": connection, "grant": grant})
        try:
            params: list[Any] = list(param or [])
            if accept is None:
                table = client.query(session["id"], sql, params=params, max_rows=max_rows).table
                rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
                _print_rows(table.column_names, list(rows))
            else:
                for part in client.parts(session["id"], sql, params, max_rows, accept):
                    sys.stdout.buffer.write(part)
            sys.stdout.flush()
            receipt = client.get(f"/v1/sessions/{session['id']}/statements/1")
            ERR.print(
                f"session {session['id']}: {receipt['rows']} rows, under grant {session['grant']}",
                highlight=False,
                soft_wrap=True,
            )
            for note in receipt["notes"]:
                ERR.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        finally:
            with suppress(
                ClientError
            ):  # what went wrong before matters more; it ends with its grant
                client.delete(f"/v1/sessions/{session['id']}")


@grants_app.command("request")
def grants_request(
    connection: Connection,
    tables: Annotated[
        list[str], typer.Argument(help="schema.table, a name alone if it is unique, or '*'.")
    ],
    purpose: Annotated[str, typer.Option(help="Why; the approver and the auditor read it.")],
    token: Token,
    url: Url = DEFAULT_URL,
    minutes: Annotated[int, typer.Option(min=1, help="How long, from the approval on.")] = 60,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="The most rows over the grant's whole life.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask to read tables for a limited time."""
    body = {
        "connection": connection,
        "tables": tables,
        "purpose": purpose,
        "duration_s": minutes * 60,
        "max_rows": max_rows,
    }
    with Client(url, token) as client:
        _show([client.post("/v1/grants", body)], as_json)


@grants_app.command("list")
def grants_list(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own grants; approvers and auditors see everybody's."""
    with Client(url, token) as client:
        _show(client.items("/v1/grants"), as_json)


@grants_app.command("show")
def grants_show(
    grant: GrantId, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """One grant."""
    with Client(url, token) as client:
        _show([client.get(f"/v1/grants/{grant}")], as_json)


def _decide(verb: str, grant: str, reason: str, token: str, url: str, as_json: bool) -> None:
    with Client(url, token) as client:
        _show([client.post(f"/v1/grants/{grant}/{verb}", {"reason": reason})], as_json)


Reason = Annotated[str, typer.Option(help="Why; kept in the record.")]


@grants_app.command("approve")
def grants_approve(
    grant: GrantId, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Let another identity's grant begin."""
    _decide("approve", grant, reason, token, url, as_json)


@grants_app.command("deny")
def grants_deny(
    grant: GrantId, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Refuse a pending grant."""
    _decide("deny", grant, reason, token, url, as_json)


@grants_app.command("revoke")
def grants_revoke(
    grant: GrantId, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """End a grant now; running streams stop within a second."""
    _decide("revoke", grant, reason, token, url, as_json)


@sessions_app.command("list")
def sessions_list(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own sessions; an auditor sees all."""
    with Client(url, token) as client:
        _show(client.items("/v1/sessions"), as_json)


@sessions_app.command("show")
def sessions_show(
    session: SessionId, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """One session."""
    with Client(url, token) as client:
        _show([client.get(f"/v1/sessions/{session}")], as_json)


@sessions_app.command("export")
def sessions_export(
    session: SessionId,
    token: Token,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default maskgate-SESSION.zip.")
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Save the session's evidence bundle; `maskgate verify` checks it."""
    path = output or Path(f"maskgate-{session}.zip")
    with Client(url, token) as client, _written(path):
        data = client.download(f"/v1/sessions/{session}/evidence")
        with evidence_command.whole_file(path) as file:
            file.write(data)
    OUT.print(f"{path}: {len(data):,} bytes", highlight=False, markup=False, soft_wrap=True)


@evidence_app.command("export")
def evidence_export(
    token: Token,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path(
        "maskgate-evidence.tar"
    ),
    identity: evidence_command.Identity = None,
    actor: evidence_command.Actor = None,
    connection: evidence_command.OfConnection = None,
    grant: evidence_command.OfGrant = None,
    table: evidence_command.OfTable = None,
    patient_token: evidence_command.PatientToken = None,
    since: evidence_command.Since = None,
    until: evidence_command.Until = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Save the bundles of all sessions that fit, with an index that leaves out no number.

    All options given must hold; without any it is every session of this gateway's log.
    """
    selection = evidence_command.selected(
        identity=identity, actor=actor, connection=connection, grant=grant, table=table,
        patient_token=patient_token, since=since, until=until,
    )  # fmt: skip
    with Client(url, token) as client, _written(output):
        sessions, size = evidence_command.save(client, selection, output)
    OUT.print(
        f"{output}: {sessions} sessions, {size:,} bytes",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@evidence_app.command(
    "verify",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def evidence_verify(context: typer.Context) -> None:
    """Verify such a file: the same code as auditor/collection.py."""
    raise typer.Exit(collection_verifier.main(context.args))


@app.command()
def review(
    token: Token,
    session: Annotated[
        str | None, typer.Argument(help="The session's id.", callback=_optional_name)
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="What was looked at and found; kept in the record.")
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Ended sessions that nobody has reviewed.")
    ] = False,
    done: Annotated[bool, typer.Option("--done", help="With --list: the reviewed ones.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Record that an ended session has been looked through (auditors), or list what is due."""
    if list_them == (session is not None) or (note is None) == (session is not None):
        raise typer.BadParameter("give SESSION and --note, or --list")
    with Client(url, token) as client:
        if session is None:
            _show(client.items(f"/v1/reviews?state={'done' if done else 'due'}"), as_json)
        else:
            _show([client.post(f"/v1/sessions/{session}/reviews", {"note": note})], as_json)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """What goes wrong with the file, as a sentence."""
    try:
        yield
    except OSError as reason:
        raise ClientError(f"{path} cannot be written: {reason.strerror}") from reason


def _show(items: list[dict[str, Any]], as_json: bool) -> None:
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
            OUT.print(Text(f"{key}: ", style="bold") + _cell(value), soft_wrap=True)


def _print_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    """A table; what is wider than its column goes on in the next line."""
    table = Table()
    for name in names:
        table.add_column(_cell(name), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    OUT.print(table)


def _cell(value: Any) -> Text:
    """Text, never markup: `[REDACTED]` is no tag, and a value may try to be one."""
    if value is None or value == []:
        return Text("–")
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return Text(", ".join(str(one) for one in value))
    return Text(json.dumps(value) if isinstance(value, dict | list) else str(value))


def main() -> None:
    """Entry point: turns our own errors into a sentence and an exit code."""
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        sys.exit(_failed("an argument is not UTF-8", 2))
    try:
        app()
    except ConfigurationError as error:
        sys.exit(_failed(error.detail, 2))
    except RefusedError as error:
        sys.exit(_failed(f"{error.code or error.status}: {error.detail}", 1, error.hint))
    except MaskgateError as error:
        sys.exit(_failed(error.detail, 1, error.hint))
    except ClientError as error:
        sys.exit(_failed(str(error), 1))


def _failed(sentence: str, code: int, hint: str | None = None) -> int:
    ERR.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)
    if hint:
        ERR.print(hint, highlight=False, markup=False, soft_wrap=True)
    return code
