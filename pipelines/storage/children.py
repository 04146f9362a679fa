"""Inserting jobs, joining active ones, and the successors of jobs that were asked to run again."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from pipelines.dedup import DedupConfig
from pipelines.enums import JobState
from pipelines.meta import encode_meta
from pipelines.model import Job
from pipelines.storage.connection import Connection
from schema.tables.pipelines import ACTIVE, PENDING

COLUMNS: Final = (
    "pipeline_id",
    "parent_id",
    "job_type",
    "tenant_id",
    "entity_type",
    "entity_id",
    "module_type_id",
    "data_entry_type_id",
    "year",
    "scope_key",
    "target_type",
    "ingestion_method",
    "provider",
    "waits_for_siblings",
    "max_attempts",
    "run_after",
    "meta",
)
"""What is given at creation; everything else starts at its default."""

_INSERT: Final = (
    f"INSERT INTO pipeline_jobs ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join(f'${place}' for place in range(1, len(COLUMNS) + 1))})"
)

_JOIN_PENDING: Final = f"SELECT 1 FROM pipeline_jobs WHERE id = $1 AND {PENDING} FOR SHARE"

_REQUEST_RERUN: Final = """UPDATE pipeline_jobs SET rerun_requested = true
WHERE id = $1 AND state = 'RUNNING' RETURNING 1"""

_RECORD_JOIN: Final = """INSERT INTO pipeline_joins (requester_id, job_id, waits_for_rerun)
VALUES ($1, $2, $3)
ON CONFLICT (requester_id, job_id) DO UPDATE SET waits_for_rerun = EXCLUDED.waits_for_rerun"""

_WAITERS: Final = """SELECT joins.requester_id, requester.pipeline_id, requester.tenant_id
FROM pipeline_joins AS joins JOIN pipeline_jobs AS requester ON requester.id = joins.requester_id
WHERE joins.job_id = $1 AND (joins.waits_for_rerun OR ($2 AND requester.pipeline_id <> $3))
ORDER BY joins.requester_id"""

_SUCCEED: Final = """INSERT INTO pipeline_jobs (pipeline_id, parent_id, tenant_id, job_type,
  entity_type, entity_id, module_type_id, data_entry_type_id, year, scope_key, target_type,
  ingestion_method, provider, max_attempts, meta)
SELECT $2, $3, $4, job_type, entity_type, entity_id, module_type_id, data_entry_type_id, year,
  scope_key, target_type, ingestion_method, provider, max_attempts,
  jsonb_build_object('config', coalesce(meta -> 'config', '{}'), 'rerun_of', id)
FROM pipeline_jobs WHERE id = $1
RETURNING id"""

_ADOPT: Final = "DELETE FROM pipeline_joins WHERE job_id = $1 AND requester_id = $2"

_REPOINT: Final = """UPDATE pipeline_joins SET job_id = $2, waits_for_rerun = false
WHERE job_id = $1 AND requester_id = ANY($3)"""


class Landed(msgspec.Struct, frozen=True):
    """Where a deduplicated request landed.

    Attributes:
        job_id: The job that does the work.
        joined: It existed.
        rerun: It was running and will be followed by a successor.
    """

    job_id: int
    joined: bool = False
    rerun: bool = False


def arguments(values: Mapping[str, Any]) -> list[Any]:
    """Return the arguments of an insert; unknown names are refused.

    Raises:
        ValueError: A name is no column that can be given.
    """
    unknown = sorted(set(values) - set(COLUMNS))
    if unknown:
        raise ValueError(f"not a column of a new job: {', '.join(unknown)}")
    given = {
        "provider": "DEFAULT",
        "entity_type": "MODULE_PER_YEAR",
        "ingestion_method": "api",
        "waits_for_siblings": False,
        "max_attempts": 3,
        **values,
        "meta": encode_meta(values.get("meta") or {}),
    }
    return [given.get(name) for name in COLUMNS]


async def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Insert a job, not started, and return its id."""
    return await connection.fetchval(f"{_INSERT} RETURNING id", *arguments(values))


async def insert_or_join(
    connection: Connection, values: Mapping[str, Any], dedup: DedupConfig, scope: tuple[Any, ...]
) -> Landed:
    """Insert a job, or join the active one of the same scope, so that no request is forgotten.

    A job that waits to be claimed is locked until the commit of the caller: its claim comes after,
    and sees what the caller wrote. A running one is asked to run again. One that ended in between
    has freed the slot: insert again.
    """
    insertion = (
        f"{_INSERT} ON CONFLICT ({', '.join(dedup.index_columns)}) WHERE {dedup.predicate}"
        " DO NOTHING RETURNING id"
    )
    same = " AND ".join(f"{name} = ${place}" for place, name in enumerate(dedup.scope_columns, 2))
    search = f"SELECT id, state FROM pipeline_jobs WHERE job_type = $1 AND {same} AND {ACTIVE}"
    inserted = arguments(values)
    while True:
        job_id = await connection.fetchval(insertion, *inserted)
        if job_id is not None:
            return Landed(job_id)
        row = await connection.fetchrow(search, dedup.job_type, *scope)
        if row is None:
            continue
        if row["state"] == JobState.RUNNING:
            if await connection.fetchval(_REQUEST_RERUN, row["id"]):
                return Landed(row["id"], joined=True, rerun=True)
        elif await connection.fetchval(_JOIN_PENDING, row["id"]):
            return Landed(row["id"], joined=True)


async def record_join(
    connection: Connection, requester_id: int, job_id: int, *, rerun: bool
) -> None:
    """Record on the requester whose job it waits for."""
    await connection.execute(_RECORD_JOIN, requester_id, job_id, rerun)


async def succeed(connection: Connection, job: Job, *, revive: bool = False) -> int | None:
    """Insert the successor of a job that just ended, if anybody still waits for its work.

    To be called in the transaction that ended the job, when its slot is free.

    Args:
        connection: In that transaction.
        job: The job as it ended.
        revive: The work was not done (cancel, abort): requesters of other pipelines still want it,
            even those that joined before it ran.

    Returns:
        The id of the successor. It belongs to the pipeline of the first of those who wait.
    """
    waiters = await connection.fetch(_WAITERS, job.id, revive, job.pipeline_id)
    if revive:
        waiters = [row for row in waiters if row["pipeline_id"] != job.pipeline_id]
    if not waiters and not (job.rerun_requested and not revive):
        return None
    home: tuple[UUID, int | None, str | None] = (job.pipeline_id, job.parent_id, job.tenant_id)
    if waiters:
        first = waiters[0]
        home = (first["pipeline_id"], first["requester_id"], first["tenant_id"])
    successor: int = await connection.fetchval(_SUCCEED, job.id, *home)
    if waiters:
        await connection.execute(_ADOPT, job.id, waiters[0]["requester_id"])
        rest = [row["requester_id"] for row in waiters[1:]]
        await connection.execute(_REPOINT, job.id, successor, rest)
    return successor
