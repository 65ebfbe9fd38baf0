"""Values through the kernel against the same values from a direct connection, cell by cell.

For each type the values are asked for twice: as the server's own text, and as COPY BINARY
through `MaskedStream`. CSV writes what the server writes, so its cells must equal the text; NDJSON
and Arrow are compared with the value that the text stands for.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import asyncpg
import pyarrow as pa
import pytest

from copybytes import column, joined, opened, run
from gateway.errors import Unrepresentable
from servers import Server


@dataclass(frozen=True)
class Case:
    """Literals of one type, and how the decoder is told of it."""

    sql_type: str
    kind: str | dict[str, Any]
    values: tuple[str, ...]
    arrow: pa.DataType

    def query(self, select: str = "v") -> str:
        literals = ", ".join(
            f"({i}, $q${value}$q$::{self.sql_type})" for i, value in enumerate(self.values)
        )
        null = f"({len(self.values)}, NULL::{self.sql_type})"
        return f"SELECT {select} FROM (VALUES {literals}, {null}) AS t(i, v) ORDER BY i"


def numeric(precision: int, scale: int) -> dict[str, Any]:
    return {"kind": "numeric", "precision": precision, "scale": scale}


def array(element: str | dict[str, Any]) -> dict[str, Any]:
    return {"kind": "array", "element": {"kind": element} if isinstance(element, str) else element}


FLOATS8 = (
    "0",
    "-0",
    "1",
    "-1.5",
    "0.1",
    "1e14",
    "1e15",
    "1e-4",
    "1e-5",
    "1e100",
    "1.7976931348623157e308",
    "5e-324",
    "2.2250738585072014e-308",
    "123456789.123456789",
    "9007199254740993",
    "NaN",
    "Infinity",
    "-Infinity",
)
FLOATS4 = (
    "0",
    "-0",
    "1",
    "1e5",
    "1e6",
    "1.17549435e-38",
    "3.4028235e38",
    "0.1",
    "123456.7",
    "1234567",
    "1e-45",
    "16777216",
    "NaN",
    "Infinity",
    "-Infinity",
)
NUMERICS = (
    "0",
    "0.00",
    "-1",
    "12345678901234567890.123456789",
    "1e-20",
    "1e50",
    "-0.000100",
    "9999",
    "10000",
    "100000000",
    "0.1230",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e1000",
    "-123.450e-300",
)
DATES = (
    "2000-01-01",
    "1970-01-01",
    "2024-02-29",
    "1900-03-01",
    "0001-01-01",
    "0044-03-15 BC",
    "4714-11-24 BC",
    "9999-12-31",
    "10000-01-01",
    "5874897-12-31",
)
STAMPS = (
    "2024-01-02 03:04:05.123456",
    "2024-01-02 03:04:05.1",
    "1999-12-31 23:59:59.999999",
    "1969-12-31 23:59:59.5",
    "0044-03-15 12:00:00 BC",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "10000-01-01 00:00:00",
    "290000-01-01 00:00:01",
    "4713-01-01 00:00:00 BC",
)
INTERVALS = (
    "0",
    "1 year 2 months 3 days 04:05:06.789",
    "-1 year",
    "1 mon -1 day",
    "-1 day 01:00:00",
    "100:00:00",
    "-00:00:00.5",
    "1 year -1 month",
    "25 months",
    "-25 months 3 days",
    "1 microsecond",
    "2 years 1 day",
    "-1 mons 1 day -00:00:01",
)
ADDRESSES = (
    "10.0.0.1",
    "10.0.0.1/8",
    "0.0.0.0/0",
    "255.255.255.255",
    "::",
    "::1",
    "::/0",
    "2001:db8::1",
    "2001:db8::/32",
    "::ffff:1.2.3.4",
    "::1.2.3.4",
    "::ffff:0:0",
    "1:0:0:2:0:0:0:3",
    "1:0:2:3:4:5:6:7",
    "1::8",
    "fe80::1%0/64".replace("%0", ""),
    "::ffff:1.2.3.4/96",
    "0:0:0:0:0:1:0:0",
    "::2:0:0",
    "1:2:3:4:5:6:7:0",
    "0:1:2:3:4:5:6:7",
)
NETWORKS = (
    "10.0.0.0/8",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::1/128",
    "::/0",
    "::ffff:1.2.3.0/120",
)
TEXTS = (
    "",
    "plain",
    "Zoë ✓ 𝄞",
    'say "x"',
    "a,b",
    "line\nbreak",
    "cr\r",
    "tab\t",
    "back\\slash",
    "\x01\x7f",
    " spaces ",
    "NULL",
    "x" * 5000,
)
DOCUMENTS = (
    '{"a": 1, "b": [true, null, "x\\ny"], "c": 1.50}',
    "[]",
    '"text"',
    "null",
    "12345678901234567890.5",
    '{"é": "\\u00e9\\"", "": {}}',
    " [ 1 ,\n 2 ] ",
)

CASES = [
    Case("bool", "bool", ("true", "false"), pa.bool_()),
    Case("int2", "int2", ("0", "-32768", "32767"), pa.int16()),
    Case("int4", "int4", ("0", "-2147483648", "2147483647"), pa.int32()),
    Case("int8", "int8", ("0", "-9223372036854775808", "9223372036854775807"), pa.int64()),
    Case("float4", "float4", FLOATS4, pa.float32()),
    Case("float8", "float8", FLOATS8, pa.float64()),
    Case("numeric", "numeric", NUMERICS, pa.string()),
    Case(
        "numeric(10,2)", numeric(10, 2), ("0", "-0.01", "99999999.99", "1.5"), pa.decimal128(10, 2)
    ),
    Case("numeric(38,0)", numeric(38, 0), ("9" * 38, "-" + "9" * 38, "7"), pa.decimal128(38, 0)),
    Case(
        "numeric(38,37)",
        numeric(38, 37),
        ("9." + "9" * 37, "-0." + "0" * 36 + "1"),
        pa.decimal128(38, 37),
    ),
    Case("numeric(5,5)", numeric(5, 5), ("0.12345", "-0.00001"), pa.decimal128(5, 5)),
    Case("numeric(5,-2)", numeric(5, -2), ("1234567", "50", "-100"), pa.string()),
    Case("numeric(50,3)", numeric(50, 3), ("9" * 47 + ".123", "1"), pa.string()),
    Case("text", "text", TEXTS, pa.string()),
    Case("varchar(20)", "text", TEXTS[:5], pa.string()),
    Case("char(6)", "text", ("", "ab", "abcdef"), pa.string()),
    Case("name", "text", ("pg_class", ""), pa.string()),
    Case('"char"', "text", ("x", ""), pa.string()),
    Case("bytea", "bytea", ("\\x", "\\x00ff", "\\xdeadbeef01"), pa.binary()),
    Case("date", "date", DATES, pa.date32()),
    Case("time", "time", ("00:00", "23:59:59.999999", "12:34:56.7"), pa.time64("us")),
    Case("timetz", "timetz", ("00:00+00", "24:00:00-12:34:56", "01:02:03.040+05:30"), pa.string()),
    Case("timestamp", "timestamp", STAMPS, pa.timestamp("us")),
    Case("timestamptz", "timestamptz", STAMPS, pa.timestamp("us", tz="UTC")),
    Case("interval", "interval", INTERVALS, pa.month_day_nano_interval()),
    Case(
        "uuid",
        "uuid",
        ("00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        pa.uuid(),
    ),
    Case("json", "json", DOCUMENTS, pa.json_()),
    Case("jsonb", "jsonb", DOCUMENTS, pa.json_()),
    Case("oid", "oid", ("0", "4294967295"), pa.string()),
    Case("inet", "inet", ADDRESSES, pa.string()),
    Case("cidr", "cidr", NETWORKS, pa.string()),
    Case("macaddr", "macaddr", ("08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"), pa.string()),
    Case("macaddr8", "macaddr8", ("08:00:2b:01:02:03:04:05",), pa.string()),
    Case("bit(10)", "bit", ("1010000011", "0000000000"), pa.string()),
    Case("varbit", "bit", ("", "1", "10101010", "101010101"), pa.string()),
    Case(
        "mood",
        {"kind": "enum", "labels": ["sad", "ok", "glad, really"]},
        ("ok", "sad", "glad, really", "ok"),
        pa.dictionary(pa.int32(), pa.string()),
    ),
    Case("adult", "int4", ("18", "99"), pa.int32()),
]

ARRAYS = [
    Case("int4[]", array("int4"), ("{}", "{1,2,NULL}", "[5:6]={7,8}"), pa.list_(pa.int32())),
    Case("text[]", array("text"), ("{}", '{"",NULL,"a,b","q\\"",é}'), pa.list_(pa.string())),
    Case("bool[]", array("bool"), ("{t,f,NULL}",), pa.list_(pa.bool_())),
    Case("float8[]", array("float8"), ("{1.5,NULL,-0.1}",), pa.list_(pa.float64())),
    Case(
        "mood[]",
        array({"kind": "enum", "labels": ["sad", "ok", "glad, really"]}),
        ('{ok,"glad, really"}',),
        pa.list_(pa.string()),
    ),
    Case("jsonb[]", array("jsonb"), ('{"{\\"a\\": [1]}","null",NULL}',), pa.list_(pa.json_())),
    Case("date[]", array("date"), ("{2024-02-29,NULL}",), pa.list_(pa.date32())),
    Case("int2vector", array("int2"), ("1 2 3",), pa.list_(pa.int16())),
]


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that is rolled back, with the types of the cases."""
    connection = await asyncpg.connect(
        server.dsn(), server_settings={"TimeZone": "UTC", "IntervalStyle": "postgres"}
    )
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad, really');"
            "CREATE DOMAIN adult AS int4 CHECK (VALUE >= 18)"
        )
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def streamed(connection: asyncpg.Connection, case: Case, form: str, **options: Any) -> bytes:
    """The case's values through the kernel."""
    raw = io.BytesIO()
    await connection.copy_from_query(case.query(), output=raw, format="binary")
    return joined(run(opened([column("v", case.kind)], form, **options), [raw.getvalue()]))


