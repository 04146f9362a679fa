"""Runs: start, complete, cancel, and the plan that a worker executes.

Each change is one statement, guarded by the run's id, the lease and the states it is legal in. A
stale lease therefore changes no row, ever. Only when nothing changed is a second question asked:
why (:mod:`schema.refusals`).
"""

from typing import Any, Final, cast
from uuid import UUID, uuid4

from schema import remarks
from schema.changeset import Changeset
from schema.fragments import run_updated
from schema.lifecycle import RUN_STATES, RunState
from schema.outcomes import (
    Applied,
    LatePolicy,
    Owner,
    Resent,
    TooLate,
    is_final,
    reporting_states,
)
from schema.queue import CHANNEL
from schema.refusals import COMPLETED, UNKNOWN_RUN, explain_complete, explain_start
from schema.refused import Refused, invalid
from schema.repo import Runner, Statement
from schema.tables import declared

EVENT: Final = "run:updated"

STORE_EVENT: Final = f"""
, event AS (
  INSERT INTO run_events (run_id, project_id, version, event, payload)
  SELECT c.id, c.project_id, c.version, '{EVENT}', {run_updated("c")} FROM changed c
  RETURNING version, event, payload::text AS payload, seq
)"""

_RECORD: Final = f"SELECT version, event, payload, seq, {remarks.TOLD} FROM event"

_STARTED_EARLY: Final = f"""
  SELECT c.id, x.kind, x.event, NULL::uuid, x.detail FROM changed c,
    LATERAL (SELECT {remarks.early("run:start", "c.started_at", "c")}) x
  WHERE {remarks.is_early("c.started_at", "c")}"""

# A run that nobody started was completed from `claimed`; one that the janitor had given up has just
# been recovered.
_COMPLETED_ODDLY: Final = f"""
  SELECT c.id, 'missing', 'run:start', NULL::uuid, 'run:complete came without it' FROM changed c
  WHERE c.started_at IS NULL AND $12::boolean
  UNION ALL
  SELECT c.id, 'late', 'run:complete', NULL, '{remarks.APPLIED_LATE}' FROM changed c
  WHERE c.recovered_at = now()
  UNION ALL
  SELECT c.id, x.kind, x.event, NULL, x.detail FROM changed c,
    LATERAL (SELECT {remarks.early("run:complete", "c.finished_at", "c")}) x
  WHERE {remarks.is_early("c.finished_at", "c")}"""

START: Final = Statement(
    "runs.start",
    f"""
WITH changed AS (
  UPDATE runs SET state = 'started', started_at = coalesce($4, now()), finished_at = NULL,
    start_fingerprint = $5, version = version + 1
  WHERE id = $1 AND lease = $2 AND state = ANY($3::text[])
    AND start_fingerprint IS DISTINCT FROM $5
  RETURNING *
){STORE_EVENT}{remarks.recorded(_STARTED_EARLY)}
{_RECORD}""",
    declared("runs", "run_events", "run_remarks"),
)

COMPLETE: Final = Statement(
    "runs.complete",
    f"""
WITH changed AS (
  UPDATE runs SET state = $4, finished_at = coalesce($5, now()),
    recovered_at = CASE WHEN state = 'lost' THEN now() ELSE recovered_at END,
    error_type = $6, error_message = $7,
    final_dataclip_id = coalesce($8::uuid, CASE WHEN $9::jsonb IS NOT NULL THEN $10::uuid END),
    complete_fingerprint = $11, version = version + 1
  WHERE id = $1 AND lease = $2 AND state = ANY($3::text[]) AND state <> $4
    AND complete_fingerprint IS DISTINCT FROM $11
  RETURNING *
), stored AS (
  INSERT INTO dataclips (id, project_id, type, body, wiped_at)
  SELECT $10, c.project_id, 'step_result', CASE WHEN c.save_dataclips THEN $9::jsonb END,
    CASE WHEN NOT c.save_dataclips THEN now() END
  FROM changed c WHERE $8::uuid IS NULL AND $9::jsonb IS NOT NULL
){STORE_EVENT}{remarks.recorded(_COMPLETED_ODDLY)}
{_RECORD}""",
    declared("runs", "dataclips", "run_events", "run_remarks"),
)

# An operator cancels from a process of its own; the servers, where watchers are, must hear of it.
CHANGED_NOTICE: Final = (
    f"pg_notify('{CHANNEL}', json_build_object('run_changed', c.id,"
    " 'project_id', c.project_id, 'version', c.version)::text)"
)
"""SQL that tells every server of a change that it has not made itself; expects the run as ``c``."""

