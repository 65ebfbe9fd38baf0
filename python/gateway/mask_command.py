"""`maskgate mask IN OUT`: the kernel over one file, with no gateway and no database.

OUT appears whole or not at all, and IN is never written to. Refuses, before the first row, columns
that the policy does not speak for and treatments that a type cannot take. Nothing that it prints or
reports is a value of the data.
"""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.errors import Failure

if TYPE_CHECKING:
    from gateway.masking.copying import Moved, Outcome

ERR = Console(stderr=True)


def _input(value: str) -> Path | None:
    if value == "-":
        return None
    if not Path(value).is_file():
        raise typer.BadParameter(f"there is no file {value!r}")
    return Path(value)


def _output(value: str) -> Path | None:
    return None if value == "-" else Path(value)


def _format(value: str | None) -> str | None:
    if value is None:
        return None
    from gateway.masking.files import FORMATS  # as in `mask`

    if value not in FORMATS:
        raise typer.BadParameter(", ".join(FORMATS))
    return value


def _spec(value: str) -> Any:
    """A treatment's name, or an inline table of TOML."""
    if not value.startswith("{"):
        return value
    try:
        return tomllib.loads(f"spec = {value}")["spec"]
    except tomllib.TOMLDecodeError:
        raise typer.BadParameter(
            'write a treatment as NAME or as { treatment = "NAME", OPTION = VALUE }'
        ) from None


def _pairs(values: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values or []:
        name, equals, word = value.partition("=")
        if not equals or name in pairs:
            raise typer.BadParameter(f"write NAME=..., each name once: {value!r}")
        pairs[name] = word
    return pairs


def mask(
    source: Annotated[str, typer.Argument(metavar="IN", help="The file to read; - for a pipe.")],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="The file that appears when all is done; or -.")
    ],
    policy: Annotated[
        Path | None, typer.Option(help="A TOML file with [mask] and [mask.columns].")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TREATMENT",
            help="A rule, before the policy's for that name; repeat it. "
            "With options: NAME={ treatment = ..., ... }.",
        ),
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(help="The treatment of columns that no rule names; else they are refused."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="What text in clear columns goes through: scan or clear.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The key file of token, fpe and shift, 64 hex digits.")
    ] = None,
    key_id: Annotated[
        str | None, typer.Option(help="The key's name in tokens; k1 if nobody says.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="The domain of token, fpe and shift where a rule names none.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="NAME=TYPE",
            help="Read a column of CSV as date, timestamp or a form such as %m/%d/%Y; repeat it.",
        ),
    ] = None,
    from_format: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="parquet, csv, tsv, arrow or arrows; else the first bytes and the name tell.",
            callback=_format,
        ),
    ] = None,
    to_format: Annotated[
        str | None,
        typer.Option("--format", help="The same for OUT; else its name tells.", callback=_format),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where counts and a sample without values go, as JSON.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace OUT and the report; never IN.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Neither bar nor summary.")] = False,
) -> None:
    """Mask the columns of a Parquet, CSV or Arrow file."""
    # Readers of files are loaded for this command alone.
    from gateway.masking.columns import PolicyFile, check_types
    from gateway.masking.copying import mask_file
    from gateway.masking.masker import Masker

    written = PolicyFile.load(policy) if policy is not None else PolicyFile()
    typed = {**written.types, **_pairs(types)}
    check_types(typed)
    masker = Masker(
        {**written.columns, **{name: _spec(word) for name, word in _pairs(column).items()}},
        default=_spec(default) if default else written.default,
        text=text or written.text,
        key=key or written.key,
        key_id=key_id or written.key_id,
        domain=domain or written.domain,
        patterns=written.patterns,
        dictionaries=written.dictionaries,
        folder=written.folder,
    )
    with _stopping(), _bar(hidden=quiet or not ERR.is_terminal) as moved:
        outcome = mask_file(
            masker,
            _input(source),
            _output(target),
            from_format=from_format,
            to_format=to_format,
            types=typed,
            report=report,
            force=force,
            moved=moved,
        )
    if not quiet:
        _summary(target, outcome)


@contextmanager
def _stopping() -> Iterator[None]:
    """A polite request to end is met like Ctrl-C: what was begun is taken away."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, stop)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) == signal.SIG_DFL
    }
    try:
        yield
    except KeyboardInterrupt:
        raise Failure("stopped; no file was written") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(*, hidden: bool) -> Iterator[Moved]:
    columns = (
        TextColumn("masking"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=None, rows=0)

        def moved(done: int, total: int | None, rows: int) -> None:
            progress.update(task, completed=done, total=total, rows=rows)

        yield moved


def _summary(target: str, outcome: Outcome) -> None:
    table = Table("column", "treatment", "cells masked", box=None)
    counts: Mapping[str, Mapping[str, int]] = outcome.counts["cells_masked"]
    for name, _, after, treatment in outcome.columns:
        cells = sum(counts.get(name, {}).values())
        words = "left out" if after is None else f"{cells:,}"
        table.add_row(Text(name), Text(treatment), Text(words))
    ERR.print(table)
    for name, silent in outcome.left_out.items():
        ERR.print(Text(f"{name}: not looked for: {', '.join(silent)}"), soft_wrap=True)
    ERR.print(
        f"{target}: {outcome.rows:,} rows, {outcome.bytes_in:,} bytes in, "
        f"{outcome.bytes_out:,} bytes out, {outcome.seconds:.2f} s, "
        f"{outcome.rows_per_second:,.0f} rows/s, {outcome.megabytes_per_second:,.0f} MB/s",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
