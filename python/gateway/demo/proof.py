"""The last scenes: the auditor exports, verifies, and one flipped byte is noticed.

Refuses to let the gateway vouch for itself: the verifier is the one that came with the package, it
runs as a program of its own, and it trusts a file that was taken from the gateway's log directory
beforehand, not from the bundle.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

from gateway.client import RefusedError
from gateway.demo.backstage import Stage
from gateway.demo.scenes import Cast
from gateway.demo.screen import Screen

BUNDLE = "evidence.zip"
TAMPERED = "tampered.zip"
REPORT = "report.html"
TRUST = "trust.json"
VERIFIER = "verify.py"

VERIFIED, TAMPERED_WITH = 0, 1


def take_trust(stage: Stage) -> None:
    """What an auditor does once, when the gateway is set up: origin and public key, no secret."""
    shutil.copyfile(stage.trust, stage.folder / TRUST)
    verifier = files("gateway.auditor").joinpath(VERIFIER).read_bytes()
    (stage.folder / VERIFIER).write_bytes(verifier)


def export(screen: Screen, cast: Cast, stage: Stage, session: str) -> None:
    screen.scene("The auditor takes the evidence")
    screen.asks(cast.agent.name, f"DELETE /v1/sessions/{session}")
    try:
        cast.agent.delete(f"/v1/sessions/{session}")
        screen.answers("closed")
    except RefusedError as ended:
        screen.answers(f"it had been closed: {ended.detail}")
    screen.asks(cast.auditor.name, f"GET /v1/sessions/{session}/evidence")
    bundle = stage.folder / BUNDLE
    bundle.write_bytes(cast.auditor.download(f"/v1/sessions/{session}/evidence"))
    with zipfile.ZipFile(bundle) as members:
        shown = [[member.filename, f"{member.file_size:,}"] for member in members.infolist()]
        names = {member.filename for member in members.infolist()}
        screen.answers(f"{BUNDLE}, {bundle.stat().st_size:,} bytes")
        screen.grid(["in the bundle", "bytes"], shown)
        expected = {"manifest.json", "session.jsonl", "grant.json", "policy.toml", REPORT}
        screen.expect(
            expected <= names,
            "it holds the grant, the policy, every statement and every masking decision",
            ", ".join(sorted(expected - names)),
        )
        (stage.folder / REPORT).write_bytes(members.read(REPORT))


def verify(screen: Screen, stage: Stage) -> None:
    screen.scene("verify.py says whether it is true")
    screen.tell(
        "One file, Python alone, no network. The trust file came from the gateway's log directory "
        "when it was set up: a bundle cannot vouch for itself."
    )
    verdict = _run(screen, stage.folder, BUNDLE)
    screen.expect(verdict == VERIFIED, "verified and anchored: exit code 0", f"exit code {verdict}")


def flip_one_byte(screen: Screen, stage: Stage) -> None:
    screen.scene("One byte is changed")
    data = bytearray((stage.folder / BUNDLE).read_bytes())
    place = data.find(b"full_name")
    if place < 0:
        place = len(data) // 2
    before, after = data[place], data[place] ^ 0x01
    data[place] = after
    (stage.folder / TAMPERED).write_bytes(data)
    screen.tell(
        f"{TAMPERED} is the same bundle, but byte {place:,} of {len(data):,} is {after:#04x} "
        f"where it was {before:#04x}."
    )
    verdict = _run(screen, stage.folder, TAMPERED)
    screen.expect(verdict == TAMPERED_WITH, "noticed: exit code 1", f"exit code {verdict}")


def _run(screen: Screen, folder: Path, bundle: str) -> int:
    command = [VERIFIER, bundle, "--trust", TRUST]
    screen.asks("auditor", f"python {' '.join(command)}")
    done = subprocess.run(  # noqa: S603 - the verifier of this package, no shell
        [sys.executable, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    screen.text(done.stdout.rstrip().lstrip("\n"))
    return done.returncode
