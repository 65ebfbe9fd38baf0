"""`maskgate ledger`: the log's own ledger, for whoever runs the gateway.

Exit codes: 0 it adds up, 1 it does not, 2 usage or configuration.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
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
from gateway.sessionlog import SessionLog, copies, retention, survey, timestamps
from gateway.sessionlog.note import LogKey, Private
from gateway.sessionlog.session import SessionStore, parse_id
from gateway.sessionlog.tiles import LedgerError, Tiles, continues

app = typer.Typer(help="The log's ledger: look at it, verify it, prune.", no_args_is_help=True)

OUT = Console()

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a list.")]
DEFAULT_CONFIG = Path("maskgate.toml")
_DAYS = retention.YEARS * 366


@contextmanager
def _placed(path: Path) -> Iterator[tuple[Path, str, Private | None]]:
    """The log's directory, its origin, and its key where that is in a token."""
    loaded = config.load(path)
    held = log_wiring.held_key(path, loaded)
    try:
        yield path.parent / loaded.state.log, loaded.log_origin, held
    finally:
        if held is not None:
            held.close()


@app.command("checkpoint")
def show_checkpoint(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print the newest checkpoint, a signed note: to be kept by somebody else."""
    with _placed(path) as place:
        OUT.file.write(survey.checkpoint(*place).note.decode())


def keygen(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make the log's long-term key (Ed25519) in the token that `log.key` names.

    Refuses where there is a key of that name. Without `log.key` the first start makes a file.
    """
    loaded = config.load(path)
    place = log_wiring.key_place(path, loaded)
    if place is None:
        raise ConfigurationError(f"{path}: log.key names no token; the log makes a file of its own")
    log_wiring.make_key(path, place)
    with _placed(path) as (_, origin, held):
        if held is not None:
            told = f"{place.name}: made\n{LogKey(origin, held).vkey}"
            OUT.print(told, highlight=False, markup=False, soft_wrap=True)


@app.command()
def show(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How large the ledger is, what is in it, and from when to when."""
    with _placed(path) as place:
        _told(survey.survey(*place), as_json)


@app.command()
def verify(
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
    copy: Annotated[
        Path | None, typer.Option(help="Instead of the log: a folder that a copy was fetched into.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="With --copy: the trust file, from elsewhere.")
    ] = None,
) -> None:
    """Recompute the tree and hold the sessions' files against it; says what does not add up.

    It may run beside the gateway. For an auditor there are bundles and `maskgate verify`; of a log
    that is lost, its copies (`--copy FOLDER --trust FILE`, without any configuration).
    """
    if (copy is None) != (trust is None):
        raise typer.BadParameter("--copy and --trust go together")
    if copy is not None and trust is not None:
        found = survey.survey_copy(copy, survey.trusted(trust))
    else:
        with _placed(path) as place:
            found = survey.survey(*place)
    _told(found, as_json)
    if found.wrong:
        raise typer.Exit(1)


@app.command("copies")
def show_copies(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How far the copies under an Object Lock are; exit code 1 when there is none yet."""
    with _placed(path) as place:
        newest, found = survey.checkpoint(*place).size, copies.state(place[0])
    told: dict[str, Any] = {"copied": 0, "newest": newest, "pending": [], "target": "", "at": ""}
    if found is not None:
        told |= {"copied": found.size, "pending": list(found.pending)}
        told |= {"target": found.target, "at": found.at}
    if as_json:
        OUT.print_json(json.dumps(told))
    else:
        OUT.print(f"{told['copied']:,} of {newest:,} leaves are copied", highlight=False)
        for name in ("target", "at"):
            OUT.print(Text(f"{name}: ", style="bold") + Text(told[name]), soft_wrap=True)
        OUT.print(f"sessions that have ended and wait for their file: {len(told['pending']):,}")
    if not told["copied"]:
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
    with _placed(path) as (directory, origin, held):
        proof = survey.prove(directory, origin, index, held)
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
    with _placed(path) as place:
        survey.checkpoint(*place)  # a mistaken path makes no log
    directory = place[0]
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
    with _placed(path) as place:
        gone = asyncio.run(_prune(*place, before))
    OUT.print(f"{len(gone):,} sessions removed; their leaves stay", highlight=False)


async def _prune(directory: Path, origin: str, held: Private | None, before: str) -> list[str]:
    log = SessionLog.open(directory, origin=origin, version=version("maskgate"), held=held)
    try:
        return await log.prune(before)
    finally:
        await log.aclose()


@app.command("timestamps")
def list_timestamps(
    path: ConfigFile = DEFAULT_CONFIG,
    session: Annotated[
        str | None, typer.Option(help="Only the first one that covers this ended session.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write them into this folder, for an auditor.")
    ] = None,
    roots: Annotated[
        Path | None, typer.Option(help="PEM file of further roots, as of an earlier authority.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The RFC 3161 time stamps of checkpoints, each verified again.

    One that does not verify is named, counts for nothing, and makes the exit code 1; so does a
    stamped checkpoint that this ledger does not continue, and a session that none covers yet.
    """
    loaded = config.load(path)
    known = [root for one in log_wiring.authorities(path, loaded) for root in one.roots]
    known += [] if roots is None else timestamps.roots(roots)
    with _placed(path) as place:
        key, newest = survey.verifier(*place), survey.checkpoint(*place).size
    directory, origin, _ = place
    stamps, bad = timestamps.kept(directory, origin, key, known)
    wrong = [f"{one.token.name}: {one.why}" for one in bad]
    tiles = Tiles(directory / "ledger")
    for one in list(stamps):
        if not continues(tiles, newest, one.size, one.root):
            stamps.remove(one)
            wrong.append(f"{one.token.name}: this ledger does not continue its checkpoint")
    if session is not None:
        first = timestamps.first_over(stamps, _last_leaf(directory, session))
        stamps = [] if first is None else [first]
        wrong += [] if stamps else [f"no time stamp covers session {session} yet"]
    _stamps_told(stamps, wrong, as_json)
    if export is not None:
        for one in stamps:
            timestamps.export(one, origin, export / one.token.stem)
    if wrong:
        raise typer.Exit(1)


def _last_leaf(directory: Path, session: str) -> int:
    """The index of the leaf that ended a session. Raises ConfigurationError where none has."""
    parse_id(session)
    path = directory / "sessions" / f"{session}.json"
    try:
        leaves = json.loads(path.read_bytes())["leaves"]
        return int(leaves["close"] if "close" in leaves else leaves["recovery"])
    except FileNotFoundError:
        raise ConfigurationError(f"session {session} has not ended, or is not here") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigurationError(f"{path}: does not say where its session ended") from None


def _stamps_told(stamps: list[timestamps.Stamp], wrong: list[str], as_json: bool) -> None:
    if as_json:
        listed = [
            {"file": one.token.name, "root": one.root.hex(), "size": one.size,
             "time": one.time.isoformat()}
            for one in stamps
        ]  # fmt: skip
        OUT.print_json(json.dumps({"timestamps": listed, "wrong": wrong}))
        return
    for one in stamps:
        line = f"{one.time:%Y-%m-%dT%H:%M:%SZ}  {one.size:,} leaves  {one.token.name}"
        OUT.print(Text(line), soft_wrap=True)
    for sentence in wrong:
        OUT.print(Text("wrong: ", style="red") + Text(sentence), soft_wrap=True)


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
    if found.pending:
        lines.append(("pending", f"{found.pending:,} ended sessions were not copied yet"))
    for name, value in lines:
        OUT.print(Text(f"{name}: ", style="bold") + Text(str(value)), soft_wrap=True)
    for wrong in found.wrong:
        OUT.print(Text("wrong: ", style="red") + Text(wrong), soft_wrap=True)
    if not found.wrong:
        OUT.print("it adds up")