async def texts(connection: asyncpg.Connection, query: str) -> list[str | None]:
    return [record[0] for record in await connection.fetch(query)]


def csv_cells(data: bytes) -> list[str | None]:
    """One column's cells, NULL told from the empty string by its quotes."""
    header, rest = data.decode().split("\r\n", 1)
    assert header == "v"
    cells: list[str | None] = []
    for record in csv.reader(io.StringIO(rest, newline=""), strict=True):
        cells.append(record[0] if record else None)
    return cells


def ids(case: Case) -> str:
    return case.sql_type


# What the type's output function prints: a cast to text strips char(n) and prefixes every inet.
PRINTED = "CASE WHEN v IS NOT NULL THEN format('%s', v) END"


@pytest.mark.parametrize("case", CASES, ids=ids)
async def test_csv_is_the_servers_text(server: Server, case: Case) -> None:
    select = {
        "bool": "v::text",
        "bytea": "translate(encode(v, 'base64'), E'\\n', '')",
    }.get(case.sql_type, PRINTED)
    async with connected(server) as connection:
        expected = await texts(connection, case.query(select))
        assert csv_cells(await streamed(connection, case, "csv")) == expected


def said_by_json(case: Case, text: str | None) -> Any:
    """What the NDJSON value must be, worked out from the server's text."""
    if text is None:
        return None
    match case.kind:
        case "bool":
            return text == "t"
        case "int2" | "int4" | "int8":
            return int(text)
        case "float4" | "float8":
            return text if text in ("NaN", "Infinity", "-Infinity") else float(text)
        case "json" | "jsonb":
            return json.loads(text)
        case "bytea":
            return base64.b64encode(bytes.fromhex(text[2:])).decode()
        case "timestamp" | "timestamptz" if "BC" not in text and len(text.split("-")[0]) == 4:
            return text.replace(" ", "T").replace("+00", "Z")
    return text


