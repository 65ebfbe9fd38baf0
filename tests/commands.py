"""`maskgate` inside of this process: one of its own takes a second to start."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from gateway import cli


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """A command from its arguments to its exit code, and what it wrote to each output."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["maskgate", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    out.seek(0)
    return code, out.read(), err.getvalue()
