"""The arithmetic of cursors: snapshots, what was told beyond them, and interrupted replays."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.feeds.following import Told
from handlers.feeds.project_reader import replay
from schema.outcomes import Event
from schema.positions import LONGEST, BadCursorError, Position, Snapshot, Stage
from schema.project_events import Page

NOBODY = UUID(int=0)
NUMBERS = st.integers(0, 2**40)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    xmax = draw(st.integers(10, 2**50))
    below = draw(st.sets(st.integers(1, min(xmax - 1, 500)), max_size=8))
    return Snapshot(xmax, tuple(sorted(xmax - distance for distance in below)))


@st.composite
def positions(draw: st.DrawFn) -> Position:
    told = tuple(draw(st.lists(NUMBERS, max_size=6)))
    stage = draw(st.none() | st.builds(Stage, snapshots(), NUMBERS))
    return Position(draw(snapshots()), told, stage)


@given(positions())
def test_a_cursor_says_the_position_and_fits_into_a_header(position: Position) -> None:
    cursor = position.cursor
    assert Position.parse(cursor) == position
    assert cursor.isascii()
    assert cursor.replace("-", "").replace(".", "").isalnum()


@given(snapshots())
def test_a_snapshot_reads_what_postgresql_writes(snapshot: Snapshot) -> None:
    assert Snapshot.parse(snapshot.text) == snapshot
    assert not any(snapshot.sees(xact) for xact in (*snapshot.running, snapshot.xmax))
    assert snapshot.sees(snapshot.xmin - 1)


@given(
    st.text(max_size=40) | st.from_regex(r"1-[0-9a-f.n]*(-t[0-9a-f.n]*)?(-s[0-9a-f.]*-[0-9a-f]*)?")
)
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        position = Position.parse(text)
    except BadCursorError:
        return
    # What PostgreSQL is handed is well formed, whatever came.
    for snapshot in (position.base, *([position.stage.target] if position.stage else [])):
        numbers = [*snapshot.running, snapshot.xmax]
        assert numbers == sorted(set(numbers))
        assert numbers[0] >= 0
        assert numbers[-1] < 2**63
    assert all(0 <= seq < 2**63 for seq in position.told)


@pytest.mark.parametrize(
    "cursor",
    [
        *(None, 7, "", "1", "1-", "2-a", "1-A", "1-a-t", "1-a-s", "1-a-s5", "1-a.0", "1-a.b"),
        *("1-0x1f", "1-1_0", "1-a\n", " 1-a", "1-a-tn1", "1-a-t1.nf", "1-" + "f" * 17),
        *("1-ffffffffffffffff", "1-a" + ".1" * LONGEST),
    ],
)
def test_what_is_no_cursor_is_refused(cursor: Any) -> None:
    with pytest.raises(BadCursorError):
        Position.parse(cursor)


@given(positions(), NUMBERS, NUMBERS)
def test_one_more_event_covers_that_event_and_nothing_else(
    position: Position, xact: int, seq: int
) -> None:
    more = position.plus(seq)
    assert more.covers(xact, seq)
    for other in (seq + 1, seq + 2):
        assert more.covers(xact, other) == position.covers(xact, other)


def test_a_transaction_under_way_is_one_number_however_long_it_runs() -> None:
    position = Position(Snapshot(10**12, (17,)))
    assert len(position.cursor) < 30
    assert not position.covers(17, 1)
    assert position.covers(10**12 - 1, 1)


class Database:
    """Transactions that take numbers, write one event each, and commit in any order."""

    def __init__(self) -> None:
        self.next_xact = 100
        self.running: dict[int, int] = {}
        self.events: list[tuple[int, int]] = []
        self.seq = 0

    def begin(self) -> None:
        self.seq += 1
        self.running[self.next_xact] = self.seq
        self.next_xact += 1

    def commit(self, at: int) -> int:
        xact = sorted(self.running)[at % len(self.running)]
        self.events.append((xact, self.running.pop(xact)))
        return self.events[-1][1]

    def snapshot(self) -> Snapshot:
        # As PostgreSQL: one past the last that ended, not the next to be given out.
        return Snapshot(self.next_xact, tuple(sorted(self.running)))

    def missing(self, position: Position, limit: int) -> Page:
        """What the statement returns."""
        now = self.snapshot()
        stage = position.stage
        target, floor = (now, -1) if stage is None else (stage.target, stage.seq)
        left = sorted(
            (seq, xact)
            for xact, seq in self.events
            if not position.base.sees(xact) and target.sees(xact) and seq > floor
        )
        events = [Event(NOBODY, NOBODY, 1, "run:updated", "{}", seq) for seq, _ in left[:limit]]
        return Page(events, target, now, full=len(left) > limit, gap=False)


class Dashboard:
    """Takes what it is sent until it loses its connection."""

    connected = True

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.cursor = ""
        self.breaks_after = 10**9

    def take(self, told: Told) -> None:
        if self.breaks_after <= 0:
            return
        self.breaks_after -= 1
        self.cursor = told.mark
        before = Position.parse(told.mark)
        assert before.stage is not None
        self.seen.append(before.stage.seq)

    def go_live(self) -> None: ...

    async def keep_pace(self) -> None: ...


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "commit", "commit", "live", "read"]), st.integers(0, 9)),
    max_size=80,
)


@given(STEPS, st.integers(1, 4))
def test_whoever_resumes_anywhere_is_told_everything_once(
    steps: list[tuple[str, int]], limit: int
) -> None:
    database, dashboard = Database(), Dashboard()
    position = Position(database.snapshot())
    dashboard.cursor = position.cursor
    for step, at in steps:
        if step == "begin":
            database.begin()
        elif step == "commit" and database.running:
            database.commit(at)
        elif step == "live" and database.running:
            seq = database.commit(at)
            position = Position.parse(dashboard.cursor).plus(seq)
            dashboard.cursor = position.cursor
            dashboard.seen.append(seq)
        elif step == "read":
            # A page, of which it may get a part only: it resumes after the last event it got.
            position = Position.parse(dashboard.cursor)
            dashboard.breaks_after = at
            page = database.missing(position, limit)
            new = [event for event in page.events if event.seq not in position.told]
            after = replay(dashboard, position, page)
            if at >= len(new):
                dashboard.cursor = after.cursor
    while database.running:
        database.commit(0)
    dashboard.breaks_after = 10**9
    position = Position.parse(dashboard.cursor)
    while (page := database.missing(position, limit)).events or position.stage is not None:
        position = replay(dashboard, position, page)
    assert sorted(dashboard.seen) == sorted(seq for _, seq in database.events)
