"""`maskgate demo`: the worked example from an empty folder to a verified bundle.

Ends with 0 only if everything happened as told; otherwise it says which expectation failed and ends
with 1. Refuses to leave a process behind, whichever way it ends.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from gateway.client import ClientError
from gateway.demo import backstage, proof, scenes
from gateway.demo.agent import Caller, token
from gateway.demo.backstage import BackstageError, Stage
from gateway.demo.screen import Screen, UnexpectedError, say


def run(output: Path, *, serve: bool = False, patients: int = 100_000) -> int:
    """Play the demo into the folder `output`; with `serve`, stay up until Ctrl-C. The exit code."""
    screen = Screen()
    folder = output.resolve()
    started = time.monotonic()
    screen.console.print(
        "[bold]maskgate[/]: what an AI agent may see of a clinic, and the proof of it"
    )
    try:
        with _built(screen, folder, patients) as stage:
            _play(screen, stage)
            _closing(screen, stage, time.monotonic() - started)
            if serve:
                _serve(screen, stage)
    except (
        UnexpectedError,
        BackstageError,
        ClientError,
        httpx.HTTPError,
    ) as failure:
        screen.console.print(f"\n[bold red]Not as told:[/] {type(failure).__name__}", end=": ")
        screen.console.print(str(failure), markup=False)
        screen.console.print(
            f"The processes' own words: {folder}/gateway.log, issuer.log", markup=False
        )
        return 1
    except KeyboardInterrupt:
        screen.console.print("\nstopped before the end")
        return 1
    return 0


@contextmanager
def _built(screen: Screen, folder: Path, patients: int) -> Iterator[Stage]:
    started = time.monotonic()
    with ExitStack() as stack:
        with screen.working("starting") as progress:
            building = backstage.build(
                folder, patients=patients, progress=lambda step: say(progress, f"starting {step}")
            )
            stage = stack.enter_context(building)
        made = "loaded" if stage.clinic.loaded else "still there from last time"
        screen.tell(
            f"Behind the curtain, after {time.monotonic() - started:.1f} s: PostgreSQL with a "
            f"clinic of {patients:,} invented patients ({made}), an OpenID issuer at "
            f"{stage.issuer}, and the gateway at {stage.gateway}, whose login has no right on any "
            "table."
        )
        yield stage


def _play(screen: Screen, stage: Stage) -> None:
    with _cast(stage) as cast:
        proof.take_trust(stage)
        scenes.log_in(screen, cast, stage)
        grant = scenes.ask_for_leave(screen, cast)
        session = scenes.hunt_the_bug(screen, cast, stage, grant)
        scenes.attempts_that_must_fail(screen, cast, session)
        scenes.pull_the_plug(screen, cast, grant, session)
        proof.export(screen, cast, stage, session)
        proof.verify(screen, stage)
        proof.flip_one_byte(screen, stage)


@contextmanager
def _cast(stage: Stage) -> Iterator[scenes.Cast]:
    names = (scenes.AGENT, scenes.OTHER_AGENT, scenes.STEWARD, scenes.AUDITOR)
    callers = [
        Caller(stage.gateway, name, token(stage.issuer, name, stage.secrets[name]))
        for name in names
    ]
    try:
        yield scenes.Cast(*callers)
    finally:
        for caller in callers:
            caller.close()


def _closing(screen: Screen, stage: Stage, seconds: float) -> None:
    screen.title("Left for you to open")
    for name, what in (
        (proof.REPORT, "what the auditor reads"),
        (proof.BUNDLE, "the evidence of the session"),
        (proof.TAMPERED, "the same with one byte changed"),
        (proof.VERIFIER, f"python {proof.VERIFIER} {proof.BUNDLE} --trust {proof.TRUST}"),
        (proof.TRUST, "the log's name and public key"),
        (stage.config.name, "the gateway's configuration, to copy for your own database"),
    ):
        screen.console.print(f"  {stage.folder / name}", markup=False, soft_wrap=True)
        screen.text(what)
    screen.console.print(
        f"\n[bold green]Everything happened as told[/]: {len(screen.met)} expectations met, "
        f"{seconds:.0f} s."
    )


def _serve(screen: Screen, stage: Stage) -> None:
    """Leave everything up: addresses, tokens and commands to paste, until Ctrl-C."""
    screen.title("Still up, until Ctrl-C")
    lines = [f"export GATEWAY={stage.gateway}"]
    for variable, name in (
        ("AGENT", scenes.AGENT),
        ("BILLING", scenes.OTHER_AGENT),
        ("STEWARD", scenes.STEWARD),
        ("AUDITOR", scenes.AUDITOR),
    ):
        lines.append(f"export {variable}={token(stage.issuer, name, stage.secrets[name])}")
    lines += [
        "",
        "# who am I",
        'curl -s -H "Authorization: Bearer $AGENT" $GATEWAY/v1/whoami',
        "# ask for leave, and note the id",
        'curl -s -H "Authorization: Bearer $AGENT" -H "Content-Type: application/json" \\',
        '  -d \'{"connection": "clinic", "tables": ["public.patient"], "purpose": "to try it",'
        ' "duration_s": 3600}\' $GATEWAY/v1/grants',
        "# let the steward approve it (put the id for ID)",
        'curl -s -H "Authorization: Bearer $STEWARD" -H "Content-Type: application/json" \\',
        '  -d \'{"reason": "go ahead"}\' $GATEWAY/v1/grants/ID/approve',
        "# query",
        'curl -s -H "Authorization: Bearer $AGENT" -H "Content-Type: application/json" \\',
        '  -H "Accept: text/csv" -d \'{"connection": "clinic", "sql":'
        ' "SELECT id, mrn, full_name, dob, city FROM public.patient ORDER BY id LIMIT 5"}\''
        " $GATEWAY/v1/query",
        "",
        "# what the database holds, asked as its superuser",
        f"psql '{stage.clinic.superuser_dsn}'",
    ]
    try:
        for line in lines:
            screen.console.print(line, markup=False, soft_wrap=True)
        signal.pause()
    except KeyboardInterrupt:
        screen.console.print("\nstopping")
