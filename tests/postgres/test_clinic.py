"""The clinic on real servers: the same rows everywhere, nobody real, a bug that can be found."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pyarrow as pa
import pytest

import servers
from gateway._kernel import MaskedStream
from gateway.demo import clinic, hunt

PATIENTS = 2000
#: MD5 over every row of every table of the clinic of 2,000. It changes with the generator, on
#: purpose, and must never differ between two loads or two versions of PostgreSQL.
DIGESTS = {
    "patient": "a0e5b555efa97233d69dbf746650bdcb",
    "encounter": "d83ff0a5a8fc65b912194e5da1d268b2",
    "observation": "aa3ac39e73aeeff9e265702e87790afe",
    "medication": "97915a0b196a4ae84f94019642627cfc",
}


# The clinic asks for the built-in locale, which is there from PostgreSQL 17 on.
_MAJORS = [major for major in servers.majors() if major >= 17]


@pytest.fixture(scope="module", params=_MAJORS, ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    with servers.running(request.param) as running:
        yield running


@pytest.fixture(scope="module")
async def loaded(server: servers.Server) -> clinic.Clinic:
    return await clinic.prepare(server.dsn(), patients=PATIENTS)


@pytest.fixture
async def db(loaded: clinic.Clinic) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(loaded.superuser_dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def answer(db: asyncpg.Connection, sql: str) -> pa.Table:
    rows = await db.fetch(sql)
    names = list(rows[0].keys())
    columns = [
        pa.array([str(v) if n == "value" else v for v in (r[n] for r in rows)]) for n in names
    ]
    return pa.table(columns, names=names)


async def test_sizes(db: asyncpg.Connection) -> None:
    for table, each in (
        ("patient", 1),
        ("encounter", clinic.ENCOUNTERS_PER_PATIENT),
        ("observation", clinic.OBSERVATIONS_PER_PATIENT),
        ("medication", clinic.MEDICATIONS_PER_PATIENT),
    ):
        assert await db.fetchval(f"SELECT count(*) FROM public.{table}") == each * PATIENTS


async def test_the_same_rows_on_every_server(db: asyncpg.Connection) -> None:
    await db.execute("SET TimeZone = 'UTC'")
    found = {
        table: await db.fetchval(
            f"SELECT md5(string_agg(md5(t::text), '' ORDER BY id)) FROM public.{table} AS t"
        )
        for table in DIGESTS
    }
    assert found == DIGESTS


async def test_a_second_start_keeps_the_clinic(
    server: servers.Server, loaded: clinic.Clinic, db: asyncpg.Connection
) -> None:
    again = await clinic.prepare(server.dsn(), patients=PATIENTS)
    assert not again.loaded
    assert await db.fetchval("SELECT count(*) FROM public.patient") == PATIENTS


async def test_another_size_replaces_it_and_a_failed_load_leaves_no_mark(
    newest: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await clinic.prepare(newest.dsn(), patients=60)).loaded
    with monkeypatch.context() as broken:
        broken.setattr(clinic, "_RIGHTS", "SELECT 1 / 0")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await clinic.prepare(newest.dsn(), patients=120)
    repaired = await clinic.prepare(newest.dsn(), patients=120)
    assert repaired.loaded
    db = await asyncpg.connect(repaired.superuser_dsn)
    try:
        assert await db.fetchval("SELECT count(*) FROM public.patient") == 120
    finally:
        await db.close()


async def test_identifiers_are_unique_and_impossible(db: asyncpg.Connection) -> None:
    rows = await db.fetch("SELECT mrn, ssn, phone, email FROM public.patient")
    for column in ("mrn", "ssn", "phone", "email"):
        values = [row[column] for row in rows if row[column] is not None]
        assert len(values) == len(set(values)) > 0.8 * PATIENTS
    for row in rows:
        assert re.fullmatch(r"\d{8}|ST-\d{6}", row["mrn"])
        # never issued as an SSN (9xx), nor as an ITIN (group 50 and up)
        assert row["ssn"] is None or re.fullmatch(r"9\d\d-(0[1-9]|[1-4]\d)-\d{4}", row["ssn"])
        assert not (row["ssn"] or "").endswith("-0000")
        # area code 555 is unassigned, no exchange begins with 0
        assert re.fullmatch(r"\(555\) 0\d\d-\d{4}", row["phone"])
        assert row["email"] is None or re.search(
            r"^[a-z0-9.-]+@(example\.org|example\.com|mail\.example\.net)$", row["email"]
        )


async def test_notes_mention_their_own_patient_in_many_spellings(db: asyncpg.Connection) -> None:
    rows = await db.fetch("SELECT full_name, mrn, phone, email, notes FROM public.patient")
    spellings = {
        "name as it is": lambda r: r["full_name"] in r["notes"],
        "name in capitals": lambda r: r["full_name"].upper() in r["notes"],
        "family name, initial": lambda r: re.search(
            rf"{_family(r)}, {r['full_name'][0]}\.", r["notes"]
        ),
        "FAMILY, given": lambda r: f"{_family(r).upper()}, " in r["notes"],
        "title": lambda r: re.search(rf"M(rs?|s)\. {_family(r)}", r["notes"]),
        "MRN 00123456": lambda r: f"MRN {r['mrn']}" in r["notes"],
        "MRN#ST-998877": lambda r: f"MRN#{r['mrn']}" in r["notes"] and r["mrn"].startswith("ST-"),
        "telephone as it is": lambda r: r["phone"] in r["notes"],
        "telephone with dots": lambda r: re.search(r"555\.0\d\d\.\d{4}", r["notes"]),
        "telephone in one piece": lambda r: re.search(r"\b5550\d{6}\b", r["notes"]),
        "e-mail": lambda r: r["email"] and r["email"] in r["notes"],
        "May 30th, 2022": lambda r: re.search(
            r"[A-Z][a-z]+ \d{1,2}(st|nd|rd|th), 20\d\d", r["notes"]
        ),
        "05/30/22": lambda r: re.search(r"\b\d\d/\d\d/\d\d\b", r["notes"]),
        "2022-05-30": lambda r: re.search(r"\b20\d\d-\d\d-\d\d\b", r["notes"]),
    }
    missing = [name for name, told in spellings.items() if not any(told(row) for row in rows)]
    assert missing == []


def _family(row: asyncpg.Record) -> str:
    return str(row["full_name"]).split(" ", 1)[1]


BESIDE = ("full_name", "mrn", "phone", "ssn", "email", "street", "insurance_id")


async def test_notes_read_with_their_rows_name_nobody(db: asyncpg.Connection) -> None:
    """Each note masked with the columns of its row that the demo's policy names."""
    text = {"kind": "text"}
    columns = [
        {"name": "notes", "type": text, "treatment": {"name": "scan"}, "row": list(range(1, 8))},
        *({"name": name, "type": text, "treatment": {"name": "null"}, "hidden": True}
          for name in BESIDE),
    ]  # fmt: skip
    kernel = MaskedStream(json.dumps({"format": "ndjson", "columns": columns}), b"k" * 32)
    masked = [kernel.head()]

    async def sink(data: bytes) -> None:
        masked.extend(kernel.feed(data))

    listed = f"SELECT notes, {', '.join(BESIDE)} FROM public.patient ORDER BY id"
    await db.copy_from_query(listed, output=sink, format="binary")
    masked += kernel.finish()
    lines = b"".join(chunk.data for chunk in masked).splitlines()
    rows = await db.fetch(listed)
    assert len(lines) == len(rows) == PATIENTS
    changed = 0
    for line, row in zip(lines, rows, strict=True):
        note = json.loads(line)["notes"]
        words = set(re.findall(r"[^\W\d_]{3,}", _plain(note)))
        parts = set(re.findall(r"[^\W\d_]{3,}", _plain(row["full_name"])))
        # An ordinary word in small letters is no name: "Patient will march".
        ordinary = {part for part in parts if part in re.findall(r"[a-z]+", note)}
        assert not (parts - ordinary) & words, (note, row["full_name"])
        joined = re.sub(r"[^0-9a-z]", "", _plain(note))
        for name in ("mrn", "phone", "ssn", "insurance_id"):
            value = re.sub(r"[^0-9a-z]", "", _plain(row[name] or ""))
            assert not value or value not in joined, (note, name)
        assert (row["email"] or "@@") not in note
        changed += note != row["notes"]
        of_nobody = ("Foley catheter", "Patient will march", "No acute distress")
        if row["notes"].startswith(of_nobody) and not parts & {"foley", "graves"}:
            assert note == row["notes"]
    assert changed > PATIENTS / 2


