"""A whole small world for endpoint tests: PostgreSQL, issuer and gateway, each a real process."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

import servers
from receiver import Receiver

SCHEMA = """
create type status as enum ('planned', 'finished', 'cancelled');
create table patient (
    id bigint primary key, full_name text not null, mrn text not null, dob date, notes text,
    city text, phone text
);
create table encounter (
    id bigint primary key, patient_id bigint references patient, status status,
    at timestamptz, cost numeric(10,2)
);
create table payroll (id bigint primary key, salary numeric(10,2));
insert into patient
select n, 'Nadia Planted' || n, 'ST-' || (900000 + n), date '1980-01-01' + (n % 9000)::int,
       'Seen on 03/04/2021, MRN: ST-' || (900000 + n)
           || ', call (555) 010-' || lpad((n%10000)::text, 4, '0'),
       (array['Boston','Salem','Lynn'])[1 + n % 3], '555-010-' || lpad((n%10000)::text, 4, '0')
from generate_series(1, 1000) n;
insert into encounter
select n, 1 + n % 1000, (array['planned','finished','cancelled']::status[])[1 + n % 3],
       timestamptz '2026-01-01 00:00Z' + n * interval '1 minute', (n % 977) + 0.25
from generate_series(1, 5000) n;
create table labelled (
    id bigint primary key, note text, full_name text,
    label text generated always as (full_name || '; ' || note) stored
);
insert into labelled (id, note, full_name) values (1, 'seen', 'Nadia Planted1');
create view visits as
    select e.id, p.full_name, e.status from encounter e join patient p on p.id = e.patient_id;
create role clinic_reader nologin;
create role maskgate_login login noinherit;
grant usage on schema public to clinic_reader, maskgate_login;
grant select on all tables in schema public to clinic_reader;
grant clinic_reader to maskgate_login;
"""

COLUMNS = """
"public.patient.id" = "clear"
"public.patient.city" = "clear"
"public.patient.full_name" = "redact"
"public.patient.mrn" = "token"
"public.patient.dob" = "year"
"public.patient.notes" = "scan"
"public.patient.phone" = { treatment = "partial", last = 2 }
"public.encounter.*" = "clear"
"public.labelled.*" = "clear"
"public.labelled.note" = "scan"
"public.labelled.full_name" = "redact"
"""

AGENT, OTHER, STEWARD, AUDITOR = "agent-reporting", "agent-billing", "steward-dana", "auditor-amir"
ARROW = "application/vnd.apache.arrow.stream"


class Process:
    """A child that says one JSON line when it is ready, and is gone at the end."""

    def __init__(
        self, *arguments: str, errors: Path, environment: dict[str, str] | None = None
    ) -> None:
        self._errors = errors.open("ab")
        self.child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            self.end()
            raise RuntimeError(f"{arguments}: {errors.read_text()[-4000:]}")
        self.ready: dict[str, Any] = json.loads(line)

    def end(self) -> None:
        self.child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(10)
        self.child.kill()
        self.child.wait()
        if self.child.stdout is not None:
            self.child.stdout.close()
        self._errors.close()


class World:
    """One database, one issuer, one gateway."""

    receiver: Receiver  # of webhooks, where there is one
    environment: dict[str, str] | None = None  # of the gateway, beside the test's own

    def __init__(self, home: Path, server: servers.Server, database: str) -> None:
        self.home = home
        self.server = server
        self.database = database
        self.issuer = Process(
            "gateway.demo.issuer", "--port", "0", "--state", str(home / "idp"),
            errors=home / "issuer.err",
        )  # fmt: skip
        self._tokens: dict[str, str] = {}
        self.config = home / "maskgate.toml"
        self.write_config()
        self.start()

    def gateway_config(self, port: int = 0) -> str:
        """The tables that say where the gateway listens, keeps its state and whom it believes."""
        return f"""\
