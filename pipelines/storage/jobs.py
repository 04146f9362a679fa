"""Creating pipelines with their root, and reading jobs."""

from typing import Any, Final
from uuid import UUID

import msgspec

from pipelines.dedup import DedupConfig
from pipelines.model import (
    Job,
    Join,
    NewJob,
    Pipeline,
    job_from_row,
    join_from_row,
    pipeline_from_row,
)
from pipelines.storage import children
from pipelines.storage.connection import Connection

_NEW_PIPELINE: Final = """INSERT INTO pipelines
  (kind, tenant_id, module_type_id, year, entity_type, ingestion_method, job_count)
VALUES ($1, $2, $3, $4, $5, $6, 1) RETURNING id"""

_JOINS: Final = """SELECT joins.requester_id, joins.job_id, joins.waits_for_rerun, job.job_type,
  job.state, job.result
FROM pipeline_jobs AS requester
JOIN pipeline_joins AS joins ON joins.requester_id = requester.id
JOIN pipeline_jobs AS job ON job.id = joins.job_id
WHERE requester.pipeline_id = $1 ORDER BY joins.requester_id, joins.job_id"""


class Submitted(msgspec.Struct, frozen=True):
    """A root job that was asked for.

    Attributes:
        pipeline_id: Pipeline to watch.
        job_id: The job that does the work.
        joined: It existed: an active job of the same scope.
    """

    pipeline_id: UUID
    job_id: int
    joined: bool = False


async def submit(
    connection: Connection, new: NewJob, *, dedup: DedupConfig | None = None
) -> Submitted:
    """Create a pipeline and its root job, or join an active job of the same scope.

    Raises:
        ValueError: See :meth:`pipelines.dedup.DedupConfig.check`.
    """
    async with connection.transaction():
        pipeline_id: UUID = await connection.fetchval(
            _NEW_PIPELINE,
            new.job_type,
            new.tenant_id,
            new.module_type_id,
            new.year,
            new.entity_type,
            new.ingestion_method,
        )
        values = _values(new, pipeline_id)
        if dedup is None:
            return Submitted(pipeline_id, await children.insert(connection, values))
        scope = dedup.check(new.job_type, values)
        landed = await children.insert_or_join(connection, values, dedup, scope)
        if not landed.joined:
            return Submitted(pipeline_id, landed.job_id)
        await connection.execute("DELETE FROM pipelines WHERE id = $1", pipeline_id)
        existing = await connection.fetchval(
            "SELECT pipeline_id FROM pipeline_jobs WHERE id = $1", landed.job_id
        )
        return Submitted(existing, landed.job_id, joined=True)


async def get_job(connection: Connection, job_id: int) -> Job | None:
    """Return a job."""
    row = await connection.fetchrow("SELECT * FROM pipeline_jobs WHERE id = $1", job_id)
    return None if row is None else job_from_row(row)


async def jobs_of(connection: Connection, pipeline_id: UUID) -> list[Job]:
    """Return the jobs of a pipeline by id, ascending; empty if there is no such pipeline."""
    rows = await connection.fetch(
        "SELECT * FROM pipeline_jobs WHERE pipeline_id = $1 ORDER BY id", pipeline_id
    )
    return [job_from_row(row) for row in rows]


async def joins_of(connection: Connection, pipeline_id: UUID) -> list[Join]:
    """Return what the jobs of a pipeline joined."""
    return [join_from_row(row) for row in await connection.fetch(_JOINS, pipeline_id)]


async def get_pipeline(connection: Connection, pipeline_id: UUID) -> Pipeline | None:
    """Return a pipeline as stored."""
    row = await connection.fetchrow("SELECT * FROM pipelines WHERE id = $1", pipeline_id)
    return None if row is None else pipeline_from_row(row)


def _values(new: NewJob, pipeline_id: UUID) -> dict[str, Any]:
    values = {name: getattr(new, name) for name in NewJob.__struct_fields__ if name != "config"}
    return {**values, "pipeline_id": pipeline_id, "meta": {"config": dict(new.config)}}
