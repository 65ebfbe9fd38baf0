#!/usr/bin/env python3
"""The release gate as a small model, every state of it visited: `make model`.

Two sessions put the records of a statement (an intent, then results) into one log; one thread
writes them in frames, one sync a frame; a client receives rows. At any moment a write or a sync may
fail, the process may be killed (what the system has cached survives) and the machine may lose power
(of what was not synced, anything may be missing). Each start reads the log first, as
`sessionlog/recovery.py` does. What the rest of the code does is in `sessionlog/writer.py` and
`flows/statement.py`.

Held in every state that can be reached:

* `released`: what a client received has its record in the log, as the next start reads it;
* `asked`: what the database was asked has its intent there;
* `known`: so does every record that somebody was told is durable;
* `starts`: no crash leaves a log that the gateway refuses to start on.

`--broken` runs the same with one rule of the code left out at a time: each must be caught.
Standard library only.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

#: How many records each session's statement has: an intent and so many results.
STATEMENTS = (3, 2)
#: Starts after the first.
RESTARTS = 2

Record = tuple[int, int]  # session, number: 0 is the intent
Records = tuple[Record, ...]

#: Where a frame is. `SYNCED`: on the disk. `WRITTEN`: in the system's cache, which will write it.
#: `DROPPED`: in the cache alone, and believed to be on the disk: what a failed sync leaves behind.
#: `TORN`: a part of it is on the disk.
SYNCED, WRITTEN, DROPPED, TORN = "synced", "written", "dropped", "torn"


@dataclass(frozen=True)
class Frame:
    """One batch in the write-ahead file. A boot's first has no records here."""

    number: int
    records: Records
    place: str


@dataclass(frozen=True)
class State:
    """Everything: what the process knows, what the disk holds, what was seen outside."""

    put: tuple[int, ...] = (0, 0)  # records each session has put
    told: tuple[int, ...] = (0, 0)  # records each session was told are durable
    pending: Records = ()
    batch: Records = ()  # that the thread has taken
    writer: str = "starting"  # then idle, taken, written, stopped
    ended: frozenset[int] = frozenset()  # sessions that a crash has ended: none comes back
    number: int = 0  # of the next frame
    frames: tuple[Frame, ...] = ()
    boot: int = 0  # of this boot's first frame; each boot has a file of its own
    starts: int = 0
    refused: bool = False  # a start found damage
    asked: frozenset[int] = frozenset()
    received: frozenset[Record] = frozenset()
    durable: frozenset[Record] = frozenset()  # that somebody was told of


@dataclass(frozen=True)
class Rules:
    """The rules of the code. Each false one is a gateway that leaves it out."""

    intent_before_asking: bool = True
    result_before_release: bool = True
    answer_behind_sync: bool = True
    failed_sync_is_final: bool = True
    one_frame_at_a_time: bool = True
    torn_tail_set_aside: bool = True
    last_frame_written_again: bool = True


