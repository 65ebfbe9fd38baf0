"""Two verifiers, one verdict: bundles from seeds nobody has tried, before both.

    PYTHONPATH=tests/tampering python -m agreement

AGREEMENT_CASES says how many (a million), AGREEMENT_SEED where to begin (the clock). It uses two
processes, ends by itself, and with status 1 when they disagree; the bundle is then kept.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from forger import Signer
from mutations import bundle

from gateway.auditor import verify
from gateway.evidence import fast

_WORKERS = 2
#: One key for all seeds, so that a seed is a bundle again tomorrow.
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"not secret: for forged bundles.."))


class Court:
    """A folder with a trust file, before which bundles are brought."""

    def __init__(self, folder: Path, signer: Signer = SIGNER) -> None:
        self.path = folder / "bundle.zip"
        self.trust = folder / "trust.json"
        self.trust.write_text(json.dumps(signer.trust()))

    def verdicts(self, data: bytes, *, trusted: bool = True) -> tuple[int, int, str]:
        """The script's, the kernel's, and what both said."""
        self.path.write_bytes(data)
        argv = [str(self.path), *(["--trust", str(self.trust)] if trusted else [])]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            script = verify.main(argv)
            said.write("\n")
            kernel = fast.main(argv)
        return script, kernel, said.getvalue()


def try_seeds(seeds: range, court: Court) -> tuple[collections.Counter[int], list[str]]:
    """How often each verdict came, and what there was no agreement about."""
    counts: collections.Counter[int] = collections.Counter()
    found = []
    for seed in seeds:
        data, done = bundle(seed, SIGNER)
        script, kernel, said = court.verdicts(data, trusted=seed % 8 > 0)
        counts[script] += 1
        if script != kernel or "not verifiable" in said.split("\n\n")[-1]:
            found.append(f"seed {seed} ({done}): verify.py {script}, kernel {kernel}\n{said}")
    return counts, found


def _work(first: int, cases: int) -> None:
    with tempfile.TemporaryDirectory(prefix="agreement-") as folder:
        court, began = Court(Path(folder)), time.monotonic()
        for start in range(first, first + cases, 5000):
            seeds = range(start, min(start + 5000, first + cases))
            counts, found = try_seeds(seeds, court)
            took = time.monotonic() - began
            print(f"{seeds.stop - first} of {cases} in {took:.0f} s: {dict(counts)}", flush=True)
            if found:
                print("\n\n".join(found[:5]), flush=True)
                sys.exit(1)


def main() -> int:
    cases = int(os.environ.get("AGREEMENT_CASES", "1000000"))
    first = int(os.environ.get("AGREEMENT_SEED", str(int(time.time()) * 10_000_000)))
    print(f"{cases} bundles from seed {first}", flush=True)
    share = -(-cases // _WORKERS)
    workers = [
        multiprocessing.Process(target=_work, args=(first + at, min(share, cases - at)))
        for at in range(0, cases, share)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return int(any(worker.exitcode for worker in workers))


if __name__ == "__main__":
    sys.exit(main())