def _plain(text: str) -> str:
    """Small letters without accents."""
    letters = unicodedata.normalize("NFKD", text.translate(str.maketrans("øłđßæœØŁĐ", "oldsaooLD")))
    return "".join(c for c in letters if not unicodedata.combining(c)).lower()


async def test_visit_notes_have_numbers_and_no_names(db: asyncpg.Connection) -> None:
    told = await db.fetchrow(
        "SELECT count(*) FILTER (WHERE strpos(e.note, p.mrn) > 0) AS mrn, "
        "count(*) FILTER (WHERE strpos(e.note, p.phone) > 0) AS phone, "
        "count(*) FILTER (WHERE strpos(e.note, p.email) > 0) AS email, "
        r"count(*) FILTER (WHERE e.note ~ ' 555\.0\d\d\.\d{4} ') AS dotted, "
        "count(*) FILTER (WHERE strpos(lower(e.note), lower(p.full_name)) > 0) AS name "
        "FROM public.encounter AS e JOIN public.patient AS p ON p.id = e.patient_id"
    )
    counts = dict(told)
    assert counts.pop("name") == 0
    assert all(count > PATIENTS / 20 for count in counts.values()), counts


async def test_names_with_accents_hyphens_and_apostrophes(db: asyncpg.Connection) -> None:
    for pattern in ("[À-ž]", "-", "'", "^[^ ]+ [^ ]+ "):
        assert await db.fetchval("SELECT count(*) FROM patient WHERE full_name ~ $1", pattern) > 0