def _more(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Every action that can follow, with what it leads to."""
    if state.refused:
        return
    if state.writer == "starting":
        yield from _start(state, rules)
    else:
        yield from _sessions(state, rules)
        yield from _writer(state, rules)
    if state.starts <= RESTARTS:
        yield from _crash(state)


def _sessions(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    for session, records in enumerate(STATEMENTS):
        if session in state.ended:
            continue
        put, told = state.put[session], state.told[session]
        # A session puts its next record when it was told of the last, and a result when the
        # database was asked.
        ready = put == told and put < records and (put == 0 or session in state.asked)
        if ready and state.writer != "stopped":
            grown = _with(state.put, session, put + 1)
            pending = (*state.pending, (session, put))
            yield f"put {session}.{put}", replace(state, put=grown, pending=pending)
        intent = told >= 1 or (not rules.intent_before_asking and put >= 1)
        if intent and session not in state.asked:
            yield f"ask the database {session}", replace(state, asked=state.asked | {session})
        known = told if rules.result_before_release else put
        for number in range(1, known):
            if (session, number) not in state.received:
                received = state.received | {(session, number)}
                yield f"release {session}.{number}", replace(state, received=received)


def _writer(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """`GroupCommit._work` and `SegmentWriter.append`."""
    if state.writer == "idle" and state.pending:
        taken = replace(state, writer="taken", batch=state.pending, pending=())
        yield "take a batch", taken
    if state.writer == "taken":
        frame = Frame(state.number, state.batch, WRITTEN)
        written = replace(
            state, writer="written", frames=(*state.frames, frame), number=state.number + 1
        )
        if rules.answer_behind_sync:
            yield "write", written
        else:
            yield "write", _answered(written)
        torn = replace(frame, place=TORN)
        yield "write fails", _stopped(replace(state, frames=(*state.frames, torn)))
        yield "write fails at once", _stopped(state)
    if state.writer == "written":
        yield "sync", _answered(_placed(state, SYNCED))
        dropped = _placed(state, DROPPED)
        if rules.failed_sync_is_final:
            yield "sync fails", _stopped(dropped)
        else:
            yield "sync fails and is tried again", _answered(dropped)
        if not rules.one_frame_at_a_time and state.pending:
            # The next frame is written while this one's sync runs, and answered with it.
            frame = Frame(state.number, state.pending, WRITTEN)
            yield (
                "write ahead",
                replace(
                    state, pending=(), frames=(*state.frames, frame), number=state.number + 1,
                    batch=state.pending,
                ),
            )  # fmt: skip


def _crash(state: State) -> Iterator[tuple[str, State]]:
    """What the process knew is gone.

    Of the disk a power failure leaves what was synced, and of the rest anything.
    """
    begun = {session for session, put in enumerate(state.put) if put}
    off = replace(
        state, writer="starting", put=(0, 0), told=(0, 0), pending=(), batch=(),
        ended=state.ended | begun, starts=state.starts + 1,
    )  # fmt: skip
    yield "killed", off
    fates = [
        (frame,) if frame.place in (SYNCED, TORN)
        else (replace(frame, place=SYNCED), replace(frame, place=TORN), None)
        for frame in state.frames
    ]  # fmt: skip
    for chosen in product(*fates):
        left = tuple(frame for frame in chosen if frame is not None)
        yield "power lost", replace(off, frames=left)


def _start(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """`recovery.recover`, then `SessionLog._begin`: this boot's first frame."""
    good = [frame for frame in state.frames if frame.place != TORN]
    numbers = [frame.number for frame in good]
    hole = any(
        frame.place == TORN and any(later.number > frame.number for later in good)
        for frame in state.frames
    )
    if hole or numbers != list(range(len(numbers))):
        yield "refuse to start", replace(state, refused=True)
        return
    frames = tuple(good) if rules.torn_tail_set_aside else state.frames
    if rules.last_frame_written_again and frames:
        # Dirty again, then synced: what was only cached is on the disk, or there is no start.
        frames = (*frames[:-1], replace(frames[-1], place=SYNCED))
    first = Frame(len(good), (), SYNCED)
    number = first.number
    begun = replace(state, writer="idle", frames=(*frames, first), number=number + 1, boot=number)
    yield "start", begun


def _with(counts: tuple[int, ...], at: int, count: int) -> tuple[int, ...]:
    return (*counts[:at], count, *counts[at + 1 :])


def _placed(state: State, place: str) -> State:
    """What this boot wrote and did not sync is there now."""
    frames = tuple(
        replace(frame, place=place)
        if frame.place == WRITTEN and frame.number >= state.boot
        else frame
        for frame in state.frames
    )
    return replace(state, frames=frames)


def _answered(state: State) -> State:
    """Who waits for a record of the batch is told that it is durable."""
    told = list(state.told)
    for session, number in state.batch:
        told[session] = max(told[session], number + 1)
    durable = state.durable | set(state.batch)
    return replace(state, told=tuple(told), batch=(), writer="idle", durable=durable)


def _stopped(state: State) -> State:
    """The log has failed for good: nobody is told anything."""
    return replace(state, writer="stopped", batch=(), pending=())


def _wrong(state: State) -> str | None:
    """The claim that does not hold in this state, if there is one."""
    if state.refused:
        return "starts"
    # What any later start would read at worst: a power failure now, and nothing kept by luck.
    left = {record for frame in state.frames if frame.place == SYNCED for record in frame.records}
    if not state.received <= left:
        return "released"
    if not {(session, 0) for session in state.asked} <= left:
        return "asked"
    return None if state.durable <= left else "known"


@dataclass(frozen=True)
class Visit:
    """What came out: the states seen, and the way to the first wrong one."""

    states: int
    wrong: str | None
    way: tuple[str, ...]


def visit(rules: Rules) -> Visit:
    """Go through all states that can be reached, nearest first, up to the first wrong one."""
    start = State()
    came: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if (wrong := _wrong(state)) is not None:
            way: list[str] = []
            at = state
            while (last := came[at]) is not None:
                at, action = last
                way.append(action)
            return Visit(len(came), wrong, tuple(reversed(way)))
        for action, following in _more(state, rules):
            if following not in came:
                came[following] = (state, action)
                queue.append(following)
    return Visit(len(came), None, ())


def main(arguments: list[str]) -> int:
    """0 when the model holds, and with `--broken` when each rule left out is caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--broken", action="store_true", help="leave out one rule at a time too")
    asked = parser.parse_args(arguments)
    whole = visit(Rules())
    good = whole.wrong is None
    print(f"all rules: {whole.states:,} states, {'all hold' if good else whole.wrong}")
    for step in whole.way:
        print(f"    {step}")
    if asked.broken:
        for name in Rules.__dataclass_fields__:
            seen = visit(replace(Rules(), **{name: False}))
            print(f"without {name}: {seen.wrong or 'NOT CAUGHT'}")
            for step in seen.way:
                print(f"    {step}")
            good = good and seen.wrong is not None
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