@pytest.mark.parametrize("case", CASES, ids=ids)
async def test_ndjson_holds_the_same_values(server: Server, case: Case) -> None:
    async with connected(server) as connection:
        await connection.execute("SET LOCAL IntervalStyle = iso_8601")
        expected = [said_by_json(case, t) for t in await texts(connection, case.query(PRINTED))]
        data = await streamed(connection, case, "ndjson")
    got = [json.loads(line)["v"] for line in data.decode().split("\n")[:-1]]
    assert got == expected
    assert [type(value) for value in got] == [type(value) for value in expected]


# Values that Python's own types cannot hold, as the numbers Arrow stores.
NUMBERS = {
    "date": "(v - DATE '1970-01-01')::int8",
    "timestamp": "(extract(epoch from v) * 1000000)::int8",
    "timestamptz": "(extract(epoch from v) * 1000000)::int8",
    "interval": """CASE WHEN v IS NOT NULL THEN ARRAY[
        extract(year from v) * 12 + extract(month from v), extract(day from v),
        (extract(hour from v) * 3600 + extract(minute from v) * 60) * 1000000000
        + extract(microseconds from v) * 1000]::int8[] END""",
}


@pytest.mark.parametrize("case", CASES + ARRAYS, ids=ids)
async def test_arrow_holds_the_same_values(server: Server, case: Case) -> None:
    select = PRINTED if case.arrow == pa.string() else NUMBERS.get(str(case.kind), "v")
    async with connected(server) as connection:
        data = await streamed(connection, case, "arrow")
        expected = await texts(connection, case.query(select))
    column = pa.ipc.open_stream(data).read_all().column("v")
    assert column.type == case.arrow
    assert column.null_count == 1
    if case.kind in ("date", "timestamp", "timestamptz"):
        column = column.cast(pa.int32() if case.kind == "date" else pa.int64())
    got = column.to_pylist()
    if case.kind == "interval":
        got = [None if value is None else list(value) for value in got]
    # NaN equals nothing, -0 equals 0: floats are compared as Python writes them.
    assert list(map(repr, got)) == list(map(repr, expected))


