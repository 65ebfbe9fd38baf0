"""`maskgate evidence` and `maskgate review`: what an auditor takes away, verifies and signs off.

Refuses to leave half a file: what is written stands under its name when all of it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.appearing import appearing
from gateway.arguments import DEFAULT_URL, ERR, OUT, AsJson, Token, Url, optional_name, show
from gateway.auditor import collection as verifier
from gateway.client import BrokenStreamError, Client, ClientError

app = typer.Typer(help="Evidence of several sessions at once.", no_args_is_help=True)

_BLOCK = 512


# A bundle holds statements word for word, and so whatever they name.
_OWNERS = 0o600


def whole_file(path: Path) -> AbstractContextManager[BinaryIO]:
    """A file to write, for its owner alone: it replaces `path` when the block ends well.

    Raises OSError as writing does.
    """
    return appearing(path, force=True, mode=_OWNERS)


def save(client: Client, selection: dict[str, str], path: Path) -> tuple[int, int]:
    """Export what is selected to `path`, telling how far it is; sessions and bytes.

    Raises ClientError, and OSError for the file.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("sessions"),
        DownloadColumn(),
    )  # fmt: skip
    progress = Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal)
    with whole_file(path) as file, progress:
        task = progress.add_task("the log is searched", total=None)
        with client.collected(selection) as (sessions, parts):
            progress.update(task, description="exported", total=sessions)
            members = Members()
            for part in parts:
                file.write(part)
                members.take(part)
                progress.update(task, completed=members.bundles)
        if members.last != "index.json" or not members.complete:
            raise BrokenStreamError("the export ended without its index")
        return members.bundles, members.size


class Members:
    """Follows a tar file that goes by: how many bundles have come, and what came last."""

    def __init__(self) -> None:
        self.bundles = self.size = 0
        self.last = ""
        self._header = b""
        self._skip = 0  # bytes up to the next header
        self._zeros = 0

    @property
    def complete(self) -> bool:
        return self._zeros == 2 and not self._header and not self._skip

    def take(self, part: bytes) -> None:
        view = memoryview(part)
        self.size += len(view)
        while view:
            skipped = min(self._skip, len(view))
            view, self._skip = view[skipped:], self._skip - skipped
            wanted = view[: _BLOCK - len(self._header)]
            self._header += wanted
            view = view[len(wanted) :]
            if len(self._header) == _BLOCK:
                self._begin(self._header)
                self._header = b""

    def _begin(self, header: bytes) -> None:
        if not any(header):
            self._zeros += 1
            return
        try:
            size = int(header[124:135], 8)
        except ValueError:
            raise BrokenStreamError("the export is no tar file") from None
        self.last = header[:100].rstrip(b"\0").decode("ascii", "replace")
        self.bundles += self.last.startswith("sessions/")
        self._skip = size + -size % _BLOCK


Identity = Annotated[
    str | None, typer.Option(help="Sessions of this identity, ISSUER#SUBJECT as lists show it.")
]
Actor = Annotated[
    str | None, typer.Option(help="Sessions in which an agent worked for this person.")
]
OfConnection = Annotated[
    str | None, typer.Option("--connection", help="Sessions on this database.")
]
OfGrant = Annotated[str | None, typer.Option("--grant", help="Sessions under this grant.")]
OfTable = Annotated[
    str | None,
    typer.Option("--table", help="Sessions with a statement on schema.table, through a view too."),
]
PatientToken = Annotated[
    str | None,
    typer.Option(
        help="Sessions whose statements or parameters name this token. Who was shown it stands in "
        "no log: no value that came back does.",
    ),
]
Since = Annotated[
    str | None, typer.Option(help="Sessions that had not ended by then: 2026-11-01, or with time.")
]
Until = Annotated[str | None, typer.Option(help="Sessions opened before then.")]


def selected(**asked: str | None) -> dict[str, str]:
    """What was asked for, without what was not."""
    return {name: value for name, value in asked.items() if value is not None}


@app.command("export")
def evidence_export(
    token: Token,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")] = Path(
        "maskgate-evidence.tar"
    ),
    identity: Identity = None,
    actor: Actor = None,
    connection: OfConnection = None,
    grant: OfGrant = None,
    table: OfTable = None,
    patient_token: PatientToken = None,
    since: Since = None,
    until: Until = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Save the bundles of all sessions that fit, with an index that leaves out no number.

    All options given must hold; without any it is every session of this gateway's log.
    """
    selection = selected(
        identity=identity, actor=actor, connection=connection, grant=grant, table=table,
        patient_token=patient_token, since=since, until=until,
    )  # fmt: skip
    with Client(url, token) as client, written(output):
        sessions, size = save(client, selection, output)
    OUT.print(
        f"{output}: {sessions} sessions, {size:,} bytes",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command(
    "verify",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def evidence_verify(context: typer.Context) -> None:
    """Verify such a file: the same code as auditor/collection.py."""
    raise typer.Exit(verifier.main(context.args))


def review(
    token: Token,
    session: Annotated[
        str | None, typer.Argument(help="The session's id.", callback=optional_name)
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
            show(client.items(f"/v1/reviews?state={'done' if done else 'due'}"), as_json)
        else:
            show([client.post(f"/v1/sessions/{session}/reviews", {"note": note})], as_json)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """What goes wrong with the file, as a sentence."""
    try:
        yield
    except OSError as reason:
        raise ClientError(f"{path} cannot be written: {reason.strerror}") from reason
