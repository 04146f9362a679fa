"""SQL fragments: how a row looks to a watcher.

Each function returns a ``jsonb`` expression over a table alias. Statements and read models share
them, so that a live event, its replay and a fetched run show the same fields. Timestamps are
ISO 8601 with microseconds in the time zone of the session, which is UTC.
"""

from typing import Final

_RUN: Final = (
    "id",
    "project_id",
    "work_order_id",
    "workflow_id",
    "snapshot_id",
    "dataclip_id",
    "final_dataclip_id",
    "starting_trigger_id",
    "starting_job_id",
    "created_by",
    "state",
    "queue",
    "inserted_at",
    "claimed_at",
    "started_at",
    "finished_at",
    "recovered_at",
    "cancel_requested_at",
    "cancel_requested_by",
    "error_type",
    "error_message",
    "worker_name",
    "version",
)
_STEP: Final = (
    "id",
    "job_id",
    "snapshot_id",
    "credential_id",
    "input_dataclip_id",
    "output_dataclip_id",
    "started_at",
    "finished_at",
    "exit_reason",
    "error_type",
    "error_message",
)
_LOG_LINE: Final = (
    "id",
    "run_id",
    "step_id",
    "level",
    "source",
    "message",
    "timestamp",
    "version",
)
_DATACLIP: Final = ("id", "project_id", "type", "name", "wiped_at", "inserted_at")
_WORK_ORDER: Final = (
    "id",
    "project_id",
    "workflow_id",
    "snapshot_id",
    "trigger_id",
    "dataclip_id",
    "state",
    "last_activity",
    "inserted_at",
)


_REMARK: Final = ("kind", "event", "step_id", "at", "detail", "count")


def _object(alias: str, columns: tuple[str, ...], *extra: str) -> str:
    pairs = [f"'{column}', {alias}.{column}" for column in columns]
    return f"jsonb_build_object({', '.join([*pairs, *extra])})"


def run_json(alias: str) -> str:
    """Return a run: no lease, no fingerprints; ``priority`` by name."""
    priority = f"'priority', CASE {alias}.priority WHEN 0 THEN 'immediate' ELSE 'normal' END"
    return _object(alias, _RUN, priority)


def step_json(alias: str, run_id: str) -> str:
    """Return a step of the run ``run_id`` (an expression)."""
    return _object(alias, _STEP, f"'run_id', {run_id}")


def log_line_json(alias: str) -> str:
    """Return a log line."""
    return _object(alias, _LOG_LINE)


def dataclip_json(alias: str) -> str:
    """Return a dataclip without its body and request."""
    return _object(alias, _DATACLIP)


def work_order_json(alias: str) -> str:
    """Return a work order."""
    return _object(alias, _WORK_ORDER)


def remark_json(alias: str) -> str:
    """Return a remark on a run's events."""
    return _object(alias, _REMARK)


def run_updated(alias: str) -> str:
    """Return the payload of ``run:updated`` and ``run:created``."""
    return f"jsonb_build_object('run', {run_json(alias)}, 'version', {alias}.version)"


def job_json(graph: str, job_id: str) -> str:
    """Return the job of a snapshot's graph without its body, null when it is not in there."""
    return (
        f"(SELECT job.value - 'body' FROM jsonb_array_elements({graph} -> 'jobs') job"
        f" WHERE job.value ->> 'id' = {job_id}::text LIMIT 1)"
    )
