"""Two gateways, two logs, one control store: what is decided on one is in force on the other, and
neither runs on a guess when the store is away."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import AGENT, AUDITOR, STEWARD, World, built, wait_until

import servers
from moved_clock import MovedClock
from relay import Relay, relaying

LONG = "select a.id, b.cost, a.city from patient a, encounter b, generate_series(1, 40)"
BODY = {"connection": "clinic", "tables": ["*"], "purpose": "totals differ", "duration_s": 600}


@dataclass
class Pair:
    """`here` and `there`; `there` reaches the store through `relay`."""

    here: World
    there: World
    store: servers.Server
    relay: Relay
    clock: MovedClock  # of `there`
    store_clock: MovedClock


@pytest.fixture(scope="module")
def pair(newest: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("pair")
    clock = MovedClock(home / "clock")
    shared = Path(tempfile.mkdtemp(prefix="mg-clock-"))  # which nobody reaches
    store_clock = MovedClock(shared)
    with (
        servers.running(newest.major, environment=store_clock.environment) as store,
        relaying(store.port) as relay,
        built(home, newest, "pair") as here,
    ):
        agent = f"{here.issuer.ready['issuer']}#{AGENT}"
        text = here.config.read_text().replace(
            newest.dsn(database="pair_control"), store.dsn()
        ).replace(
            "[access]\n",
            "[access]\n"
            f'break_glass = [{{ who = "{agent}", connection = "clinic", max_duration = "15m" }}]\n',
        )  # fmt: skip
        here.config.write_text(text)
        here.restart()
        for who in (AGENT, STEWARD, AUDITOR):
            here.token(who)  # the neighbour's folder has no issuer
        there = here.neighbour(home / "there")
        there.gateway.end()
        there.config.write_text(
            there.config.read_text().replace(f":{store.port}/", f":{relay.port}/")
        )
        there.environment = clock.environment
        there.start()
        yield Pair(here, there, store, relay, clock, store_clock)
        there.gateway.end()
    shutil.rmtree(shared)


def decide(world: World, grant: str, verb: str, reason: str = "as asked") -> None:
    answer = world.call(STEWARD, "POST", f"/v1/grants/{grant}/{verb}", {"reason": reason})
    assert answer.status_code == 200, answer.text


class Stream:
    """A long result, read as it comes by a thread; `ended_at` is set when it breaks off."""

    def __init__(self, world: World, session: str) -> None:
        self.world, self.session = world, session
        self.read = 0
        self.ended_at: float | None = None
        self._reader = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with (
                self.world.http(AGENT) as http,
                http.stream(
                    "POST", f"/v1/sessions/{self.session}/query", json={"sql": LONG}
                ) as stream,
            ):
                assert stream.status_code == 200
                for part in stream.iter_raw():
                    self.read += len(part)
                    time.sleep(0.005)
        except httpx.TransportError:
            self.ended_at = time.monotonic()

    def begun(self) -> Stream:
        self._reader.start()
        wait_until(lambda: self.read > 100_000)
        return self

    def goes_on(self, seconds: float = 0.5) -> None:
        before = self.read
        time.sleep(seconds)
        assert self.read > before
        assert self.ended_at is None

    def ended(self, seconds: float) -> float:
        """When; fails if it has not ended within so many seconds."""
        wait_until(lambda: self.ended_at is not None, seconds)
        self._reader.join()
        assert self.ended_at is not None
        return self.ended_at

    def reason(self) -> str:
        return str(wait_until(lambda: self._cancelled()))

    def _cancelled(self) -> Any:
        found = [r for r in self.world.records(self.session) if r["type"] == "cancel"]
        return found and found[-1]["reason"]


def timed(call: Any) -> tuple[Any, float]:
    begun = time.monotonic()
    return call(), time.monotonic() - begun


def one(world: World, session: str) -> httpx.Response:
    return world.query(session, "select 1 as one")


def test_an_approval_here_is_in_force_there(pair: Pair) -> None:
    asked = pair.there.call(AGENT, "POST", "/v1/grants", BODY).json()["id"]
    assert pair.there.call(
        AGENT, "POST", "/v1/sessions", {"connection": "clinic", "grant": asked}
    ).status_code == 403  # fmt: skip
    decide(pair.here, asked, "approve")
    session = pair.there.session(grant=asked)  # at once
    assert pair.there.rows(session, "select 1 as one") == [{"one": 1}]
    history = pair.there.call(AGENT, "GET", f"/v1/grants/{asked}/history").json()["items"]
    assert [line["event"] for line in history] == ["requested", "approved"]
    # and each is recorded where it was done
    listed = pair.here.call(AGENT, "GET", "/v1/sessions").json()["items"]
    assert session in {item["id"] for item in listed}
    # A session is entered on its own gateway alone.
    assert one(pair.here, session).status_code == 404


def test_a_revocation_here_stops_a_stream_there_within_a_second(pair: Pair) -> None:
    grant = pair.here.grant()["id"]
    stream = Stream(pair.there, pair.there.session(grant=grant)).begun()
    decide(pair.here, grant, "revoke", "enough")
    told = time.monotonic()
    assert stream.ended(5.0) - told < 1.0
    assert stream.reason() == f"The grant {grant} was revoked."
    assert one(pair.there, stream.session).status_code == 403
    again = {"connection": "clinic", "grant": grant}
    assert pair.here.call(AGENT, "POST", "/v1/sessions", again).status_code == 403


def test_a_grant_s_end_stops_its_streams_on_both(pair: Pair) -> None:
    grant = pair.here.grant(duration_s=4)["id"]
    streams = [
        Stream(world, world.session(grant=grant)).begun() for world in (pair.here, pair.there)
    ]
    for stream in streams:
        stream.ended(6.0)
        assert f"The grant {grant} ended at" in stream.reason()
    assert pair.there.call(AGENT, "GET", f"/v1/grants/{grant}").json()["state"] == "expired"


def test_a_renewal_there_and_a_broken_glass_here(pair: Pair) -> None:
    grant = pair.here.grant(duration_s=60)["id"]
    renewed = pair.there.call(AGENT, "POST", f"/v1/grants/{grant}/renew", {}).json()["id"]
    decide(pair.here, renewed, "approve")
    assert pair.there.rows(pair.there.session(grant=renewed), "select 1 as one") == [{"one": 1}]
    broken = pair.here.call(AGENT, "POST", "/v1/grants", {**BODY, "break_glass": "ER"}).json()
    session = pair.there.session(grant=broken["id"])
    assert pair.there.rows(session, "select 1 as one") == [{"one": 1}]
    pair.there.close(session)
    due = pair.here.call(AUDITOR, "GET", "/v1/reviews?state=due").json()["items"]
    assert (due[0]["session"], due[0]["break_glass"]) == (session, True)


def test_what_a_grant_allows_is_counted_over_both(pair: Pair) -> None:
    grant = pair.here.grant(max_concurrent=1, max_rows=10)["id"]
    here, there = pair.here.session(grant=grant), pair.there.session(grant=grant)
    assert len(pair.here.rows(here, "select id from patient limit 6")) == 6
    assert len(pair.there.rows(there, "select id from patient limit 4")) == 4
    assert pair.here.query(here, "select id from patient limit 1").status_code == 429
    alone = pair.here.grant(max_concurrent=1)["id"]
    stream = Stream(pair.here, pair.here.session(grant=alone)).begun()
    busy = one(pair.there, pair.there.session(grant=alone))
    assert (busy.status_code, "at once" in busy.json()["detail"]) == (429, True)
    decide(pair.there, alone, "revoke")
    stream.ended(5.0)


def test_a_review_is_where_the_session_is(pair: Pair) -> None:
    session = pair.there.session(grant=pair.here.grant()["id"])
    pair.there.close(session)
    path = f"/v1/sessions/{session}/reviews"
    assert pair.here.call(AUDITOR, "POST", path, {"note": "looked"}).status_code == 409
    assert pair.there.call(AUDITOR, "POST", path, {"note": "looked"}).status_code == 201
    for world in (pair.there, pair.here):
        due = world.call(AUDITOR, "GET", "/v1/reviews?state=due").json()["items"]
        assert session not in {item["session"] for item in due}


def test_a_grant_is_for_the_database_that_it_was_asked_for(pair: Pair, tmp_path: Path) -> None:
    """A third gateway calls another database by the same name."""
    third = pair.here.neighbour(tmp_path / "third")
    third.gateway.end()
    text = third.config.read_text()
    assert '/pair"' in text
    third.config.write_text(text.replace('/pair"', '/pair_control"'))
    third.start()
    try:
        grant = pair.here.grant()["id"]
        refused = one(third, third.session(grant=grant))
        assert (refused.status_code, refused.json()["code"]) == (403, "out_of_scope")
        assert "is for another database" in refused.json()["detail"]
        renewed = third.call(AGENT, "POST", f"/v1/grants/{grant}/renew", {}).json()["id"]
        decide(third, renewed, "approve")
        assert one(third, third.session(grant=renewed)).json()["code"] == "out_of_scope"
        assert one(pair.here, pair.here.session(grant=renewed)).status_code == 200
        own = third.grant()["id"]
        assert one(third, third.session(grant=own)).status_code == 200
        assert one(pair.here, pair.here.session(grant=own)).json()["code"] == "out_of_scope"
    finally:
        third.gateway.end()


@contextmanager
def swallowing(relay: Relay) -> Iterator[None]:
    relay.swallow()
    try:
        yield
    finally:
        relay.heal()


def test_a_store_that_hangs(pair: Pair) -> None:
    """Statements are refused in seconds; streams go on until their expiry, blind, and end when a
    revocation can be heard again."""
    blind, short = pair.here.grant()["id"], pair.here.grant(duration_s=5)["id"]
    streams = [Stream(pair.there, pair.there.session(grant=one)) for one in (blind, short)]
    waiting = pair.there.session(grant=blind)
    for stream in streams:
        stream.begun()
    with swallowing(pair.relay):
        answer, seconds = timed(lambda: one(pair.there, waiting))
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert seconds < 5.0
        decide(pair.here, blind, "revoke")
        streams[1].ended(6.0)
        streams[0].goes_on()
        moment = time.monotonic()
    assert streams[0].ended(10.0) - moment < 4.0
    assert streams[0].reason() == f"The grant {blind} was revoked."
    assert f"The grant {short} ended at" in streams[1].reason()
    refused = one(pair.there, waiting)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_grant")
    session = pair.there.session(grant=pair.here.grant()["id"])
    assert pair.there.rows(session, "select 1 as one") == [{"one": 1}]


def test_a_one_statement_session_ends_well_though_the_store_goes_away(pair: Pair) -> None:
    """All of it has left and is recorded: the answer is whole."""
    pair.here.grant()
    with (
        pair.there.http(AGENT) as http,
        http.stream(
            "POST", "/v1/query", json={"connection": "clinic", "sql": LONG, "max_rows": 200_000}
        ) as stream,
    ):
        body = stream.iter_raw()
        next(body)
        with swallowing(pair.relay):
            for _ in body:
                pass
        session = stream.headers["Maskgate-Session"]

    def closed() -> bool:
        shown = pair.there.call(AGENT, "GET", f"/v1/sessions/{session}")
        return shown.status_code == 200 and shown.json()["closed_at"] is not None

    wait_until(closed)


@contextmanager
def moved(clock: MovedClock, seconds: int) -> Iterator[None]:
    clock.move(seconds)
    try:
        yield
    finally:
        clock.move(0)


def test_a_gateway_s_clock_an_hour_ahead_ends_its_streams_and_no_grant(pair: Pair) -> None:
    grant = pair.here.grant()["id"]
    streams = [
        Stream(world, world.session(grant=grant)).begun() for world in (pair.here, pair.there)
    ]
    with moved(pair.clock, 3600):
        told = time.monotonic()
        assert streams[1].ended(5.0) - told < 1.0
        ready = pair.there.call(None, "GET", "/readyz").json()["missing"]
        assert any("3600 s ahead of the control store's" in sentence for sentence in ready)
        time.sleep(2.5)  # in which it would expire what is over by it
        streams[0].goes_on()
        assert pair.here.call(AGENT, "GET", f"/v1/grants/{grant}").json()["state"] == "active"
    assert f"The grant {grant} ended at" in streams[1].reason()
    session = pair.there.session(grant=grant)
    assert wait_until(lambda: one(pair.there, session).status_code == 200, 5.0)
    decide(pair.here, grant, "revoke")
    streams[0].ended(5.0)


def test_a_gateway_s_clock_that_is_set_back_prolongs_nothing(pair: Pair) -> None:
    grant = pair.here.grant(duration_s=6)
    began = time.monotonic()
    stream = Stream(pair.there, pair.there.session(grant=grant["id"])).begun()
    waiting = pair.there.session(grant=grant["id"])
    with moved(pair.clock, -30):  # a token is not taken by a clock that is further behind
        stream.goes_on()
        time.sleep(1.2)  # in which it hears what time it is
        refused = one(pair.there, waiting)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert "30 s behind the control store's" in refused.json()["detail"]
        asked = pair.there.call(AGENT, "POST", "/v1/grants", BODY).json()["id"]
        decided = pair.there.call(STEWARD, "POST", f"/v1/grants/{asked}/approve", {"reason": "ok"})
        assert decided.json()["code"] == "store_unavailable"
        pair.clock.move(-3600)
        assert stream.ended(8.0) - began < 7.0
    assert f"The grant {grant['id']} ended at" in stream.reason()
    assert one(pair.there, waiting).json()["code"] in ("grant_expired", "not_found")


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_store_s_clock_that_is_moved_stops_everything_and_begins_nothing(
    pair: Pair, seconds: int
) -> None:
    begins = datetime.now(UTC) + timedelta(seconds=1800)
    later = pair.here.grant(not_before=begins.isoformat())["id"]
    grant = pair.here.grant()["id"]
    sessions = [world.session(grant=grant) for world in (pair.here, pair.there)]
    with moved(pair.store_clock, seconds):
        time.sleep(2.0)
        for world, session in zip((pair.here, pair.there), sessions, strict=True):
            # What is over by any clock is: its session has been closed.
            over = "not_found" if seconds > 0 else "store_unavailable"
            assert one(world, session).json()["code"] == over
            early = {"connection": "clinic", "grant": later}
            assert world.call(AGENT, "POST", "/v1/sessions", early).status_code == 503
    for world in (pair.here, pair.there):
        wait_until(lambda world=world: world.call(None, "GET", "/readyz").status_code == 200)
        assert one(world, world.session(grant=grant)).status_code == 200


def test_a_clock_that_was_fast_at_the_start_and_is_set_right_asks_for_a_restart(pair: Pair) -> None:
    with moved(pair.clock, 3600):
        pair.there.restart()
    try:
        grant = pair.here.grant()["id"]
        ready = pair.there.call(None, "GET", "/readyz")
        assert ready.status_code == 503
        assert any("restart this gateway" in sentence for sentence in ready.json()["missing"])
        early = {"connection": "clinic", "grant": grant}
        refused = pair.there.call(AGENT, "POST", "/v1/sessions", early)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert "restart this gateway" in refused.json()["hint"]
        asked = pair.here.call(AGENT, "POST", "/v1/grants", BODY).json()["id"]
        assert pair.there.call(
            STEWARD, "POST", f"/v1/grants/{asked}/approve", {"reason": "ok"}
        ).status_code == 503  # fmt: skip
    finally:
        pair.there.restart()
    assert pair.here.call(AGENT, "GET", f"/v1/grants/{grant}").json()["state"] == "active"
    assert one(pair.there, pair.there.session(grant=grant)).status_code == 200


def test_a_store_that_is_killed_and_comes_back(pair: Pair) -> None:
    grant = pair.here.grant()["id"]
    stream = Stream(pair.there, pair.there.session(grant=grant)).begun()
    waiting = pair.there.session(grant=grant)
    pair.store.stop("immediate")
    for world in (pair.here, pair.there):
        asked, seconds = timed(lambda world=world: world.call(AGENT, "POST", "/v1/grants", BODY))
        assert (asked.status_code, asked.json()["code"]) == (503, "store_unavailable")
        assert seconds < 5.0
    assert one(pair.there, waiting).json()["code"] == "store_unavailable"
    stream.goes_on()
    pair.store.start()
    # Nobody is restarted: it goes on, and hears what is decided.
    assert wait_until(lambda: one(pair.there, waiting).status_code == 200, 10.0)
    stream.goes_on()
    wait_until(
        lambda: (
            pair.here.call(
                STEWARD, "POST", f"/v1/grants/{grant}/revoke", {"reason": "x"}
            ).status_code
            == 200
        ),
        10.0,
    )
    told = time.monotonic()
    assert stream.ended(5.0) - told < 1.0
    assert stream.reason() == f"The grant {grant} was revoked."