@pytest.mark.parametrize("case", ARRAYS, ids=ids)
async def test_arrays_in_the_text_formats_are_json(server: Server, case: Case) -> None:
    async with connected(server) as connection:
        expected = [
            None if text is None else json.loads(text)
            for text in await texts(connection, case.query("to_json(v)::text"))
        ]
        lines = (await streamed(connection, case, "ndjson")).decode().splitlines()
        cells = csv_cells(await streamed(connection, case, "csv"))
    assert [json.loads(line)["v"] for line in lines] == expected
    assert [None if cell is None else json.loads(cell) for cell in cells] == expected


@pytest.mark.parametrize(
    ("sql_type", "kind", "value"),
    [
        ("date", "date", "infinity"),
        ("timestamp", "timestamp", "-infinity"),
        ("timestamptz", "timestamptz", "infinity"),
        ("timestamp", "timestamp", "294276-12-31 23:59:59"),
        ("time", "time", "24:00:00"),
        ("interval", "interval", "infinity"),
        ("interval", "interval", "100000 years 9000000000000 seconds"),
        ("numeric(5,2)", numeric(5, 2), "NaN"),
        ("int4[]", array("int4"), "{{1,2},{3,4}}"),
        ("timestamp[]", array("timestamp"), "{infinity}"),
    ],
)
@pytest.mark.parametrize("form", ["arrow", "ndjson", "csv"])
async def test_values_without_an_arrow_form_end_the_stream(
    server: Server, sql_type: str, kind: Any, value: str, form: str
) -> None:
    if (sql_type, value) == ("interval", "infinity") and server.major < 17:
        value = "100000 years 9000000000000 seconds"  # infinite intervals came with 17
    case = Case(sql_type, kind, (value,), pa.null())
    async with connected(server) as connection:
        with pytest.raises(Unrepresentable) as caught:
            await streamed(connection, case, form)
    assert caught.value.hint == 'cast it to text: "v"::text'
    assert caught.value.detail.startswith('column "v": ')


async def test_infinity_as_null(server: Server) -> None:
    case = Case("timestamptz", "timestamptz", ("infinity", "-infinity", "2024-01-01"), pa.null())
    async with connected(server) as connection:
        data = await streamed(connection, case, "csv", infinity="null")
    assert csv_cells(data) == [None, None, "2024-01-01 00:00:00+00", None]


async def test_python_reads_the_everyday_values_as_its_own(server: Server) -> None:
    """Dates, times and decimals as a reader of the Arrow stream sees them."""
    everyday = {
        ("date", "date"): date(2024, 2, 29),
        ("time", "time"): time(1, 2, 3, 400_000),
        ("timestamp", "timestamp"): datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001
    }
    async with connected(server) as connection:
        for (sql_type, kind), value in everyday.items():
            case = Case(sql_type, kind, (str(value),), pa.null())
            data = await streamed(connection, case, "arrow")
            assert pa.ipc.open_stream(data).read_all().to_pylist()[0] == {"v": value}
        case = Case("numeric(6,3)", numeric(6, 3), ("-12.340",), pa.null())
        data = await streamed(connection, case, "arrow")
        assert pa.ipc.open_stream(data).read_all().to_pylist()[0] == {"v": Decimal("-12.340")}
