"""The auditor's commands for sealed records: make the pair of keys, read what was sealed.

`unseal` shows what it has verified: bundle and trust file go through the auditor's own procedure
first, in a private copy, and the records come from the same bytes. Without a trust file it says
that nothing was verified.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

import gateway.auditor.verify as verifier
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.flows.unsealed import records_of
from gateway.flows.unsealed import unseal as unsealed
from gateway.sessionlog import sealing

_SHOWN = ("statement", "params", "server_text", "statement_head", "purpose", "detail", "reason")
_LARGEST = 4 << 30


def keygen(
    private: Annotated[
        Path, typer.Option(help="A new file, mode 0600: keep it away from the gateway.")
    ] = Path("auditor.key"),
    public: Annotated[
        Path, typer.Option(help="A new file, for `log.auditor_key` of the gateway.")
    ] = Path("auditor.pem"),
) -> None:
    """Make an auditor's pair of X25519 keys for sealed statements."""
    name = sealing.generate(private, public)
    sys.stdout.write(f"key {name}: private {private}, public {public}\n")


def unseal(
    source: Annotated[
        Path, typer.Argument(help="A bundle, or a session's records (session.jsonl).")
    ],
    key: Annotated[Path, typer.Option(help="The auditor's private key, PEM.")],
    trust: Annotated[
        Path | None, typer.Option(help="Verify the bundle first; without it nothing is verified.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Whole records, one JSON object a line.")
    ] = False,
) -> None:
    """Show the statements of a sealed session to whoever has the auditor's private key."""
    private = sealing.AuditorPrivateKey.load(key)
    try:
        if source.stat().st_size > _LARGEST:
            raise InvalidRequest(f"{source}: larger than any bundle")
        data = source.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{source}: cannot be read: {error.strerror}") from None
    if trust is None:
        sys.stderr.write("not verified: no --trust\n")
    else:
        with tempfile.NamedTemporaryFile(suffix=".zip") as copy:
            copy.write(data)
            copy.flush()
            verdict = verifier.main([copy.name, "--trust", str(trust)])
        if verdict not in (verifier.VERIFIED, verifier.INCOMPLETE):
            raise typer.Exit(verdict)
    for record in unsealed(records_of(data, source), private):
        sys.stdout.write(_line(record) if as_json else _told(record))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True) + "\n"


def _told(record: dict[str, Any]) -> str:
    """What was worded in a record, each on a line of its own; all of it escaped: nothing can
    draw a line that looks like another record's."""
    body = record["body"]
    shown = {name: body[name] for name in _SHOWN if body.get(name) is not None}
    if not shown:
        return ""
    number = f" statement {body['statement_no']}" if "statement_no" in body else ""
    head = json.dumps(f"{record['i']} {record['ts']} {record['type']}{number}")[1:-1]
    return f"{head}\n" + "".join(f"  {name}: {json.dumps(text)}\n" for name, text in shown.items())
