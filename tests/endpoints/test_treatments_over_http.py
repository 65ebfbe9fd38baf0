"""zip3, bucket and fpe of a real table over HTTP, and what `maskgate check` says of types."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator

import asyncpg
import pytest
from world import COLUMNS, World, built

import servers

TABLE = """
create table visitor (
    id int primary key, zip text, padded char(10), zip_number int, age int, weight numeric,
    ssn text, record varchar(20), account bigint, zips text[], born date
);
insert into visitor values
    (1, '02139', '02139-4307', 2139, 47, 82.5, '123-45-6789', 'ST-900001', 123456789,
     array['02139', null, '89301'], '1979-05-30'),
    (2, '36904', 'none', 9012, 93, 'NaN', '12-3', 'st-900001', 12, null, '1933-01-01'),
    (3, null, null, null, null, null, null, null, null, null, null);
grant select on visitor to clinic_reader;
"""
RULES = (
    COLUMNS
    + """
"public.visitor.id" = "clear"
"public.visitor.zip" = "zip3"
"public.visitor.padded" = "zip3"
"public.visitor.zip_number" = { treatment = "zip3", census = 2010 }
"public.visitor.zips" = "zip3"
"public.visitor.age" = { treatment = "bucket", edges = [18, 40, 65, 90] }
"public.visitor.weight" = { treatment = "bucket", width = 10 }
"public.visitor.ssn" = { treatment = "fpe", separators = "-" }
"public.visitor.account" = "fpe"
"public.visitor.record" = { treatment = "fpe", radix = 36, separators = "-" }
"public.visitor.born" = "BORN"
"""
)


@pytest.fixture(scope="module")
def visited(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    async def prepare(dsn: str) -> None:
        clinic = await asyncpg.connect(dsn)
        await clinic.execute(TABLE)
        await clinic.close()

    with built(tmp_path_factory.mktemp("treatments"), newest, "treatments_world") as world:
        asyncio.run(prepare(newest.dsn(database="treatments_world")))
        world.write_config(columns=RULES.replace("BORN", "zip3"))
        world.restart()
        world.grant()
        yield world


def test_what_comes_of_each_value(visited: World) -> None:
    session = visited.session()
    places = "zip, padded, zip_number, zips, age, weight"
    first, second, nothing = visited.rows(session, f"select {places} from visitor order by id")
    assert list(first.values()) == [
        "021", "021", "021", ["021", None, "000"], "[40,65)", "[80,90)",
    ]  # fmt: skip
    assert list(second.values()) == ["000", "000", "000", None, "[90,)", "[REDACTED]"]
    assert set(nothing.values()) == {None}
    table = visited.table(session, "select ssn, account, record from visitor order by id")
    treatments = {field.metadata[b"maskgate.treatment"] for field in table.schema}
    assert treatments == {b"fpe"}
    first, second, nothing = table.to_pylist()
    assert re.fullmatch(r"\d{3}-\d\d-\d{4}", first["ssn"])
    assert first["ssn"] != "123-45-6789"
    assert first["account"] == first["ssn"].replace("-", "")
    assert re.fullmatch("[0-9A-Z]{2}-[0-9A-Z]{6}", first["record"])
    assert set(second.values()) == {"[REDACTED]"}
    assert set(nothing.values()) == {None}
    counted = [r["cells_masked"] for r in visited.records(session) if "cells_masked" in r]
    visited.close(session)
    assert {"ssn": {"fpe": 2}, "account": {"fpe": 2}, "record": {"fpe": 2}} in counted


def test_as_text_they_are_what_they_are_plainly(visited: World) -> None:
    session = visited.session()
    written = "age::text as age, weight::text as weight, account::text as account"
    plain = "age, weight, account"
    text = visited.rows(session, f"select {written} from visitor order by id")
    assert text == visited.rows(session, f"select {plain} from visitor order by id")
    # Computed with, they are NULL at source as any protected column is.
    assert visited.rows(session, "select age + 1 as x from visitor where id = 1") == [{"x": None}]
    assert visited.rows(session, "select id from visitor where age > 40") == []
    visited.close(session)


def test_a_type_that_cannot_take_its_treatment_is_refused(visited: World) -> None:
    session = visited.session()
    answer = visited.query(session, "select born from visitor")
    visited.close(session)
    assert answer.status_code == 422
    said = "cannot be given to Date32; possible: clear, redact, null, token, year"
    assert said in answer.json()["detail"]
    checked = check(visited)
    assert checked.returncode == 1
    (line,) = [line for line in checked.stdout.splitlines() if "cannot be given" in line]
    assert "public.visitor.born (rule public.visitor.born = zip3): " in line
    assert said in line


def test_check_is_content_with_what_fits(visited: World) -> None:
    visited.write_config(columns=RULES.replace("BORN", "year"))
    checked = check(visited)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def check(world: World) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(world.config)],
        capture_output=True,
        text=True,
        check=False,
    )
