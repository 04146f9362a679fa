"""Read models: what dashboards and the command line are shown. Nothing in here writes."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import job_json, log_line_json, run_json, step_json, work_order_json
from schema.lifecycle import RUN_STATES
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement

LARGEST_PAGE: Final = 500

_STEPS: Final = f"""coalesce((
    SELECT jsonb_agg({step_json("s", "r.id")} || jsonb_build_object('job', coalesce(
      {job_json("n.graph", "s.job_id")}, jsonb_build_object('id', s.job_id)))
      ORDER BY rs.inserted_at, s.started_at, s.id)
    FROM run_steps rs JOIN steps s ON s.id = rs.step_id WHERE rs.run_id = r.id), '[]')"""

_TRIGGER: Final = """coalesce((
    SELECT jsonb_build_object('id', t.id, 'key', t.key, 'type', t.type, 'enabled', t.enabled,
      'webhook_reply', t.webhook_reply)
    FROM triggers t WHERE t.id = r.starting_trigger_id),
    CASE WHEN r.starting_trigger_id IS NOT NULL
      THEN jsonb_build_object('id', r.starting_trigger_id) END)"""

RUN: Final = Statement(
    "views.run",
    f"""
SELECT r.project_id, r.version, r.state, jsonb_build_object('version', r.version,
  'run', {run_json("r")} || jsonb_build_object(
    'steps', {_STEPS},
    'work_order', (SELECT {work_order_json("w")} FROM work_orders w WHERE w.id = r.work_order_id),
    'workflow', (SELECT jsonb_build_object('id', f.id, 'key', f.key, 'name', f.name)
      FROM workflows f WHERE f.id = r.workflow_id),
    'starting_trigger', {_TRIGGER}))::text AS payload
FROM runs r JOIN snapshots n ON n.id = r.snapshot_id
WHERE r.id = $1""",
)

LOGS: Final = Statement(
    "views.logs",
    f"""
SELECT jsonb_build_object('logs', coalesce(
  jsonb_agg({log_line_json("l")} ORDER BY l."timestamp", l.version), '[]'))::text AS payload
FROM log_lines l WHERE l.run_id = $1""",
)

PROJECT_OF: Final = Statement("views.project_of", "SELECT project_id FROM runs WHERE id = $1")

OUTCOME: Final = Statement(
    "views.outcome",
    f"""
SELECT jsonb_build_object('run', {run_json("r")})::text AS payload, d.body::text AS final_state,
  r.webhook_response::text AS webhook_response
FROM runs r LEFT JOIN dataclips d ON d.id = r.final_dataclip_id WHERE r.id = $1""",
)

# Newest first; the cursor is the last row seen, so that pages stay put while runs are added.
LIST: Final = Statement(
    "views.list_runs",
    """
SELECT r.id, r.state, r.project_id, p.name AS project, r.workflow_id, w.name AS workflow,
  r.work_order_id, r.created_by, r.queue, r.error_type, r.error_message, r.worker_name,
  r.inserted_at, r.claimed_at, r.started_at, r.finished_at
FROM runs r JOIN projects p ON p.id = r.project_id JOIN workflows w ON w.id = r.workflow_id
WHERE ($1::uuid IS NULL OR r.project_id = $1) AND ($2::uuid IS NULL OR r.workflow_id = $2)
  AND ($3::text[] IS NULL OR r.state = ANY($3))
  AND ($4::timestamptz IS NULL OR (r.inserted_at, r.id) < ($4, $5::uuid))
ORDER BY r.inserted_at DESC, r.id DESC LIMIT $6""",
)

WORKFLOWS: Final = Statement(
    "views.workflows",
    """
SELECT w.id, w.key, w.name, w.enabled, p.id AS project_id, p.name AS project,
  t.id AS trigger_id, t.type AS trigger_type, t.enabled AS trigger_enabled
FROM workflows w JOIN projects p ON p.id = w.project_id
LEFT JOIN LATERAL (SELECT * FROM triggers t WHERE t.workflow_id = w.id
  ORDER BY t.enabled DESC, t.type DESC, t.key LIMIT 1) t ON true
WHERE ($1::text IS NULL OR $1 IN (w.key, w.name, w.id::text))
  AND ($2::text IS NULL OR $2 IN (p.name, p.id::text))
