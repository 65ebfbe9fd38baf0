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

from auditors import Brought
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from forger import Signer
from mutations import bundle

from gateway.auditor import verify
from gateway.evidence import fast

_WORKERS = 2
#: One key for all seeds, so that a seed is a bundle again tomorrow.
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"not secret: for forged bundles.."))


#: What the forgeries have to get as far as: sentences of steps behind others, of both verifiers.
REASONS = (
    "witnesses it needs", "stands there twice", "as remembered", "no proof from", "--remember",
    "no quorum", "not every receipt", "is not recorded as it says", "verified and anchored",
    "epochs hold at", "signed in epoch", "no epochs yet", "a leaf of",
)  # fmt: skip


class Court:
    """A folder with a trust file and what else an auditor has, before which bundles are brought."""

    def __init__(self, folder: Path, signer: Signer = SIGNER) -> None:
        self.folder = folder
        self.path = folder / "bundle.zip"
        self.trust = folder / "trust.json"
        self.plain = json.dumps(signer.trust()).encode()
        self.trust.write_bytes(self.plain)
        self.reached: collections.Counter[str] = collections.Counter()

    def verdicts(
        self, data: bytes, *, trusted: bool = True, brought: Brought | None = None
    ) -> tuple[int, int, str]:
        """The script's, the kernel's, and what both said."""
        self.path.write_bytes(data)
        argv = [str(self.path), *(["--trust", str(self.trust)] if trusted else [])]
        brought = brought or Brought()
        if brought.trust is not None:
            self.trust.write_bytes(brought.trust)
        if brought.receipts is not None:
            argv += ["--receipts", str(self.receipts(brought.receipts))]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            script = verify.main([*argv, *self.memory("script", brought)])
            said.write("\n")
            kernel = fast.main([*argv, *self.memory("kernel", brought)])
        return script, kernel, said.getvalue()

    def receipts(self, files: dict[str, bytes]) -> Path:
        folder = self.folder / "receipts"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        for name, raw in files.items():
            (folder / name).write_bytes(raw)
        return folder

    def memory(self, whose: str, brought: Brought) -> list[str]:
        """The argument that names a copy of what the auditor remembers."""
        path = self.folder / f"remembered by the {whose}"
        path.unlink(missing_ok=True)
        if brought.remembered is None:
            return []
        path.write_bytes(brought.remembered)
        return ["--remember", str(path)]

    def remembered(self) -> list[bytes | None]:
        """What each of the two remembers after its verdict."""
        paths = [self.folder / f"remembered by the {whose}" for whose in ("script", "kernel")]
        return [path.read_bytes() if path.exists() else None for path in paths]


def try_seeds(seeds: range, court: Court) -> tuple[collections.Counter[int], list[str]]:
    """How often each verdict came, and what there was no agreement about."""
    counts: collections.Counter[int] = collections.Counter()
    found = []
    for seed in seeds:
        data, brought, done = bundle(seed, SIGNER)
        brought.trust = brought.trust or court.plain
        script, kernel, said = court.verdicts(data, trusted=seed % 8 > 0, brought=brought)
        counts[script] += 1
        ours, theirs = court.remembered()
        script_said, kernel_said = said.split("\n\n", 1)
        why, reason = (text.strip().split("\n")[-1] for text in (script_said, kernel_said))
        court.reached.update(
            told for told in REASONS if told in script_said and told in kernel_said
        )
        # Where nothing is wrong, they say in one word what is missing.
        alike = ours == theirs and (script not in (0, 2) or why == reason)
        if script != kernel or not alike or "not verifiable" in said:
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
