"""The socket that a door is at. Refuses an address that is taken, and leaves nothing open then."""

from __future__ import annotations

import socket


def listener(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """Bound and listening; port 0 is any that is free. Raises OSError."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(backlog)
    except BaseException:
        found.close()
        raise
    return found
