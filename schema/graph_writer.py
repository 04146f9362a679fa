"""The graph of a workflow: written as rows that can be edited, and as a snapshot that cannot.

The snapshot holds the graph in the very form in which a plan sends it to a worker.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from schema.project_spec import EdgeLike, JobLike, TriggerLike, WorkflowLike
from schema.refused import Refused
from schema.repo import Rollback, Runner, Statement
from schema.tables import declared

DELETE_EDGES: Final = Statement(
    "graph.delete_edges", "DELETE FROM edges WHERE workflow_id = $1", deletes=True
)
DELETE_JOBS: Final = Statement(
    "graph.delete_jobs",
    "DELETE FROM jobs WHERE workflow_id = $1 AND NOT key = ANY($2::text[])",
    declared("edges"),
    deletes=True,
)
DELETE_TRIGGERS: Final = Statement(
    "graph.delete_triggers",
    "DELETE FROM triggers WHERE workflow_id = $1 AND NOT key = ANY($2::text[])",
    declared("edges"),
    deletes=True,
)
UPSERT_JOB: Final = Statement(
    "graph.upsert_job",
    """
INSERT INTO jobs (id, workflow_id, project_id, key, name, adaptor, body, credential_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (workflow_id, key) DO UPDATE SET name = excluded.name, adaptor = excluded.adaptor,
  body = excluded.body, credential_id = excluded.credential_id, updated_at = clock_timestamp()
RETURNING id""",
    declared("jobs"),
)
UPSERT_TRIGGER: Final = Statement(
    "graph.upsert_trigger",
    """
INSERT INTO triggers (id, workflow_id, project_id, key, type, enabled, webhook_reply,
  webhook_response_config, cron_expression)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, 'before_start'), $8::jsonb, $9)
ON CONFLICT (workflow_id, key) DO UPDATE SET type = excluded.type, enabled = excluded.enabled,
  webhook_reply = excluded.webhook_reply, cron_expression = excluded.cron_expression,
  webhook_response_config = excluded.webhook_response_config, updated_at = clock_timestamp()
RETURNING id""",
    declared("triggers"),
)
INSERT_EDGE: Final = Statement(
    "graph.insert_edge",
    """
