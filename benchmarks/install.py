"""Installs what the benchmarks run with into the environment of the interpreter that runs this.

What the gateway itself needs must install. A peer that does not is left out, with its name: the
tables then say "not installed" in its line.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

TREE = Path(__file__).parents[1]


def pip(*requirements: str) -> bool:
    """Whether pip could install these."""
    command = [sys.executable, "-m", "pip", "install", "-q", *requirements]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    if not pip(*project["dependencies"], *extras["embedded"], *extras["test"]):
        return 1
    for peer in extras["bench"]:
        if not pip(peer):
            print(f"not installed: {peer}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
