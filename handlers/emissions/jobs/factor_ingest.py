"""``factor_ingest``: an uploaded file becomes factors."""

from typing import Final

from handlers.emissions.chaining import chain_recalculation, chain_recalculations
from handlers.emissions.factors import FactorIngest, ingest_factors, module_of
from handlers.emissions.inputs import load_input
from handlers.emissions.scope import Scope, job_scope
from handlers.emissions.sheets import InputError, read_csv
from handlers.emissions.staleness import recalculation_status
from pipelines import Job, JobContext, Outcome, Transaction

JOB_TYPE: Final = "factor_ingest"


async def run(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Write the factors of the file whose hash is ``input`` in the config.

    A job without module and entry type takes the module from the columns of the file; what follows
    is every recalculation of the year that is due, not only that of the file.
    """
    connection = await transaction.connection()
    anything = job.module_type_id is None and job.data_entry_type_id is None
    if anything and job.year is None:
        raise InputError("factor_ingest needs a year")
    scope = None if anything else job_scope(job)
    content = await load_input(connection, str(job.config.get("input")))
    if scope is None:
        module = await context.run_in_thread(lambda: module_of(read_csv(content)))
        scope = Scope(module, module.types, job.year or 0)
    ingest = FactorIngest(
        read=lambda: read_csv(content),
        module_type_id=scope.module.id,
        types=scope.types,
        year=scope.year,
        job_id=job.id,
    )
    written = await ingest_factors(connection, ingest)
    chain_recalculations(context, scope)
    if anything:
        own = {each.id for each in scope.types}
        for each in await recalculation_status(connection, scope.year):
            if each.needs_recalculation and each.data_entry_type_id not in own:
                pair = (each.module_type_id, each.data_entry_type_id)
                chain_recalculation(context, *pair, scope.year)
    return written.outcome()
