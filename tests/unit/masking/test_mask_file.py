"""`mask_file`: Parquet, CSV and Arrow, in and out; whole or not at all; nothing of a value in what
it says."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from copybytes import TOKEN_KEY
from gateway import appearing as appears
from gateway.errors import ConfigurationError, Conflict, Failure, InvalidRequest
from gateway.masking import Masker, TokenKey
from gateway.masking.copying import mask_file
from gateway.masking.sample import Sample

KEY = TokenKey(TOKEN_KEY, "k1")
SECRETS = ("Zaphod Beeblebrox", "555-123-4567", "MRN42424242")
ROWS = 3000
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "name": [SECRETS[0]] * ROWS,
        "mrn": pa.array([SECRETS[2], None, "B2"] * (ROWS // 3)).dictionary_encode(),
        "note": ["call 555-123-4567", "fine", None] * (ROWS // 3),
    }
).replace_schema_metadata({"pandas": SECRETS[0]})


def masker(**rules: Any) -> Masker:
    chosen = {"id": "clear", "name": "redact", "mrn": "token", "note": "scan", **rules}
    return Masker(chosen, key=KEY, domain="d")


def write_arrow(path: Path, opened: Any) -> None:
    with opened(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=500)


def write_csv(path: Path, delimiter: str = ",") -> None:
    plain = TABLE.set_column(2, "mrn", TABLE["mrn"].cast(pa.string()))
    pacsv.write_csv(plain, path, pacsv.WriteOptions(delimiter=delimiter))


WRITERS: dict[str, Callable[[Path], None]] = {
    "parquet": lambda path: pq.write_table(
        TABLE, path, row_group_size=700, write_page_index=True, compression="none"
    ),
    "arrow": lambda path: write_arrow(path, pa.ipc.new_file),
    "arrows": lambda path: write_arrow(path, pa.ipc.new_stream),
    "csv": write_csv,
    "tsv": lambda path: write_csv(path, "\t"),
}


def read(path: Path) -> dict[str, list[Any]]:
    kind = path.suffix[1:]
    if kind == "parquet":
        rows = pq.read_table(path)
    elif kind == "arrow":
        rows = pa.ipc.open_file(path).read_all()
    elif kind == "arrows":
        rows = pa.ipc.open_stream(path).read_all()
    else:
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t" if kind == "tsv" else ","))
        columns: dict[str, list[Any]] = {}
        for line in lines:
            for name, value in line.items():
                columns.setdefault(name, []).append(value or None)
        return columns
    found: dict[str, list[Any]] = rows.to_pydict()
    return found


@pytest.mark.parametrize("into", sorted(WRITERS))
@pytest.mark.parametrize("come", sorted(WRITERS))
def test_every_format_into_every_format(tmp_path: Path, come: str, into: str) -> None:
    source, target = tmp_path / f"in.{come}", tmp_path / f"out.{into}"
    WRITERS[come](source)
    before = source.read_bytes()
    outcome = mask_file(masker(), source, target, report=tmp_path / "report.json")
    rows = read(target)
    assert [int(one) for one in rows["id"]] == list(range(ROWS))
    assert set(rows["name"]) == {"[REDACTED]"}
    assert rows["note"] == ["call [PHONE]", "fine", None] * (ROWS // 3)
    assert len(set(rows["mrn"])) == 3
    assert source.read_bytes() == before
    written = target.read_bytes() + (tmp_path / "report.json").read_bytes()
    assert not any(secret.encode() in written for secret in SECRETS)
    assert (outcome.rows, outcome.format_in, outcome.format_out) == (ROWS, come, into)
    assert (outcome.bytes_in, outcome.bytes_out) == (len(before), target.stat().st_size)
    assert sorted(tmp_path.iterdir()) == sorted([source, target, tmp_path / "report.json"])


def test_tokens_do_not_depend_on_the_format(tmp_path: Path) -> None:
    tokens = set()
    for kind in WRITERS:
        WRITERS[kind](tmp_path / f"in.{kind}")
        mask_file(masker(), tmp_path / f"in.{kind}", tmp_path / "out.csv", force=True)
        tokens.add(tuple(read(tmp_path / "out.csv")["mrn"]))
    assert len(tokens) == 1


def test_statistics_metadata_and_indexes_are_those_of_the_masked_rows(tmp_path: Path) -> None:
    WRITERS["parquet"](tmp_path / "in.parquet")
    raw = pq.ParquetFile(tmp_path / "in.parquet").metadata
    assert raw.row_group(0).column(1).statistics.min == SECRETS[0]
    mask_file(masker(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    statistics = file.metadata.row_group(0).column(1).statistics
    assert statistics.min == statistics.max == "[REDACTED]"
    assert set(file.metadata.metadata) == {b"ARROW:schema"}
    assert file.schema_arrow.metadata is None


def csv_of(data: bytes, tmp_path: Path, rules: dict[str, Any], **options: Any) -> bytes:
    (tmp_path / "in.csv").write_bytes(data)
    one = Masker(rules, default="clear", text="clear")
    mask_file(one, tmp_path / "in.csv", tmp_path / "out.csv", force=True, **options)
    return (tmp_path / "out.csv").read_bytes()


@pytest.mark.parametrize(
    ("data", "masked"),
    [
        (b'a,b\n007,1e5\n ,"x,y"\n', b'"a","b"\n"007","1e5"\n" ","x,y"\n'),
        (b'a,b\n"",\nNA,null\n', b'"a","b"\n"",\n"NA","null"\n'),
        (b'a,b\n"l1\nl2","q""q"\n', b'"a","b"\n"l1\nl2","q""q"\n'),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", b'"a","b"\n"1","2"\n'),
        (b"a\n1\n\n3\n", b'"a"\n"1"\n\n"3"\n'),
        (b"a,b\n", b'"a","b"\n'),
        (b'"a\nb",c\n1,2', b'"a\nb","c"\n"1","2"\n'),
        (b"a,a\n1,2\n", b'"a","a"\n"1","2"\n'),
    ],
    ids=["zeros", "null", "quotes", "bom", "one column", "no rows", "header", "equal names"],
)
def test_csv_keeps_what_is_clear_as_it_is(tmp_path: Path, data: bytes, masked: bytes) -> None:
    assert csv_of(data, tmp_path, {}) == masked


def test_csv_dates(tmp_path: Path) -> None:
    rules = {"d": "year"}
    assert csv_of(b"d\n1990-05-01\n", tmp_path, rules, types={"d": "date"}) == b'"d"\n"1990"\n'
    form = {"d": "%m/%d/%Y"}
    assert csv_of(b"d\n05/01/1990\n", tmp_path, rules, types=form) == b'"d"\n"1990"\n'
    with pytest.raises(InvalidRequest, match="cannot be given to Utf8") as refused:
        csv_of(b"d\n1990-05-01\n", tmp_path, rules)
    assert "--type NAME=date" in str(refused.value.hint)
    with pytest.raises(InvalidRequest, match="no column 'e', which has a type"):
        csv_of(b"d\n1990-05-01\n", tmp_path, rules, types={"e": "date"})


@pytest.mark.parametrize(
    ("data", "types", "sentence"),
    [
        (b"", {}, "empty"),
        (b"\n\n", {}, "no names of columns"),
        (b"\xff,b\n1,2\n", {}, "no names of columns in UTF-8"),
        (b"a,b\n1,2\nZaphod,4,5\n", {}, "a row has 3 values, expected 2"),
        (b'a,b\n"Zaphod,2\n', {}, "a row has 1 values, expected 2"),
        (b"a,b\n1,Zaphod\xff\n", {}, "column 'b' holds a value that is not of its type, or no"),
        (b"a,b\n1,Zaphod\n", {"b": "date"}, "column 'b' holds a value that is not of its type"),
    ],
)
def test_damaged_csv_is_refused_without_being_quoted(
    tmp_path: Path, data: bytes, types: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as refused:
        csv_of(data, tmp_path, {}, types=types)
    assert "Zaphod" not in f"{refused.value} {refused.value.hint}"
    assert os.listdir(tmp_path) == ["in.csv"]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
def test_cut_and_damaged_files_are_refused(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"in.{kind}"
    WRITERS[kind](source)
    whole = source.read_bytes()
    step = max(1, len(whole) // 23)
    refused = 0
    for cut in [*range(8, len(whole) - 1, step), len(whole) - 1]:
        source.write_bytes(whole[:cut])
        with pytest.raises((InvalidRequest, ConfigurationError)):
            mask_file(masker(), source, tmp_path / "out.csv", from_format=kind)
        refused += 1
    assert refused > 20
    assert os.listdir(tmp_path) == [source.name]


def test_an_impossible_treatment_and_an_unknown_column_leave_nothing(tmp_path: Path) -> None:
    WRITERS["parquet"](tmp_path / "in.parquet")
    for rules, sentence in (({"id": "scan"}, "cannot be given"), ({"x": "redact"}, "no column")):
        with pytest.raises(InvalidRequest, match=sentence):
            mask_file(masker(**rules), tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == ["in.parquet"]


def test_types_that_a_format_does_not_have_are_refused_before_any_row(tmp_path: Path) -> None:
    table = pa.table({"l": [[1]], "i": pa.array([None], pa.month_day_nano_interval())})
    with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    clear = Masker({}, default="clear")
    with pytest.raises(InvalidRequest, match=r"csv cannot hold column 'l' \(list<item: int64>\)"):
        mask_file(clear, tmp_path / "in.arrow", tmp_path / "out.csv")
    with pytest.raises(InvalidRequest, match="parquet cannot hold column 'i'"):
        mask_file(clear, tmp_path / "in.arrow", tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == ["in.arrow"]


def test_what_may_not_be_overwritten(tmp_path: Path) -> None:
    source, other = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS["parquet"](source)
    before = source.read_bytes()
    (tmp_path / "soft.parquet").symlink_to(source)
    (tmp_path / "hard.parquet").hardlink_to(source)
    for name in ("in", "soft", "hard"):
        with pytest.raises(Conflict, match="is the input"):
            mask_file(masker(), source, tmp_path / f"{name}.parquet", force=True)
        with pytest.raises(Conflict, match="is the input"):
            mask_file(masker(), source, other, report=tmp_path / f"{name}.parquet", force=True)
    other.write_text("mine")
    with pytest.raises(Conflict, match="--force"):
        mask_file(masker(), source, other)
    with pytest.raises(Conflict, match="--force"):
        mask_file(masker(), source, tmp_path / "new.parquet", report=other)
    assert other.read_text() == "mine"
    with pytest.raises(ConfigurationError, match="one file"):
        mask_file(masker(), source, tmp_path / "x.csv", report=tmp_path / "x.csv")
    with pytest.raises(Conflict, match="no such folder"):
        mask_file(masker(), source, tmp_path / "none" / "x.csv")
    with pytest.raises(Conflict, match="no plain file"):
        mask_file(masker(), source, tmp_path, to_format="csv")
    with pytest.raises(ConfigurationError, match="--format"):
        mask_file(masker(), source, tmp_path / "x.foo")
    mask_file(masker(), source, other, force=True)
    assert set(read(other)["name"]) == {"[REDACTED]"}
    assert source.read_bytes() == before
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(other.stat().st_mode) == 0o666 & ~mask


def test_a_target_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS["parquet"](source)

    def moved(done: int, total: int | None, rows: int) -> None:
        target.write_text("theirs")

    with pytest.raises(Conflict, match="appeared meanwhile"):
        mask_file(masker(), source, target, report=tmp_path / "report.json", moved=moved)
    assert target.read_text() == "theirs"
    assert sorted(os.listdir(tmp_path)) == ["in.parquet", "out.parquet"]


@pytest.fixture(params=["nameless", "hidden", "never named"])
def kind_of_file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """On filesystems that have files without names, and on those that do not."""
    if request.param == "hidden":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "never named":

        def refuse(handle: int, name: Path) -> None:
            raise OSError(errno.EXDEV, "Cross-device link")

        monkeypatch.setattr(appears, "_link_open_file", refuse)
    yield request.param


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space"), ValueError])
@pytest.mark.parametrize("force", [False, True])
def test_whatever_stops_it_leaves_nothing(
    tmp_path: Path, stop: Any, force: bool, kind_of_file: str
) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS["parquet"](source)
    if force:
        target.write_text("before")

    def moved(done: int, total: int | None, rows: int) -> None:
        raise stop

    with pytest.raises((KeyboardInterrupt, Failure, ValueError)):
        mask_file(masker(), source, target, force=force, moved=moved)
    assert sorted(os.listdir(tmp_path)) == (
        ["in.parquet", "out.parquet"] if force else ["in.parquet"]
    )
    assert not force or target.read_text() == "before"


def test_both_kinds_of_files_appear(tmp_path: Path, kind_of_file: str) -> None:
    for force in (False, True, True):
        with appears.appearing(tmp_path / "out", force=force) as file:
            file.write(b"whole")
            assert "out" not in os.listdir(tmp_path) or force
        assert (tmp_path / "out").read_bytes() == b"whole"
        assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(Conflict), appears.appearing(tmp_path / "out", force=False) as file:
        file.write(b"other")
    assert (tmp_path / "out").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["out"]


def test_progress_is_told_batch_by_batch(tmp_path: Path) -> None:
    for kind in WRITERS:
        told: list[tuple[int, int | None, int]] = []
        WRITERS[kind](tmp_path / f"in.{kind}")
        mask_file(
            masker(),
            tmp_path / f"in.{kind}",
            tmp_path / "out.arrow",
            force=True,
            moved=lambda *now, told=told: told.append(now),  # type: ignore[misc]
        )
        assert told == sorted(told, key=lambda now: now[2])
        done, total, rows = told[-1]
        assert total is not None
        assert (rows, 0 < done <= total) == (ROWS, True), kind


def test_the_report_says_what_was_done_and_no_value(tmp_path: Path) -> None:
    WRITERS["parquet"](tmp_path / "in.parquet")
    mask_file(
        masker(id="deny"), tmp_path / "in.parquet", tmp_path / "out.csv", report=tmp_path / "r.json"
    )
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["rows"] == ROWS
    assert report["columns"][0] == {
        "name": "id",
        "type": "int64",
        "type_after": None,
        "treatment": "deny",
    }
    assert report["columns"][2]["type_after"] == "string"
    assert report["cells_masked"]["note"] == {"scan": ROWS // 3}
    assert report["detectors"]["note"]["phone"] == {"cells": ROWS // 3, "spans": ROWS // 3}
    assert report["sample"] == {
        "name": ["[REDACTED]"],
        "mrn": ["NULL", "x_x_x"],
        "note": ["NULL", "x", "x [PHONE]"],
    }
    assert set(report["input"]) == {"format", "bytes"}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("call [PHONE], ask for Zaphod on 3", "x [PHONE], x… 0"),
        ("[SMITH] was here", "[x] x…"),
        ("Zaphod Beeblebrox-Prefect's", "x…"),
        ("O'Neil; née Łukasz", "x…"),
        ("1987-03-12 10:30", "0-0-0 0:0"),
        ("joão\u0301 ☎ 李小龍 5", "x… 0"),
        ("[CUSTOM] x", "[CUSTOM] x"),
        ("a\nb\tc", "x…"),
    ],
)
def test_shapes_spell_nothing(text: str, shape: str) -> None:
    assert Sample(["[CUSTOM]"]).shape(text) == shape


def test_a_sample_of_any_type_holds_no_value() -> None:
    sample = Sample()
    batch = pa.record_batch(
        {
            "n": pa.array([123456, None]),
            "d": pa.array(["Zaphod", None]).dictionary_encode(),
            "l": pa.array([["Zaphod"], None]),
            "b": pa.array([b"Zaphod", None]),
            "u": pa.array([bytes(16), None], pa.uuid()),
            "j": pa.array(['{"name": "Zaphod 77"}', None], pa.json_()),
        }
    )
    sample.look(batch)
    assert "Zaphod" not in str(sample.shapes())
    assert sample.shapes()["n"] == ["NULL", "int64"]
    assert sample.shapes()["d"] == ["NULL", "x"]


def test_what_csv_can_hold(tmp_path: Path) -> None:
    """Frames of polars come with views; JSON is text; bytes are none."""
    columns = {
        "v": pa.array(["fine", None], pa.string_view()),
        "d": pa.array(["x", None], pa.string_view()).dictionary_encode(),
        "j": pa.array(['{"a":"call 555-123-4567"}', None], pa.json_()),
        "b": pa.array([b"\xff", None]),
    }
    table = pa.table(columns)
    with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as writer:
        writer.write_table(table)
    clear = Masker({}, default="clear")
    with pytest.raises(InvalidRequest, match=r"csv cannot hold column 'b' \(binary\)$"):
        mask_file(clear, tmp_path / "in.arrow", tmp_path / "out.csv")
    mask_file(Masker({"b": "deny"}, default="clear"), tmp_path / "in.arrow", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ['"v","d","j"', '"fine","x","{""a"":""call [PHONE]""}"', ",,"]


def test_a_header_without_an_end_is_refused(tmp_path: Path) -> None:
    for data in (b"a," * (1 << 20), b'"' + b"a\n" * (1 << 20)):
        with pytest.raises(InvalidRequest, match="no names of columns"):
            csv_of(data, tmp_path, {})


@pytest.mark.parametrize("into", sorted(WRITERS))
def test_frames_of_polars_with_categories_and_enums(tmp_path: Path, into: str) -> None:
    kinds = {"c": pl.Categorical(), "e": pl.Enum(["a", SECRETS[0]]), "s": pl.String()}
    frame = pl.DataFrame({name: ["a", None] for name in kinds}, schema=kinds)
    frame.write_ipc(tmp_path / "in.arrow")
    frame.write_parquet(tmp_path / "in.parquet")
    for source in ("in.arrow", "in.parquet"):
        target = tmp_path / f"out.{into}"
        mask_file(Masker({}, default="clear"), tmp_path / source, target, force=True)
        assert read(target) == {"c": ["a", None], "e": ["a", None], "s": ["a", None]}
        assert SECRETS[0].encode() not in target.read_bytes()
