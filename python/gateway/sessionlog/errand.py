"""Work behind the log's back: done every so often in a thread of its own, and never waited for.

A failure is told once and tried again, twice as long after each, up to a quarter of an hour; it
ends nothing. What is told of it is its kind, or a sentence of ours, and nothing that came from
elsewhere. At the end the work is done once more, within the patience of whoever stops it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime

_LOG = logging.getLogger("maskgate")
FIRST_WAIT, LONGEST_WAIT = 1.0, 900.0
_CLOCK = "%Y-%m-%dT%H:%M:%SZ"
PATIENCE = 10.0  # seconds that the end of the gateway waits for one of them


class FailedError(Exception):
    """Work that could not be done; worded here, for an operator to read."""


class Errand:
    """`start` once, `stop` once. `do` is called from one thread; what it raises is a failure."""

    def __init__(self, name: str, do: Callable[[], None], every: float) -> None:
        self.name, self._do, self._every = name, do, every
        self._stopping = threading.Event()
        self._failing: tuple[datetime, str] | None = None  # since when, and how the last time
        self._began: datetime | None = None  # the work that goes on now
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def trouble(self) -> str:
        """Since when it has failed, and how the last time; or since when it does not come to an
        end, as with somebody who answers a byte at a time. Empty when the last try did well."""
        failing, began = self._failing, self._began
        if failing is not None:
            since, kind = failing
            return f"{self.name}: failing since {since:{_CLOCK}}: {kind}"
        if began is not None and (datetime.now(UTC) - began).total_seconds() > LONGEST_WAIT:
            return f"{self.name}: at work since {began:{_CLOCK}}, and not done"
        return ""

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float = PATIENCE) -> None:
        """Once more, if that is quick; what was not done by then is for the next start."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        wait = FIRST_WAIT
        while True:
            last = self._stopping.is_set()
            pause = self._every
            if self._done():
                wait = FIRST_WAIT
            else:
                pause = min(wait, self._every) * random.uniform(0.8, 1.2)  # noqa: S311 no secret
                wait = min(2 * wait, LONGEST_WAIT)
            if last:
                return
            self._stopping.wait(pause)

    def _done(self) -> bool:
        self._began = datetime.now(UTC)
        try:
            self._do()
        except BaseException as error:
            # A panic below Python is no Exception; and a thread that ended would be silence.
            kind = str(error) if isinstance(error, FailedError) else type(error).__name__
            failing = self._failing
            if failing is None or failing[1] != kind:
                _LOG.warning("%s: %s; tried again until it is done", self.name, kind)
            self._failing = (datetime.now(UTC) if failing is None else failing[0], kind)
            return False
        finally:
            self._began = None
        if self._failing is not None:
            _LOG.warning("%s: done again", self.name)
        self._failing = None
        return True
