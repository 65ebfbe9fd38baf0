"""The session log: a row leaves only after its record is safe, and history cannot change unnoticed.

Refuses: to acknowledge what is not synced, to go on after a failed write or sync, to start on bytes
that do not add up, to share its directory with a second process.

Trusted: the key file (mode 0600) while it is secret, and this process's memory, which has the
epoch's key; the clock of this machine for the times in records; the kernel when it says that a sync
succeeded. Not trusted: everything else on the disk. Whoever can write the files can destroy them,
and is found out: chains, ledger and checkpoints are recomputed at each start and by the auditor's
script. Whoever also has the key can write a different history from then on; what he cannot do is
make it agree with a checkpoint, bundle or receipt that somebody else has kept, least of all a
witness. The byte format is in docs/session-log.md.
"""

from gateway.sessionlog.anchors import Anchoring, Witness, reachable
from gateway.sessionlog.archive import Archive, Opened, UnreadableError
from gateway.sessionlog.errand import Errand
from gateway.sessionlog.log import SessionLog

__all__ = [
    "Anchoring",
    "Archive",
    "Errand",
    "Opened",
    "SessionLog",
    "UnreadableError",
    "Witness",
    "reachable",
]
