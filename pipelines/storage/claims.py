"""Owning a job: claim, heartbeat, progress, release. Every write is guarded by the owner token."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from pipelines.meta import LONGEST_MESSAGE, clean_text, encode_meta
from pipelines.model import Job, job_from_row
from pipelines.storage.connection import Connection, UniqueViolation
from schema.tables.pipelines import ACTIVE, CURRENT_INDEX, CURRENT_KEY, PENDING

log = structlog.stdlib.get_logger(__name__)

BLOCKED_DELAY: Final = timedelta(seconds=10)
"""How long a job is left alone after it met a running one of its scope."""

OWNED: Final = "id = $1 AND locked_by = $2 AND state = 'RUNNING'"
"""The guard of every write of an owner."""


def qualified(alias: str) -> str:
    """Return the key of a scope as SQL, its columns qualified."""
    return ", ".join(
        part.replace("COALESCE(", f"COALESCE({alias}.") if "(" in part else f"{alias}.{part}"
        for part in CURRENT_KEY
    )


def waits_for_sibling(alias: str) -> str:
    """Return the condition that a job must wait for a sibling of its parent, SQL."""
    return f"""{alias}.waits_for_siblings AND EXISTS (
  SELECT 1 FROM pipeline_jobs AS parent JOIN pipeline_jobs AS sibling
    ON sibling.parent_id = parent.parent_id AND sibling.job_type = parent.job_type
   AND sibling.id <> parent.id
  WHERE parent.id = {alias}.parent_id AND sibling.{ACTIVE}
    AND sibling.module_type_id IS NOT DISTINCT FROM {alias}.module_type_id
    AND sibling.year IS NOT DISTINCT FROM {alias}.year)"""


DUE: Final = f"""{PENDING} AND locked_by IS NULL AND attempts < max_attempts
  AND (run_after IS NULL OR run_after <= clock_timestamp())"""
"""The job may be claimed, as far as its own row says."""

_DEMOTE: Final = f"""UPDATE pipeline_jobs AS other SET is_current = false
FROM pipeline_jobs AS mine
WHERE mine.id = $1 AND other.id <> mine.id AND other.is_current AND other.state <> 'RUNNING'
  AND mine.entity_type <> 'MODULE_UNIT_SPECIFIC'
  AND ({qualified("other")}) = ({qualified("mine")})"""

_CLAIM: Final = f"""WITH claimed AS (
  UPDATE pipeline_jobs AS job SET state = 'RUNNING', locked_by = $2,
    locked_at = clock_timestamp(), claimed_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()), attempts = attempts + 1,
    is_current = entity_type <> 'MODULE_UNIT_SPECIFIC', rerun_requested = false
  WHERE id = $1 AND {DUE} AND NOT ({waits_for_sibling("job")})
  RETURNING *
), served AS (
  UPDATE pipeline_joins SET waits_for_rerun = false
  FROM claimed WHERE job_id = claimed.id AND waits_for_rerun
), begun AS (
  UPDATE pipelines SET status = 'RUNNING', updated_at = clock_timestamp(),
    started_at = coalesce(pipelines.started_at, clock_timestamp())
  FROM claimed WHERE pipelines.id = claimed.pipeline_id AND status = 'NOT_STARTED'
) SELECT * FROM claimed"""

_LATER: Final = """UPDATE pipeline_jobs SET run_after = clock_timestamp() + $2::interval
WHERE id = $1 AND state = 'NOT_STARTED' AND locked_by IS NULL"""

_HEARTBEAT: Final = f"""UPDATE pipeline_jobs SET locked_at = clock_timestamp()
WHERE {OWNED} RETURNING 1"""

_PROGRESS: Final = f"""UPDATE pipeline_jobs
SET status_message = coalesce($3, status_message), meta = meta || $4::jsonb
WHERE {OWNED} RETURNING 1"""

_RELEASE: Final = f"""UPDATE pipeline_jobs SET state = 'NOT_STARTED', locked_by = NULL,
  locked_at = NULL, is_current = false, status_message = coalesce($3, status_message),
  run_after = clock_timestamp() + $4::interval, attempts = attempts - $5::int
WHERE {OWNED} AND attempts - $5::int < max_attempts RETURNING 1"""


class _NotClaimedError(Exception):
    pass


async def claim_job(
    connection: Connection, job_id: int, owner: str, *, blocked_delay: timedelta = BLOCKED_DELAY
) -> Job | None:
    """Become the owner of a job that is due.

    The former current job of its scope is demoted, unless it runs: then the claim fails, loudly,
    and the job is left alone for ``blocked_delay``. Nothing else changes when a claim fails.

    Args:
        connection: Not necessarily in a transaction.
        job_id: The job.
        owner: A token that nobody used before.
        blocked_delay: See above.

    Returns:
        The job after the claim; None if it cannot be claimed now.
    """
    try:
        async with connection.transaction():
            await connection.execute(_DEMOTE, job_id)
            row = await connection.fetchrow(_CLAIM, job_id, owner)
            if row is not None:
                return job_from_row(row)
            raise _NotClaimedError  # noqa: TRY301 (takes the demotion back)
    except _NotClaimedError:
        log.debug("job_not_claimed", job_id=job_id, owner=owner)
    except UniqueViolation as error:
        if error.constraint_name != CURRENT_INDEX:
            raise
        log.warning("job_blocked", job_id=job_id, owner=owner, exc_info=True)
        await connection.execute(_LATER, job_id, blocked_delay)
    return None


async def heartbeat(connection: Connection, job_id: int, owner: str) -> int:
    """Refresh the lock. Returns 1, or 0 when the job is not ours any more."""
    return await connection.fetchval(_HEARTBEAT, job_id, owner) or 0


async def update_progress(
    connection: Connection,
    job_id: int,
    owner: str,
    *,
    status_message: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> bool:
    """Write how far a job is. Returns False, and writes nothing, when it is not ours any more."""
    message = None if status_message is None else clean_text(status_message, LONGEST_MESSAGE)
    changed = await connection.fetchval(_PROGRESS, job_id, owner, message, encode_meta(meta or {}))
    return changed is not None


async def release(
    connection: Connection,
    job_id: int,
    owner: str,
    *,
    delay: timedelta = timedelta(0),
    message: str | None = None,
    give_back: bool = False,
) -> bool:
    """Put our own job back to be claimed by anybody.

    Args:
        connection: Not necessarily in a transaction.
        job_id: The job.
        owner: Our token.
        delay: How long it is left alone.
        message: New status message.
        give_back: The attempt does not count: it was us who stopped.

    Returns:
        False when it is not ours, or has no attempt left; then nothing changed.
    """
    text = None if message is None else clean_text(message, LONGEST_MESSAGE)
    changed = await connection.fetchval(_RELEASE, job_id, owner, text, delay, int(give_back))
    return changed is not None
