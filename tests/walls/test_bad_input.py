"""Enormous, deep and awkward statements through HTTP: each refused or answered, nothing stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import world as worlds
from statements import BODIES, HEADINGS, MONSTERS, NAMES, Monster

import servers

#: Kilobytes of resident memory that the gateway may ever have had while it is sent all of this.
MOST_MEMORY = 350 * 1024


@pytest.fixture(scope="module")
def gate(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with worlds.built(tmp_path_factory.mktemp("gate"), newest, "bad_input") as world:
        world.grant()
        gate = Gate(world)
        yield gate
        gate.http.close()


class Gate:
    """One session of one world, and a look at the gateway's process."""

    def __init__(self, world: worlds.World) -> None:
        self.world = world
        self.session = world.session()
        self.http = world.http(worlds.AGENT)
        self.http.timeout = httpx.Timeout(120)

    def send(self, body: bytes) -> httpx.Response:
        return self.http.post(
            f"/v1/sessions/{self.session}/query",
            content=body,
            headers={"Accept": "application/x-ndjson", "Content-Type": "application/json"},
        )

    def ask(self, sql: str) -> httpx.Response:
        return self.http.post(
            f"/v1/sessions/{self.session}/query",
            json={"sql": sql},
            headers={"Accept": "application/x-ndjson"},
        )

    def peak(self) -> int:
        """The most memory the process has had, in kilobytes."""
        status = Path(f"/proc/{self.world.gateway.child.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1])

    def well(self) -> None:
        """The same process still answers, and the database it asks has not been restarted."""
        assert self.world.gateway.child.poll() is None
        assert self.ask("select 1 as x").json() == {"x": 1}
        assert self.peak() < MOST_MEMORY


def _refused(answer: httpx.Response) -> str:
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert len(answer.content) < 4096  # a refusal does not send the statement back
    return str(problem["detail"])


@pytest.mark.parametrize("monster", MONSTERS, ids=lambda monster: monster.name)
def test_a_monster_is_refused_or_answered(gate: Gate, monster: Monster) -> None:
    answer = gate.ask(monster.text)
    assert answer.status_code in monster.status, answer.text[:300]
    if answer.status_code != 200:
        assert monster.says in _refused(answer)
    gate.well()


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:40])
def test_a_name_is_plain_or_refused(gate: Gate, name: str) -> None:
    for sql in (f'select 1 as "{name}"', f'select "{name}".id from patient "{name}" where id = 1'):
        answer = gate.ask(sql)
        if NAMES[name]:
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 422, answer.text
            assert _refused(answer)
    gate.well()


@pytest.mark.parametrize("name", HEADINGS, ids=lambda name: ascii(name)[:40])
def test_a_heading_is_a_column_s_name_and_no_table_s(gate: Gate, name: str) -> None:
    answer = gate.ask(f'select 1 as "{name}"')
    assert answer.json() == {name: 1}
    inside = gate.ask(f'select x."{name}" + 1 as n from (select 1 as "{name}") as x')
    assert inside.json() == {"n": 2}
    table = gate.ask(f'select "{name}".id from patient "{name}" where id = 1')
    assert table.status_code == 422
    assert _refused(table)
    gate.well()


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case[0])
def test_a_body_that_is_no_statement(gate: Gate, case: tuple[str, bytes, tuple[int, ...]]) -> None:
    _, body, status = case
    answer = gate.send(body)
    assert answer.status_code in status, answer.text[:300]
    gate.well()


def test_a_body_larger_than_any_statement(gate: Gate) -> None:
    answer = gate.send(b'{"sql": "' + b" " * (64 << 20) + b'"}')
    assert answer.status_code in (413, 422)
    gate.well()


def test_all_of_it_is_in_the_record(gate: Gate) -> None:
    """A statement too large to be kept is kept as its length, its hash and its beginning."""
    gate.ask("select '" + "x" * (2 << 20) + "'")
    last = [record for record in gate.world.records(gate.session) if record["type"] == "refused"][
        -1
    ]
    assert last["statement_bytes"] > 2 << 20
    assert len(last["statement_head"]) == 4096