CANCEL: Final = Statement(
    "runs.cancel",
    f"""
WITH changed AS (
  UPDATE runs SET state = 'cancelled', finished_at = now(), error_type = 'Cancelled',
    error_message = 'cancelled by ' || $2::text, version = version + 1
  WHERE id = $1 AND state = 'available' AND ($3::uuid[] IS NULL OR project_id = ANY($3))
  RETURNING *
){STORE_EVENT}
SELECT e.version, e.event, e.payload, e.seq, {CHANGED_NOTICE} FROM event e, changed c""",
    declared("runs", "run_events"),
)

STATE: Final = Statement(
    "runs.state",
    "SELECT state FROM runs WHERE id = $1 AND ($2::uuid[] IS NULL OR project_id = ANY($2))",
    {},
)

CLAIMED: Final = invalid(
    "state", "cannot cancel a run that a worker has claimed", code="wrong_state"
)


def applied(row: Any) -> Applied:
    """Return what a statement that ends in the event it recorded has applied."""
    found = row.get("remarks") or ()
    return Applied(row["version"], row["event"], row["payload"], row["seq"], tuple(found))


async def start(
    repo: Runner,
    owner: Owner,
    changeset: Changeset,
    fingerprint: bytes,
    *,
    observe: bool = False,
) -> Applied | Resent | Refused:
    """Mark a claimed run started.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        changeset: ``started_at`` or nothing, which means now.
        fingerprint: 16 bytes that tell a re-send from another event.
        observe: Also apply what the state machine refuses; for a deployment that migrates. The
            database must be told the same, see :mod:`schema.triggers`.

    Returns:
        What was applied; ``Resent`` for the same event again; else why not, and nothing changed.
    """
    if not changeset.valid:
        return cast("Refused", changeset.refusal())
    states = list(RUN_STATES) if observe else ["claimed"]
    row = await repo.fetchrow(
        START, owner.run_id, owner.lease, states, changeset.get("started_at"), fingerprint
    )
    if isinstance(row, Refused):
        return row
    if row is not None:
        return applied(row)
    return await explain_start(repo, owner, fingerprint)


async def complete(
    repo: Runner,
    owner: Owner,
    changeset: Changeset,
    fingerprint: bytes,
    *,
    late: LatePolicy = "accept",
    observe: bool = False,
    reported: bool = True,
) -> Applied | Resent | TooLate | Refused:
    """Bring a run to its final state, from ``claimed`` or from ``started``.

    With the policy ``accept`` a run that the janitor had marked lost is brought to its real
    outcome, once, and ``recovered_at`` says when.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker.
        changeset: ``state``; optionally ``finished_at``, ``error_type``, ``error_message``,
            ``final_dataclip_id`` and ``final_state`` (JSON text). The id wins over the state,
            which is otherwise stored as a new dataclip (wiped when the run does not save them).
        fingerprint: 16 bytes that tell a re-send from another event.
        late: What becomes of a lost run.
        observe: Also apply what the state machine refuses.
        reported: Whether a worker says so, so that a missing start is remarked.

    Returns:
        What was applied; ``Resent`` for the same event again; ``TooLate`` for a lost run under
        ``acknowledge``; else why not, and nothing changed.
    """
    if not changeset.valid:
        return cast("Refused", changeset.refusal())
    state = cast("RunState", changeset.changes["state"])
    row = await repo.fetchrow(
        COMPLETE,
        owner.run_id,
        owner.lease,
        list(RUN_STATES) if observe else reporting_states(late),
        state,
        changeset.get("finished_at"),
        changeset.get("error_type"),
        changeset.get("error_message"),
        changeset.get("final_dataclip_id"),
        changeset.get("final_state"),
        uuid4(),
        fingerprint,
        reported,
    )
    if isinstance(row, Refused):
        return row
    if row is not None:
        return applied(row)
    return await explain_complete(repo, owner, state, fingerprint, late)


async def cancel(
    repo: Runner, run_id: UUID, by: str | None = None, projects: list[UUID] | None = None
) -> Applied | Refused:
    """Cancel a run that no worker has claimed. For operators, never for workers.

    Args:
        repo: Where to.
        run_id: The run.
        by: Who cancels, kept in ``error_message``.
        projects: Look in these projects only; None is all.

    Returns:
        What was applied; else why not, and nothing changed.
    """
    row = await repo.fetchrow(CANCEL, run_id, by, projects)
    if isinstance(row, Refused):
        return row
    if row is not None:
        return applied(row)
    found = await repo.fetchrow(STATE, run_id, projects)
    if isinstance(found, Refused):
        return found
    if found is None:
        return UNKNOWN_RUN
    return COMPLETED if is_final(found["state"]) else CLAIMED