ORDER BY p.name, w.name""",
)


class RunView(msgspec.Struct, frozen=True):
    """A run with its steps, work order and starting trigger.

    Attributes:
        project_id: Its project, to check access with.
        version: The last version that the view includes.
        state: State of the run.
        payload_json: JSON text ``{"run": {...}, "version": n}``.
    """

    project_id: UUID
    version: int
    state: str
    payload_json: str


class RunRow(msgspec.Struct, frozen=True):
    """A run in a list."""

    id: UUID
    state: str
    project_id: UUID
    project: str
    workflow_id: UUID
    workflow: str
    work_order_id: UUID
    created_by: str | None
    queue: str
    error_type: str | None
    error_message: str | None
    worker_name: str | None
    inserted_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class Page(msgspec.Struct, frozen=True):
    """Runs, newest first; ``after`` asks for the next page and is None on the last one."""

    runs: list[RunRow]
    after: str | None


class WorkflowRow(msgspec.Struct, frozen=True):
    """A workflow with the trigger that would start it by hand, enabled ones first."""

    id: UUID
    key: str
    name: str
    enabled: bool
    project_id: UUID
    project: str
    trigger_id: UUID | None
    trigger_type: str | None
    trigger_enabled: bool | None


class Outcome(msgspec.Struct, frozen=True):
    """How a run stands, for a caller who waits for its end.

    Attributes:
        payload_json: JSON text ``{"run": {...}}``.
        final_state: JSON text of its final dataclip, None if there is none or it is wiped.
        webhook_response: JSON text of the last one that a step sent, or None.
    """

    payload_json: str
    final_state: str | None
    webhook_response: str | None


async def run(repo: Runner, run_id: UUID) -> RunView | Refused | None:
    """Return a run as dashboards fetch it; None when there is no such run."""
    row = await repo.fetchrow(RUN, run_id)
    if row is None or isinstance(row, Refused):
        return row
    return RunView(row["project_id"], row["version"], row["state"], row["payload"])


async def logs(repo: Runner, run_id: UUID) -> str | Refused:
    """Return ``{"logs": [...]}`` as JSON text, in time order, arrival order within a moment."""
    row = await repo.fetchrow(LOGS, run_id)
    if row is None or isinstance(row, Refused):
        return row or '{"logs": []}'
    return row["payload"]


async def project_of(repo: Runner, run_id: UUID) -> UUID | Refused | None:
    """Return the project of a run; None when there is no such run."""
    row = await repo.fetchrow(PROJECT_OF, run_id)
    return row if row is None or isinstance(row, Refused) else row["project_id"]


async def outcome(repo: Runner, run_id: UUID) -> Outcome | Refused | None:
    """Return how a run stands, with its final state; None when there is no such run."""
    row = await repo.fetchrow(OUTCOME, run_id)
    if row is None or isinstance(row, Refused):
        return row
    return Outcome(row["payload"], row["final_state"], row["webhook_response"])


async def list_runs(
    repo: Runner,
    *,
    project_id: UUID | None = None,
    workflow_id: UUID | None = None,
    states: list[str] | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page | Refused:
    """List runs, newest first.

    Args:
        repo: Where to.
        project_id: Of this project only.
        workflow_id: Of this workflow only.
        states: In these states only.
        after: Cursor of the page before.
        limit: How many at most, up to ``LARGEST_PAGE``.

    Returns:
        A page; ``is invalid`` on ``after`` or ``state`` for a cursor or state that is none.
    """
    if states is not None and not set(states) <= set(RUN_STATES):
        return invalid("state", "is invalid")
    at: datetime | None = None
    run_id: UUID | None = None
    if after is not None:
        try:
            at, run_id = _parse_cursor(after)
        except ValueError:
            return invalid("after", "is invalid")
    limit = max(1, min(limit, LARGEST_PAGE))
    rows = await repo.fetch(LIST, project_id, workflow_id, states, at, run_id, limit + 1)
    if isinstance(rows, Refused):
        return rows
    runs = [RunRow(**dict(row)) for row in rows[:limit]]
    return Page(runs, _cursor(runs[-1]) if len(rows) > limit else None)


async def workflows(
    repo: Runner, name: str | None = None, project: str | None = None
) -> list[WorkflowRow] | Refused:
    """List workflows.

    Args:
        repo: Where to.
        name: Key, name or id of the workflow; None for all.
        project: Name or id of the project; None for all.
    """
    rows = await repo.fetch(WORKFLOWS, name, project)
    return rows if isinstance(rows, Refused) else [WorkflowRow(**dict(row)) for row in rows]


def _cursor(run: RunRow) -> str:
    return f"{run.inserted_at.isoformat()}~{run.id}"


def _parse_cursor(text: str) -> tuple[Any, UUID]:
    at, _, run_id = text.partition("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError("a cursor carries its time zone")
    return moment, UUID(run_id)
