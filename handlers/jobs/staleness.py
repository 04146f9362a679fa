"""Which run statistics are behind the runs that they count."""

from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from handlers.jobs.statistics import FIRST, JOB_TYPE
from pipelines import Connection

_BEHIND: Final = """WITH moved AS (
  SELECT workflow_id, (finished_at AT TIME ZONE 'UTC')::date AS day,
    max(greatest(finished_at, recovered_at)) AS last
  FROM runs WHERE (finished_at > clock_timestamp() - $1::interval
    OR recovered_at > clock_timestamp() - $1::interval)
    AND ($3::uuid[] IS NULL OR project_id = ANY($3)) GROUP BY 1, 2
)
SELECT moved.workflow_id, moved.day, job.id, job.state, job.result,
  extract(epoch FROM clock_timestamp() - counted.computed_at)::float8 / 60 AS age,
  counted.computed_at IS NULL OR moved.last > counted.computed_at AS inputs_newer
FROM moved
LEFT JOIN run_statistics AS counted USING (workflow_id, day)
LEFT JOIN LATERAL (SELECT id, state, result FROM pipeline_jobs
  WHERE job_type = $2 AND scope_key = moved.workflow_id || ':' || moved.day
  ORDER BY id DESC LIMIT 1) AS job ON true
WHERE counted.computed_at IS NULL OR moved.last > counted.computed_at OR job.result = 'ERROR'
ORDER BY moved.day, moved.workflow_id"""


class StaleDay(msgspec.Struct, frozen=True):
    """A workflow and day that is behind.

    Attributes:
        job_id: The last job that counted it; None if there is none.
        state: State of that job.
        result: Result of that job.
        age_minutes: Minutes since it was counted; None if it never was.
        inputs_newer: Runs finished since.
    """

    workflow_id: UUID
    day: date
    job_id: int | None
    state: str | None
    result: str | None
    age_minutes: float | None
    inputs_newer: bool


async def stale_run_statistics(
    connection: Connection, projects: Sequence[UUID] | None = None
) -> list[StaleDay]:
    """Return what is behind, of the days that the first sweep would look at.

    Args:
        connection: Where to.
        projects: Of workflows of these projects only; None is all.
    """
    rows = await connection.fetch(_BEHIND, FIRST, JOB_TYPE, projects)
    return [
        StaleDay(
            workflow_id=row["workflow_id"],
            day=row["day"],
            job_id=row["id"],
            state=row["state"],
            result=row["result"],
            age_minutes=row["age"],
            inputs_newer=row["inputs_newer"],
        )
        for row in rows
    ]
