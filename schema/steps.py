"""Steps: start and complete, one statement each.

A step belongs to the run that started it; whatever a message says about a step of another run, or
with another lease, changes nothing.
"""

from typing import Any, Final, cast

from schema import remarks
from schema.changeset import Changeset
from schema.fragments import step_json
from schema.lifecycle import IN_FLIGHT
from schema.outcomes import (
    Applied,
    LatePolicy,
    Owner,
    Resent,
    TooLate,
    reporting_states,
)
from schema.refusals import explain_step
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import Declared, declared

STARTED: Final = "step:started"
COMPLETED: Final = "step:completed"


def _record(event: str, told: str, run: str, moment: str) -> str:
    """Return the end of a statement with the expressions ``owned``, ``step`` and ``run``.

    Args:
        event: What the worker sent.
        told: What watchers are told.
        run: Where the version of the change is.
        moment: When the worker says that it was.
    """
    payload = f"jsonb_build_object('step', {step_json('s', 'r.id')}, 'version', r.version)"
    odd = f"""
  SELECT o.id, 'late', '{event}', s.id, '{remarks.APPLIED_LATE}' FROM owned o, step s
  WHERE o.state NOT IN {IN_FLIGHT}
  UNION ALL
  SELECT o.id, x.kind, x.event, s.id, x.detail FROM owned o, step s,
    LATERAL (SELECT {remarks.early(event, moment, "o")}) x
  WHERE {remarks.is_early(moment, "o")}"""
    return f""", event AS (
  INSERT INTO run_events (run_id, version, event, payload)
  SELECT r.id, r.version, '{told}', {payload} FROM {run} r, step s
  RETURNING version, event, payload::text AS payload
){remarks.recorded(odd)}
SELECT version, event, payload, {remarks.TOLD} FROM event"""


START: Final = Statement(
    "steps.start",
    f"""
WITH owned AS (
  UPDATE runs SET version = version + 1
  WHERE id = $1 AND lease = $2 AND state = ANY($3::text[])
  RETURNING id, project_id, snapshot_id, version, state, claimed_at
), step AS (
  INSERT INTO steps (id, project_id, snapshot_id, job_id, credential_id, input_dataclip_id,
    started_at, start_fingerprint)
  SELECT $4, o.project_id, o.snapshot_id, $5, $6, $7, coalesce($8, now()), $9 FROM owned o
  RETURNING *
), link AS (
  INSERT INTO run_steps (run_id, step_id) SELECT o.id, s.id FROM owned o, step s
){_record("step:start", STARTED, "owned", "s.started_at")}""",
    declared("steps", "run_steps", "run_events", "run_remarks"),
)

# A run that was lost and told its end later may still tell the ends of its steps.
# The run is locked before the step, as everywhere, so that no two statements wait for each other;
# its version grows only if the step changed, so that versions have no gaps.
COMPLETE: Final = Statement(
    "steps.complete",
    f"""
WITH owned AS (
  SELECT id, project_id, save_dataclips, state, claimed_at FROM runs
  WHERE id = $1 AND lease = $2 AND (state = ANY($3::text[])
    OR recovered_at IS NOT NULL AND 'lost' = ANY($3::text[]))
  FOR NO KEY UPDATE
), step AS (
  UPDATE steps s SET finished_at = coalesce($5, now()), exit_reason = $6, error_type = $7,
    error_message = $8, output_dataclip_id = $9, complete_fingerprint = $11
  FROM owned o JOIN run_steps rs ON rs.run_id = o.id
  WHERE rs.step_id = $4 AND s.id = rs.step_id AND (
    s.finished_at IS NULL OR (s.exit_reason = 'lost' AND s.complete_fingerprint IS NULL))
  RETURNING s.*
), clip AS (
  INSERT INTO dataclips (id, project_id, type, body, wiped_at)
  SELECT $9, o.project_id, 'step_result',
    CASE WHEN o.save_dataclips THEN coalesce($10::jsonb, 'null') END,
    CASE WHEN NOT o.save_dataclips THEN now() END
  FROM owned o, step s WHERE $9::uuid IS NOT NULL
), bumped AS (
  UPDATE runs r SET version = r.version + 1,
    webhook_response = coalesce($12::jsonb, r.webhook_response)
  FROM step s WHERE r.id = $1
  RETURNING r.id, r.version
){_record("step:complete", COMPLETED, "bumped", "s.finished_at")}""",
    {
        **declared("steps", "dataclips", "run_events", "run_remarks"),
        "dataclips_pkey": Declared("output_dataclip_id", "has already been taken"),
    },
)


