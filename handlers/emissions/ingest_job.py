"""What ``csv_ingest`` and ``api_ingest`` have in common: entries are written, then recalculated."""

from collections.abc import Callable
from typing import Literal

from handlers.emissions.chaining import chain_recalculations
from handlers.emissions.ingest import Ingest, NoFactorsError, Written, ingest_entries
from handlers.emissions.scope import Scope, unit_of, wait_for_factors
from handlers.emissions.sheets import Sheet
from pipelines import Job, JobContext
from pipelines.storage.connection import Connection


async def write_entries(
    connection: Connection,
    job: Job,
    scope: Scope,
    context: JobContext,
    method: Literal["CSV", "API"],
    read: Callable[[], Sheet],
) -> Written:
    """Write the entries of a job's input and ask for their recalculation.

    Args:
        connection: In the job's transaction.
        job: One of a unit (``MODULE_UNIT_SPECIFIC``) adds rows; any other replaces those that the
            last such job of its method wrote.
        scope: The job's.
        context: The job's.
        method: Where the input comes from.
        read: Returns the rows; called in a thread.

    Raises:
        InputError: The input cannot be used; nothing was written. For want of factors, the job
            waits until there are some.
    """
    unit = await unit_of(connection, job)
    kind = "MODULE_PER_YEAR" if unit is None else "MODULE_UNIT_SPECIFIC"
    ingest = Ingest(
        read=read,
        module_type_id=scope.module.id,
        types=scope.types,
        year=scope.year,
        source=f"{method}_{kind}",
        job_id=job.id,
        unit=unit,
    )
    try:
        written = await ingest_entries(connection, ingest, check=context.check)
    except NoFactorsError:
        await wait_for_factors(connection, job)
        raise
    chain_recalculations(context, scope)
    return written
