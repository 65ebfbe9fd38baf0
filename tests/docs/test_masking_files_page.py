"""The page on files and frames runs as it is printed."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import InvalidRequest
from gateway.masking import Masker, TokenKey
from gateway.treatments import OPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "masking-files.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
    return [text for named, text in fenced if named == language]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token.key").write_text("5e" * 32)
    (tmp_path / "token.key").chmod(0o600)
    (tmp_path / "mask.toml").write_text(blocks("toml")[0])
    (tmp_path / "patients.csv").write_text(
        "id,mrn,dob,notes,full_name\n1,MRN1,1990-05-01,call 555-123-4567,Anna\n"
    )
    pq.write_table(pa.table({"id": [1], "notes": ["x"], "name": ["Anna"]}), "in.parquet")
    return tmp_path


@pytest.mark.parametrize("block", blocks("python"), ids=["masker", "polars"])
def test_the_python_runs(block: str, folder: Path) -> None:
    exec(compile(block, "masking-files.md", "exec"), {})


def test_the_commands_run(folder: Path) -> None:
    assert set(tomllib.loads(blocks("toml")[0])) == {"mask"}
    lines = [line for line in blocks("")[0].splitlines() if line.startswith("maskgate mask")]
    assert len(lines) == 2
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
    (row,) = pq.read_table("masked.parquet").to_pylist()
    assert row["dob"] == "1990"
    assert row["notes"] == "call [PHONE]"
    assert row["full_name"] == "[REDACTED]"
    assert row["mrn"].startswith("tok_k1_")


#: Of each row of the page's table of types, some types.
TYPES: list[tuple[str, list[pa.DataType]]] = [
    (
        "text",
        [
            pa.string(),
            pa.large_string(),
            pa.string_view(),
            pa.dictionary(pa.int8(), pa.string()),
            pa.run_end_encoded(pa.int32(), pa.string()),
        ],
    ),
    ("arrow.json", [pa.json_()]),
    ("integers", [pa.int8(), pa.int64(), pa.uint32(), pa.decimal128(9, 0), pa.decimal64(9, 0)]),
    ("floats", [pa.float16(), pa.float64(), pa.decimal128(9, 2), pa.decimal32(9, 2)]),
    ("dates", [pa.date32(), pa.date64(), pa.timestamp("us"), pa.timestamp("us", "UTC")]),
    (
        "booleans",
        [
            pa.bool_(),
            pa.binary(),
            pa.large_binary(),
            pa.uuid(),
            pa.time64("us"),
            pa.month_day_nano_interval(),
        ],
    ),
    ("structs", [pa.struct([("a", pa.string())]), pa.map_(pa.string(), pa.string())]),
    ("other", [pa.time32("s"), pa.duration("s"), pa.decimal256(50, 2)]),
    ("unions", [pa.sparse_union([pa.field("a", pa.string())])]),
]


@pytest.mark.parametrize(("line", "types"), TYPES, ids=[line for line, _ in TYPES])
def test_the_table_of_types_is_true(line: str, types: list[pa.DataType]) -> None:
    (cells,) = re.findall(rf"^\| {re.escape(line)}.*?\| ?(.*?) ?\|$", PAGE, re.M)
    told = set(re.findall(r"`(\w+)`", cells.split("(")[0] if line == "dates" else cells))
    told = (told | ({"year", "shift"} if line == "dates" else set())) & set(OPTIONS)
    always = {"clear", "redact", "null", "deny"}
    expected = {"deny"} if line == "unions" else always | (told - {"clear"})
    options: dict[str, dict[str, Any]] = {
        "partial": {"last": 1},
        "token": {"domain": "d"},
        "fpe": {"domain": "d"},
        "bucket": {"width": 10},
        "shift": {"subject": "k", "domain": "d"},
    }
    for kind in types:
        possible = set()
        for name in OPTIONS:
            rule = {"treatment": name, **options.get(name, {})}
            masker = Masker({"c": rule, "k": "clear"}, key=TokenKey(bytes(32), "k1"))
            try:
                masker.schema(pa.schema([("c", kind), ("k", pa.string())]))
                possible.add(name)
            except InvalidRequest as refused:
                assert "cannot be given" in str(refused)
        assert possible == expected, kind
