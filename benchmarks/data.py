"""The seeded data of the benchmarks: the same on every machine and every run.

A million invented notes of about 115 bytes, three in ten with one identifier of the ten kinds that
`engines/patterns.py` has patterns for; the rest has what clinical prose has: pressures, doses,
ratios, results, dates as years. Nobody is real.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from engines import patterns

TREE = Path(__file__).parents[1]
FOLDER = TREE / "target" / "bench"
NOTES = FOLDER / "notes.arrow"
ROWS = 1_000_000
SHARE = 0.3  # of notes with an identifier
BATCH = 16_384
LENGTH = 115
_SEED = 20_260_000

_SENTENCES: tuple[Callable[[random.Random], str], ...] = (
    lambda r: f"Seen for follow up of hypertension, BP {r.randint(98, 180)}/{r.randint(58, 110)}.",
    lambda r: f"HR {r.randint(52, 118)}, T {r.randint(970, 1010) / 10}, RR {r.randint(12, 22)}.",
    lambda r: f"Continue lisinopril {r.choice((5, 10, 20, 40))} mg PO daily, labs next visit.",
    lambda r: (
        f"Reports {r.randint(0, 10)}/10 knee pain after therapy, strength {r.randint(3, 5)}/5."
    ),
    lambda r: "No acute distress, lungs clear to auscultation, heart regular without murmur.",
    lambda r: (
        f"WBC {r.randint(38, 125) / 10}, Hgb {r.randint(90, 165) / 10}, Plt {r.randint(120, 410)}."
    ),
    lambda r: f"Na {r.randint(130, 148)}, K {r.randint(32, 54) / 10}, Cr {r.randint(5, 22) / 10}.",
    lambda r: "Discussed diet and exercise in detail; patient agrees with the plan.",
    lambda r: f"Return to clinic in {r.randint(2, 12)} weeks or sooner if symptoms appear.",
    lambda r: f"Percocet {r.choice(('5/325', '10/325'))} mg as needed, ice, rest, elevation.",
    lambda r: "Crohn's disease in remission; Foley catheter removed without difficulty.",
    lambda r: f"Type 2 diabetes since {r.randint(1995, 2024)}, HbA1c {r.randint(52, 98) / 10} %.",
    lambda r: f"Metformin {r.choice((500, 850, 1000))} mg twice daily with meals.",
    lambda r: "Denies fever, chills, nausea, vomiting, shortness of breath or chest pain.",
    lambda r: f"Ejection fraction {r.randint(35, 70)}-{r.randint(71, 75)} % by echocardiogram.",
    lambda r: (
        f"Wound {r.randint(1, 6)}.{r.randint(0, 9)} x {r.randint(1, 4)}.{r.randint(0, 9)} cm."
    ),
    lambda r: "MRI of the L4-L5 level without stenosis, physical therapy continued.",
    lambda r: f"Weight {r.randint(480, 1300) / 10} kg, BMI {r.randint(180, 420) / 10}.",
)

_MBI_LETTERS = "ACDEFGHJKMNPQRTUVWXY"


def _mbi(r: random.Random) -> str:
    """Position by position as CMS gives them: digit, letter, either, digit, letter, …"""
    kinds = {"A": _MBI_LETTERS, "N": string.digits}
    return str(r.randint(1, 9)) + "".join(r.choice(kinds[kind]) for kind in "ANNANNAANN")


#: One of each kind of identifier, in the order of the patterns.
_IDENTIFIERS: tuple[Callable[[random.Random], str], ...] = (
    lambda r: f"SSN {r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
    lambda r: f"call (555) {r.randint(200, 999)}-{r.randint(1000, 9999)}",
    lambda r: f"mail pt{r.randint(1, 99999)}@example.org",
    lambda r: f"from 10.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}",
    lambda r: f"see https://portal.example.org/p/{r.randint(1, 99999)}",
    lambda r: f"seen {r.randint(1, 12):02}/{r.randint(1, 28):02}/{r.randint(2001, 2025)}",
    lambda r: f"MRN: {r.randint(10_000_000, 99_999_999)}",
    lambda r: f"ZIP {r.randint(10000, 99899)}-{r.randint(1000, 9999)}",
    lambda r: (
        f"card 4{r.randint(100, 999)} {r.randint(1000, 9999)} {r.randint(1000, 9999)} "
        f"{r.randint(1000, 9999)}"
    ),
    lambda r: f"MBI {_mbi(r)}",
)


def notes(rows: int) -> tuple[list[str], int]:
    """So many notes, and how many of them have an identifier."""
    r = random.Random(_SEED)
    clean = [make(r) for make in _SENTENCES for _ in range(64)]
    found = 0
    made = []
    for _ in range(rows):
        parts = [r.choice(clean)]
        if r.random() < SHARE:
            found += 1
            parts.insert(r.randint(0, 1), r.choice(_IDENTIFIERS)(r) + ".")
        while sum(map(len, parts)) < LENGTH - 40:
            parts.append(r.choice(clean))
        made.append(" ".join(parts))
    return made, found


def prepare() -> Path:
    """The notes as an Arrow stream in batches, and the patterns for the engines in Rust.

    Made once for a version of this file and theirs. How many notes have an identifier is in the
    schema's metadata.
    """
    sources = Path(__file__).read_bytes() + Path(patterns.__file__).read_bytes()
    version = hashlib.sha256(sources).hexdigest()
    mark = FOLDER / "notes.version"
    if not NOTES.exists() or not mark.exists() or mark.read_text() != version:
        FOLDER.mkdir(parents=True, exist_ok=True)
        made, found = notes(ROWS)
        schema = pa.schema({"note": pa.string()}, metadata={"planted": str(found)})
        with pa.OSFile(str(NOTES), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for start in range(0, ROWS, BATCH):
                writer.write_batch(pa.record_batch([pa.array(made[start : start + BATCH])], schema))
        (FOLDER / "patterns.json").write_text(json.dumps(list(patterns.PATTERNS.items())))
        mark.write_text(version)  # last: what stopped on the way is made again
    return NOTES


def table(rows: int = ROWS) -> pa.Table:
    """The first so many notes."""
    with pa.OSFile(str(prepare()), "rb") as file:
        return pa.ipc.open_stream(file).read_all().slice(0, rows)


def planted(notes_table: pa.Table) -> int:
    """How many of all notes have an identifier."""
    return int(notes_table.schema.metadata[b"planted"])
