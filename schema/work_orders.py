"""Work orders: ask for one unit of work, or for another attempt at it.

Work order, dataclip, run, event and the notice to every server are one statement: either all of
them exist or none. A run that would break its worker is not created.
"""

from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec

from schema.fragments import run_updated
from schema.outcomes import Event
from schema.plans import plan_problem
from schema.queue import AVAILABLE_NOTICE
from schema.refusals import UNKNOWN_RUN
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement
from schema.tables import Declared, declared

CREATED: Final = "run:created"

Priority = Literal["immediate", "normal"]

_OPTIONS: Final = """jsonb_strip_nulls(p.options - 'job_logs' || jsonb_build_object('job_log_level',
    CASE WHEN p.options -> 'job_logs' = 'false' THEN 'none' END))"""

_PROBLEM: Final = plan_problem("s.graph", "t.id", "j.id")

_NODE: Final = """
  FROM (SELECT workflow_id FROM triggers WHERE id = $1
    UNION ALL SELECT workflow_id FROM jobs WHERE id = $2 LIMIT 1) AS node
  JOIN workflows w ON w.id = node.workflow_id
  JOIN projects p ON p.id = w.project_id
  JOIN snapshots s ON s.workflow_id = w.id AND s.lock_version = w.lock_version
  LEFT JOIN triggers t ON t.id = $1
  LEFT JOIN jobs j ON j.id = $2 AND t.id IS NULL"""

_RECORD: Final = f""", event AS (
  INSERT INTO run_events (run_id, project_id, version, event, payload)
  SELECT c.id, c.project_id, c.version, '{CREATED}', {run_updated("c")} FROM created c
  RETURNING run_id, version, event, payload::text AS payload, seq
)"""

CREATE: Final = Statement(
    "work_orders.create",
    f"""
WITH source AS (
  SELECT w.id AS workflow_id, w.project_id, s.id AS snapshot_id, t.id AS trigger_id,
    j.id AS job_id, t.webhook_reply, t.webhook_response_config,
    p.retention_policy <> 'erase_all' AS save_dataclips, {_OPTIONS} AS options
  {_NODE}
  WHERE {_PROBLEM} IS NULL AND ($3 OR (w.enabled AND coalesce(t.enabled, true)))
    AND NOT EXISTS (SELECT 1 FROM dataclips d WHERE d.id = $4 AND d.wiped_at IS NOT NULL)
), clip AS (
  INSERT INTO dataclips (id, project_id, type, body, request)
  SELECT $5, project_id, $6, $7::jsonb, $8::jsonb FROM source WHERE $6::text IS NOT NULL
), work_order AS (
  INSERT INTO work_orders (id, project_id, workflow_id, snapshot_id, trigger_id, dataclip_id)
  SELECT $9, project_id, workflow_id, snapshot_id, trigger_id,
    coalesce($4::uuid, CASE WHEN $6::text IS NOT NULL THEN $5::uuid END)
  FROM source RETURNING *
), created AS (
  INSERT INTO runs (id, project_id, workflow_id, work_order_id, snapshot_id, dataclip_id,
    starting_trigger_id, starting_job_id, created_by, priority, queue, options, save_dataclips,
    version)
  SELECT $10, s.project_id, s.workflow_id, w.id, s.snapshot_id, w.dataclip_id, s.trigger_id,
    s.job_id, $11, $12, $13, s.options, s.save_dataclips, 1
  FROM source s, work_order w RETURNING *
){_RECORD}
SELECT c.project_id, c.workflow_id, c.dataclip_id, c.work_order_id, c.id, e.version, e.event,
  e.payload, e.seq, s.webhook_reply, s.webhook_response_config::text AS webhook_response_config,
  {AVAILABLE_NOTICE}
FROM created c, event e, source s""",
    {
        **declared("runs", "work_orders", "dataclips", "run_events"),
        "dataclips_pkey": Declared("dataclip_id", "has already been taken"),
    },
)

WHY_NOT: Final = Statement(
    "work_orders.why_not",
    f"""
SELECT w.enabled AND coalesce(t.enabled, true) AS enabled, {_PROBLEM} AS problem,
  EXISTS (SELECT 1 FROM dataclips d WHERE d.id = $3 AND d.wiped_at IS NOT NULL) AS wiped
{_NODE}""",
)

