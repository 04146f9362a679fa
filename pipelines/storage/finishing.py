"""Ending jobs: finish by the owner; cancel and abort by anybody. Nothing leaves FINISHED."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from pipelines.enums import JobResult
from pipelines.meta import LONGEST_MESSAGE, clean_text, encode_meta
from pipelines.model import Job, job_from_row
from pipelines.storage.children import succeed
from pipelines.storage.claims import OWNED
from pipelines.storage.connection import Connection
from schema.tables.pipelines import ACTIVE

_COMPLETED: Final = """jsonb_build_object('completed_at',
  to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""

_FINISH: Final = f"""UPDATE pipeline_jobs SET state = 'FINISHED', result = $3,
  finished_at = coalesce(finished_at, clock_timestamp()),
  status_message = coalesce($4, status_message), chained_count = $6,
  meta = meta || coalesce($5::jsonb, '{{}}') || {_COMPLETED}
WHERE {OWNED} RETURNING *"""

_ADD_META: Final = "UPDATE pipeline_jobs SET meta = meta || $2::jsonb WHERE id = $1"

_CANCEL: Final = f"""UPDATE pipeline_jobs SET state = 'FINISHED', result = 'ERROR',
  status_message = $2, finished_at = coalesce(finished_at, clock_timestamp()),
  is_current = false, locked_by = NULL, meta = meta || $3::jsonb || {_COMPLETED}
WHERE id = $1 AND {ACTIVE} RETURNING *"""

_ANY_ACTIVE_OF: Final = (
    f"SELECT EXISTS (SELECT 1 FROM pipeline_jobs WHERE pipeline_id = $1 AND {ACTIVE})"
)

_ACTIVE_OF: Final = f"""SELECT id FROM pipeline_jobs WHERE pipeline_id = $1 AND {ACTIVE}
ORDER BY id FOR UPDATE"""


class Finished(msgspec.Struct, frozen=True):
    """A job that was ended.

    Attributes:
        job: As it ended.
        successor: Id of the job that repeats its work, for those who asked while it ran.
    """

    job: Job
    successor: int | None = None


async def finish(
    connection: Connection,
    job_id: int,
    owner: str,
    result: JobResult,
    *,
    status_message: str | None = None,
    meta: Mapping[str, Any] | None = None,
    chained_count: int = 0,
) -> Finished | None:
    """End our own job, compare-and-set, and insert its successor if one was asked for.

    To be called in the transaction of the domain writes. None, and nothing changed, when the job is
    not ours any more: roll back, do not retry, do not raise. Its new owner ends it.
    """
    message = None if status_message is None else clean_text(status_message, LONGEST_MESSAGE)
    merged = None if meta is None else encode_meta(meta)
    row = await connection.fetchrow(_FINISH, job_id, owner, result, message, merged, chained_count)
    if row is None:
        return None
    job = job_from_row(row)
    successor = await succeed(connection, job) if job.rerun_requested else None
    return Finished(job, successor)


async def finish_job(
    connection: Connection,
    job_id: int,
    owner: str,
    result: JobResult,
    status_message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bool:
    """End our own job in a transaction of its own. Returns False when it is not ours any more."""
    async with connection.transaction():
        done = await finish(
            connection, job_id, owner, result, status_message=status_message, meta=metadata
        )
    return done is not None


async def add_meta(connection: Connection, job_id: int, meta: Mapping[str, Any]) -> None:
    """Merge into the metadata of a job that the caller has just finished and so locked."""
    await connection.execute(_ADD_META, job_id, encode_meta(meta))


async def cancel_job(connection: Connection, job_id: int) -> Finished | None:
    """End one job whoever owns it; the owner notices at once and rolls back.

    Returns:
        The job; None when it does not exist or is over.
    """
    async with connection.transaction():
        return await _end(connection, job_id, "Cancelled by user", {"cancelled": True})


async def abort_pipeline(connection: Connection, pipeline_id: UUID, user: str) -> list[Finished]:
    """End all active jobs of a pipeline, those inserted meanwhile included.

    Work that another pipeline waits for goes on there, as a successor.

    Returns:
        The jobs that were ended; empty when all were over.
    """
    ended: list[Finished] = []
    async with connection.transaction():
        message = f"Aborted by {user}"
        at = await connection.fetchval("SELECT clock_timestamp()")
        meta = {"aborted": True, "aborted_by": user, "aborted_at": at.isoformat()}
        # A parent that finished while we waited for its row left children that our snapshot
        # did not have: look again, without waiting, until there is nothing.
        while await connection.fetchval(_ANY_ACTIVE_OF, pipeline_id):
            for row in await connection.fetch(_ACTIVE_OF, pipeline_id):
                done = await _end(connection, row["id"], message, meta)
                if done is not None:
                    ended.append(done)
    return ended


async def _end(
    connection: Connection, job_id: int, message: str, meta: Mapping[str, Any]
) -> Finished | None:
    text = clean_text(message, LONGEST_MESSAGE)
    row = await connection.fetchrow(_CANCEL, job_id, text, encode_meta(meta))
    if row is None:
        return None
    job = job_from_row(row)
    return Finished(job, await succeed(connection, job, revive=True))
