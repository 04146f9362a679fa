"""Durable job pipelines on PostgreSQL: claim, heartbeat, finish, chain, progress. Knows no domain.

How to write a job type::

    from pipelines import Job, JobContext, JobResult, Outcome, Registry, Transaction
    from pipelines import AGGREGATION_DEDUP

    registry = Registry()

    @registry.job_handler("emission_recalc")
    async def emission_recalc(
        job: Job, context: JobContext, transaction: Transaction
    ) -> Outcome:
        rows = await transaction.fetch("SELECT ... WHERE year = $1", job.year)
        values = await context.run_in_thread(compute, rows)     # never block the event loop
        await context.progress("half way", done=50)             # seen at once by those who watch
        await transaction.copy("emissions", ("id", "kg"), values)
        context.chain("aggregation", dedup=AGGREGATION_DEDUP, waits_for_siblings=True)
        return Outcome(JobResult.SUCCESS, "120 emissions", {"count": 120})

What a handler can rely on:

* One transaction. What it writes through ``transaction``, the end of its job and the rows of what
  it chained are committed together, or not at all. It never commits itself.
* Effects exactly once, runs at least once. A run that lost its job (process killed, connection
  gone, cancelled, lock stale) leaves no trace in the database. Effects outside of it are the
  handler's own care.
* ``Outcome(JobResult.ERROR)`` and an exception roll back everything and chain nothing; an exception
  ends the job with its text. Errors of the database itself (connection lost, deadlock) and
  :class:`RetryJob` put it back to be run again while it has attempts left.
* A deduplicated child that meets an active job joins it, and is never forgotten: if that job is
  running already, a successor follows.
* ``job.config`` is the input. Inputs must not change: a job may run again.

The application makes one :class:`Engine` per process and gives it a registry; it submits with
:meth:`Engine.submit`, watches with :class:`EventHub`, and shows what :func:`read_snapshot` and
:func:`snapshot_to_wire` return.
"""

from pipelines.chain import chain_job
from pipelines.context import JobAbortedError, JobContext
from pipelines.dedup import (
    AGGREGATION_DEDUP,
    EMISSION_RECALC_DEDUP,
    DedupConfig,
    scope_key_dedup,
)
from pipelines.engine import Engine
from pipelines.enums import (
    EntityType,
    IngestionMethod,
    JobResult,
    JobState,
    PipelineStatus,
    TargetType,
    UserProvider,
)
from pipelines.events import EventHub, JobEvent
from pipelines.model import Job, NewJob, Pipeline, job_to_wire, pipeline_to_wire
from pipelines.outcome import Outcome, RetryJob
from pipelines.progress import Chain, Follow, Phase, Progress, compute_progress
from pipelines.registry import Registry
from pipelines.schedules import Schedule
from pipelines.settings import EngineSettings
from pipelines.snapshot import Snapshot, read_snapshot, snapshot_to_wire
from pipelines.storage.connection import Connection, open_pool
from pipelines.storage.jobs import Submitted
from pipelines.transaction import Transaction

__all__ = [
    "AGGREGATION_DEDUP",
    "EMISSION_RECALC_DEDUP",
    "Chain",
    "Connection",
    "DedupConfig",
    "Engine",
    "EngineSettings",
    "EntityType",
    "EventHub",
    "Follow",
    "IngestionMethod",
    "Job",
    "JobAbortedError",
    "JobContext",
    "JobEvent",
    "JobResult",
    "JobState",
    "NewJob",
    "Outcome",
    "Phase",
    "Pipeline",
    "PipelineStatus",
    "Progress",
    "Registry",
    "RetryJob",
    "Schedule",
    "Snapshot",
    "Submitted",
    "TargetType",
    "Transaction",
    "UserProvider",
    "chain_job",
    "compute_progress",
    "job_to_wire",
    "open_pool",
    "pipeline_to_wire",
    "read_snapshot",
    "scope_key_dedup",
    "snapshot_to_wire",
]
