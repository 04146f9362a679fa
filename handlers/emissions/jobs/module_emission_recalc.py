"""``module_emission_recalc``: the emissions of several entry types of a module, one by one."""

from typing import Any, Final

import structlog

from handlers.emissions.chaining import chain_aggregation
from handlers.emissions.model import EntryType
from handlers.emissions.recalc import recalculate
from handlers.emissions.scope import Scope, job_scope
from handlers.emissions.sheets import InputError
from pipelines import Connection, Job, JobContext, JobResult, Outcome, Transaction
from pipelines.storage.connection import is_passing

JOB_TYPE: Final = "module_emission_recalc"

log = structlog.stdlib.get_logger(__name__)


async def run(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Recalculate the types in the config's ``data_entry_type_ids``, or all of the module.

    Each in a savepoint: one that fails leaves the others as they are. What became of each is in
    ``meta["dets"]``. ERROR, and nothing follows, only when all failed.
    """
    scope = job_scope(job)
    types = _types(job, scope)
    connection = await transaction.connection()
    dets: dict[str, dict[str, Any]] = {}
    for entry_type in types:
        dets[str(entry_type.id)] = await _one(connection, scope, entry_type)
        context.check()
    results = [det["result"] for det in dets.values()]
    failed = results.count("ERROR")
    meta = {"dets": dets, "errors": failed}
    if failed == len(results):
        first = next(iter(dets.values()))["message"]
        return Outcome(JobResult.ERROR, f"ERROR: all {failed} entry types failed: {first}", meta)
    chain_aggregation(job, context)
    message = f"{len(results) - failed} of {len(results)} entry types recalculated"
    if any(result != "SUCCESS" for result in results):
        return Outcome(JobResult.WARNING, f"WARNING: {message}, see the details", meta)
    return Outcome(JobResult.SUCCESS, message, meta)


def _types(job: Job, scope: Scope) -> tuple[EntryType, ...]:
    wanted = job.config.get("data_entry_type_ids")
    types = tuple(each for each in scope.types if wanted is None or each.id in wanted)
    if not types:
        raise InputError("none of the entry types belongs to the module")
    return types


async def _one(connection: Connection, scope: Scope, entry_type: EntryType) -> dict[str, Any]:
    try:
        async with connection.transaction():
            done = await recalculate(connection, scope.module.id, entry_type, scope.year)
    except Exception as error:
        if is_passing(error, connection):
            raise
        log.exception("emission_recalc_failed", data_entry_type_id=entry_type.id)
        return {"result": "ERROR", "message": str(error)}
    return {"result": str(done.result), "message": done.message, **done.meta()}
