"""Cron triggers: each tick becomes one job, and the job one work order, in its one transaction.

The engine creates a tick once, however many processes look at the clock, and a job's effects happen
once, however often it is run. So a tick starts one run. Ticks that nobody was there for are made up
for if they are young (``EngineSettings.schedule_catch_up``), and left out otherwise.
"""

from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from handlers.jobs.access import RefusedError, accept, statements
from pipelines import (
    IngestionMethod,
    Job,
    JobContext,
    JobResult,
    NewJob,
    Outcome,
    Schedule,
    Transaction,
)
from schema import cron_triggers, work_orders
from schema.repo import Runner
from schema.work_orders import NewWorkOrder

JOB_TYPE: Final = "cron_work_order"

_GONE: Final = frozenset({"disabled", "not_found", "unrunnable"})


async def cron_work_order(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Create the work order of one tick, with ``{"tick": ...}`` as its input."""
    trigger_id, tick = UUID(str(job.config["trigger_id"])), str(job.config["tick"])
    name = f"{trigger_id}:{tick}"
    new = NewWorkOrder(
        trigger_id=trigger_id,
        dataclip_type="saved_input",
        body=f'{{"tick": "{tick}"}}',
        created_by="cron",
        run_id=uuid5(NAMESPACE_OID, f"run:{name}"),
        work_order_id=uuid5(NAMESPACE_OID, f"work_order:{name}"),
    )
    try:
        created = accept(await work_orders.create(await statements(context, transaction), new))
    except RefusedError as error:
        if error.refused.code not in _GONE:
            raise
        # Switched off or deleted between the tick and now: that is no failure.
        return Outcome(JobResult.WARNING, f"no run was started: {error}", {"tick": tick})
    ids = {"run_id": str(created.run_id), "work_order_id": str(created.work_order_id)}
    return Outcome(JobResult.SUCCESS, f"run {created.run_id}", {**ids, "tick": tick})


async def schedules(repo: Runner) -> list[Schedule]:
    """Return the schedules of all cron triggers that are in force now."""
    return [
        Schedule(
            key=f"cron:{trigger.id}",
            cron=trigger.cron_expression,
            since=trigger.since,
            job=NewJob(
                job_type=JOB_TYPE,
                config={"trigger_id": str(trigger.id)},
                scope_key=str(trigger.id),
                ingestion_method=IngestionMethod.computed,
            ),
        )
        for trigger in accept(await cron_triggers.enabled(repo))
    ]
