"""Projects and workflows as lists show them, and one workflow with its graph and snapshots."""

from typing import Final
from uuid import UUID

from schema.lifecycle import RUN_STATES
from schema.reading.graphs import graph_json
from schema.refused import Refused
from schema.repo import Runner, Statement

COUNTED: Final = 10_000
"""Runs of one state are counted up to this many; it stands for "so many or more"."""

MOST_SNAPSHOTS: Final = 100

_STATES: Final = ", ".join(f"('{state}')" for state in RUN_STATES)

_WAITING: Final = "".join(
    f"""'{state}', (SELECT count(*) FROM runs r WHERE r.project_id = p.id
      AND r.state = '{state}'),"""
    for state in RUN_STATES[:3]
).rstrip(",")

PROJECTS: Final = Statement(
    "catalog.projects",
    f"""
SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name,
  'concurrency', p.concurrency, 'retention_policy', p.retention_policy,
  'runs', jsonb_build_object({_WAITING})) ORDER BY p.name), '[]')::text AS payload
FROM projects p WHERE p.id = ANY($1)""",
)

NAMES: Final = Statement(
    "catalog.project_names",
    """
SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name) ORDER BY name), '[]')::text
  AS payload FROM projects WHERE id = ANY($1)""",
)

_COUNTS: Final = f"""(
    SELECT coalesce(jsonb_object_agg(s.state, n.runs) FILTER (WHERE n.runs > 0), '{{}}')
    FROM (VALUES {_STATES}) s (state) CROSS JOIN LATERAL (
      SELECT count(*) AS runs FROM (SELECT 1 FROM runs r
        WHERE r.workflow_id = w.id AND r.state = s.state LIMIT {COUNTED}) counted) n)"""

_LAST: Final = f"""(
    SELECT max(l.inserted_at) FROM (VALUES {_STATES}) s (state) CROSS JOIN LATERAL (
      SELECT r.inserted_at FROM runs r WHERE r.workflow_id = w.id AND r.state = s.state
      ORDER BY r.inserted_at DESC, r.id DESC LIMIT 1) l)"""

_WORKFLOW: Final = f"""jsonb_build_object('id', w.id, 'project_id', w.project_id, 'name', w.name,
    'key', w.key, 'enabled', w.enabled, 'lock_version', w.lock_version,
    'concurrency', w.concurrency, 'runs', {_COUNTS}, 'last_run_at', {_LAST})"""

WORKFLOWS: Final = Statement(
    "catalog.workflows",
    f"""
SELECT coalesce(jsonb_agg({_WORKFLOW} ORDER BY w.name, w.id), '[]')::text AS payload
FROM workflows w WHERE w.project_id = ANY($1)""",
)

WORKFLOW: Final = Statement(
    "catalog.workflow",
    f"""
SELECT jsonb_build_object('workflow', {_WORKFLOW},
  'graph', coalesce((SELECT {graph_json("n.graph")} FROM snapshots n
    WHERE n.workflow_id = w.id AND n.lock_version = w.lock_version),
    '{{"triggers": [], "jobs": [], "edges": []}}'),
  'snapshots', coalesce((SELECT jsonb_agg(jsonb_build_object('id', n.id,
    'lock_version', n.lock_version, 'inserted_at', n.inserted_at) ORDER BY n.lock_version DESC)
    FROM (SELECT * FROM snapshots WHERE workflow_id = w.id
      ORDER BY lock_version DESC LIMIT {MOST_SNAPSHOTS}) n), '[]'))::text AS payload
FROM workflows w WHERE w.id = $1 AND w.project_id = ANY($2)""",
)


async def projects(repo: Runner, ids: list[UUID]) -> str | Refused:
    """Return these projects as JSON text, with how many of their runs are not over."""
    return await _text(repo, PROJECTS, ids)


async def project_names(repo: Runner, ids: list[UUID]) -> str | Refused:
    """Return ids and names of these projects as JSON text; those that are gone are left out."""
    return await _text(repo, NAMES, ids)


async def workflows(repo: Runner, project_ids: list[UUID]) -> str | Refused:
    """Return the workflows of these projects as JSON text."""
    return await _text(repo, WORKFLOWS, project_ids)


async def workflow(repo: Runner, workflow_id: UUID, projects: list[UUID]) -> str | Refused | None:
    """Return a workflow with its graph and its latest snapshots as JSON text; None if not there."""
    row = await repo.fetchrow(WORKFLOW, workflow_id, projects)
    return row if row is None or isinstance(row, Refused) else row["payload"]


async def _text(repo: Runner, statement: Statement, ids: list[UUID]) -> str | Refused:
    row = await repo.fetchrow(statement, ids)
    return row if isinstance(row, Refused) else str(row and row["payload"])
