"""Read models: what dashboards and the command line are shown. Nothing in here writes."""

from typing import Final
from uuid import UUID

import msgspec

from schema.fragments import job_json, log_line_json, run_json, step_json, work_order_json
from schema.refused import Refused
from schema.repo import Runner, Statement

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
