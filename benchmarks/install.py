"""Installs the benchmarks' peers beside the gateway, into the environment of this interpreter.

The gateway and what it needs are seen from its own environment, so that both run the same versions.
A peer that does not install is left out, with its name: the tables then say so in its line.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

TREE = Path(__file__).parents[1]
ASK = "import sysconfig; print(sysconfig.get_path('purelib'))"


def see(environment: Path) -> None:
    """Look into another environment for what this one does not have."""
    command = [environment / "bin" / "python", "-c", ASK]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (Path(sysconfig.get_path("purelib")) / "gateway.pth").write_text(there)


def main() -> int:
    see(TREE / ".venv")
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    for peer in project["optional-dependencies"]["bench"]:
        command = [sys.executable, "-m", "pip", "install", "-q", peer]
        if subprocess.run(command, check=False).returncode != 0:
            print(f"not installed: {peer}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
