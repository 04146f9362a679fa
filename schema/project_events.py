"""What happened in a project: the events that somebody at a position was not told of.

An event is found by the transaction that wrote it, not by its number alone: a transaction that
commits late is missed by nobody. The statement reads its own snapshot, which is the position of
whoever is told of all that it returns (:mod:`schema.positions`).
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import run_json
from schema.outcomes import Event
from schema.positions import Position, Snapshot
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import PROJECT_EVENTS

SHOWN: Final = 50
"""Runs in the snapshot of a project, the newest ones."""

# Two ways into the index: transactions that were under way at the position, and later ones. What
# a restored database has of transactions that are yet to come is left out.
_UNTOLD: Final = f"""
    SELECT e.run_id, e.version, e.seq, e.event, e.payload, e.xact
    FROM pg_snapshot_xip(a.base) AS x (xact)
    JOIN run_events e ON e.project_id = a.project_id AND e.xact = x.xact
    WHERE e.event IN {PROJECT_EVENTS} AND e.xact IS NOT NULL
    UNION ALL
    SELECT e.run_id, e.version, e.seq, e.event, e.payload, e.xact FROM run_events e
    WHERE e.project_id = a.project_id AND e.xact >= pg_snapshot_xmax(a.base)
      AND e.xact < pg_snapshot_xmax(n.snapshot)
      AND e.event IN {PROJECT_EVENTS} AND e.xact IS NOT NULL"""

_ASKED: Final = """
WITH now AS MATERIALIZED (
  SELECT pg_current_snapshot() AS snapshot
), asked AS MATERIALIZED (
  SELECT a.project_id, a.base::pg_snapshot AS base, a.target::pg_snapshot AS target, a.seq, a.nth
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
    AS a (project_id, base, target, seq, nth)
)"""

_LEFT: Final = "u.seq > a.seq AND (a.target IS NULL OR pg_visible_in_snapshot(u.xact, a.target))"

MISSING: Final = Statement(
    "project_events.missing",
    f"""{_ASKED}
SELECT a.nth, n.snapshot::text AS snapshot, h.xact::text::bigint AS horizon,
  m.run_id, m.version, m.seq, m.event, m.payload::text AS payload
FROM asked a CROSS JOIN now n
LEFT JOIN run_event_horizons h ON h.project_id = a.project_id
LEFT JOIN LATERAL (
  SELECT u.* FROM ({_UNTOLD}
  ) u WHERE {_LEFT} ORDER BY u.seq LIMIT $5
) m ON true
ORDER BY a.nth, m.seq""",
)

COUNT: Final = Statement(
    "project_events.count",
    f"""{_ASKED}
SELECT count(*) AS size FROM asked a CROSS JOIN now n CROSS JOIN LATERAL (
  SELECT 1 FROM ({_UNTOLD}
  ) u WHERE {_LEFT} LIMIT $5
) m""",
)

NOW: Final = Statement("project_events.now", "SELECT pg_current_snapshot()::text AS snapshot")

SNAPSHOT: Final = Statement(
    "project_events.snapshot",
    f"""
SELECT pg_current_snapshot()::text AS snapshot, jsonb_build_object('runs', coalesce((
  SELECT jsonb_agg({run_json("r")} ORDER BY r.inserted_at DESC, r.id DESC) FROM (
    SELECT * FROM runs WHERE project_id = $1 ORDER BY inserted_at DESC, id DESC LIMIT {SHOWN}
  ) r), '[]'))::text AS payload""",
)


class Page(msgspec.Struct, frozen=True):
    """What follows a position.

    Attributes:
        events: In the order of their numbers, those included that the position names as told.
        target: All that this snapshot sees is told once the last page is.
        full: There is more.
        now: What the statement saw.
        gap: Something that is missing cannot be told any more, or the position is not of this
            database.
    """

    events: list[Event]
    target: Snapshot
    now: Snapshot
    full: bool
    gap: bool


class Seen(msgspec.Struct, frozen=True):
    """A project as it is now.

    Attributes:
        position: What the payload includes.
        payload_json: JSON text ``{"runs": [...]}``, newest first.
    """

    position: Position
    payload_json: str


async def missing(
    repo: Runner, asked: Sequence[tuple[UUID, Position]], limit: int
) -> list[Page] | Refused:
    """Return what follows some positions, of one moment, in one statement.

    Args:
        repo: Where to.
        asked: Projects and positions; a project may be asked for more than once.
        limit: Events per page at most.

    Returns:
        One page for each.
    """
    rows = await repo.fetch(MISSING, *_columns(asked), limit + 1)
    if isinstance(rows, Refused):
        return rows
    found: list[list[Any]] = [[] for _ in asked]
    for row in rows:
        found[row["nth"] - 1].append(row)
    return [_page(*one, rows, limit) for one, rows in zip(asked, found, strict=True)]


async def count(repo: Runner, project_id: UUID, position: Position, most: int) -> int | Refused:
    """Return how many events follow a position; counts no further than ``most``."""
    row = await repo.fetchrow(COUNT, *_columns([(project_id, position)]), most)
    return row if isinstance(row, Refused) else row["size"] if row is not None else 0


async def now(repo: Runner) -> Position | Refused:
    """Return the position of whoever was told of everything until now."""
    row = await repo.fetchrow(NOW)
    if row is None or isinstance(row, Refused):
        return row or Refused(kind="internal")
    return Position(Snapshot.parse(row["snapshot"]))


async def snapshot(repo: Runner, project_id: UUID) -> Seen | Refused:
    """Return the newest runs of a project and the position that they stand for."""
    row = await repo.fetchrow(SNAPSHOT, project_id)
    if row is None or isinstance(row, Refused):
        return row or Refused(kind="internal")
    return Seen(Position(Snapshot.parse(row["snapshot"])), row["payload"])


def _columns(asked: Sequence[tuple[UUID, Position]]) -> tuple[list[Any], ...]:
    stages = [position.stage for _, position in asked]
    return (
        [project_id for project_id, _ in asked],
        [position.base.text for _, position in asked],
        [None if stage is None else stage.target.text for stage in stages],
        [-1 if stage is None else stage.seq for stage in stages],
    )


def _page(project_id: UUID, position: Position, rows: list[Any], limit: int) -> Page:
    now = Snapshot.parse(rows[0]["snapshot"])
    horizon = rows[0]["horizon"]
    pruned = horizon is not None and horizon >= position.base.xmin
    events = [
        Event(row["run_id"], project_id, row["version"], row["event"], row["payload"], row["seq"])
        for row in rows[:limit]
        if row["seq"] is not None
    ]
    target = now if position.stage is None else position.stage.target
    gap = pruned or position.newest > now.xmax
    return Page(events, target, now, full=len(rows) > limit, gap=gap)
