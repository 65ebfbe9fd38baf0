"""Detectors that a rule of `scan` chooses: the policy's words, the decision, the bytes, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from analysed import analysis, grant
from typer.testing import CliRunner

from copybytes import TOKEN_KEY, copy, joined, row, run
from gateway._kernel import DETECTORS
from gateway.cli import app
from gateway.errors import ConfigurationError
from gateway.masking import Masker, TokenKey, open_stream
from gateway.model import Column, Output, Shape
from gateway.policy import Policy, decide
from gateway.treatments import left_out, parse_treatment

NOTE = "SSN 123-45-6789 of Anna Kowalski, call 617-555-1212"
COLUMN = Column(1, 1, "public", "patient", "note", 25)


def policy(**options: Any) -> Policy:
    return Policy("clinic", {"public.patient.note": {"treatment": "scan", **options}})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"detectors": ["SSN"]}, "no detector 'SSN'; there are mrn, account"),
        ({"detectors": ["row"]}, "no detector 'row'"),
        ({"detectors": [3]}, "no detector 3"),
        ({"detectors": ["ssn", "ssn"]}, "each detector once"),
        ({"detectors": []}, "looks for nothing"),
        ({"without": []}, "at least one"),
        ({"without": ["names"]}, "no detector 'names'"),
        ({"without": list(DETECTORS)}, "looks for nothing"),
        ({"detectors": [], "patterns": []}, "looks for nothing"),
        ({"patterns": ["study"]}, "no pattern or dictionary 'study'; there are none"),
        ({"detectors": ["ssn"], "without": ["name"]}, "not both"),
        ({"detectors": "ssn"}, "detectors must be a list"),
    ],
)
def test_choices_that_make_none_do_not_load(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        policy(**options)
    assert "public.patient.note" in caught.value.detail


def test_a_choice_has_no_order() -> None:
    one, other = policy(detectors=["phone", "ssn"]), policy(detectors=["ssn", "phone"])
    assert one.hash == other.hash
    assert one.treatment_of(COLUMN)[0] == other.treatment_of(COLUMN)[0]
    assert one.hash != policy(detectors=["ssn"]).hash
    assert 'detectors = ["ssn", "phone"]' in one.text


def test_what_is_not_looked_for_is_told() -> None:
    narrow = policy(without=["place", "name"])
    assert narrow.treatment_of(COLUMN)[1] == "rule public.patient.note = scan without name, place"
    assert narrow.with_detectors_left_out() == {"public.patient.note": "name, place"}
    assert policy().with_detectors_left_out() == {}
    child = Column(2, 1, "public", "archive", "note", 25)
    _, reason = narrow.treatment_of(child, [COLUMN], [COLUMN])
    assert reason.endswith("without name, place")
    assert left_out(parse_treatment("redact")) == ()


def decided(chosen: Policy) -> tuple[str, dict[str, Any], str]:
    """What comes of one note in a stream, with the detectors' counts and the reason."""
    statement = analysis(Output("note", {"kind": "text"}, Shape.BARE, (COLUMN,)))
    decision = decide(grant(), statement, chosen)
    stream = open_stream(
        statement,
        decision,
        TokenKey(TOKEN_KEY, "k1"),
        encoding="arrow",
        metadata={},
        limit_rows=None,
        infinity="error",
        token_domain="clinic",
    )
    data = joined(run(stream, [copy(row(NOTE.encode()))]))
    (value,) = pa.ipc.open_stream(data).read_all()["note"].to_pylist()
    return value, json.loads(stream.report())["detectors"], decision.columns[0].reason


def test_the_choice_reaches_the_kernel() -> None:
    value, found, reason = decided(policy(detectors=["phone"]))
    assert value == "SSN 123-45-6789 of Anna Kowalski, call [PHONE]"
    assert found == {"note": {"phone": {"cells": 1, "spans": 1}}}
    assert "without mrn, account" in reason
    value, found, _ = decided(policy(without=["phone"]))
    assert value == "SSN [SSN] of [NAME], call 617-555-1212"
    assert set(found["note"]) == {"ssn", "name"}
    assert decided(policy())[0] == "SSN [SSN] of [NAME], call [PHONE]"


def test_scans_of_other_detectors_are_other_treatments() -> None:
    rules = {
        "public.patient.note": {"treatment": "scan", "detectors": ["ssn"]},
        "public.archive.note": {"treatment": "scan", "detectors": ["phone"]},
    }
    other = Column(2, 1, "public", "archive", "note", 25)
    treatment, _ = Policy("clinic", rules).treatment_of(COLUMN, [other], [other])
    assert treatment.name == "scan"  # named exactly
    wide = rules | {"public.patient.*": rules.pop("public.patient.note")}
    assert Policy("clinic", wide).treatment_of(COLUMN, [other], [other])[0].name == "redact"


def test_the_choice_over_frames_and_files(tmp_path: Path) -> None:
    masker = Masker({"note": {"treatment": "scan", "detectors": ["ssn"]}})
    masked = masker.mask(pa.table({"note": [NOTE]}))
    expected = "SSN [SSN] of Anna Kowalski, call 617-555-1212"
    assert masked["note"].to_pylist() == [expected]
    source = tmp_path / "in.csv"
    source.write_text(f'note\n"{NOTE}"\n')
    out, report = tmp_path / "out.csv", tmp_path / "report.json"
    rule = 'note={ treatment = "scan", detectors = ["ssn"] }'
    command = ["mask", str(source), str(out), "--column", rule, "--report", str(report)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert out.read_text().splitlines()[1] == f'"{expected}"'
    silent = json.loads(report.read_text())["detectors_left_out"]["note"]
    assert silent == [name for name in DETECTORS if name != "ssn"]
    assert "note: not looked for: mrn, account" in done.output