async def test_the_three_selects_find_the_bug(db: asyncpg.Connection) -> None:
    report = hunt.reported(await answer(db, hunt.REPORT))
    measurements = await answer(db, hunt.MEASUREMENTS)
    counted = hunt.took_place(measurements)
    extra = hunt.surplus(report, counted)
    suspects = hunt.suspected(await answer(db, hunt.SUSPECTS))

    assert measurements.num_rows == clinic.OBSERVATIONS_PER_PATIENT * PATIENTS
    assert len(measurements.column_names) == 10
    assert sum(extra.values()) > 0
    assert all(count > 0 for count in extra.values())
    assert suspects == extra  # every visit too many is a cancelled encounter with a twin
    assert sum(report.values()) > sum(counted.values())


async def test_the_login_reads_nothing_by_itself(loaded: clinic.Clinic) -> None:
    login = await asyncpg.connect(loaded.login_dsn)
    try:
        for table in ("public.patient", "public.encounter", "reporting.monthly_visits"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.fetchval(f"SELECT count(*) FROM {table}")
        await login.execute("SET ROLE clinic_reader")
        assert await login.fetchval("SELECT count(*) FROM public.patient") == PATIENTS
        for forbidden in (
            "DELETE FROM public.patient",
            "CREATE TABLE public.mine (a int)",
            "CREATE TEMP TABLE mine (a int)",
            "CREATE SCHEMA mine",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await login.execute(forbidden)
    finally:
        await login.close()


async def test_the_login_cannot_enter_the_control_database(
    loaded: clinic.Clinic, server: servers.Server
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.dsn(clinic.LOGIN, clinic.CONTROL_DATABASE))
    control = await asyncpg.connect(loaded.control_dsn)
    try:
        await control.execute("CREATE TABLE of_the_gateway (a int); DROP TABLE of_the_gateway")
    finally:
        await control.close()
