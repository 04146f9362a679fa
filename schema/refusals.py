"""The second question: why did a guarded statement change nothing?

Asked only after a refusal, never on the success path. What it finds is newer than what the
statement saw, but for one lease a run only moves forward, so the answer is still true.
"""

from typing import Any, Final
from uuid import UUID

from schema import lifecycle
from schema.outcomes import LatePolicy, Owner, Resent, TooLate, reporting_states
from schema.refused import Refused
from schema.repo import Runner, Statement

WHY: Final = Statement(
    "refusals.why",
    """
SELECT r.state, r.version, r.lease IS NOT DISTINCT FROM $2 AS owned,
  r.start_fingerprint, r.complete_fingerprint, s.id AS step_id, s.finished_at,
  s.start_fingerprint AS step_started, s.complete_fingerprint AS step_completed
FROM runs r
LEFT JOIN run_steps rs ON rs.run_id = r.id AND rs.step_id = $3
LEFT JOIN steps s ON s.id = rs.step_id
WHERE r.id = $1""",
    {},
)

UNKNOWN_RUN: Final = Refused(errors={"run_id": ["not found"]}, kind="not_found", code="not_found")
LEASE_LOST: Final = Refused(errors={}, kind="lease_lost", code="lease_lost")
UNKNOWN_STEP: Final = Refused(errors={"step_id": ["not found"]}, code="not_found")
STEP_TAKEN: Final = Refused(errors={"step_id": ["has already been taken"]}, code="duplicate")
STEP_COMPLETED: Final = Refused(
    errors={"step_id": ["has already been completed"]}, code="wrong_state"
)
COMPLETED: Final = Refused(errors={"state": ["already in completed state"]}, code="wrong_state")
RACED: Final = Refused(errors={}, kind="busy", retryable=True, code="busy")
"""The run became what the event needs only after the statement had looked: ask again."""


async def ask(repo: Runner, owner: Owner, step_id: UUID | None = None) -> Any | Refused:
    """Return the row that explains, or the refusal when run or lease are to blame.

    Args:
        repo: Where to ask.
        owner: The run and the lease that the statement was guarded by.
        step_id: The step of the event, if it has one.
    """
    row = await repo.fetchrow(WHY, owner.run_id, owner.lease, step_id)
    if isinstance(row, Refused):
        return row
    if row is None:
        return UNKNOWN_RUN
    return row if row["owned"] else LEASE_LOST


async def explain_start(repo: Runner, owner: Owner, fingerprint: bytes) -> Resent | Refused:
    """Say why a run was not started.

    Args:
        repo: Where to ask.
        owner: The run and the lease.
        fingerprint: Fingerprint of the event.
    """
    row = await ask(repo, owner)
    if isinstance(row, Refused):
        return row
    if row["start_fingerprint"] == fingerprint:
        return Resent(row["version"])
    return state_refusal(row["state"], "started", "reject")


async def explain_complete(
    repo: Runner,
    owner: Owner,
    target: lifecycle.RunState,
    fingerprint: bytes,
    late: LatePolicy,
) -> Resent | TooLate | Refused:
    """Say why a run did not come to its end.

    Args:
        repo: Where to ask.
        owner: The run and the lease.
        target: The final state that was reported.
        fingerprint: Fingerprint of the event.
        late: What becomes of the completion of a lost run.
    """
    row = await ask(repo, owner)
    if isinstance(row, Refused):
        return row
    if row["complete_fingerprint"] == fingerprint:
        return Resent(row["version"])
    if row["state"] == "lost" and late == "acknowledge":
        return TooLate(row["version"])
    return state_refusal(row["state"], target, late)


def state_refusal(current: str, target: str, late: LatePolicy) -> Refused:
    """Return the refusal of a transition in the wording that workers know.

    A transition that is legal by now, or that only the policy forbids, is refused as well.
    """
    if not lifecycle.allowed(current, target):
        return Refused(errors=lifecycle.refusal(current, target), code="wrong_state")
    if current == "lost" and late != "accept":
        return COMPLETED
    return RACED


async def explain_step(
    repo: Runner,
    owner: Owner,
    step_id: UUID,
    fingerprint: bytes,
    *,
    completing: bool,
    late: LatePolicy,
) -> Resent | TooLate | Refused:
    """Say why a step was not started or not completed.

    Args:
        repo: Where to ask.
        owner: The run and the lease.
        step_id: The step.
        fingerprint: Fingerprint of the event.
        completing: Whether the step was to be completed, else started.
        late: What becomes of the events of a lost run.
    """
    row = await ask(repo, owner, step_id)
    if isinstance(row, Refused):
        return row
    if row["step_completed" if completing else "step_started"] == fingerprint:
        return Resent(row["version"])
    if row["state"] == "lost" and late == "acknowledge":
        return TooLate(row["version"])
    known = row["step_id"] is not None
    if completing and not known:
        return UNKNOWN_STEP
    if row["state"] not in reporting_states(late):
        return COMPLETED
    if completing:
        return STEP_COMPLETED if row["finished_at"] is not None else RACED
    return STEP_TAKEN
