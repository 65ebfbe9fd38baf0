"""The HTTP door: FastAPI routes of the contract, RFC 9457 problems, streamed results."""

from gateway.doors.http.app import create_app
from gateway.doors.http.listening import listener
from gateway.doors.http.protocol import BoundedProtocol

__all__ = ["BoundedProtocol", "create_app", "listener"]
