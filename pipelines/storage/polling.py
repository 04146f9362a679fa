"""What the poller asks: which jobs to try next, and when there will be more."""

from collections.abc import Iterable
from typing import Final

from pipelines.storage.claims import DUE, qualified, waits_for_sibling
from pipelines.storage.connection import Connection
from schema.tables.pipelines import PENDING

_WAITING: Final = f"{PENDING} AND locked_by IS NULL"
"""The predicate of the index that is walked, group by group."""

_NEXT: Final = f"""WITH RECURSIVE groups AS (
  (SELECT job_type, COALESCE(tenant_id, '') AS tenant FROM pipeline_jobs
    WHERE {_WAITING} ORDER BY job_type, COALESCE(tenant_id, '') LIMIT 1)
  UNION ALL
  SELECT following.* FROM groups CROSS JOIN LATERAL (
    SELECT job_type, COALESCE(tenant_id, '') FROM pipeline_jobs
    WHERE {_WAITING}
      AND (job_type, COALESCE(tenant_id, '')) > (groups.job_type, groups.tenant)
    ORDER BY job_type, COALESCE(tenant_id, '') LIMIT 1) AS following
), due AS MATERIALIZED (
  SELECT first.id, first.run_after, first.turn FROM groups CROSS JOIN LATERAL (
    SELECT id, run_after, row_number() OVER (ORDER BY run_after NULLS FIRST, id) AS turn
    FROM (
      SELECT id, run_after FROM pipeline_jobs AS job
      WHERE {DUE} AND job_type = groups.job_type AND COALESCE(tenant_id, '') = groups.tenant
        AND id <> ALL($2) AND NOT ({waits_for_sibling("job")})
        AND NOT EXISTS (SELECT 1 FROM pipeline_jobs AS other
          WHERE other.is_current AND other.state = 'RUNNING' AND other.id <> job.id
            AND job.entity_type <> 'MODULE_UNIT_SPECIFIC'
            AND ({qualified("other")}) = ({qualified("job")}))
      ORDER BY run_after NULLS FIRST, id LIMIT $1
    ) AS free
  ) AS first
  WHERE groups.job_type = ANY($3)
  ORDER BY turn, run_after NULLS FIRST, id LIMIT $1
)
SELECT job.id FROM due JOIN pipeline_jobs AS job ON job.id = due.id
ORDER BY due.turn, due.run_after NULLS FIRST, due.id
FOR NO KEY UPDATE OF job SKIP LOCKED"""

_SOON: Final = """SELECT extract(epoch FROM min(run_after) - clock_timestamp())::float8
FROM pipeline_jobs
WHERE state = 'NOT_STARTED' AND locked_by IS NULL AND run_after > clock_timestamp()
  AND job_type = ANY($1)"""


async def next_jobs(
    connection: Connection, limit: int, *, without: Iterable[int], job_types: Iterable[str]
) -> list[int]:
    """Return the jobs to try to claim, in order.

    Ordered by ``run_after`` (nulls first) and id; fair between job types and tenants: the first of
    each, then the second of each. Jobs that would meet a running one of their scope are left out,
    and so are those that somebody has locked right now.

    Args:
        connection: Not necessarily in a transaction.
        limit: At most this many.
        without: Jobs that this process deals with already.
        job_types: Types that this process can run.
    """
    rows = await connection.fetch(_NEXT, limit, list(without), list(job_types))
    return [row["id"] for row in rows]


async def seconds_until_due(connection: Connection, job_types: Iterable[str]) -> float | None:
    """Return in how many seconds the next job becomes due; None when none is scheduled."""
    return await connection.fetchval(_SOON, list(job_types))
