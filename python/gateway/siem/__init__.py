"""What happened, told to a SIEM in OCSF: every record at least once, no statement's words ever.

Reads the durable log and nothing else, in a thread of its own that no query waits for. Refuses to
move its place in the log before a delivery was acknowledged, to hold more than one batch in memory,
and to send a literal: statements go as templates, whatever the log itself keeps.
"""

from gateway.siem.shipper import Shipper, Standing
from gateway.siem.sinks import FileSink, HttpSink, Sink, StdoutSink

__all__ = ["FileSink", "HttpSink", "Shipper", "Sink", "Standing", "StdoutSink"]
