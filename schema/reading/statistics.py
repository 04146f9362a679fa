"""Statistics of runs per workflow and day, as the aggregation left them."""

from datetime import date
from typing import Final
from uuid import UUID

from schema.refused import Refused
from schema.repo import Runner, Statement

MOST_DAYS: Final = 10_000
"""Rows of one answer."""

DAYS: Final = Statement(
    "statistics.days",
    f"""
SELECT coalesce(jsonb_agg(jsonb_build_object('workflow_id', s.workflow_id,
  'workflow_name', s.name, 'project_id', s.project_id, 'day', s.day, 'total', s.total,
  'states', s.states, 'seconds', s.seconds, 'p50_s', s.p50_seconds, 'p95_s', s.p95_seconds,
  'error_types', s.error_types, 'computed_at', s.computed_at)
  ORDER BY s.day, s.name, s.workflow_id), '[]')::text AS payload
FROM (SELECT s.*, w.name, w.project_id FROM workflows w
  JOIN run_statistics s ON s.workflow_id = w.id
  WHERE w.project_id = ANY($1) AND ($2::uuid IS NULL OR w.id = $2)
    AND s.day BETWEEN $3::date AND $4::date
  ORDER BY s.day DESC LIMIT {MOST_DAYS}) s""",
)


async def days(
    repo: Runner, projects: list[UUID], workflow: UUID | None, first: date, last: date
) -> str | Refused:
    """Return the statistics of some days as JSON text, by day and name of the workflow.

    Args:
        repo: Where to.
        projects: Of these projects.
        workflow: Of this workflow only.
        first: From this day on (UTC).
        last: To this day, which is included.
    """
    row = await repo.fetchrow(DAYS, projects, workflow, first, last)
    return row if isinstance(row, Refused) else str(row and row["payload"])
