"""Patterns and dictionaries of a policy: from the file to the bytes, the counts and the hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import gateway.polars  # noqa: F401 - it registers the namespace
from copybytes import TOKEN_KEY, copy, joined, row, run
from gateway import config, wiring
from gateway._kernel import MaskedStream, Patterns
from gateway.cli import app
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.masking import Masker
from gateway.model import Column
from gateway.patterns import NONE, Definitions
from gateway.policy import Policy

STUDY = {"study": {"regex": "ST-[0-9]{6}"}}
STAFF = {"staff": {"words": ["Zéa Müqler", "Zaphod Qx"], "label": "NAME"}}
NOTE = "ZEA MUQLER saw ST-123456 with zaphod\nqx"
MASKED = "[NAME] saw [STUDY] with [NAME]"


def parsed(patterns: Any = STUDY, dictionaries: Any = STAFF, folder: Path = Path()) -> Definitions:
    return Definitions.parse(patterns, dictionaries, folder)


@pytest.mark.parametrize(
    ("patterns", "dictionaries", "said"),
    [
        ({"study": {"regex": "a*"}}, {}, "patterns.study: the regex matches the empty text"),
        ({"study": {"regex": "a+"}}, {}, "patterns.study: the regex matches texts of any length"),
        ({"study": {}}, {}, "patterns.study: give a regex"),
        ({"study": {"regex": "abc", "flags": "i"}}, {}, "patterns.study.flags: there is no such"),
        ({"study": {"regex": 3}}, {}, "patterns.study.regex must be a str"),
        ({"study": {"regex": "abc", "clear": 1}}, {}, "patterns.study.clear must be a bool"),
        ({"study": "abc"}, {}, "patterns.study: write a table"),
        ({"study": {"regex": "abc", "label": "x]"}}, {}, "patterns.study: a label is"),
        ({"Study": {"regex": "abc"}}, {}, "patterns.Study: a name is"),
        ({"ssn": {"regex": "abc"}}, {}, "patterns.ssn: the name stands for a detector"),
        ({}, {"staff": {}}, "dictionaries.staff: give words or a file"),
        ({}, {"staff": {"words": [], "file": "x"}}, "dictionaries.staff: give words or a file"),
        ({}, {"staff": {"words": []}}, "dictionaries.staff: the list has no word"),
        ({}, {"staff": {"words": ["Anna", 3]}}, "dictionaries.staff.words: write a list of texts"),
        ({}, {"staff": {"words": ["Anna", "Иван"]}}, "dictionaries.staff: entry 2 has letters"),
        ({}, {"staff": {"words": "Anna"}}, "dictionaries.staff.words must be a list"),
        ({}, {"staff": {"words": ["Anna\ud800"]}}, "dictionaries.staff.words: some have half a"),
        ({}, {"staff": {"file": "a\0b"}}, "dictionaries.staff.file = 'a\\x00b': a path has no"),
        (STUDY, {"study": {"words": ["Anna"]}}, "the name stands for"),
        ({f"p{i}": {"regex": "abc"} for i in range(97)}, {}, "patterns: there are 97"),
    ],
)
def test_what_cannot_be_used_is_named(patterns: Any, dictionaries: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^(patterns|dictionaries)") as caught:
        parsed(patterns, dictionaries)
    assert said in caught.value.detail
    assert "Anna" not in caught.value.detail
    assert "Иван" not in caught.value.detail


def test_files_of_dictionaries(tmp_path: Path) -> None:
    file = tmp_path / "staff.txt"
    given = {"staff": {"file": "staff.txt", "label": "NAME"}}
    with pytest.raises(ConfigurationError, match=r"staff.file = 'staff.txt': cannot be read"):
        parsed({}, given, tmp_path)
    file.write_bytes(b"\xff\xfeA")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        parsed({}, given, tmp_path)
    file.write_bytes(b"a" * ((2 << 20) + 1))
    with pytest.raises(ConfigurationError, match="larger than"):
        parsed({}, given, tmp_path)
    file.write_bytes("\ufeffZéa Müqler\r\n\n  Zaphod Qx  \n".encode())
    assert parsed({}, given, tmp_path).text == parsed({}, STAFF).text
    file.write_bytes("Zéa Müqler\rZaphod Qx\r".encode())
    assert parsed({}, given, tmp_path).text == parsed({}, STAFF).text


def test_the_hash_covers_what_is_looked_for_and_the_text_has_no_word() -> None:
    def policy(*definitions: Any) -> Policy:
        return Policy("clinic", {"a.b.c": "scan"}, definitions=parsed(*definitions))

    more = {"staff": {"words": ["Zéa Müqler", "Zaphod Qy"], "label": "NAME"}}
    unlike = {"study": {"regex": "ST-[0-9]{7}"}}
    one = policy()
    every = {one.hash, policy(unlike).hash, policy(STUDY, more).hash, policy(STUDY, {}).hash}
    assert len(every) == 4
    assert one.hash == policy().hash
    assert "[patterns.study]" in one.text
    assert "entries = 2" in one.text
    assert "Zaphod" not in one.text
    assert Policy("clinic", {"a.b.c": "scan"}).text == policy({}, {}).text


def test_a_rule_chooses_by_name() -> None:
    column = Column(1, 1, "a", "b", "c", 25)
    definitions = parsed()

    def treated(**options: Any) -> tuple[Any, str]:
        policy = Policy(
            "clinic", {"a.b.c": {"treatment": "scan", **options}}, definitions=definitions
        )
        return policy.treatment_of(column)

    assert treated()[1] == "rule a.b.c = scan"
    treatment, reason = treated(patterns=["staff"])
    assert treatment.options == {"patterns": ["staff"]}
    assert reason == "rule a.b.c = scan without study"
    assert treated(detectors=[])[1].startswith("rule a.b.c = scan without mrn, ")
    assert treated(patterns=["staff", "study"]) == treated(patterns=["study", "staff"])
    with pytest.raises(ConfigurationError, match="no pattern or dictionary 'x'; there are study"):
        treated(patterns=["x"])


@pytest.mark.parametrize("encoding", ["arrow", "ndjson", "csv"])
def test_in_a_stream(encoding: str) -> None:
    columns = [
        {"name": name, "type": {"kind": "text"}, "treatment": treatment}
        for name, treatment in (
            ("note", {"name": "scan"}),
            ("some", {"name": "scan", "detectors": [], "patterns": ["study"]}),
            ("clear", {"name": "clear", "scan": True}),
        )
    ]
    plan = json.dumps({"format": encoding, "columns": columns})
    dictionaries = {"staff": {**STAFF["staff"], "clear": False}}
    patterns = parsed(STUDY, dictionaries).kernel
    stream = MaskedStream(plan, TOKEN_KEY, patterns)
    cell = NOTE.encode()
    data = joined(run(stream, [copy(row(cell, cell, cell), row(None, b"", b"fine"))]))
    assert b"ST-123456" not in data
    assert data.count(b"[STUDY]") == 3
    assert data.count(b"[NAME]") == 2
    found = json.loads(stream.report())["detectors"]
    one = {"cells": 1, "spans": 1}
    assert found["note"] == {"study": one, "staff": {"cells": 1, "spans": 2}}
    assert found["some"] == {"study": one}
    assert found["clear"] == {"study": one}
    with pytest.raises(InvalidRequest, match='no pattern \\"study\\"'):
        MaskedStream(plan, TOKEN_KEY)


def test_the_kernel_says_what_it_has() -> None:
    patterns = parsed().kernel
    assert patterns is not None
    assert (patterns.names, patterns.labels) == (("study", "staff"), ("[STUDY]", "[NAME]"))
    assert (NONE.names, NONE.labels, NONE.kernel) == ((), (), None)
    with pytest.raises(InvalidRequest, match="not valid"):
        Patterns('[{"name": "x"}]')


CONFIG = """\
[[issuers]]
issuer = "https://idp.example.org"
[connections.clinic]
dsn = "env:CLINIC_DSN"
[connections.clinic.columns]
"public.patient.notes" = { treatment = "scan", patterns = ["study"] }
[patterns.study]
label = "STUDY"
regex = 'ST-[0-9]{6}'
[dictionaries.staff]
file = "staff.txt"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{6}", "+", r":7: patterns.study: the regex matches texts of any length"),
        ("regex", "regexp", r":9: patterns.study.regexp: there is no such key"),
        ("staff.txt", "none.txt", r":11: dictionaries.staff.file = 'none.txt': cannot be read"),
        ("[patterns.study]", "[patterns.Study]", r":7: patterns.Study"),
        ('["study"]', '["studies"]', r":6: .*no pattern or dictionary 'studies'"),
    ],
)
def test_the_configuration_names_the_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "staff.txt").write_text("Anna Berg\n")
    path = tmp_path / "maskgate.toml"
    path.write_text(CONFIG)
    (policy,) = wiring.build_policies(path, config.load(path)).values()
    assert policy.definitions.names == ("study", "staff")
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigurationError, match=said):
        wiring.build_policies(path, config.load(path))


