"""``unit_sync``: units from a file of the directory, with their reports of the year."""

from typing import Final

from handlers.emissions.inputs import load_input
from handlers.emissions.sheets import read_csv
from handlers.emissions.units import sync_units
from pipelines import Job, JobContext, Outcome, Transaction

JOB_TYPE: Final = "unit_sync"


async def run(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
    """Write the units of the file whose hash is ``input`` in the config."""
    connection = await transaction.connection()
    content = await load_input(connection, str(job.config.get("input")))
    written = await sync_units(connection, lambda: read_csv(content), job.year)
    return written.outcome()
