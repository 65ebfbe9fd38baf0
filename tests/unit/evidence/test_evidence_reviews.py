"""Reviews: who may, what they name, and that a row of the control store alone is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bundles
import exports
import pytest

from gateway.errors import Conflict, Forbidden, InvalidRequest
from gateway.flows import review as journey
from gateway.grants import ReviewPlace
from gateway.sessionlog import SessionLog


async def test_the_leaf_names_what_was_reviewed(log: SessionLog) -> None:
    sid = await exports.session(log)
    house = exports.house(log, exports.AUDITOR)
    said = await exports.reviewed(house, sid, "looked through")
    leaf = json.loads(log.archive().leaf(said["leaf"]))
    end = log.archive().ended(sid)
    assert end is not None
    assert (leaf["type"], leaf["kind"], leaf["by"]) == ("review", "review", exports.AUDITOR.key)
    assert leaf["reviewed"] == {
        "head": end.head, "n": end.n, "session_no": 2, "sid": sid,
    }  # fmt: skip
    assert "looked through" not in json.dumps(leaf)
    assert log.archive().size() > said["leaf"]
    (found,) = await journey.reviews_of(house, sid)
    assert (found.by, found.note, found.index) == (
        exports.AUDITOR.key, "looked through", said["leaf"],
    )  # fmt: skip


async def test_a_review_is_found_after_a_restart(tmp_path: Path) -> None:
    log = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    sid = await exports.session(log)
    house = exports.house(log, exports.AUDITOR)
    await exports.reviewed(house, sid, "before")
    await log.aclose()
    again = SessionLog.open(tmp_path / "log", origin=bundles.ORIGIN, version="0.1.0")
    house.log = again
    await exports.reviewed(house, sid, "behind")
    assert [one.note for one in await journey.reviews_of(house, sid)] == ["before", "behind"]
    await again.aclose()


async def test_a_row_without_its_leaf_is_no_review(log: SessionLog) -> None:
    sid, other = await exports.session(log), await exports.session(log)
    house = exports.house(log, exports.AUDITOR)
    said = await exports.reviewed(house, other)
    now = datetime.now(UTC)
    for leaf in (0, 1, said["leaf"], 10**6):
        await house.reviews.add(sid, ReviewPlace(leaf, other, 1, now))
    assert await journey.reviews_of(house, sid) == []
    rows = [_row(sid), _row(other)]

    async def done() -> list[Any]:
        return rows

    async def due() -> list[Any]:
        return []

    house.reviews.done, house.reviews.due = done, due
    listed = await journey.list_reviews(house, exports.CREDENTIAL, "here", done=False)
    assert [one["session"] for one in listed] == [sid]


def _row(sid: str) -> Any:
    return SimpleNamespace(
        id=sid, identity="x", actor=None, connection="c", grant="g", opened_at=None,
        closed_at=None, statements=0, break_glass=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "who",
    [
        exports.person("a-17", "auditors"),
        exports.person("someone", "auditors", actor="a-17"),
        exports.person("someone", "auditors", actor=f"{exports.ISSUER}#a-17"),
    ],
    ids=["the agent itself", "somebody for the agent", "for the agent by its whole name"],
)
async def test_nobody_reviews_his_own(log: SessionLog, who: Any) -> None:
    sid = await exports.session(log)
    with pytest.raises(Forbidden):
        await exports.reviewed(exports.house(log, who), sid)


async def test_nor_a_session_in_which_somebody_worked_for_him(log: SessionLog) -> None:
    sid = await exports.session(log)
    house = exports.house(log, exports.AUDITOR)

    async def get_session(session: str, by: Any) -> Any:
        return SimpleNamespace(id=session, identity="other", actor=exports.AUDITOR.key)

    house.sessions.get_session = get_session
    with pytest.raises(Forbidden):
        await exports.reviewed(house, sid)


async def test_only_what_has_ended_in_this_log(log: SessionLog) -> None:
    still_open = await exports.session(log, close=False)
    house = exports.house(log, exports.AUDITOR)
    for sid in (still_open, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(Conflict):
            await exports.reviewed(house, sid)
    with pytest.raises(Forbidden):
        await exports.reviewed(exports.house(log, exports.person("x")), still_open)
    for note in ("", " \n", "x" * 4001, "\u202e", "a\x1bb"):
        with pytest.raises(InvalidRequest):
            await exports.reviewed(house, still_open, note)
