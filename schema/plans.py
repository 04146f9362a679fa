"""The plan of a run: what its worker executes, and whether it can be executed at all.

The plan is made of the snapshot, never of the workflow as it is edited. A plan that would harm a
worker is recognised twice: when the run is created, and when the worker joins it.
"""

from typing import Final
from uuid import UUID

import msgspec

from schema.outcomes import Owner
from schema.refusals import UNKNOWN_RUN
from schema.refused import Refused
from schema.repo import Runner, Statement


def plan_problem(graph: str, trigger_id: str, job_id: str) -> str:
    """Return SQL for what is wrong with starting ``graph`` at a node; null when nothing is.

    Args:
        graph: Expression of the snapshot's graph.
        trigger_id: Expression of the starting trigger, null when a job starts.
        job_id: Expression of the starting job, null when a trigger starts.
    """
    return f"""CASE
    WHEN {trigger_id} IS NOT NULL AND NOT {graph} @> jsonb_build_object('triggers',
      jsonb_build_array(jsonb_build_object('id', {trigger_id})))
      THEN 'the starting trigger is not in the snapshot'
    WHEN {trigger_id} IS NOT NULL AND NOT {graph} @> jsonb_build_object('edges',
      jsonb_build_array(jsonb_build_object('source_trigger_id', {trigger_id}, 'enabled', true)))
      THEN 'the starting trigger has no enabled edge'
    WHEN {trigger_id} IS NULL AND NOT {graph} @> jsonb_build_object('jobs',
      jsonb_build_array(jsonb_build_object('id', {job_id})))
      THEN 'the starting job is not in the snapshot'
    WHEN {graph} @? '$.edges[*] ? (@.source_trigger_id != null
      && (!exists(@.condition) || @.condition == null))'
      THEN 'an edge of a trigger has no condition'
  END"""


# The lease is checked by the update, not by the select: a release that commits in between must not
# leave a worker believing that it owns the run. The select sees the run as it was before.
JOIN: Final = Statement(
    "plans.join",
    f"""
WITH joined AS (
  UPDATE runs SET joined_at = coalesce(joined_at, now()), session_id = coalesce($3, session_id)
  WHERE id = $1 AND lease = $2
  RETURNING id
)
SELECT EXISTS (SELECT 1 FROM joined) AS owned, r.joined_at IS NOT NULL AS joined_before, r.state,
  r.project_id, r.workflow_id,
  r.save_dataclips, r.cancel_requested_at IS NOT NULL AS cancelled,
  (s.graph - 'name' || jsonb_build_object(
    'id', r.id,
    'project_id', r.project_id,
    'starting_node_id', coalesce(r.starting_trigger_id, r.starting_job_id),
    'dataclip_id', r.dataclip_id,
    'options', jsonb_strip_nulls(r.options)
      || jsonb_build_object('output_dataclips', r.save_dataclips),
    'meta', jsonb_build_object('work_order_id', r.work_order_id, 'workflow_id', r.workflow_id,
      'project_id', r.project_id)))::text AS plan,
  {plan_problem("s.graph", "r.starting_trigger_id", "r.starting_job_id")} AS problem
FROM runs r JOIN snapshots s ON s.id = r.snapshot_id
WHERE r.id = $1""",
    {},
)


class Joined(msgspec.Struct, frozen=True):
    """A run, as its worker finds it when it joins.

    Attributes:
        owned: Whether the lease is the current one; the release of unheard claims then leaves the
            run alone. Without it the worker's events are to be acknowledged and dropped.
        joined_before: Whether the run had been joined since it was claimed.
        state: State of the run.
        project_id: Its project.
        workflow_id: Its workflow.
        save_dataclips: Whether bodies of dataclips may be stored.
        plan_json: JSON text of the plan; embed it, do not parse it.
        problem: What would break the worker, None when nothing would. Refuse the join then.
        cancelled: Whether somebody wants the run cancelled; its worker is to be asked.
    """

    owned: bool
    joined_before: bool
    state: str
    project_id: UUID
    workflow_id: UUID
    save_dataclips: bool
    plan_json: str
    problem: str | None
    cancelled: bool


async def join(repo: Runner, owner: Owner, session_id: UUID | None = None) -> Joined | Refused:
    """Return the plan of a run and mark it joined by its owner, in one statement.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker that joins.
        session_id: The socket on which it joins; if it is the owner, by whose absence the run may
            be lost from now on.

    Returns:
        The plan, whoever asks; ``not_found`` for an unknown run.
    """
    row = await repo.fetchrow(JOIN, owner.run_id, owner.lease, session_id)
    if isinstance(row, Refused):
        return row
    if row is None:
        return UNKNOWN_RUN
    return Joined(
        owned=row["owned"],
        joined_before=row["joined_before"],
        state=row["state"],
        project_id=row["project_id"],
        workflow_id=row["workflow_id"],
        save_dataclips=row["save_dataclips"],
        plan_json=row["plan"],
        problem=row["problem"],
        cancelled=row["cancelled"],
    )
