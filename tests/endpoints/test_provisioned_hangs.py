"""A gateway with a second credential while something does not answer: whom it makes wait."""

from __future__ import annotations

import time

from test_faults import LONG, read_some
from test_provisioned import admin, provisioned, revoke
from world import AGENT, OTHER, World, wait_until

from relay import Relay


def test_statements_that_fill_the_pool_do_not_keep_a_role(fragile: World) -> None:
    provisioned(fragile)
    text = fragile.config.read_text()
    fragile.config.write_text(text.replace("[limits]", "[limits]\npool = 1"))
    fragile.restart()
    fragile.grant(tables=["patient", "encounter"])
    ending = fragile.grant(OTHER, tables=["encounter(id, cost)"])
    wait_until(lambda: len(admin(fragile)) == 2, 3.0)
    session = fragile.session()
    with (
        fragile.http(AGENT) as http,
        http.stream("POST", f"/v1/sessions/{session}/query", json={"sql": LONG}) as stream,
    ):
        body = stream.iter_raw()
        assert read_some(body, 100_000)
        revoke(fragile, ending)
        wait_until(lambda: len(admin(fragile)) == 1, 3.0)
        assert read_some(body, 1_000_000)


def test_a_second_credential_that_hangs_holds_up_what_has_no_role_alone(fragile: World) -> None:
    provisioned(fragile)
    relay = Relay(fragile.server.port)
    try:
        text = fragile.config.read_text()
        head, _, rest = text.partition("admin_dsn = ")
        line, _, rest = rest.partition("\n")
        line = line.replace(f":{fragile.server.port}/", f":{relay.port}/")
        fragile.config.write_text(f"{head}admin_dsn = {line}\n{rest}")
        fragile.restart()
        fragile.grant(tables=["patient"])
        session = fragile.session()
        assert fragile.rows(session, "select id from patient where id = 1")
        relay.swallow()
        fragile.grant(OTHER, tables=["encounter"])
        other = fragile.session(OTHER)
        began = time.monotonic()
        assert fragile.rows(session, "select id from patient where id = 2")
        assert time.monotonic() - began < 2
        refused = fragile.query(other, "select id from encounter", client=OTHER)
        assert (refused.status_code, refused.json()["code"]) == (502, "upstream_failed")
        assert time.monotonic() - began < 45  # a look that is under way, and one of its own
        relay.heal()
        text = "select id from encounter where id = 1"
        wait_until(lambda: fragile.query(other, text, client=OTHER).status_code == 200, 60)
        assert len(admin(fragile)) == 2
    finally:
        relay.stop()
