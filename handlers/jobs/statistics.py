"""Run statistics per workflow and day: a sweep finds what has moved, and chains what counts it.

``run_statistics`` is deduplicated by workflow and day: a request that meets one that waits joins
it, one that meets a running one makes it run again. Counting anew is idempotent, so the sweep may
look back further than it must.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from handlers.jobs.access import accept, statements
from pipelines import (
    Chain,
    Job,
    JobContext,
    JobResult,
    Outcome,
    Phase,
    Transaction,
    scope_key_dedup,
)
from schema import run_statistics as stored

SWEEP: Final = "run_statistics_sweep"
JOB_TYPE: Final = "run_statistics"
DEDUP: Final = scope_key_dedup(JOB_TYPE)

CHAIN: Final = Chain(
    frozenset({SWEEP}),
    (Phase("sweep", frozenset({SWEEP})), Phase("statistics", frozenset({JOB_TYPE}))),
)

MARGIN: Final = timedelta(minutes=5)
"""A run's end becomes visible with its commit, later than it says it was."""

FIRST: Final = timedelta(days=7)
"""How far the first sweep ever looks back."""

_LAST_SWEEP: Final = """SELECT max(claimed_at) FROM pipeline_jobs
WHERE job_type = $1 AND state = 'FINISHED' AND result <> 'ERROR'"""


def scope_of(workflow_id: UUID, day: date) -> str:
    """Return the scope key of a workflow and day."""
    return f"{workflow_id}:{day.isoformat()}"


async def run_statistics_sweep(_job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Chain the counting of every workflow and day with runs that ended since the last sweep."""
    last = await transaction.fetchval(_LAST_SWEEP, SWEEP)
    since = datetime.now(UTC) - FIRST if last is None else last - MARGIN
    scopes = accept(await stored.scopes_since(await statements(context, transaction), since))
    for workflow_id, day in scopes:
        context.chain(
            JOB_TYPE,
            scope_key=scope_of(workflow_id, day),
            target_type=None,
            dedup=DEDUP,
            max_attempts=3,
        )
    return Outcome(JobResult.SUCCESS, f"{len(scopes)} workflow days", {"scopes": len(scopes)})


async def run_statistics(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Count the runs of one workflow and day."""
    workflow, _, day = (job.scope_key or "").partition(":")
    runner = await statements(context, transaction)
    total = accept(await stored.compute(runner, UUID(workflow), date.fromisoformat(day)))
    return Outcome(JobResult.SUCCESS, f"{total} runs", {"total": total})
