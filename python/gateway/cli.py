"""The `maskgate` command. Exit codes: 0 done, 1 refused or failed, 2 usage or configuration."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

import gateway.auditor.verify as verifier
from gateway import (
    evidence_command,
    grants_command,
    ledger_command,
    login_command,
    mask_command,
    seal_command,
)
from gateway.arguments import (
    DEFAULT_URL,
    ERR,
    OUT,
    AsJson,
    Connection,
    SessionId,
    Token,
    Url,
    cell,
    show,
)
from gateway.client import Client, ClientError, RefusedError
from gateway.errors import ConfigurationError, MaskgateError
from gateway.oauth import SignInError, shown

app = typer.Typer(
    help="A gateway between AI agents and a PostgreSQL that holds PHI: "
    "access granted, recorded, masked, provable. Exit codes: 0 done, 1 refused or failed, 2 usage "
    "or configuration; of verify: 0 verified and anchored, 1 tampered, 2 incomplete or not "
    "anchored, 3 usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
sessions_app = typer.Typer(help="What was done, and its evidence.", no_args_is_help=True)
app.add_typer(evidence_command.app, name="evidence")
app.add_typer(grants_command.app, name="grants")
app.add_typer(sessions_app, name="sessions")
app.add_typer(ledger_command.app, name="ledger")
keygen_app = typer.Typer(
    help="Make keys. The log makes its own: the long-term key at its first start, as a file unless "
    "a token has it, and an epoch's key at each start and day, in memory alone "
    "(`maskgate ledger show`).",
    no_args_is_help=True,
)
app.add_typer(keygen_app, name="keygen")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]


@app.command()
def serve(config: ConfigFile = Path("maskgate.toml")) -> None:
    """Run the gateway until it is stopped."""
    from gateway import wiring  # an agent's command line does not wait for a server's rooms

    wiring.serve(config)


@app.command()
def check(config: ConfigFile = Path("maskgate.toml")) -> None:
    """Name each wrong key with its line; connect to what can be connected to."""
    from gateway import wiring  # as in `serve`

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
    """Verify an evidence bundle: the same code as auditor/verify.py, or --fast, the kernel's."""
    from gateway.evidence import fast  # as in `serve`

    ours = {"--fast", "--help", "-h"}.intersection(context.args)
    raise typer.Exit((fast.main if ours else verifier.main)(context.args))


app.command("mask")(mask_command.mask)
app.command("login")(login_command.login)
app.command("logout")(login_command.logout)
app.command("review")(evidence_command.review)
keygen_app.command("auditor")(seal_command.keygen)
keygen_app.command("log")(ledger_command.keygen)
sessions_app.command("unseal")(seal_command.unseal)


@app.command()
def witness(
    directory: Annotated[Path, typer.Argument(help="Its key and its memory; one process each.")],
    name: Annotated[str, typer.Option(help="Its name for good, like witness.example.org/w1.")],
    log: Annotated[
        list[str] | None,
        typer.Option(help="A log to cosign: its trust file or verifier key; repeat it."),
    ] = None,
    listen: Annotated[str, typer.Option(help="host:port")] = "127.0.0.1:9090",
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of the chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Print the verifier key and exit.")
    ] = False,
) -> None:
    """Run a witness, which cosigns what extends the ledgers it remembers (C2SP tlog-witness)."""
    from gateway import witness as witnessing  # as in `serve`

    if show_key:
        sys.stdout.write(witnessing.show_key(directory, name) + "\n")
        return
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    witnessing.run(directory, name, log or [], listen, tls_cert, tls_key)


@app.command()
def whoami(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Who the gateway takes this token for."""
    with Client(url, token) as client:
        show([client.get("/v1/whoami")], as_json)


@app.command()
def connections(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The databases behind the gateway, and the grants held on them."""
    with Client(url, token) as client:
        show(client.items("/v1/connections"), as_json)


@app.command()
def schema(
    connection: Connection, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Tables, columns, types, and what will be done to each."""
    with Client(url, token) as client:
        columns = client.items(f"/v1/connections/{connection}/schema")
    if as_json:
        show(columns, as_json)
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
    receipts: Annotated[
        Path | None, typer.Option(help="A directory to keep the receipt in: `verify --receipts`.")
    ] = None,
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
            if receipts is not None:
                receipts.mkdir(parents=True, exist_ok=True)
                kept = receipts / f"{session['id']}-{receipt['statement']}.json"
                kept.write_text(json.dumps(receipt, ensure_ascii=False, indent=2) + "\n", "utf-8")
            for note in receipt["notes"]:
                ERR.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        finally:
            with suppress(
                ClientError
            ):  # what went wrong before matters more; it ends with its grant
                client.delete(f"/v1/sessions/{session['id']}")


@sessions_app.command("list")
def sessions_list(token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Own sessions; an auditor sees all."""
    with Client(url, token) as client:
        show(client.items("/v1/sessions"), as_json)


@sessions_app.command("show")
def sessionsshow(
    session: SessionId, token: Token, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """One session."""
    with Client(url, token) as client:
        show([client.get(f"/v1/sessions/{session}")], as_json)


@sessions_app.command("export")
def sessions_export(
    session: SessionId,
    token: Token,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default maskgate-SESSION.zip.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(min=0, help="With the proof from so many leaves on: `verify --remember`."),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Save the session's evidence bundle; `maskgate verify` checks it."""
    path = output or Path(f"maskgate-{session}.zip")
    asked = "" if since is None else f"?since={since}"
    with Client(url, token) as client, evidence_command.written(path):
        data = client.download(f"/v1/sessions/{session}/evidence{asked}")
        with evidence_command.whole_file(path) as file:
            file.write(data)
    OUT.print(f"{path}: {len(data):,} bytes", highlight=False, markup=False, soft_wrap=True)


def _print_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    """A table; what is wider than its column goes on in the next line."""
    table = Table()
    for name in names:
        table.add_column(cell(name), overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    OUT.print(table)


def main() -> None:
    """Entry point: turns our own errors, and files that cannot be read, into a sentence and an
    exit code."""
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
    except (ClientError, SignInError) as error:
        sys.exit(_failed(str(error), 1))
    except OSError as error:
        if error.filename is None:  # a pipe that nobody reads, or a fault of ours
            raise
        sys.exit(_failed(f"{error.filename}: {error.strerror}", 2))


def _failed(sentence: str, code: int, hint: str | None = None) -> int:
    for text, style in ((sentence, "red"), (hint, None)):
        if text:  # a gateway's own words, perhaps: they command no terminal
            told = "\n".join(shown(line, 4000) for line in text.split("\n"))
            ERR.print(told, style=style, highlight=False, markup=False, soft_wrap=True)
    return code