INSERT INTO edges (id, workflow_id, key, source_trigger_id, source_job_id, target_job_id,
  condition_type, condition_expression, enabled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id""",
    declared("edges"),
)
CURRENT: Final = Statement(
    "graph.current",
    """
SELECT w.lock_version, coalesce(s.graph = $2::jsonb, false) AS same
FROM workflows w
LEFT JOIN snapshots s ON s.workflow_id = w.id AND s.lock_version = w.lock_version
WHERE w.id = $1""",
)
SNAPSHOT: Final = Statement(
    "graph.snapshot",
    """
WITH version AS (
  UPDATE workflows SET lock_version = lock_version + 1 WHERE id = $1
  RETURNING project_id, lock_version
), snapshot AS (
  INSERT INTO snapshots (project_id, workflow_id, lock_version, graph)
  SELECT project_id, $1, lock_version, $2::jsonb FROM version
  RETURNING id, lock_version
), job AS (
  INSERT INTO snapshot_jobs (snapshot_id, job_id)
  SELECT s.id, n FROM snapshot s, unnest($3::uuid[]) n
), trigger AS (
  INSERT INTO snapshot_triggers (snapshot_id, trigger_id)
  SELECT s.id, n FROM snapshot s, unnest($4::uuid[]) n
)
SELECT id, lock_version FROM snapshot""",
    declared("workflows", "snapshots", "snapshot_jobs", "snapshot_triggers"),
)


class Graph(msgspec.Struct, frozen=True):
    """What is to be written, and where.

    Attributes:
        credentials: Ids of the project's credentials by key.
        path: Prefix for the fields of a refusal.
    """

    project_id: UUID
    workflow_id: UUID
    spec: WorkflowLike
    credentials: Mapping[str, UUID]
    path: str


class Written(msgspec.Struct, frozen=True):
    """The graph as it is stored now; ids by key."""

    lock_version: int
    changed: bool
    triggers: dict[str, UUID]
    jobs: dict[str, UUID]


async def write_graph(runner: Runner, graph: Graph) -> Written:
    """Make the stored graph match, with a new snapshot if that changes what a run would execute.

    Args:
        runner: A transaction.
        graph: What is to be written.

    Raises:
        Rollback: A part was refused.
    """
    spec = graph.spec
    await run(runner, DELETE_EDGES, graph.workflow_id)
    await run(runner, DELETE_JOBS, graph.workflow_id, [job.key for job in spec.jobs])
    await run(runner, DELETE_TRIGGERS, graph.workflow_id, [t.key for t in spec.triggers])
    jobs = {job.key: await _job(runner, graph, job) for job in spec.jobs}
    triggers = {t.key: await _trigger(runner, graph, t) for t in spec.triggers}
    edges = {e.key: await _edge(runner, graph, e, triggers, jobs) for e in spec.edges}
    plan = msgspec.json.encode(_plan(graph, triggers, jobs, edges)).decode()
    (current,) = await run(runner, CURRENT, graph.workflow_id, plan)
    if current["same"]:
        return Written(current["lock_version"], changed=False, triggers=triggers, jobs=jobs)
    ids = (list(jobs.values()), list(triggers.values()))
    (new,) = await run(runner, SNAPSHOT, graph.workflow_id, plan, *ids)
    return Written(new["lock_version"], changed=True, triggers=triggers, jobs=jobs)


async def run(runner: Runner, statement: Statement, *args: Any, path: str = "") -> list[Any]:
    """Run a statement of a transaction and return its rows.

    Raises:
        Rollback: It was refused; field errors are prefixed with ``path``.
    """
    rows = await runner.fetch(statement, *args)
    if not isinstance(rows, Refused):
        return rows
    if path:
        errors = {f"{path}.{field}": messages for field, messages in rows.errors.items()}
        rows = msgspec.structs.replace(rows, errors=errors)
    raise Rollback(rows)


def _plan(
    graph: Graph,
    triggers: Mapping[str, UUID],
    jobs: Mapping[str, UUID],
    edges: Mapping[str, UUID],
) -> dict[str, Any]:
    def credential(job: JobLike) -> UUID | None:
        return None if job.credential is None else graph.credentials[job.credential]

    spec = graph.spec
    return {
        "name": spec.name,
        "triggers": [{"id": triggers[key]} for key in sorted(triggers)],
        "jobs": [
            {
                "id": jobs[job.key],
                "name": job.name,
                "adaptor": job.adaptor,
                "body": job.body,
                "credential_id": credential(job),
            }
            for job in sorted(spec.jobs, key=lambda job: job.key)
        ],
        "edges": [
            {
                "id": edges[edge.key],
                "source_trigger_id": edge.source_trigger and triggers[edge.source_trigger],
                "source_job_id": edge.source_job and jobs[edge.source_job],
                "target_job_id": jobs[edge.target_job],
                "condition": condition(edge),
                "enabled": edge.enabled,
            }
            for edge in sorted(spec.edges, key=lambda edge: edge.key)
        ],
    }


def condition(edge: EdgeLike) -> str | None:
    """Return the condition as a plan carries it: the expression, else the name of the type."""
    return (
        edge.condition_expression
        if edge.condition_type == "js_expression"
        else (edge.condition_type)
    )


async def _job(runner: Runner, graph: Graph, job: JobLike) -> UUID:
    path = f"{graph.path}.jobs.{job.key}"
    values = (
        uuid5(graph.workflow_id, f"job/{job.key}"),
        graph.workflow_id,
        graph.project_id,
        job.key,
        job.name,
        job.adaptor,
        job.body,
        None if job.credential is None else graph.credentials[job.credential],
    )
    return (await run(runner, UPSERT_JOB, *values, path=path))[0]["id"]


async def _trigger(runner: Runner, graph: Graph, trigger: TriggerLike) -> UUID:
    config = trigger.webhook_response_config
    values = (
        uuid5(graph.workflow_id, f"trigger/{trigger.key}"),
        graph.workflow_id,
        graph.project_id,
        trigger.key,
        trigger.type,
        trigger.enabled,
        trigger.webhook_reply,
        None if config is None else msgspec.json.encode(config).decode(),
        trigger.cron_expression,
    )
    path = f"{graph.path}.triggers.{trigger.key}"
    return (await run(runner, UPSERT_TRIGGER, *values, path=path))[0]["id"]


async def _edge(
    runner: Runner,
    graph: Graph,
    edge: EdgeLike,
    triggers: Mapping[str, UUID],
    jobs: Mapping[str, UUID],
) -> UUID:
    values = (
        uuid5(graph.workflow_id, f"edge/{edge.key}"),
        graph.workflow_id,
        edge.key,
        edge.source_trigger and triggers[edge.source_trigger],
        edge.source_job and jobs[edge.source_job],
        jobs[edge.target_job],
        edge.condition_type,
        edge.condition_expression,
        edge.enabled,
    )
    path = f"{graph.path}.edges.{edge.key}"
    return (await run(runner, INSERT_EDGE, *values, path=path))[0]["id"]
