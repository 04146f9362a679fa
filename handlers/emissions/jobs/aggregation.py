"""``aggregation``: the totals of a module of a year, and of the reports it is part of."""

from typing import Final

from handlers.emissions.aggregate import aggregate
from handlers.emissions.sheets import InputError
from pipelines import Job, JobContext, JobResult, Outcome, Transaction

JOB_TYPE: Final = "aggregation"


async def run(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
    """Sum up the module and year of the job."""
    if job.module_type_id is None or job.year is None:
        raise InputError("an aggregation needs a module and a year")
    connection = await transaction.connection()
    done = await aggregate(connection, job.module_type_id, job.year)
    message = f"totals of {done.modules} modules in {done.reports} reports"
    if done.skipped:
        message = f"module {job.module_type_id} has no emissions; nothing to sum up"
    return Outcome(JobResult.SUCCESS, message, {"modules": done.modules, "reports": done.reports})
