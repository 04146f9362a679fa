"""The job ``retention_wipe``: dataclips of finished runs go where projects do not keep them.

Events of runs that ended long ago go too: dashboards that resume from before get a snapshot.

It also forgets what the schedules of the gateway itself left behind: pipelines of housekeeping that
ended long ago. What people dispatched is never forgotten.
"""

from datetime import timedelta
from typing import Final

from handlers.jobs.access import accept, gateway_of, statements
from pipelines import Job, JobContext, JobResult, Outcome, Transaction
from schema import retention
from schema.repo import Runner

JOB_TYPE: Final = "retention_wipe"
BATCH: Final = 1000
"""Dataclips per statement."""

RUNS: Final = 500
"""Runs whose events are pruned by one statement."""

MOST_BATCHES: Final = 50
"""One job ends after so many; the next tick goes on. Its transaction must not grow old."""

HOUSEKEEPING: Final = ("cron_work_order", "retention_wipe", "run_statistics_sweep")
"""Kinds of pipelines that nobody dispatched."""

KEPT: Final = timedelta(days=7)
"""How long those stay to be looked at."""

_FORGET: Final = """DELETE FROM pipelines WHERE id IN (
  SELECT id FROM pipelines WHERE kind = ANY($1) AND finished_at < clock_timestamp() - $2::interval
  ORDER BY finished_at LIMIT $3)"""


async def retention_wipe(_job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Wipe what is due."""
    runner = await statements(context, transaction)
    wiped = 0
    for _ in range(MOST_BATCHES):
        batch = accept(await retention.wipe(runner, limit=BATCH))
        wiped += batch
        if batch < BATCH:
            break
    gone = await transaction.execute(_FORGET, list(HOUSEKEEPING), KEPT, BATCH)
    forgotten = int(gone.split()[-1])
    pruned = await _prune(runner, gateway_of(context).settings.event_retention)
    meta = {"wiped": wiped, "forgotten": forgotten, "pruned": pruned}
    return Outcome(JobResult.SUCCESS, f"{wiped} dataclips wiped", meta)


async def _prune(runner: Runner, older_than_s: float) -> int:
    """Prune events; of how many runs."""
    pruned = 0
    for _ in range(MOST_BATCHES if older_than_s else 0):
        batch = accept(await retention.prune_events(runner, older_than_s, limit=RUNS))
        pruned += batch
        if batch < RUNS:
            break
    return pruned
