"""What breaks around the corridor: nothing leaks, nothing is lost, the record says so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import AGENT, STEWARD, World, wait_until

import servers

#: What a complete Arrow stream ends with.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
LONG = "select a.id, b.cost, a.city from patient a, encounter b, generate_series(1, 40)"


def read_some(body: Iterator[bytes], count: int) -> int:
    """Read at least `count` bytes, leave the rest; dropping `body` would close the connection."""
    got = 0
    while got < count:
        got += len(next(body))
    return got


@contextmanager
def streaming(world: World, session: str) -> Iterator[Iterator[bytes]]:
    """The body of a long result while it comes; leaving the block drops the connection."""
    with (
        world.http(AGENT) as http,
        http.stream("POST", f"/v1/sessions/{session}/query", json={"sql": LONG}) as stream,
    ):
        assert stream.status_code == 200
        yield stream.iter_raw()


def last_record(world: World, session: str, kind: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        records = [r for r in world.records(session) if r["type"] == kind]
        return records[-1] if records else None

    record = wait_until(found)
    assert isinstance(record, dict)
    return record


def running(world: World) -> int:
    """COPY statements the database is running for the gateway."""
    import asyncio

    import asyncpg

    async def count() -> int:
        admin = await asyncpg.connect(world.server.dsn())
        try:
            found = await admin.fetchval(
                "select count(*) from pg_stat_activity where state = 'active' "
                "and datname = $1 and query like 'COPY%'",
                world.database,
            )
        finally:
            await admin.close()
        return int(found)

    return asyncio.run(count())


def test_revocation_stops_a_running_stream_within_a_second(fragile: World) -> None:
    grant = fragile.grant()
    session = fragile.session(grant=grant["id"])
    with streaming(fragile, session) as body:
        assert read_some(body, 100_000)
        revoked = fragile.call(
            STEWARD, "POST", f"/v1/grants/{grant['id']}/revoke", {"reason": "enough"}
        )
        assert revoked.json()["state"] == "revoked"
        moment = time.monotonic()
        wait_until(lambda: running(fragile) == 0, 2.0)
        assert time.monotonic() - moment < 2.0
        with pytest.raises(httpx.TransportError):
            read_some(body, 1 << 40)
    assert "revoked" in last_record(fragile, session, "cancel")["reason"]
    answer = fragile.query(session, "select 1 as one")
    assert answer.status_code in (403, 404)


def test_a_broken_stream_never_looks_like_a_short_result(fragile: World) -> None:
    grant = fragile.grant(duration_s=3)
    session = fragile.session(grant=grant["id"])
    body = bytearray()
    with pytest.raises(httpx.TransportError), streaming(fragile, session) as parts:
        for part in parts:
            body += part
            time.sleep(0.02)
    assert not body.endswith(END_OF_STREAM)
    assert "ended at" in last_record(fragile, session, "cancel")["reason"]


def test_a_client_that_goes_away_cancels_the_database(fragile: World) -> None:
    fragile.grant()
    session = fragile.session()
    with streaming(fragile, session) as body:
        read_some(body, 10_000)
    wait_until(lambda: running(fragile) == 0, 2.0)
    assert "client" in last_record(fragile, session, "cancel")["reason"]


def test_a_client_that_goes_away_before_the_first_row_cancels_too(fragile: World) -> None:
    fragile.grant()
    session = fragile.session()
    slow = "select count(*) from encounter a, encounter b, encounter c"
    with fragile.http(AGENT) as http, pytest.raises(httpx.TimeoutException):
        http.post(f"/v1/sessions/{session}/query", json={"sql": slow}, timeout=0.7)
    wait_until(lambda: running(fragile) == 0, 2.0)
    assert last_record(fragile, session, "cancel")["rows"] == 0


def test_a_stalled_client_is_ended(fragile: World) -> None:
    fragile.write_config(limits='client_stall = "2s"')
    fragile.restart()
    fragile.grant()
    session = fragile.session()
    with streaming(fragile, session) as body:
        read_some(body, 1000)
        wait_until(lambda: running(fragile) == 0, 15.0)
    assert "took nothing" in last_record(fragile, session, "cancel")["reason"]


def test_the_deadline_ends_a_long_statement(fragile: World) -> None:
    fragile.write_config(limits='statement_time = "1s"')
    fragile.restart()
    fragile.grant()
    session = fragile.session()
    answer = fragile.query(session, "select count(*) from encounter a, encounter b, encounter c")
    assert answer.status_code in (429, 502), answer.text
    assert running(fragile) == 0


def test_a_failing_expression_tells_no_value(fragile: World) -> None:
    fragile.grant()
    session = fragile.session()
    answer = fragile.query(session, "select id / (id - 1) from patient")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
    assert answer.json()["sqlstate_class"] == "22"
    assert "zero" not in answer.text
    assert last_record(fragile, session, "error")["code"] == "upstream_failed"


def test_the_database_down_at_start_and_back_again(tmp_path: Path, newest: servers.Server) -> None:
    import world as worlds

    with servers.running(newest.major) as clinic, worlds.built(tmp_path, clinic, "down") as world:
        world.gateway.end()
        text = world.config.read_text()
        # The control store stays up on another server; the clinic's is down.
        dsn = newest.dsn()
        world.config.write_text(text.replace(clinic.dsn(database="down_control"), dsn))
        clinic.stop("fast")
        world.start()
        ready = world.call(None, "GET", "/readyz")
        assert ready.status_code == 503
        assert any("clinic" in sentence for sentence in ready.json()["missing"])
        clinic.start()
        wait_until(lambda: world.call(None, "GET", "/readyz").status_code == 200)
        world.grant()
        session = world.session()
        clinic.stop("fast")
        answer = world.query(session, "select 1 as one")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
        clinic.start()
        assert world.rows(session, "select 1 as one") == [{"one": 1}]


def test_the_database_lost_in_mid_stream(tmp_path: Path, newest: servers.Server) -> None:
    import world as worlds

    with servers.running(newest.major) as clinic, worlds.built(tmp_path, clinic, "lost") as world:
        world.gateway.end()
        text = world.config.read_text()
        world.config.write_text(text.replace(clinic.dsn(database="lost_control"), newest.dsn()))
        world.start()
        world.grant()
        session = world.session()
        with pytest.raises(httpx.TransportError), streaming(world, session) as body:
            read_some(body, 10_000)
            clinic.stop("immediate")
            read_some(body, 1 << 40)
        record = last_record(world, session, "error")
        assert record["code"] == "upstream_failed"
        assert record["rows"] > 0


def test_a_log_that_cannot_be_written_stops_everything(fragile: World) -> None:
    """A full disk is made with a small file-size limit on the gateway's own process."""
    import resource
    import signal

    fragile.grant()
    session = fragile.session()
    assert fragile.rows(session, "select 1 as one") == [{"one": 1}]
    pid = fragile.gateway.child.pid
    assert signal.SIGXFSZ  # the limit below raises EFBIG: Python ignores the signal
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))
    answers = [fragile.query(session, "select 1 as one") for _ in range(3)]
    assert all(answer.status_code == 503 for answer in answers), [a.text for a in answers]
    assert answers[-1].json()["code"] == "log_unavailable"
    assert fragile.call(None, "GET", "/readyz").status_code == 503
    fragile.gateway.child.kill()
    fragile.gateway.end()
    fragile.start()
    assert fragile.call(None, "GET", "/readyz").status_code == 200


