"""`make test-kills`: hundreds of kills under load.

    PYTHONPATH=tests:tests/endpoints python -m kills

KILLS says how many (200), KILLS_SEED where the moments come from (the clock). Tells how far it is,
ends by itself, and with status 1 when rows came out without a record.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import world as worlds

import servers
from kills import campaign

_BLOCK = 10


def main() -> int:
    """0 when every received byte has its record."""
    kills = int(os.environ.get("KILLS", "200"))
    seed = int(os.environ.get("KILLS_SEED", str(time.time_ns() % 10**9)))
    print(f"{kills} kills, seed {seed}", flush=True)
    total = campaign.Seen()
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as home,
        servers.running(servers.majors()[-1]) as server,
        worlds.built(Path(home), server, "kills") as world,
    ):
        while total.kills < kills and not total.wrong:
            seen = campaign.run(world, min(_BLOCK, kills - total.kills), seed + total.kills)
            for name, count in vars(seen).items():
                setattr(total, name, getattr(total, name) + count)
            print(
                f"{total.kills:4} kills: {total.statements:,} statements, {total.cut:,} cut; "
                f"{total.bytes / 1e6:,.0f} MB in {total.chunks:,} recorded chunks; "
                f"{total.verified} sessions verified",
                flush=True,
            )
    for wrong in total.wrong:
        print(wrong)
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
