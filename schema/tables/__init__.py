"""SQLAlchemy Core metadata: the one definition of what is stored.

One module per aggregate. Column and constraint names are part of the contract: violations are
mapped to fields by constraint name (:func:`declared`).
"""

from typing import cast

from sqlalchemy import Table

from schema.lifecycle import TRANSITION_CONSTRAINT
from schema.tables.base import BLANK, INVALID, MISSING, TAKEN, Declared, metadata
from schema.tables.dataclips import DATACLIP_TYPES, dataclips
from schema.tables.emissions import (
    carbon_report_modules,
    carbon_reports,
    data_entries,
    data_entry_emissions,
    factors,
    ingest_inputs,
    units,
)
from schema.tables.log_lines import LOG_LEVELS, log_lines
from schema.tables.pipelines import (
    pipeline_jobs,
    pipeline_joins,
    pipeline_pods,
    pipeline_ticks,
    pipelines,
)
from schema.tables.projects import RETENTION_POLICIES, credentials, projects
from schema.tables.revocations import REVOKED_KINDS, revocations
from schema.tables.run_remarks import REMARK_KINDS, run_remarks
from schema.tables.run_statistics import run_statistics
from schema.tables.runs import PROJECT_EVENTS, run_event_horizons, run_events, runs
from schema.tables.snapshots import snapshot_jobs, snapshot_triggers, snapshots
from schema.tables.steps import run_steps, steps
from schema.tables.work_orders import work_orders
from schema.tables.workers import servers, worker_sessions
from schema.tables.workflows import (
    CONDITION_TYPES,
    TRIGGER_TYPES,
    WEBHOOK_REPLIES,
    edges,
    jobs,
    triggers,
    workflows,
)
from schema.triggers import IMMUTABLE_CONSTRAINT

_TRIGGERED = {
    "runs": {TRANSITION_CONSTRAINT: Declared("state", INVALID)},
    "snapshots": {IMMUTABLE_CONSTRAINT: Declared("graph", "cannot be changed")},
    "snapshot_jobs": {IMMUTABLE_CONSTRAINT: Declared("graph", "cannot be changed")},
    "snapshot_triggers": {IMMUTABLE_CONSTRAINT: Declared("graph", "cannot be changed")},
}


def declared(*tables: Table | str) -> dict[str, Declared]:
    """Return the constraints of some tables by name, with the field each belongs to.

    Args:
        *tables: Tables or their names; all tables when none is given.

    Returns:
        A new dict, to be narrowed or overridden by the statement that uses it.
    """
    names = [table if isinstance(table, str) else table.name for table in tables]
    found: dict[str, Declared] = {}
    for name in names or list(metadata.tables):
        for constraint in metadata.tables[name].constraints:
            if isinstance(constraint.name, str) and "declared" in constraint.info:
                found[constraint.name] = cast("Declared", constraint.info["declared"])
        found.update(_TRIGGERED.get(name, {}))
    return found


__all__ = [
    "BLANK",
    "CONDITION_TYPES",
    "DATACLIP_TYPES",
    "IMMUTABLE_CONSTRAINT",
    "INVALID",
    "LOG_LEVELS",
    "MISSING",
    "PROJECT_EVENTS",
    "REMARK_KINDS",
    "RETENTION_POLICIES",
    "REVOKED_KINDS",
    "TAKEN",
    "TRIGGER_TYPES",
    "WEBHOOK_REPLIES",
    "Declared",
    "carbon_report_modules",
    "carbon_reports",
    "credentials",
    "data_entries",
    "data_entry_emissions",
    "dataclips",
    "declared",
    "edges",
    "factors",
    "ingest_inputs",
    "jobs",
    "log_lines",
    "metadata",
    "pipeline_jobs",
    "pipeline_joins",
    "pipeline_pods",
    "pipeline_ticks",
    "pipelines",
    "projects",
    "revocations",
    "run_event_horizons",
    "run_events",
    "run_remarks",
    "run_statistics",
    "run_steps",
    "runs",
    "servers",
    "snapshot_jobs",
    "snapshot_triggers",
    "snapshots",
    "steps",
    "triggers",
    "units",
    "work_orders",
    "worker_sessions",
    "workflows",
]
