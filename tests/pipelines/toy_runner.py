"""Runs of one job type, made of a function."""

from collections.abc import Awaitable, Callable
from typing import Any

from toy_pipelines import Lab, aggregation, fast

from pipelines import (
    AGGREGATION_DEDUP,
    Job,
    JobContext,
    Outcome,
    Registry,
    Transaction,
)
from pipelines.run import Step
from pipelines.runner import Runner, no_step

Body = Callable[[Job, JobContext, Transaction], Awaitable[Any]]
SCOPE = {"module_type_id": 3, "year": 2025}
WRITE = "INSERT INTO toy_effects VALUES ($1, 'x')"


def runner(lab: Lab, body: Body, *, step: Step = no_step, **settings: Any) -> Runner:
    registry = Registry()
    registry.job_handler("work")(body)
    registry.job_handler("aggregation")(aggregation)
    return Runner(lab.pool, registry, fast(**settings), step=step)


async def write(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
    await transaction.execute(WRITE, job.id)
    return Outcome(meta={"rows": 1})


async def write_and_chain(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    context.chain("aggregation", dedup=AGGREGATION_DEDUP)
    return await write(job, context, transaction)


async def submit(lab: Lab, **values: Any) -> int:
    return (await lab.submit("work", **(SCOPE | values))).job_id


async def effects(lab: Lab) -> int:
    return await lab.value("SELECT count(*) FROM toy_effects")
