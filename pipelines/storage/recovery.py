"""Taking jobs from owners that went silent, by hand and automatically."""

from datetime import timedelta
from typing import Final

import msgspec

from pipelines.model import Job, job_from_row
from pipelines.storage.children import succeed
from pipelines.storage.connection import Connection

_STALE: Final = """state = 'RUNNING'
  AND (locked_at IS NULL OR locked_at < clock_timestamp() - {window}::interval)"""

_BACK: Final = """state = 'NOT_STARTED', locked_by = NULL, locked_at = NULL, is_current = false,
  run_after = NULL"""

_RECOVER: Final = f"""UPDATE pipeline_jobs SET {_BACK}, attempts = 0
WHERE id = $1 AND {_STALE.format(window="$2")} RETURNING *"""

# A row that its owner is finishing right now is locked: it is alive, and not waited for.
_SILENT: Final = f"""SELECT id FROM pipeline_jobs WHERE {_STALE.format(window="$1")}
  AND {{attempts}} ORDER BY id FOR UPDATE SKIP LOCKED"""

_SWEEP: Final = f"""UPDATE pipeline_jobs SET {_BACK}
WHERE id IN ({_SILENT.format(attempts="attempts < max_attempts")}) RETURNING id"""

_ABANDON: Final = f"""UPDATE pipeline_jobs SET state = 'FINISHED', result = 'ERROR',
  status_message = 'Given up after ' || attempts || ' attempts: its process went silent',
  finished_at = coalesce(finished_at, clock_timestamp()), is_current = false, locked_by = NULL,
  meta = meta || jsonb_build_object('abandoned', true)
WHERE id IN ({_SILENT.format(attempts="attempts >= max_attempts")}) RETURNING *"""


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did.

    Attributes:
        recovered: Ids of jobs that may be claimed again.
        abandoned: Jobs without an attempt left, ended with an error.
    """

    recovered: tuple[int, ...] = ()
    abandoned: tuple[Job, ...] = ()


async def recover_job(connection: Connection, job_id: int, stale_window: timedelta) -> Job | None:
    """Put a stale running job back with all its attempts; None if it is not running or stale."""
    row = await connection.fetchrow(_RECOVER, job_id, stale_window)
    return None if row is None else job_from_row(row)


async def sweep_stuck_running_jobs(connection: Connection, stale_window: timedelta) -> Swept:
    """Put stale running jobs back, attempts kept; end those that have none left.

    Successors of the ended ones are inserted for those who asked while they ran.
    """
    async with connection.transaction():
        recovered = await connection.fetch(_SWEEP, stale_window)
        rows = await connection.fetch(_ABANDON, stale_window)
        abandoned = tuple(job_from_row(row) for row in rows)
        for job in abandoned:
            if job.rerun_requested:
                await succeed(connection, job)
    return Swept(tuple(row["id"] for row in recovered), abandoned)
