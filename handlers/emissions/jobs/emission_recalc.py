"""``emission_recalc``: the emissions of one entry type in a year, computed anew."""

from typing import Final

from handlers.emissions.chaining import chain_aggregation
from handlers.emissions.recalc import recalculate
from handlers.emissions.scope import job_scope
from handlers.emissions.sheets import InputError
from pipelines import Job, JobContext, Outcome, Transaction

JOB_TYPE: Final = "emission_recalc"


async def run(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Recalculate the type and year of the job; WARNING when entries have no factor."""
    scope = job_scope(job)
    if job.data_entry_type_id is None:
        raise InputError("a recalculation of one entry type needs data_entry_type_id")
    (entry_type,) = scope.types
    connection = await transaction.connection()
    done = await recalculate(connection, scope.module.id, entry_type, scope.year)
    chain_aggregation(job, context)
    return Outcome(done.result, done.message, done.meta())
