"""What a job is about: its module, its entry types, its year, its unit."""

from datetime import timedelta
from typing import Final

import msgspec

from handlers.emissions.model import MODULES, EntryType, Module, entry_types
from handlers.emissions.sheets import InputError
from pipelines import Connection, EntityType, Job, RetryJob

_SOON: Final = timedelta(seconds=2)

_UNIT: Final = """SELECT units.institutional_id, module.module_type_id, report.year
FROM carbon_report_modules AS module
JOIN carbon_reports AS report ON report.id = module.carbon_report_id
JOIN units ON units.id = report.unit_id WHERE module.id = $1"""

_FACTORS_COMING: Final = """SELECT EXISTS (SELECT 1 FROM pipeline_jobs
WHERE job_type = 'factor_ingest' AND module_type_id = $1 AND year = $2 AND id <> $3
  AND state IN ('NOT_STARTED', 'QUEUED', 'RUNNING'))"""


class Scope(msgspec.Struct, frozen=True):
    """Module, entry types and year of a job."""

    module: Module
    types: tuple[EntryType, ...]
    year: int


def job_scope(job: Job) -> Scope:
    """Return what a job is about; without an entry type, all of its module.

    Without a module, the one that the entry type belongs to.

    Raises:
        InputError: Its module, entry type or year is missing or unknown.
    """
    if job.year is None:
        raise InputError(f"{job.job_type} needs a year")
    module = MODULES.get(job.module_type_id or 0)
    if job.module_type_id is None:
        owners = [each for each in MODULES.values() if each.type_by_id(job.data_entry_type_id or 0)]
        module = owners[0] if owners else None
    if module is None:
        raise InputError(f"module {job.module_type_id} has no entry types")
    types = entry_types(module.id, job.data_entry_type_id)
    if not types:
        raise InputError(f"module {module.id} has no entry type {job.data_entry_type_id}")
    return Scope(module, types, job.year)


async def unit_of(connection: Connection, job: Job) -> str | None:
    """Return the institutional id of the unit that a job is limited to; None if it is not.

    Raises:
        InputError: Its module of a report does not exist, or is another tenant's, module or year.
    """
    if job.entity_type is not EntityType.MODULE_UNIT_SPECIFIC:
        return None
    row = await connection.fetchrow(_UNIT, job.entity_id)
    if row is None or (row["module_type_id"], row["year"]) != (job.module_type_id, job.year):
        raise InputError(f"no such module of a report: {job.entity_id}")
    if job.tenant_id != row["institutional_id"]:
        raise InputError("the job belongs to another unit than its module")
    return row["institutional_id"]


async def wait_for_factors(connection: Connection, job: Job) -> None:
    """Put a job back when the factors that it misses are on their way.

    Raises:
        RetryJob: They are.
    """
    if await connection.fetchval(_FACTORS_COMING, job.module_type_id, job.year, job.id):
        raise RetryJob("factors are being uploaded", _SOON)
