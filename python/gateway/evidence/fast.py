"""`maskgate verify --fast`: the command line of the second verifier, which is in the kernel.

The arguments, the numbered lines and the exit codes are those of auditor/verify.py; the code behind
them is another, in another language, so that an auditor can ask both. Refuses as the script does: a
verifier that falls over has not verified, and what made it fall was in the bundle.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway import _kernel

VERIFIED, TAMPERED, USAGE = 0, 1, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maskgate verify",
        description="Verify an evidence bundle, offline. Exit code: 0 verified and anchored, 1 "
        "tampered, 2 incomplete or not anchored, 3 usage.",
    )
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="the bundle, a ZIP file")
    parser.add_argument("--trust", metavar="FILE", help="JSON that names the log's origin and keys")
    parser.add_argument("--remember", metavar="FILE", help="checkpoints seen, kept and compared")
    parser.add_argument("--receipts", metavar="FILE|DIR", help="what clients kept of statements")
    parser.add_argument("--list", action="store_true", help="show the records once verified")
    parser.add_argument(
        "--fast", action="store_true", help="by the second verifier, the kernel's, not by verify.py"
    )
    parser.add_argument(
        "--pure", action="store_true", help="verify.py uses no wheel; not with --fast"
    )
    parser.add_argument(
        "--self", action="store_true", help="print the SHA-256 of the script, or of the kernel"
    )
    return parser


def _judge(argv: Sequence[str]) -> tuple[int, str]:
    options = _parser().parse_args(argv)
    if options.pure:
        return USAGE, "--pure is of verify.py: without --fast"
    if options.self:
        return VERIFIED, hashlib.sha256(Path(_kernel.__file__).read_bytes()).hexdigest()
    if options.bundle is None:
        return USAGE, "the following argument is required: BUNDLE"
    if sys.stdout is None:
        return USAGE, "standard output is closed: nobody would hear the verdict"
    return _kernel.verify_bundle(
        options.bundle,
        options.trust,
        remember=options.remember,
        receipts=options.receipts,
        listing=options.list,
        say=_say,
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(argv: Sequence[str]) -> int:
    """Judge as the arguments say; the result is the exit code, and there is no traceback."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    try:
        verdict, sentence = _judge(argv)
        if verdict == USAGE:
            return _unjudged(sentence)
        _say(sentence)
        sys.stdout.flush()
        return verdict
    except SystemExit as asked:
        return USAGE if asked.code else VERIFIED
    except (KeyboardInterrupt, OSError) as reason:
        # Stopped from outside, or nobody listens: that says nothing about the bundle.
        verdict = _unjudged(f"not finished ({type(reason).__name__})")
        try:  # what cannot be written must not change the exit code when the interpreter ends
            sys.stdout.flush()
        except OSError:
            sys.stdout = None
        return verdict
    except BaseException as reason:
        with contextlib.suppress(Exception):
            text = f"not verifiable ({type(reason).__name__})"
            sys.stderr.write(f"verdict 1: tampered: {text}\n")
        return TAMPERED


def _unjudged(sentence: str) -> int:
    with contextlib.suppress(Exception):
        usage = "usage: maskgate verify BUNDLE --trust FILE --fast"
        sys.stderr.write(f"maskgate verify: {sentence}\n{usage}\n")
    return USAGE
