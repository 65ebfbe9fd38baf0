"""The `maskgate` command. Exit codes: 0 done, 1 refused or failed, 2 usage or configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import gateway.auditor.verify as verifier
from gateway import wiring
from gateway.client import Client, GatewayAnswer
from gateway.errors import ConfigurationError, MaskgateError

app = typer.Typer(
    help="A gateway between AI agents and a PostgreSQL that holds PHI: "
    "access granted, recorded, masked, provable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
grants_app = typer.Typer(help="Ask for access, decide about it, end it.", no_args_is_help=True)
sessions_app = typer.Typer(help="What was done, and its evidence.", no_args_is_help=True)
app.add_typer(grants_app, name="grants")
app.add_typer(sessions_app, name="sessions")

OUT = Console()
ERR = Console(stderr=True)

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
Url = Annotated[str, typer.Option(envvar="MASKGATE_URL", help="The gateway's address.")]
Token = Annotated[
    str, typer.Option(envvar="MASKGATE_TOKEN", help="A bearer token of a configured issuer.")
]
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
    for mark, sentences in (("red", found.wrong), ("yellow", found.loose)):
        for sentence in sentences:
            OUT.print(Text("• ", style=mark) + Text(sentence))
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


@app.command()
def whoami(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Who the gateway takes this token for."""
    with Client(url, token) as client:
        _show([client.call("GET", "/v1/whoami")], as_json)


@app.command()
def connections(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The databases behind the gateway, and the grants held on them."""
    with Client(url, token) as client:
        _show(client.call("GET", "/v1/connections")["items"], as_json)


@app.command()
def schema(connection: str, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tables, columns, types, and what will be done to each."""
    with Client(url, token) as client:
        _show(client.call("GET", f"/v1/connections/{connection}/schema")["items"], as_json)


@app.command()
def query(
    connection: str,
    sql: str,
    token: Token,
    url: Url = DEFAULT_URL,
    param: Annotated[list[str] | None, typer.Option(help="$1, $2, … in order.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=1)] = None,
    output_format: Annotated[str, typer.Option("--format", help="table, ndjson or csv.")] = "table",
) -> None:
    """Run one SELECT in a session of its own and print the masked rows."""
    accept = {"ndjson": "application/x-ndjson", "csv": "text/csv"}.get(output_format)
    if accept is None and output_format != "table":
        raise typer.BadParameter("table, ndjson or csv", param_hint="--format")
    with Client(url, token) as client:
        session = client.call("POST", "/v1/sessions", {"connection": connection})
        try:
            params: list[Any] = list(param or [])
            if accept is None:
                table = client.query(session["id"], sql, params, max_rows)
                rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
                _print_rows(table.column_names, list(rows))
            else:
                path = f"/v1/sessions/{session['id']}/query"
                with client.stream(path, sql, params, max_rows, accept) as answer:
                    for part in answer.iter_bytes():
                        sys.stdout.buffer.write(part)
            sys.stdout.flush()
            receipt = client.call("GET", f"/v1/sessions/{session['id']}/statements/1")
            ERR.print(f"session {session['id']}: {receipt['rows']} rows", highlight=False)
        finally:
            client.call("DELETE", f"/v1/sessions/{session['id']}")


@grants_app.command("request")
def grants_request(
    connection: str,
    tables: list[str],
    purpose: Annotated[str, typer.Option(help="Why; the approver and the auditor read it.")],
    token: Token,
    url: Url = DEFAULT_URL,
    minutes: Annotated[int, typer.Option(min=1)] = 60,
    max_rows: Annotated[int | None, typer.Option(min=1)] = None,
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
        _show([client.call("POST", "/v1/grants", body)], as_json)


@grants_app.command("list")
def grants_list(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own grants; approvers and auditors see everybody's."""
    with Client(url, token) as client:
        _show(client.call("GET", "/v1/grants")["items"], as_json)


@grants_app.command("show")
def grants_show(grant: str, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One grant."""
    with Client(url, token) as client:
        _show([client.call("GET", f"/v1/grants/{grant}")], as_json)


def _decide(verb: str, grant: str, reason: str, token: str, url: str, as_json: bool) -> None:
    with Client(url, token) as client:
        _show([client.call("POST", f"/v1/grants/{grant}/{verb}", {"reason": reason})], as_json)


Reason = Annotated[str, typer.Option(help="Why; kept in the record.")]


@grants_app.command("approve")
def grants_approve(
    grant: str, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Let another identity's grant begin."""
    _decide("approve", grant, reason, token, url, as_json)


@grants_app.command("deny")
def grants_deny(
    grant: str, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Refuse a pending grant."""
    _decide("deny", grant, reason, token, url, as_json)


@grants_app.command("revoke")
def grants_revoke(
    grant: str, reason: Reason, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """End a grant now; running streams stop within a second."""
    _decide("revoke", grant, reason, token, url, as_json)


@sessions_app.command("list")
def sessions_list(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own sessions; an auditor sees all."""
    with Client(url, token) as client:
        _show(client.call("GET", "/v1/sessions")["items"], as_json)


@sessions_app.command("show")
def sessions_show(
    session: str, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """One session."""
    with Client(url, token) as client:
        _show([client.call("GET", f"/v1/sessions/{session}")], as_json)


@sessions_app.command("export")
def sessions_export(
    session: str,
    token: Token,
    output: Annotated[Path | None, typer.Option("-o", "--output")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Save the session's evidence bundle; `maskgate verify` checks it."""
    path = output or Path(f"maskgate-{session}.zip")
    with Client(url, token) as client:
        data = client.download(f"/v1/sessions/{session}/evidence")
    path.write_bytes(data)
    OUT.print(f"{path}: {len(data):,} bytes", highlight=False)


def _show(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        OUT.print_json(json.dumps(items))
    elif len(items) == 1:
        for key, value in items[0].items():
            OUT.print(Text(f"{key}: ", style="bold") + _cell(value))
    else:
        names = list(items[0]) if items else ["nothing"]
        _print_rows(names, [tuple(item.get(name) for name in names) for item in items])


def _print_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    table = Table()
    for name in names:
        table.add_column(_cell(name))
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    OUT.print(table)


def _cell(value: Any) -> Text:
    """Text, never markup: `[REDACTED]` is no tag, and a value may try to be one."""
    if value is None:
        return Text("–")
    if isinstance(value, list):
        return Text(", ".join(str(one) for one in value))
    return Text(str(value))


def main() -> None:
    """Entry point: turns our own errors into a sentence and an exit code."""
    try:
        app()
    except ConfigurationError as error:
        ERR.print(error.detail, style="red", highlight=False, markup=False)
        sys.exit(2)
    except GatewayAnswer as error:
        ERR.print(f"{error.answer_code}: {error.detail}", style="red", markup=False)
        if error.hint:
            ERR.print(error.hint, markup=False)
        sys.exit(1)
    except MaskgateError as error:
        ERR.print(error.detail, style="red", highlight=False, markup=False)
        sys.exit(1)