def test_a_killed_gateway_recovers_its_sessions(fragile: World, tmp_path: Path) -> None:
    from world import verify

    fragile.grant()
    session = fragile.session()
    fragile.rows(session, "select id, full_name from patient where id < 5")
    os.kill(fragile.gateway.child.pid, 9)
    fragile.gateway.end()
    fragile.start()
    bundle = tmp_path / "killed.zip"
    bundle.write_bytes(fragile.evidence(session))
    verdict = verify(bundle, "--trust", str(fragile.trust))
    assert verdict.returncode == 2, verdict.stdout
    assert [r["type"] for r in fragile.records(session)][:4] == [
        "open", "intent", "result", "result",
    ]  # fmt: skip
    assert fragile.query(session, "select 1 as one").status_code == 404


def test_sessions_that_a_crash_left_open_are_closed_and_no_others(
    fragile: World, tmp_path: Path
) -> None:
    fragile.grant()
    neighbour = fragile.neighbour(tmp_path / "neighbour")
    try:
        theirs = neighbour.session()
        ours = fragile.session()
        closed = fragile.session()
        fragile.close(closed)
        os.kill(fragile.gateway.child.pid, 9)
        fragile.gateway.end()
        fragile.start()
        listed = fragile.call(AGENT, "GET", "/v1/sessions").json()["items"]
        state = {item["id"]: item["closed_at"] is not None for item in listed}
        assert state == {theirs: False, ours: True, closed: True}
        assert neighbour.rows(theirs, "select 1 as one") == [{"one": 1}]
    finally:
        neighbour.gateway.end()


def test_a_grants_rows_are_counted_over_its_life(fragile: World) -> None:
    grant = fragile.grant(max_rows=10)
    session = fragile.session(grant=grant["id"])
    assert len(fragile.rows(session, "select id from patient limit 6")) == 6
    with fragile.http(AGENT) as http, pytest.raises(httpx.TransportError):
        http.post(f"/v1/sessions/{session}/query", json={"sql": "select id from patient"})
    answer = fragile.query(session, "select 1 as one")
    assert (answer.status_code, answer.json()["code"]) == (429, "limit_exceeded")
    released = sum(r["rows"] for r in fragile.records(session) if r["type"] == "result")
    assert released == 10
