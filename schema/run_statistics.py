"""Run statistics: what became of the runs of a workflow on a day, derived from the runs."""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

SCOPES: Final = Statement(
    "run_statistics.scopes",
    """SELECT DISTINCT workflow_id, (finished_at AT TIME ZONE 'UTC')::date AS day
FROM runs WHERE finished_at > $1 ORDER BY day, workflow_id""",
)

COMPUTE: Final = Statement(
    "run_statistics.compute",
    """
WITH counted AS (
  SELECT state, count(*)::int AS runs,
    coalesce(sum(extract(epoch FROM finished_at - coalesce(started_at, claimed_at, finished_at))),
      0)::float8 AS seconds
  FROM runs WHERE workflow_id = $1 AND finished_at >= $2::date::timestamp AT TIME ZONE 'UTC'
    AND finished_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
  GROUP BY state
)
INSERT INTO run_statistics (workflow_id, day, total, states, seconds, computed_at)
SELECT $1, $2::date, coalesce(sum(runs), 0), coalesce(jsonb_object_agg(state, runs), '{}'),
  coalesce(sum(seconds), 0), clock_timestamp() FROM counted
ON CONFLICT (workflow_id, day) DO UPDATE SET total = excluded.total, states = excluded.states,
  seconds = excluded.seconds, computed_at = excluded.computed_at
RETURNING total""",
    declared("run_statistics"),
)

LIST: Final = Statement(
    "run_statistics.list",
    """SELECT workflow_id, day, total, states::text AS states, seconds, computed_at
FROM run_statistics WHERE workflow_id = $1 ORDER BY day DESC LIMIT $2""",
)


class DayStatistics(msgspec.Struct, frozen=True):
    """The runs of a workflow that finished on a day (UTC).

    Attributes:
        total: How many.
        states: How many by state.
        seconds: Time that they took together.
        computed_at: How old this is.
    """

    workflow_id: UUID
    day: date
    total: int
    states: dict[str, int]
    seconds: float
    computed_at: datetime


async def scopes_since(repo: Runner, since: datetime) -> list[tuple[UUID, date]] | Refused:
    """Return the workflows and days that have runs which finished after ``since``."""
    rows = await repo.fetch(SCOPES, since)
    return rows if isinstance(rows, Refused) else [(row["workflow_id"], row["day"]) for row in rows]


async def compute(repo: Runner, workflow_id: UUID, day: date) -> int | Refused:
    """Count the runs of a workflow and day and store it. Returns how many there are."""
    row: Any = await repo.fetchrow(COMPUTE, workflow_id, day)
    return row if isinstance(row, Refused) else int(row["total"])


async def of_workflow(
    repo: Runner, workflow_id: UUID, *, limit: int = 31
) -> list[DayStatistics] | Refused:
    """Return the latest days of a workflow, newest first."""
    rows = await repo.fetch(LIST, workflow_id, limit)
    if isinstance(rows, Refused):
        return rows
    return [
        DayStatistics(
            workflow_id=row["workflow_id"],
            day=row["day"],
            total=row["total"],
            states=msgspec.json.decode(row["states"], type=dict[str, int]),
            seconds=row["seconds"],
            computed_at=row["computed_at"],
        )
        for row in rows
    ]
