"""The stored status of pipelines, always derived from their jobs."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from pipelines.progress import Chain, Progress, compute_progress
from pipelines.storage.connection import Connection
from pipelines.storage.jobs import jobs_of, joins_of
from schema.tables.pipelines import ACTIVE

ChainOf = Callable[[str], Chain]
"""Finds the chain of a root job type."""

_STORE: Final = """UPDATE pipelines SET status = $2, job_count = $3, error_count = $4,
  last_error = $5, updated_at = clock_timestamp(),
  started_at = coalesce(started_at,
    (SELECT min(started_at) FROM pipeline_jobs WHERE pipeline_id = $1)),
  finished_at = CASE WHEN $6 THEN coalesce(finished_at, clock_timestamp()) END
WHERE id = $1 AND (status, job_count, error_count, last_error, finished_at IS NOT NULL)
  IS DISTINCT FROM ($2, $3, $4, $5, $6::boolean)
RETURNING 1"""

_AFFECTED: Final = """SELECT pipeline_id FROM pipeline_jobs WHERE id = ANY($1)
UNION
SELECT requester.pipeline_id FROM pipeline_joins AS joins
JOIN pipeline_jobs AS requester ON requester.id = joins.requester_id
WHERE joins.job_id = ANY($1)"""

_RECENT: Final = f"""SELECT id FROM pipelines
WHERE updated_at > clock_timestamp() - $1::interval OR status IN ('NOT_STARTED', 'RUNNING')
UNION SELECT pipeline_id FROM pipeline_jobs WHERE {ACTIVE}
UNION SELECT pipeline_id FROM pipeline_jobs WHERE finished_at > clock_timestamp() - $1::interval
ORDER BY id"""


async def affected_by(connection: Connection, job_ids: Sequence[int]) -> list[UUID]:
    """Return the pipelines that depend on some jobs: their own, and those that joined them."""
    rows = await connection.fetch(_AFFECTED, list(job_ids))
    return sorted(row["pipeline_id"] for row in rows)


async def recompute(
    connection: Connection, pipeline_id: UUID, chain_of: ChainOf
) -> tuple[Progress | None, bool]:
    """Derive the status of a pipeline from its jobs and store it if it differs.

    The row of the pipeline is locked first, so that of two who do this at once the second one sees
    what the first one saw, and more.

    Returns:
        The progress, None for a pipeline without jobs, and whether the stored status differed.
    """
    async with connection.transaction():
        kind = await connection.fetchval(
            "SELECT kind FROM pipelines WHERE id = $1 FOR NO KEY UPDATE", pipeline_id
        )
        jobs = await jobs_of(connection, pipeline_id)
        if kind is None or not jobs:
            return None, False
        progress = compute_progress(
            chain_of(jobs[0].job_type), jobs, await joins_of(connection, pipeline_id)
        )
        changed = await connection.fetchval(
            _STORE,
            pipeline_id,
            progress.status,
            progress.job_count,
            progress.error_count,
            progress.last_error,
            progress.done,
        )
    return progress, changed is not None


async def to_reconcile(connection: Connection, lookback: timedelta) -> list[UUID]:
    """Return the pipelines to look at, whatever their stored status says.

    All that changed, or had a job end, within ``lookback``; and all that are not over, as they or
    their jobs have it.
    """
    return [row["id"] for row in await connection.fetch(_RECENT, lookback)]
