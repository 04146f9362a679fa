"""What follows what, and the rule that says so to the engine. All fan-outs are deduplicated."""

from typing import Final

import structlog

from handlers.emissions.scope import Scope
from pipelines import (
    AGGREGATION_DEDUP,
    EMISSION_RECALC_DEDUP,
    Chain,
    Follow,
    Job,
    JobContext,
    Phase,
)

log = structlog.stdlib.get_logger(__name__)

_DATA: Final = frozenset({"csv_ingest", "api_ingest", "factor_ingest"})
_RECALCS: Final = frozenset({"emission_recalc", "module_emission_recalc"})

EMISSIONS_CHAIN: Final = Chain(
    _DATA | _RECALCS | {"aggregation"},
    (
        Phase("data", _DATA),
        Phase("emissions", _RECALCS),
        Phase("aggregation", frozenset({"aggregation"})),
    ),
    (
        Follow("emission_recalc", AGGREGATION_DEDUP),
        Follow("module_emission_recalc", AGGREGATION_DEDUP),
    ),
)
"""Data, then emissions, then totals; a recalculation without an error owes an aggregation."""


def chain_recalculations(context: JobContext, scope: Scope) -> None:
    """Ask for the emissions of all entry types of a scope to be computed anew."""
    for entry_type in scope.types:
        chain_recalculation(context, scope.module.id, entry_type.id, scope.year)


def chain_recalculation(
    context: JobContext, module_type_id: int, data_entry_type_id: int, year: int
) -> None:
    """Ask for the emissions of one entry type to be computed anew, or join who does that."""
    context.chain(
        "emission_recalc",
        data_entry_type_id=data_entry_type_id,
        module_type_id=module_type_id,
        year=year,
        dedup=EMISSION_RECALC_DEDUP,
    )


def chain_aggregation(job: Job, context: JobContext) -> None:
    """Ask for one aggregation after this recalculation and its siblings."""
    if job.module_type_id is None or job.year is None:
        log.warning("aggregation_skipped", job_id=job.id, reason="no module")
        return
    context.chain("aggregation", dedup=AGGREGATION_DEDUP, waits_for_siblings=True)
