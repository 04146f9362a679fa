"""``csv_ingest``: an uploaded file becomes data entries."""

from typing import Final

from handlers.emissions.ingest_job import write_entries
from handlers.emissions.inputs import load_input
from handlers.emissions.scope import job_scope
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
    content = await load_input(connection, str(job.config.get("input")))
    written = await write_entries(connection, job, scope, context, "CSV", lambda: read_csv(content))
    return written.outcome()
