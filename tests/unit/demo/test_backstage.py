"""The demo's processes and its configuration: readable, complete, and nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.demo import backstage
from gateway.demo.backstage import BackstageError


def classified() -> dict[str, object]:
    text = backstage.settings(listen="127.0.0.1:1234", issuer="http://127.0.0.1:99")
    assert "$" not in text
    columns: dict[str, object] = tomllib.loads(text)["connections"]["clinic"]["columns"]
    return columns


def test_the_configuration_is_filled_in() -> None:
    text = backstage.settings(listen="127.0.0.1:1234", issuer="http://127.0.0.1:99")
    parsed = tomllib.loads(text)
    assert parsed["server"]["listen"] == "127.0.0.1:1234"
    assert parsed["issuers"][0]["issuer"] == "http://127.0.0.1:99"
    assert parsed["state"]["origin"] == backstage.ORIGIN
    assert parsed["connections"]["clinic"]["role"] == "clinic_reader"


def test_no_secret_stands_in_the_configuration() -> None:
    text = backstage.settings(listen="127.0.0.1:1", issuer="http://127.0.0.1:2")
    assert "postgresql://" not in text
    assert "password" not in text


@pytest.mark.parametrize("column", ["full_name", "mrn", "dob", "ssn", "phone", "email", "street",
                                    "zip", "insurance_id", "notes"])  # fmt: skip
def test_what_identifies_a_patient_is_protected(column: str) -> None:
    assert classified()[f"public.patient.{column}"] != "clear"


def test_every_column_of_the_patients_and_encounters_is_named() -> None:
    script = files("gateway.demo").joinpath("clinic.sql").read_text(encoding="utf-8")
    for table in ("patient", "encounter"):
        body = re.search(rf"CREATE TABLE public\.{table} \((.*?)\n\);", script, re.DOTALL)
        assert body is not None
        columns = re.findall(r"^    (\w+) ", body[1], re.MULTILINE)
        assert len(columns) > 8
        assert [c for c in columns if f"public.{table}.{c}" not in classified()] == []


def test_a_process_that_says_nothing_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = ["-c", "import sys; sys.exit('the port is taken')"]
    with (
        pytest.raises(BackstageError, match="the port is taken"),
        backstage.running(command, tmp_path / "log", {}),
    ):
        pass


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_process_ends_with_the_demo(tmp_path: Path, failure: type[BaseException]) -> None:
    command = ["-c", "import json, os, time\nprint(json.dumps({'pid': os.getpid()}), flush=True)\n"
               "time.sleep(600)"]  # fmt: skip
    with (
        pytest.raises(failure),
        backstage.running(command, tmp_path / "log", {}) as child,
    ):
        pid = child.pid
        assert child.said == {"pid": pid}
        raise failure
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_unwinds(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, backstage._closed_terminal_is_an_end():
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 1)  # the handler runs before this returns
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) == before
