"""One pipeline as everybody is shown it: its row, its jobs, and progress derived from them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from pipelines.model import Job, Join, Pipeline, job_to_wire, pipeline_to_wire
from pipelines.progress import Progress, compute_progress, progress_to_wire
from pipelines.storage.connection import Connection
from pipelines.storage.jobs import get_pipeline, jobs_of, joins_of
from pipelines.storage.status import ChainOf


class Snapshot(msgspec.Struct, frozen=True):
    """A pipeline at one moment.

    Attributes:
        pipeline: As stored; prefer ``progress`` for its status.
        jobs: By id, ascending; the first is the root.
        joins: What those jobs asked for and jobs of others do.
        progress: Derived from the jobs.
    """

    pipeline: Pipeline
    jobs: tuple[Job, ...]
    joins: tuple[Join, ...]
    progress: Progress


async def read_snapshot(
    connection: Connection, pipeline_id: UUID, chain_of: ChainOf
) -> Snapshot | None:
    """Read a pipeline, all of it at the same moment. None if there is none, or it has no jobs."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        pipeline = await get_pipeline(connection, pipeline_id)
        jobs = await jobs_of(connection, pipeline_id)
        joins = await joins_of(connection, pipeline_id)
    if pipeline is None or not jobs:
        return None
    progress = compute_progress(chain_of(jobs[0].job_type), jobs, joins)
    return Snapshot(pipeline, tuple(jobs), tuple(joins), progress)


def snapshot_to_wire(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as one-shot reads, streams and channels carry it: JSON values only.

    The status is the derived one, and with it everything that is stored beside it.
    """
    progress = snapshot.progress
    wire = pipeline_to_wire(snapshot.pipeline)
    wire["status"] = str(progress.status)
    for name in ("job_count", "error_count", "last_error"):
        wire[name] = getattr(progress, name)
    wire["finished_at"] = msgspec.to_builtins(_finished_at(snapshot))
    wire["jobs"] = [job_to_wire(job) for job in snapshot.jobs]
    wire["progress"] = progress_to_wire(progress)
    return wire


def _finished_at(snapshot: Snapshot) -> datetime | None:
    """Return when it was over. The stored time is written a moment after the last job's end."""
    if not snapshot.progress.done:
        return None
    ends = [job.finished_at for job in snapshot.jobs if job.finished_at is not None]
    return snapshot.pipeline.finished_at or max(ends, default=None)
