"""One run with all that is known of it: steps, graph, history, what is missing, who has it."""

from typing import Final
from uuid import UUID

import msgspec

from schema.absence import online
from schema.fragments import run_json, step_json, work_order_json
from schema.lifecycle import IN_FLIGHT
from schema.reading.graphs import graph_json
from schema.refused import Refused
from schema.remarks import gaps_json, remarks_json
from schema.repo import Runner, Statement

LONGEST_HISTORY: Final = 1000
"""The latest so many events are shown."""

_NAMES: Final = """(SELECT coalesce(jsonb_object_agg(j.value ->> 'id', j.value ->> 'name'), '{}')
  FROM jsonb_array_elements(n.graph -> 'jobs') j)"""

_STEPS: Final = f"""coalesce((
    SELECT jsonb_agg({step_json("s", "r.id")} || jsonb_build_object(
      'job_name', coalesce(names.of ->> s.job_id::text, s.job_id::text))
      ORDER BY rs.inserted_at, s.started_at, s.id)
    FROM run_steps rs JOIN steps s ON s.id = rs.step_id WHERE rs.run_id = r.id), '[]')"""

_SUMMARY: Final = """CASE
      WHEN e.event = 'run:created' THEN
        'created' || coalesce(' by ' || (e.payload -> 'run' ->> 'created_by'), '')
      WHEN e.payload -> 'run' ->> 'state' = 'claimed'
        AND e.payload -> 'run' ->> 'cancel_requested_at' IS NULL THEN
        'claimed' || coalesce(' by ' || (e.payload -> 'run' ->> 'worker_name'), '')
      WHEN e.payload -> 'run' ->> 'state' IN ('claimed', 'started')
        AND e.payload -> 'run' ->> 'cancel_requested_at' IS NOT NULL THEN
        'asked to cancel' || coalesce(' by ' || (e.payload -> 'run' ->> 'cancel_requested_by'), '')
      WHEN e.payload ? 'run' THEN (e.payload -> 'run' ->> 'state')
        || coalesce(': ' || (e.payload -> 'run' ->> 'error_type'), '')
      WHEN e.payload ? 'step' THEN coalesce(names.of ->> (e.payload -> 'step' ->> 'job_id'), 'step')
        || CASE e.event WHEN 'step:started' THEN ' started' ELSE
          coalesce(': ' || (e.payload -> 'step' ->> 'exit_reason'), '')
          || coalesce(' (' || (e.payload -> 'step' ->> 'error_type') || ')', '') END
      ELSE e.event END"""

_HISTORY: Final = f"""coalesce((
    SELECT jsonb_agg(jsonb_build_object('version', e.version, 'event', e.event,
      'at', e.inserted_at, 'state', e.payload -> 'run' ->> 'state',
      'step_id', e.payload -> 'step' ->> 'id', 'summary', {_SUMMARY}) ORDER BY e.version)
    FROM (SELECT * FROM run_events WHERE run_id = r.id
      ORDER BY version DESC LIMIT {LONGEST_HISTORY}) e), '[]')"""

_ONLINE: Final = f"""(
    SELECT EXISTS (SELECT 1 FROM worker_sessions w JOIN servers v ON v.id = w.server_id
      WHERE w.worker_id = own.worker_id AND {online("w", "v", "$3")})
    FROM worker_sessions own WHERE own.id = r.session_id)"""

_LEASE: Final = f"""CASE WHEN r.state IN {IN_FLIGHT} THEN jsonb_build_object(
    'worker_name', r.worker_name, 'worker_id', r.worker_id, 'epoch', r.lease_epoch,
    'joined', r.joined_at IS NOT NULL, 'online', {_ONLINE}, 'since', r.claimed_at) END"""

RUN: Final = Statement(
    "run_detail.run",
    f"""
SELECT jsonb_build_object(
  'run', {run_json("r")} || jsonb_build_object('workflow_name', f.name, 'project_name', p.name),
  'workflow', jsonb_build_object('id', f.id, 'key', f.key, 'name', f.name),
  'work_order', {work_order_json("w")},
  'graph', {graph_json("n.graph")},
  'steps', {_STEPS},
  'history', {_HISTORY},
  'gaps', {gaps_json("r")},
  'remarks', {remarks_json("r")},
  'lease', {_LEASE},
  'cursor', r.version)::text AS payload
FROM runs r JOIN snapshots n ON n.id = r.snapshot_id JOIN workflows f ON f.id = r.workflow_id
  JOIN work_orders w ON w.id = r.work_order_id JOIN projects p ON p.id = r.project_id
  CROSS JOIN LATERAL (SELECT {_NAMES} AS of) names
WHERE r.id = $1 AND ($2::uuid[] IS NULL OR r.project_id = ANY($2))""",
)

VISIBLE: Final = Statement(
    "run_detail.visible",
    "SELECT project_id, state FROM runs WHERE id = $1"
    " AND ($2::uuid[] IS NULL OR project_id = ANY($2))",
)


class Visible(msgspec.Struct, frozen=True):
    """A run that may be seen."""

    project_id: UUID
    state: str


async def run(
    repo: Runner, run_id: UUID, projects: list[UUID] | None, *, gone_after_s: float = 60.0
) -> str | Refused | None:
    """Return a run as JSON text; None if there is none in these projects.

    Args:
        repo: Where to.
        run_id: The run.
        projects: Look in these projects only; None is all.
        gone_after_s: Seconds after which a server that is not seen has no workers.
    """
    row = await repo.fetchrow(RUN, run_id, projects, gone_after_s)
    return row if row is None or isinstance(row, Refused) else row["payload"]


async def visible(
    repo: Runner, run_id: UUID, projects: list[UUID] | None
) -> Visible | Refused | None:
    """Return project and state of a run; None if there is none in these projects."""
    row = await repo.fetchrow(VISIBLE, run_id, projects)
    if row is None or isinstance(row, Refused):
        return row
    return Visible(row["project_id"], row["state"])