async def start(
    repo: Runner,
    owner: Owner,
    changeset: Changeset,
    fingerprint: bytes,
    *,
    late: LatePolicy = "accept",
) -> Applied | Resent | TooLate | Refused:
    """Insert a step of a claimed or started run (of a lost one too, under ``accept``).

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        changeset: ``step_id``, ``job_id``; optionally ``credential_id``, ``input_dataclip_id``,
            ``started_at`` (default now).
        fingerprint: 16 bytes that tell a re-send from another event.
        late: What becomes of the steps of a lost run.

    Returns:
        What was applied; ``Resent`` for the same event again; ``TooLate`` for a lost run under
        ``acknowledge``; else why not, and nothing changed.
    """
    if not changeset.valid:
        return cast("Refused", changeset.refusal())
    row = await repo.fetchrow(
        START,
        owner.run_id,
        owner.lease,
        reporting_states(late),
        changeset.changes["step_id"],
        changeset.changes["job_id"],
        changeset.get("credential_id"),
        changeset.get("input_dataclip_id"),
        changeset.get("started_at"),
        fingerprint,
    )
    if isinstance(row, Refused):
        if row.constraint != "steps_pkey":
            return row
    elif row is not None:
        return _applied(row)
    return await explain_step(
        repo, owner, changeset.changes["step_id"], fingerprint, completing=False, late=late
    )


async def complete(
    repo: Runner,
    owner: Owner,
    changeset: Changeset,
    fingerprint: bytes,
    *,
    late: LatePolicy = "accept",
) -> Applied | Resent | TooLate | Refused:
    """Complete an open step of the run, or one that the janitor had closed as lost.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        changeset: ``step_id``, ``exit_reason``; optionally ``finished_at``, ``error_type``,
            ``error_message``, ``output_dataclip_id`` and ``output_dataclip`` (JSON text), and
            ``webhook_response`` (JSON text), of which the last one given stays. When the run does
            not save dataclips the id is stored as a wiped dataclip and the body never.
        fingerprint: 16 bytes that tell a re-send from another event.
        late: What becomes of the steps of a lost run.

    Returns:
        What was applied; ``Resent`` for the same event again; ``TooLate`` for a lost run under
        ``acknowledge``; else why not, and nothing changed.
    """
    if not changeset.valid:
        return cast("Refused", changeset.refusal())
    row = await repo.fetchrow(
        COMPLETE,
        owner.run_id,
        owner.lease,
        reporting_states(late),
        changeset.changes["step_id"],
        changeset.get("finished_at"),
        changeset.changes["exit_reason"],
        changeset.get("error_type"),
        changeset.get("error_message"),
        changeset.get("output_dataclip_id"),
        changeset.get("output_dataclip"),
        fingerprint,
        changeset.get("webhook_response"),
    )
    if isinstance(row, Refused):
        return row
    if row is not None:
        return _applied(row)
    return await explain_step(
        repo, owner, changeset.changes["step_id"], fingerprint, completing=True, late=late
    )


def _applied(row: Any) -> Applied:
    remarked = tuple(row["remarks"] or ())
    return Applied(row["version"], row["event"], row["payload"], remarks=remarked)