[server]
listen = "127.0.0.1:{port}"
allow_development_issuer = true
[state]
control = "{self.server.dsn(database=self.database + "_control")}"
log = "log"
origin = "test.example/log"
[masking]
token_key = "file:token.key"
[[issuers]]
issuer = "{self.issuer.ready["issuer"]}"
development = true
"""

    def write_config(
        self, limits: str = "", columns: str = COLUMNS, port: int = 0, connection: str = ""
    ) -> None:
        self.config.write_text(f"""\
{self.gateway_config(port)}[access]
auditors = ["group:auditors"]
approvers = ["group:data-stewards"]
[limits]
{limits}
[connections.clinic]
dsn = "{self.server.dsn("maskgate_login", self.database)}"
role = "clinic_reader"
{connection}
[connections.clinic.columns]
{columns}
""")

    def neighbour(self, home: Path) -> World:
        """A second gateway with a log of its own, on the same control store, issuer and clinic."""
        home.mkdir()
        other = copy.copy(self)
        other.home, other.config = home, home / "maskgate.toml"
        other.config.write_text(self.config.read_text().replace("test.example", "other.example"))
        other.start()
        return other

    def start(self) -> None:
        self.gateway = Process(
            "gateway", "serve", "-c", str(self.config),
            errors=self.home / "gateway.err", environment=self.environment,
        )  # fmt: skip
        self.url: str = self.gateway.ready["url"]

    def restart(self) -> None:
        self.gateway.end()
        self.start()

    def end(self) -> None:
        self.gateway.end()
        self.issuer.end()

    @property
    def trust(self) -> Path:
        return self.home / "log" / "trust.json"

    def token(self, client: str) -> str:
        if client not in self._tokens:
            secrets = json.loads((self.home / "idp" / "clients.json").read_text())
            answer = httpx.post(
                f"{self.issuer.ready['issuer']}/token",
                data={"grant_type": "client_credentials"},
                auth=(client, secrets[client]),
            )
            self._tokens[client] = answer.json()["access_token"]
        return self._tokens[client]

    def http(self, client: str | None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token(client)}"} if client else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def call(self, client: str | None, method: str, path: str, body: Any = None) -> httpx.Response:
        with self.http(client) as http:
            return http.request(method, path, json=body)

    def grant(self, client: str = AGENT, tables: Any = "*", **more: Any) -> dict[str, Any]:
        """A grant that the steward has approved."""
        body = {
            "connection": "clinic",
            "tables": [tables] if isinstance(tables, str) else tables,
            "purpose": "report totals differ",
            "duration_s": 600,
            **more,
        }
        asked = self.call(client, "POST", "/v1/grants", body)
        assert asked.status_code == 201, asked.text
        approved = self.call(
            STEWARD, "POST", f"/v1/grants/{asked.json()['id']}/approve", {"reason": "ok"}
        )
        assert approved.status_code == 200, approved.text
        return dict(approved.json())

    def session(self, client: str = AGENT, grant: str | None = None) -> str:
        body: dict[str, Any] = {"connection": "clinic"}
        if grant is not None:
            body["grant"] = grant
        opened = self.call(client, "POST", "/v1/sessions", body)
        assert opened.status_code == 201, opened.text
        return str(opened.json()["id"])

    def query(
        self, session: str, sql: str, client: str = AGENT, accept: str = ARROW, **more: Any
    ) -> httpx.Response:
        with self.http(client) as http:
            return http.post(
                f"/v1/sessions/{session}/query",
                json={"sql": sql, **more},
                headers={"Accept": accept},
            )

    def rows(self, session: str, sql: str, **more: Any) -> list[dict[str, Any]]:
        return self.table(session, sql, **more).to_pylist()

    def table(self, session: str, sql: str, **more: Any) -> pa.Table:
        return table_of(self.query(session, sql, **more))

    def close(self, session: str, client: str = AGENT) -> None:
        assert self.call(client, "DELETE", f"/v1/sessions/{session}").status_code == 204

    def evidence(self, session: str, client: str = AUDITOR) -> bytes:
        answer = self.call(client, "GET", f"/v1/sessions/{session}/evidence")
        assert answer.status_code == 200, answer.text
        return answer.content

    def records(self, session: str) -> list[dict[str, Any]]:
        """The session's records, as its evidence holds them."""
        import zipfile

        with zipfile.ZipFile(io.BytesIO(self.evidence(session))) as bundle:
            lines = bundle.read("session.jsonl").splitlines()
        records = [json.loads(line) for line in lines]
        return [{"type": record["type"], **record["body"]} for record in records]


def table_of(answer: httpx.Response) -> pa.Table:
    """The rows of a statement's answer, which has to be one."""
    assert answer.status_code == 200, answer.text
    return pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()


def verify(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the auditor's script as he would."""
    import gateway.auditor

    script = Path(gateway.auditor.__file__).parent / "verify.py"
    return subprocess.run(
        [sys.executable, str(script), str(bundle), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def wait_until(condition: Any, seconds: float = 30.0) -> Any:
    """The condition's first true answer; fails when none comes in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@contextlib.contextmanager
def built(home: Path, server: servers.Server, database: str) -> Iterator[World]:
    """A world over a database of its own on a running server."""
    import asyncio

    import asyncpg

    async def prepare() -> None:
        admin = await asyncpg.connect(server.dsn())
        await admin.execute(f'create database "{database}"')
        await admin.execute(f'create database "{database}_control"')
        await admin.close()
        clinic = await asyncpg.connect(server.dsn(database=database))
        roles = await clinic.fetchval("select 1 from pg_roles where rolname = 'clinic_reader'")
        schema = SCHEMA
        if roles:
            schema = "\n".join(
                line for line in SCHEMA.splitlines() if not line.startswith("create role")
            )
        await clinic.execute(schema)
        await clinic.close()

    asyncio.run(prepare())
    world = World(home, server, database)
    try:
        yield world
    finally:
        world.end()
