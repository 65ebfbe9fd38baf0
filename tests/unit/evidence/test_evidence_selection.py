"""Which sessions an export takes, and what it says of those that it does not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import bundles
import exports
import pytest

from gateway.errors import Forbidden, InvalidRequest, LimitExceeded
from gateway.evidence.selection import Selection
from gateway.flows import evidence as journey
from gateway.sessionlog import SessionLog


async def named(log: SessionLog, **asked: str) -> tuple[set[str], Counter[str], list[Any]]:
    """Who was taken, why others were not, and all lines of the index."""
    await log.event("export", {"selection": asked})  # as the journey does: under a checkpoint
    scan = journey._Scan(exports.house(log, exports.AUDITOR), Selection.parse(asked))
    try:
        await scan.run()
        lines = list(scan.listed())
    finally:
        scan.close()
    taken = {one.sid for one in lines if not one.why}
    assert scan.meant == len(taken)
    return taken, Counter(one.why for one in lines if one.why), lines


async def test_everything_is_every_session_but_the_gateways_own(log: SessionLog) -> None:
    made = {await exports.session(log) for _ in range(3)}
    taken, others, lines = await named(log)
    assert (taken, others) == (made, {"gateway": 1})
    assert [one.number for one in lines] == [1, 2, 3, 4]


async def test_by_identity_actor_connection_and_grant(log: SessionLog) -> None:
    one = await exports.session(log, subject="a-1", actor="maria", connection="clinic", grant="g1")
    two = await exports.session(log, subject="a-2", actor="maria", connection="lab", grant="g1")
    three = await exports.session(log, subject="a-2", actor=None, connection="lab", grant="g3")
    first = f"{exports.ISSUER}#a-1"
    assert (await named(log, identity=first))[:2] == ({one}, {"gateway": 1, "identity": 2})
    assert (await named(log, actor="maria"))[0] == {one, two}
    assert (await named(log, actor=f"{exports.ISSUER}#maria"))[0] == {one, two}
    assert (await named(log, connection="lab"))[0] == {two, three}
    assert (await named(log, grant="g1"))[0] == {one, two}
    assert (await named(log, grant="g1", connection="lab"))[0] == {two}
    assert (await named(log, identity="a-1"))[0] == set()


async def test_by_table_through_views_and_in_refused_statements(log: SessionLog) -> None:
    named_it = await exports.session(log, tables=("public.patient",))
    other = await exports.session(log, tables=("public.patient_archive",))
    still_open = await exports.session(log, tables=("public.patient",), close=False)
    refused = await exports.session(log, tables=("public.lab",), close=False)
    words = {"statement_no": 2, "code": "statement_refused", "detail": "no"}
    await log.append(refused, "refused", {**words, "statement": "DELETE FROM PATIENT"})
    taken, others, _ = await named(log, table="public.patient")
    assert (taken, others) == ({named_it, still_open, refused}, {"gateway": 1, "table": 1})
    assert other not in taken
    view = await exports.session(log, tables=("public.patient",), close=False)
    intent = bundles.intent(2)
    intent["analysis"]["tables"] = ["public.visits"]
    await log.append(view, "intent", intent)
    assert view in (await named(log, table="public.patient"))[0]
    assert (await named(log, table="public.visits"))[0] == {view}


async def test_by_a_token_that_a_statement_or_a_parameter_names(log: SessionLog) -> None:
    literal = await exports.session(log, statement="SELECT 1 WHERE mrn = 'tk1.AbC-9'")
    parameter = await exports.session(log, params=json.dumps(["é", "tk1.AbC-9"]))
    longer = await exports.session(log, params=json.dumps(["tk1.AbC-99"]))
    other_case = await exports.session(log, params=json.dumps(["TK1.abc-9"]), treatment="redact")
    taken, others, lines = await named(log, patient_token="tk1.AbC-9")
    assert (taken, others["patient_token"]) == ({literal, parameter}, 2)
    assert {one.sid for one in lines if one.tokens and one.why} == {longer}
    assert other_case not in taken


async def test_sealed_statements_are_named_as_not_searched(log: SessionLog) -> None:
    sid = await exports.session(log, close=False)
    await log.append(sid, "intent", bundles.intent(2, sealed={"box": "…"}))
    taken, others, _ = await named(log, patient_token="tk1.AbC-9")
    assert (taken, others["sealed"]) == (set(), 1)
    assert sid in (await named(log, table="public.patient"))[0]


async def test_a_period_takes_what_overlaps_it_and_names_its_neighbours(log: SessionLog) -> None:
    sids = [await exports.session(log) for _ in range(5)]
    _, _, lines = await named(log)
    opened = {one.sid: json.loads(one.leaf)["ts"] for one in lines}
    taken, others, lines = await named(log, since=opened[sids[2]], until=opened[sids[3]])
    assert taken == {sids[2]}
    assert [one.number for one in lines] == [3, 4, 5]
    assert others == {"period": 2}
    running = await exports.session(log, close=False)
    taken, _, lines = await named(log, since="2099-01-01")
    assert (taken, [one.sid for one in lines if one.why == "period"]) == ({running}, [sids[4]])


async def test_changed_records_are_named_and_not_believed(log: SessionLog, tmp_path: Path) -> None:
    changed = await exports.session(log, subject="a-9")
    gone = await exports.session(log, subject="a-9")
    late = await exports.session(log, tables=("public.lab",))
    folder = tmp_path / "log" / "sessions"
    first = folder / f"{changed}.jsonl"
    first.write_bytes(first.read_bytes().replace(b"#a-9", b"#a-8"))
    (folder / f"{gone}.jsonl").unlink()
    whole = folder / f"{late}.jsonl"
    whole.write_bytes(whole.read_bytes().replace(b"public.lab", b"public.lob"))
    taken, others, _ = await named(log, identity=f"{exports.ISSUER}#a-9")
    assert (taken, others["unreadable"]) == (set(), 2)
    taken, others, _ = await named(log, table="public.lab")
    assert (taken, others["unreadable"]) == (set(), 3)


async def test_a_session_without_its_policy_is_named(log: SessionLog, tmp_path: Path) -> None:
    await exports.session(log)
    await exports.session(log, policy_hash="00" * 32)
    house = exports.house(log, exports.AUDITOR)
    house.policies.find = _only_the_known
    data = await exports.collected(house)
    path, trust = tmp_path / "export.tar", tmp_path / "trust.json"
    path.write_bytes(data)
    trust.write_text(json.dumps(log.trust_file()))
    from gateway.auditor import collection

    assert collection.main([str(path), "--trust", str(trust)]) == 2


def _only_the_known(digest: str) -> bytes:
    from gateway.errors import NotFound

    if digest == "00" * 32:
        raise NotFound("the policy is not kept here any more")
    return bundles.POLICY


@pytest.mark.parametrize(
    "asked",
    [
        {"table": "patient"}, {"table": "a.b.c"}, {"table": ""}, {"patient_token": "abc"},
        {"patient_token": "with blank"}, {"since": "yesterday"}, {"since": "2026-11-01T08:00"},
        {"since": "2026-11-02", "until": "2026-11-01"}, {"identity": "x" * 1001},
        {"until": "99999-01-01"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_asked_for_is_a_sentence(asked: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        Selection.parse(asked)


def test_times_of_any_zone_compare_as_records_spell_them() -> None:
    made = Selection.parse({"since": "2026-11-01", "until": "2026-11-01T08:00:00+01:00"})
    assert (made.since, made.until) == (
        "2026-11-01T00:00:00.000000Z", "2026-11-01T07:00:00.000000Z",
    )  # fmt: skip
    # A slip of the keyboard excludes nothing.
    made = Selection.parse({"since": "0206-11-01"})
    assert not made.too_early("2026-11-01T00:00:00.000000Z")


async def test_only_auditors_export_several_and_each_export_is_recorded(
    log: SessionLog, tmp_path: Path
) -> None:
    sid = await exports.session(log)
    agent = exports.house(log, exports.person("a-17"))
    with pytest.raises(Forbidden):
        await exports.collected(agent)
    house = exports.house(log, exports.AUDITOR)
    await exports.collected(house, table="public.patient")
    archive = log.archive()
    gateway = next(archive.opened(archive.size())).sid
    records = [archive.record(gateway, number)["body"] for number in range(1, 4)]
    assert [one["kind"] for one in records] == ["refused", "export", "export"]
    assert records[0]["code"] == "forbidden"
    assert records[1]["selection"] == {"table": "public.patient"}
    assert records[2]["session"] == sid
    size = archive.size()
    kinds = [json.loads(archive.leaf(index))["type"] for index in range(size)]
    assert kinds.count("export") == 2


async def test_one_export_runs_at_a_time_and_a_broken_one_is_over(log: SessionLog) -> None:
    await exports.session(log)
    house = exports.house(log, exports.AUDITOR)
    names = dict.fromkeys(("identity", "table", "since", "until"))
    first = await journey.collect(house, exports.CREDENTIAL, "here", names)
    with pytest.raises(LimitExceeded):
        await journey.collect(house, exports.CREDENTIAL, "here", names)
    assert await anext(first.__aiter__())
    await first.aclose()
    assert not house.desk.exporting
    with pytest.raises(InvalidRequest):
        await journey.collect(house, exports.CREDENTIAL, "here", {"table": "x"})
    assert not house.desk.exporting
