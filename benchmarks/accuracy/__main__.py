"""Recall and precision by entity, ours beside Presidio's on the same texts.

    make accuracy
    make accuracy ACCURACY_DATA=DIR      labelled sentences (*.json) somewhere else
    python -m accuracy --examples FILE   misses and false alarms, for the eyes of a developer

Judged are characters (letters and digits that had to go and are left), spans (nothing left of them)
and false alarms (spans in which nothing had to go). Recorded are numbers and shapes, never texts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from accuracy import clinic_notes, labelled, ours, written
from accuracy.score import Score, score
from accuracy.texts import Finder, Span, Text
from record import Record

#: Entities told by shape, checksum or context word; the others need names, places or a row.
SHAPES = {
    "card", "phone", "e-mail", "url", "iban", "ssn", "ip", "licence", "zip", "date", "age over 89",
    "mrn", "member", "account", "device",
}  # fmt: skip
WORST = 12

Line = tuple[str, str, Score]  # set, engine, score


def measure(data: Path | None, with_presidio: bool) -> tuple[list[Line], list[str]]:
    """Every engine on every set, and what could not be measured."""
    lines: list[Line] = []
    notes: list[str] = []
    patients, visits, rows = clinic_notes.load()
    sets: list[tuple[str, Sequence[Text]]] = [
        ("written clinical sentences", written.read()),
        ("clinic: patients' notes", patients),
        ("clinic: visits' notes", visits),
    ]
    if data is not None:
        sets.insert(0, ("labelled sentences", labelled.read(data)))
    else:
        notes.append("labelled sentences: not measured, no folder (ACCURACY_DATA=DIR)")
    engines: list[tuple[Finder, Mapping[str, frozenset[str]]]] = [(ours.Scan(), ours.SAYS)]
    if with_presidio:
        try:
            from engines import presidio

            engines.append((presidio.Presidio(), presidio.SAYS))
            notes.append(f"Presidio: its default recognisers, spaCy model {presidio.model()}")
        except (ImportError, OSError) as failure:
            notes.append(f"Presidio: not installed: {failure}")
    for name, texts in sets:
        for engine, says in engines:
            print(f"{engine.name}: {name}, {len(texts):,} texts", file=sys.stderr)
            lines.append((name, engine.name, score(texts, engine.find(texts), says)))
    with_row = ours.rows(rows, patients)
    lines.append(("clinic: patients' notes", "maskgate, with the row", _score(patients, with_row)))
    return lines, notes


def _score(texts: Sequence[Text], found: list[list[Span]]) -> Score:
    return score(texts, found, ours.SAYS)


def percent(value: float) -> str:
    return "–" if value != value else f"{value:.1%}"


def show(lines: Sequence[Line], notes: Sequence[str]) -> str:
    """The whole table as text."""
    out: list[str] = []
    for name in dict.fromkeys(line[0] for line in lines):
        here = [(engine, one) for set_name, engine, one in lines if set_name == name]
        out += _recall_table(name, here)
        out += _precision_table(here)
        for engine, one in here:
            out += _worst(engine, one)
        out.append("")
    return "\n".join([*out, *notes])


def _recall_table(name: str, here: Sequence[tuple[str, Score]]) -> list[str]:
    entities = sorted({entity for _, one in here for entity in one.recall})
    entities.sort(key=lambda entity: entity not in SHAPES)
    out = [f"=== {name}", ""]
    head = f"{'recall':<24}{'spans':>6}  " + "".join(f"{engine[:26]:>28}" for engine, _ in here)
    under = f"{'':<32}" + f"{'spans':>12}{'chars':>8}{'label':>8}" * len(here)
    out += [head, under]

    def cells(found: list[tuple[str, str, str]]) -> str:
        return "".join(f"{a:>12}{b:>8}{c:>8}" for a, b, c in found)

    for title, chosen in (
        *((entity, {entity}) for entity in entities),
        ("ALL BY SHAPE OR CONTEXT", SHAPES & set(entities)),
        ("ALL", set(entities)),
    ):
        totals = [one.all_recall(set(chosen)) for _, one in here]
        if not totals[0].spans:
            continue
        numbers = [
            (
                percent(total.span_recall),
                percent(total.character_recall),
                percent(total.labelled / total.spans if total.spans else float("nan")),
            )
            for total in totals
        ]
        out.append(f"{title:<24}{totals[0].spans:>6}  {cells(numbers)}")
    return [*out, ""]


def _precision_table(here: Sequence[tuple[str, Score]]) -> list[str]:
    out = []
    for engine, one in here:
        out.append(f"precision of {engine}")
        out.append(f"{'':<4}{'label':<20}{'found':>8}{'false':>8}{'precision':>11}{'of chars':>10}")
        for label, told in sorted(one.precision.items(), key=lambda item: -item[1].spans):
            wrong = told.spans - told.right - told.free
            out.append(
                f"{'':<4}{label:<20}{told.spans:>8}{wrong:>8}"
                f"{percent(told.span_precision):>11}{percent(told.character_precision):>10}"
            )
        total = one.all_precision()
        wrong = total.spans - total.right - total.free
        out.append(
            f"{'':<4}{'ALL':<20}{total.spans:>8}{wrong:>8}"
            f"{percent(total.span_precision):>11}{percent(total.character_precision):>10}"
        )
        out.append(
            f"    altered: {one.clean_altered} of {one.clean} texts in which nothing has to go "
            f"({percent(one.clean_altered / one.clean if one.clean else float('nan'))}); "
            f"{one.bare_altered} of {one.bare} in which nothing is labelled"
        )
        out.append("")
    return out


def _worst(engine: str, one: Score) -> list[str]:
    out = [f"most missed shapes, {engine}"]
    shapes = [
        (count, entity, shape)
        for entity, recall in one.recall.items()
        if entity in SHAPES
        for shape, count in recall.missed_shapes.items()
    ]
    for count, entity, shape in sorted(shapes, reverse=True)[:WORST]:
        out.append(f"    {count:>4}  {entity:<14}{shape}")
    out.append(f"most frequent false alarms, {engine}")
    alarms = [
        (count, label, shape)
        for label, told in one.precision.items()
        for shape, count in told.false_shapes.items()
    ]
    for count, label, shape in sorted(alarms, reverse=True)[:WORST]:
        out.append(f"    {count:>4}  {label:<14}{shape}")
    return [*out, ""]


HEADINGS = [
    "set", "engine", "kind", "name", "spans", "whole", "part", "characters", "gone", "labelled",
    "false", "recall or precision, spans", "recall or precision, characters",
]  # fmt: skip


def table(lines: Sequence[Line]) -> list[list[str]]:
    """The rows of the CSV."""
    out = [HEADINGS]
    for name, engine, one in lines:
        for entity, recall in sorted(one.recall.items()):
            out.append([
                name, engine, "recall", entity, str(recall.spans), str(recall.whole),
                str(recall.part), str(recall.characters), str(recall.gone), str(recall.labelled),
                "", f"{recall.span_recall:.4f}", f"{recall.character_recall:.4f}",
            ])  # fmt: skip
        for label, told in sorted(one.precision.items()):
            out.append([
                name, engine, "precision", label, str(told.spans), str(told.right), "",
                str(told.characters), str(told.right_characters), "",
                str(told.spans - told.right - told.free), f"{told.span_precision:.4f}",
                f"{told.character_precision:.4f}",
            ])  # fmt: skip
        for title, of, altered in (
            ("nothing has to go", one.clean, one.clean_altered),
            ("nothing is labelled", one.bare, one.bare_altered),
        ):
            share = altered / of if of else float("nan")
            out.append([
                name, engine, "altered", title, str(of), "", "", "", "", "", str(altered),
                f"{share:.4f}", "",
            ])  # fmt: skip
    return out


def examples(lines: Sequence[Line], each: int = 12) -> str:
    """Misses and false alarms of ours with their texts: for the eyes, never for the record."""
    out: list[str] = []
    for name, engine, one in lines:
        if not engine.startswith("maskgate"):
            continue
        for what, several in (("MISSED", one.misses), ("FALSE ALARM", one.alarms)):
            for label in sorted({label for label, _, _ in several}):
                out.append(f"=== {name} / {engine} / {what} {label}")
                mine = [(stretch, text) for found, stretch, text in several if found == label]
                out += [f"  {stretch!r} in {text[:240]!r}" for stretch, text in mine[:each]]
                out.append(f"  ({len(mine)} in all)")
    return "\n".join(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of labelled sentences")
    parser.add_argument("--no-presidio", action="store_true")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--examples", type=Path, help="write misses and false alarms here")
    options = parser.parse_args()
    lines, notes = measure(options.data, not options.no_presidio)
    shown = show(lines, notes)
    print(shown)
    if options.examples:
        options.examples.write_text(shown + "\n\n" + examples(lines) + "\n", encoding="utf-8")
    if not options.no_record:
        Record("accuracy").write(table(lines), shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