def test_over_frames_and_files(tmp_path: Path) -> None:
    masker = Masker({"note": "scan"}, patterns=STUDY, dictionaries=STAFF)
    assert masker.mask(pa.table({"note": [NOTE]}))["note"].to_pylist() == [MASKED]
    assert masker.report()["detectors"]["note"]["staff"] == {"cells": 1, "spans": 2}
    (tmp_path / "staff.txt").write_text("Zéa Müqler\nZaphod Qx\n")
    policy = tmp_path / "mask.toml"
    policy.write_text(
        '[mask.columns]\nnote = { treatment = "scan", detectors = [] }\n'
        "[mask.patterns.study]\nregex = 'ST-[0-9]{6}'\n"
        '[mask.dictionaries.staff]\nfile = "staff.txt"\nlabel = "NAME"\n'
    )
    from_file = Masker.from_file(policy)
    assert from_file.mask(pa.table({"note": [NOTE]}))["note"].to_pylist() == [MASKED]
    source, out, report = (tmp_path / name for name in ("in.csv", "out.csv", "report.json"))
    source.write_text('note\n"see ST-123456, call 617-555-1212"\n')
    command = ["mask", str(source), str(out), "--policy", str(policy), "--report", str(report)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert out.read_text().splitlines()[1] == '"see [STUDY], call 617-555-1212"'
    told = json.loads(report.read_text())
    assert told["detectors"] == {"note": {"study": {"cells": 1, "spans": 1}}}
    assert told["sample"]["note"] == ["x [STUDY], x 0-0-0"]
    assert "study" not in told["detectors_left_out"]["note"]
    policy.write_text(policy.read_text().replace("{6}", "*"))
    with pytest.raises(ConfigurationError, match=r"patterns\.study: .*any length"):
        Masker.from_file(policy)


def test_in_polars() -> None:
    frame = pl.DataFrame({"note": [NOTE, None]})
    scan = pl.col("note").mask.scan  # type: ignore[attr-defined]
    treated = scan(detectors=[], patterns=STUDY, dictionaries=STAFF)
    assert frame.lazy().select(treated).collect()["note"].to_list() == [MASKED, None]