# From the start, or from the last step of a job: then the outputs before it are used again, for the
# run starts at that job with what the step was given.
RETRY: Final = Statement(
    "work_orders.retry",
    f"""
WITH source AS (
  SELECT r.*, s.id AS step_id, s.job_id AS step_job_id,
    CASE WHEN s.id IS NULL THEN r.dataclip_id ELSE s.input_dataclip_id END AS input_id
  FROM runs r LEFT JOIN LATERAL (
    SELECT s.* FROM run_steps rs JOIN steps s ON s.id = rs.step_id
    WHERE rs.run_id = r.id AND ($4::uuid IS NULL OR s.id = $4) AND ($5::uuid IS NULL
      OR s.job_id = $5) AND num_nonnulls($4::uuid, $5::uuid) > 0
    ORDER BY s.started_at DESC NULLS LAST, s.inserted_at DESC LIMIT 1) s ON true
  WHERE r.id = $1 AND r.finished_at IS NOT NULL AND ($6::uuid[] IS NULL OR r.project_id = ANY($6))
    AND (num_nonnulls($4::uuid, $5::uuid) = 0 OR s.input_dataclip_id IS NOT NULL)
), created AS (
  INSERT INTO runs (id, project_id, workflow_id, work_order_id, snapshot_id, dataclip_id,
    starting_trigger_id, starting_job_id, created_by, priority, queue, options, save_dataclips,
    version)
  SELECT $2, r.project_id, r.workflow_id, r.work_order_id, r.snapshot_id, r.input_id,
    CASE WHEN r.step_id IS NULL THEN r.starting_trigger_id END,
    coalesce(r.step_job_id, r.starting_job_id), $3, 0, 'manual', r.options, r.save_dataclips, 1
  FROM source r LEFT JOIN dataclips d ON d.id = r.input_id WHERE d.wiped_at IS NULL
  RETURNING *
){_RECORD}
SELECT c.project_id, c.workflow_id, c.dataclip_id, c.work_order_id, c.id, e.version, e.event,
  e.payload, e.seq, NULL AS webhook_reply, NULL AS webhook_response_config, {AVAILABLE_NOTICE}
FROM created c, event e""",
    declared("runs", "run_events"),
)

RETRYABLE: Final = Statement(
    "work_orders.retryable",
    """
SELECT r.state, s.id IS NOT NULL AS stepped, s.input_dataclip_id IS NOT NULL AS has_input
FROM runs r LEFT JOIN LATERAL (
  SELECT s.* FROM run_steps rs JOIN steps s ON s.id = rs.step_id
  WHERE rs.run_id = r.id AND ($2::uuid IS NULL OR s.id = $2) AND ($3::uuid IS NULL
    OR s.job_id = $3)
  ORDER BY s.started_at DESC NULLS LAST, s.inserted_at DESC LIMIT 1) s ON true
WHERE r.id = $1 AND ($4::uuid[] IS NULL OR r.project_id = ANY($4))""",
)

UNKNOWN_NODE: Final = Refused({"starting_node_id": ["not found"]}, "not_found", code="not_found")
DISABLED: Final = invalid("starting_node_id", "is disabled", code="disabled")
WIPED: Final = invalid("dataclip_id", "has been wiped", code="wiped")
UNFINISHED: Final = invalid("state", "cannot retry a run that is not finished", code="wrong_state")

NO_STEP: Final = Refused({"step_id": ["not found"]}, "not_found", code="not_found")
NO_INPUT: Final = invalid("step_id", "its input is not known", code="unrunnable")


class NewWorkOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        trigger_id: The trigger that starts the run, or None.
        job_id: The job that starts the run, when no trigger does.
        dataclip_id: A dataclip of the project that exists, or None.
        dataclip_type: Type of a dataclip to be stored with the work order; None stores none.
        body: JSON text of its body.
        request: JSON text of the request that brought it.
        created_by: Who asks, for people.
        priority: ``immediate`` goes before ``normal``.
        queue: Name of the queue.
        even_disabled: Also start from a trigger or workflow that is switched off.
        run_id: The id that the run gets.
        work_order_id: The id that the work order gets.
    """

    trigger_id: UUID | None = None
    job_id: UUID | None = None
    dataclip_id: UUID | None = None
    dataclip_type: str | None = None
    body: str | None = None
    request: str | None = None
    created_by: str | None = None
    priority: Priority = "normal"
    queue: str = "default"
    even_disabled: bool = False
    run_id: UUID = msgspec.field(default_factory=uuid4)
    work_order_id: UUID = msgspec.field(default_factory=uuid4)


class Created(msgspec.Struct, frozen=True):
    """A run that workers may claim now.

    Attributes:
        webhook_reply: That of the starting trigger, None when a job starts.
        webhook_response_config: JSON text of that of the starting trigger.
        event: What watchers of the project are to be told.
    """

    work_order_id: UUID
    run_id: UUID
    project_id: UUID
    workflow_id: UUID
    dataclip_id: UUID | None
    webhook_reply: str | None
    webhook_response_config: str | None
    event: Event


async def create(repo: Runner, new: NewWorkOrder) -> Created | Refused:
    """Create a work order with its first run.

    Args:
        repo: Where to.
        new: What is asked for.

    Returns:
        What was created; else why not: ``not_found`` for an unknown trigger or job, code
        ``disabled``, ``unrunnable`` or ``wiped``, or field errors.
    """
    row = await repo.fetchrow(
        CREATE,
        new.trigger_id,
        new.job_id,
        new.even_disabled,
        new.dataclip_id,
        uuid4(),
        None if new.dataclip_id else new.dataclip_type,
        new.body,
        new.request,
        new.work_order_id,
        new.run_id,
        new.created_by,
        0 if new.priority == "immediate" else 1,
        new.queue,
    )
    if isinstance(row, Refused):
        return row
    return _created(row) if row is not None else await _why_not(repo, new)


async def retry(
    repo: Runner,
    run_id: UUID,
    created_by: str | None = None,
    *,
    step_id: UUID | None = None,
    job_id: UUID | None = None,
    projects: list[UUID] | None = None,
) -> Created | Refused:
    """Create another run of a work order: same snapshot, and from the start the same input.

    Args:
        repo: Where to.
        run_id: A finished run.
        created_by: Who asks, for people.
        step_id: Start at the job of this step of the run, with the input that it had.
        job_id: The same, with the run's last step of this job.
        projects: Look in these projects only; None is all.

    Returns:
        What was created; else why not: the run or step is unknown, the run is not finished, or the
        input is wiped or was never told.
    """
    row = await repo.fetchrow(RETRY, run_id, uuid4(), created_by, step_id, job_id, projects)
    if isinstance(row, Refused):
        return row
    if row is not None:
        return _created(row)
    found = await repo.fetchrow(RETRYABLE, run_id, step_id, job_id, projects)
    if isinstance(found, Refused):
        return found
    if found is None:
        return UNKNOWN_RUN
    if found["state"] in ("available", "claimed", "started"):
        return UNFINISHED
    if step_id is None and job_id is None:
        return WIPED
    if not found["stepped"]:
        return NO_STEP
    return WIPED if found["has_input"] else NO_INPUT


async def _why_not(repo: Runner, new: NewWorkOrder) -> Refused:
    row = await repo.fetchrow(WHY_NOT, new.trigger_id, new.job_id, new.dataclip_id)
    if isinstance(row, Refused):
        return row
    if row is None:
        return UNKNOWN_NODE
    if row["problem"] is not None:
        return invalid("starting_node_id", row["problem"], code="unrunnable")
    return WIPED if row["wiped"] else DISABLED


def _created(row: Any) -> Created:
    return Created(
        work_order_id=row["work_order_id"],
        run_id=row["id"],
        project_id=row["project_id"],
        workflow_id=row["workflow_id"],
        dataclip_id=row["dataclip_id"],
        webhook_reply=row["webhook_reply"],
        webhook_response_config=row["webhook_response_config"],
        event=Event(
            row["id"], row["project_id"], row["version"], row["event"], row["payload"], row["seq"]
        ),
    )
