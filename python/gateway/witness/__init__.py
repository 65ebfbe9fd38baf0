"""A witness: it remembers the largest tree it saw of each log, and signs no other history.

A process of its own, best under another principal and on another machine: whoever has the gateway's
files and keys cannot make it forget. It speaks C2SP tlog-witness and needs nothing of the gateway
but its public key. Refuses to sign before its memory is durable, to share its memory with a second
process, and to go on after a write or sync has failed.

Trusted: its key file (mode 0600) and its memory. Who can put back an old copy of the memory can
have a rolled-back log cosigned; several witnesses under several principals, and a quorum, are the
answer to that.
"""

from gateway.witness.door import run, show_key
from gateway.witness.memory import Memory
from gateway.witness.protocol import Answer, Witness

__all__ = ["Answer", "Memory", "Witness", "run", "show_key"]
