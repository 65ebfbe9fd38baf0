"""SIGKILL of the gateway while the SIEM fails: afterwards every record has arrived."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
from world import AGENT, World, wait_until

from receiver import Receiver, receiving, until


def use(world: World, receiver: Receiver) -> None:
    text = world.config.read_text()
    siem = f'[siem]\ntarget = "{receiver.url}"\nauthorization = "env:SIEM_TOKEN"\nbehind = "1s"\n'
    world.config.write_text(text.replace("[masking]", siem + "[masking]"))
    world.restart()


def kill(world: World) -> None:
    world.gateway.child.send_signal(signal.SIGKILL)
    world.gateway.child.wait()
    world.gateway.end()


def recorded(world: World) -> set[str]:
    """The uid of each record of an agent's session in the files that recovery has cut."""
    found = set()
    for path in (world.home / "log" / "sessions").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if lines[0]["body"].get("kind") != "gateway":
            found |= {f"{line['sid']}:{line['i']}" for line in lines}
    return found


def test_killed_again_and_again_every_record_arrives(fragile: World, monkeypatch: Any) -> None:
    monkeypatch.setenv("SIEM_TOKEN", "Splunk of-test")
    with receiving() as receiver:
        use(fragile, receiver)
        fragile.grant()
        for mode in ("500", "lost answer", "ok"):
            receiver.mode = mode
            session = fragile.session()
            for number in range(5):
                fragile.rows(session, f"select id, full_name from patient where id < {number}")
            before = receiver.requests
            fragile.query(session, "select id from patient -- " + mode)
            until(lambda before=before: receiver.requests > before)
            kill(fragile)
            fragile.start()
        receiver.mode = "ok"
        session = fragile.session()
        fragile.close(session)
        fragile.restart()
        everything = recorded(fragile)
        assert len(everything) > 40
        until(lambda: everything <= set(receiver.uids()))
        assert receiver.headers["Authorization"] == "Splunk of-test"
        # What came twice is the same record, and says so by its uid.
        by_uid: dict[str, set[str]] = {}
        for event in receiver.events:
            uid = event["metadata"]["uid"]
            by_uid.setdefault(uid, set()).add(event["unmapped"]["record_hash"])
        assert all(len(hashes) == 1 for hashes in by_uid.values())
        templates = {
            event["query_info"]["query_string"]
            for event in receiver.events
            if event["metadata"]["event_code"] == "intent"
        }
        assert templates == {
            "select id, full_name from patient where id < {d}",
            "select id from patient",
        }


def test_a_dead_siem_is_told_and_hinders_no_query(fragile: World, monkeypatch: Any) -> None:
    monkeypatch.setenv("SIEM_TOKEN", "Bearer x")
    with receiving() as receiver:
        receiver.mode = "hang"
        use(fragile, receiver)
        fragile.grant()
        session = fragile.session()
        assert len(fragile.rows(session, "select id from patient limit 3")) == 3

        def behind() -> Any:
            return fragile.call(AGENT, "GET", "/readyz").json().get("behind")

        (sentence,) = wait_until(behind)
        assert sentence.startswith("siem: the oldest record has waited for ")
        ready = fragile.call(None, "GET", "/readyz")
        assert ready.status_code == 200
        assert ready.json()["ready"] is True
        metrics = fragile.call(None, "GET", "/metrics").text
        told = dict(line.split() for line in metrics.splitlines() if line[0] != "#")
        assert float(told["maskgate_siem_lag_seconds"]) > 1
        assert len(fragile.rows(session, "select id from patient limit 3")) == 3
        fragile.close(session)
        receiver.mode = "ok"
        receiver.release.set()
        until(lambda: f"{session}:0" in receiver.uids(), 40)
        wait_until(lambda: behind() is None)


def test_events_go_to_standard_output_behind_the_ready_line(fragile: World, tmp_path: Path) -> None:
    text = fragile.config.read_text()
    fragile.config.write_text(text.replace("[masking]", '[siem]\ntarget = "stdout"\n[masking]'))
    fragile.restart()
    assert fragile.gateway.ready["url"]
    answer = httpx.get(f"{fragile.url}/v1/whoami", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert fragile.gateway.child.stdout is not None
    event = json.loads(fragile.gateway.child.stdout.readline())
    assert (event["class_uid"], event["activity_name"], event["status"]) == (
        3002,
        "Logon",
        "Failure",
    )
    assert event["status_code"] == "unauthenticated"
