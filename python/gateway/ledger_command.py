"""`maskgate ledger`: the log's own ledger, for whoever runs the gateway.

Exit codes: 0 it adds up, 1 it does not, 2 usage or configuration.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gateway import config, log_wiring
from gateway.errors import ConfigurationError
from gateway.sessionlog import SessionLog, retention, survey
from gateway.sessionlog.session import SessionStore
from gateway.sessionlog.tiles import LedgerError, Tiles

app = typer.Typer(help="The log's ledger: look at it, verify it, prune.", no_args_is_help=True)

OUT = Console()

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a list.")]
DEFAULT_CONFIG = Path("maskgate.toml")
_DAYS = retention.YEARS * 366


def _place(path: Path) -> tuple[Path, str]:
    """The log's directory and origin."""
    loaded = config.load(path)
    return path.parent / loaded.state.log, loaded.log_origin


@app.command("checkpoint")
def show_checkpoint(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print the newest checkpoint, a signed note: to be kept by somebody else."""
    directory, origin = _place(path)
    OUT.file.write(survey.checkpoint(directory, origin).note.decode())


@app.command()
def show(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How large the ledger is, what is in it, and from when to when."""
    _told(survey.survey(*_place(path)), as_json)


@app.command()
def verify(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Recompute the tree and hold the sessions' files against it; says what does not add up.

    It may run beside the gateway. For an auditor there are bundles and `maskgate verify`.
    """
    found = survey.survey(*_place(path))
    _told(found, as_json)
    if found.wrong:
        raise typer.Exit(1)


@app.command()
def prove(
    index: Annotated[int, typer.Argument(min=0, help="The leaf, counted from 0.")],
    path: ConfigFile = DEFAULT_CONFIG,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; NAME.tlog-proof. Else it is printed.")
    ] = None,
) -> None:
    """Write the proof that one leaf is in the ledger, as C2SP tlog-proof: other tools read it.

    The leaf's data is the proof's extra data; it may run beside the gateway.
    """
    proof = survey.prove(*_place(path), index)
    if out is None:
        OUT.file.write(proof.decode())
        return
    try:
        out.write_bytes(proof)
    except OSError as error:
        raise ConfigurationError(f"{out}: cannot be written: {error.strerror}") from None


@app.command()
def prune(
    path: ConfigFile = DEFAULT_CONFIG,
    days: Annotated[
        int, typer.Option(min=1, help="Keep sessions that ended within so many days.")
    ] = _DAYS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the records of sessions older than six years, with the gateway stopped.

    Their leaves and hashes stay in the ledger. Under six years (45 CFR 164.316(b)(2)(i), 164.528)
    it asks twice.
    """
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
    before = before.removesuffix("+00:00") + "Z"
    directory, origin = _place(path)
    survey.checkpoint(directory, origin)  # a mistaken path makes no log
    store, tiles = SessionStore(directory / "sessions"), Tiles(directory / "ledger")
    try:
        ended = retention.ended_before(store, tiles, before)
    except LedgerError as reason:
        raise ConfigurationError(f"{reason}; nothing is pruned before that is repaired") from None
    for one in ended:
        OUT.print(Text(f"{one.sid}  ended {one.ts}  {one.size:,} bytes"), soft_wrap=True)
    OUT.print(f"{len(ended):,} sessions ended before {before}", highlight=False)
    if dry_run or not ended:
        return
    if days < _DAYS and not yes:
        typer.confirm("They are younger than six years. Remove them all the same?", abort=True)
    if not yes:
        typer.confirm("Their records cannot be brought back. Remove them?", abort=True)
    # The log's start drops segments: what the SIEM has not got must be held before.
    log_wiring.tail(path, config.load(path), directory)
    gone = asyncio.run(_prune(directory, origin, before))
    OUT.print(f"{len(gone):,} sessions removed; their leaves stay", highlight=False)


async def _prune(directory: Path, origin: str, before: str) -> list[str]:
    log = SessionLog.open(directory, origin=origin, version=version("maskgate"))
    try:
        return await log.prune(before)
    finally:
        await log.aclose()


def _epochs(found: survey.Survey) -> str:
    """Who signs checkpoints beside the long-term key, of which no file has the private half."""
    now = found.epoch
    if now is None:
        return "none: made before there were any; they begin with the next start of the gateway"
    told = f"{now['number']}, since {now['since']}, from {now['from']:,} leaves on"
    return f"{told}; key {now['key']}, in the gateway's memory alone"


def _told(found: survey.Survey, as_json: bool) -> None:
    if as_json:
        OUT.print_json(json.dumps(asdict(found)))
        return
    leaves = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.leaves.items()))
    lines: list[tuple[str, Any]] = [
        ("origin", found.origin),
        ("key", found.key),
        ("leaves", f"{found.size:,}: {leaves}"),
        ("root", found.root),
        ("epochs", _epochs(found)),
        ("from", found.first),
        ("to", found.last),
        (
            "sessions",
            f"{found.sessions:,}, {found.running:,} of them not ended, {found.pruned:,} pruned",
        ),
        ("files", f"{found.files:,} held against their leaves"),
    ]
    for name, value in lines:
        OUT.print(Text(f"{name}: ", style="bold") + Text(str(value)), soft_wrap=True)
    for wrong in found.wrong:
        OUT.print(Text("wrong: ", style="red") + Text(wrong), soft_wrap=True)
    if not found.wrong:
        OUT.print("it adds up")
