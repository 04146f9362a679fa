"""Run statistics: what became of the runs of a workflow on a day, derived from the runs."""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

# By the database's time of the change, whatever a worker says of its time: a run may be told of
# long after its end. Every day on which the run ever was over is named, so that a run which was
# lost on one day and turns out to have ended on another leaves the first and counts at the second.
SCOPES: Final = Statement(
    "run_statistics.scopes",
    """
WITH moved AS (
  SELECT DISTINCT run_id FROM run_events WHERE inserted_at > $1 AND event = 'run:updated'
    AND payload -> 'run' ->> 'finished_at' IS NOT NULL
)
SELECT DISTINCT r.workflow_id,
  ((e.payload -> 'run' ->> 'finished_at')::timestamptz AT TIME ZONE 'UTC')::date AS day
FROM moved m JOIN runs r ON r.id = m.run_id JOIN run_events e ON e.run_id = m.run_id
WHERE e.event = 'run:updated' AND e.payload -> 'run' ->> 'finished_at' IS NOT NULL
ORDER BY day, workflow_id""",
)

MOST_ERROR_TYPES: Final = 50
"""Of one workflow and day; the most frequent ones are kept."""

COMPUTE: Final = Statement(
    "run_statistics.compute",
    f"""
WITH ended AS MATERIALIZED (
  SELECT state, error_type, coalesce(extract(epoch FROM
      finished_at - coalesce(started_at, claimed_at))::float8, 0) AS seconds,
    coalesce(started_at, claimed_at) IS NOT NULL AS ran
  FROM runs WHERE workflow_id = $1 AND finished_at >= $2::date::timestamp AT TIME ZONE 'UTC'
    AND finished_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
), counted AS (
  SELECT count(*)::int AS total, coalesce(sum(seconds), 0) AS seconds,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE ran) AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE ran) AS p95
  FROM ended
), states AS (
  SELECT jsonb_object_agg(state, runs) AS of FROM (
    SELECT state, count(*) AS runs FROM ended GROUP BY state) s
), errors AS (
  SELECT jsonb_object_agg(type, runs) AS of FROM (
    SELECT coalesce(error_type, state) AS type, count(*) AS runs FROM ended
    WHERE state <> 'success' GROUP BY 1 ORDER BY runs DESC, type LIMIT {MOST_ERROR_TYPES}) t
)
INSERT INTO run_statistics (workflow_id, day, total, states, seconds, computed_at, p50_seconds,
  p95_seconds, error_types)
SELECT $1, $2::date, c.total, coalesce(s.of, '{{}}'), c.seconds, clock_timestamp(), c.p50, c.p95,
  coalesce(e.of, '{{}}')
FROM counted c, states s, errors e
ON CONFLICT (workflow_id, day) DO UPDATE SET total = excluded.total, states = excluded.states,
  seconds = excluded.seconds, computed_at = excluded.computed_at,
  p50_seconds = excluded.p50_seconds, p95_seconds = excluded.p95_seconds,
  error_types = excluded.error_types
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
    """Return the workflows and days of which runs were told to be over after ``since``.

    Among them are the days that such runs were told to have ended on before.
    """
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
