"""``csv_ingest``: an uploaded file becomes data entries."""

from typing import Final

from handlers.emissions.chaining import chain_recalculations
from handlers.emissions.ingest import Ingest, NoFactorsError, ingest_entries
from handlers.emissions.inputs import load_input
from handlers.emissions.scope import job_scope, unit_of, wait_for_factors
from handlers.emissions.sheets import read_csv
from pipelines import Job, JobContext, Outcome, Transaction

JOB_TYPE: Final = "csv_ingest"


async def run(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Write the entries of the file whose hash is ``input`` in the config.

    A job of a unit (``MODULE_UNIT_SPECIFIC``, its ``entity_id`` a module of a report) adds rows;
    any other replaces those of the last such upload.
    """
    scope = job_scope(job)
    connection = await transaction.connection()
    unit = await unit_of(connection, job)
    content = await load_input(connection, str(job.config.get("input")))
    ingest = Ingest(
        read=lambda: read_csv(content),
        module_type_id=scope.module.id,
        types=scope.types,
        year=scope.year,
        source="CSV_MODULE_PER_YEAR" if unit is None else "CSV_MODULE_UNIT_SPECIFIC",
        job_id=job.id,
        unit=unit,
    )
    try:
        written = await ingest_entries(connection, ingest, check=context.check)
    except NoFactorsError:
        await wait_for_factors(connection, job)
        raise
    chain_recalculations(context, scope)
    return written.outcome()
