"""`run:complete`: the worker reports how the run ended."""

from typing import Any, Final

import msgspec

from channel_server.channel import Reply
from handlers.fingerprint import fingerprint
from handlers.params import cast_params, fields_of
from handlers.run_context import RunContext
from handlers.webhook_replies import Outcome
from schema import casts, runs
from schema.changeset import BLANK, Changeset
from schema.lifecycle import OUTCOMES
from schema.outcomes import Applied

EVENT = "run:complete"

REASONS: Final = {
    "ok": "success",
    "success": "success",
    "fail": "failed",
    "crash": "crashed",
    "cancel": "cancelled",
    "kill": "killed",
    "exception": "exception",
} | {state: state for state in OUTCOMES}
"""What workers say, and the state it means."""

WRAPPED: Final = frozenset({"final_dataclip_id"})

_FIELDS: Final = {
    "error_type": casts.text,
    "error_message": casts.text,
    "timestamp": casts.timestamp,
    "final_dataclip_id": casts.uuid,
    "final_state": casts.json,
}


def changeset(payload: Any) -> Changeset:
    """The final state of the run and what belongs to it."""
    found = cast_params(payload, _FIELDS, timestamp="finished_at")
    reason = fields_of(payload).get("reason")
    if reason is None or reason == "":
        return found.add_error("reason", BLANK)
    state = REASONS.get(reason) if isinstance(reason, str) else None
    return found.add_error("state", casts.INVALID) if state is None else found.put(state=state)


async def handle(run: RunContext, payload: Any) -> Reply:
    """Bring the run to its final state; ok null, or ok `too_late` by policy."""
    changes = changeset(payload)
    final_state = changes.get("final_state")
    mark = fingerprint(EVENT, payload, final_state=final_state)
    if changes.get("final_dataclip_id") is not None:
        changes = changes.drop("final_state")
    gateway = run.gateway
    observe = gateway.settings.state_machine == "observe"
    result = await run.change(
        lambda: runs.complete(
            gateway.repo,
            run.owner,
            changes,
            mark,
            late=gateway.settings.late_completion,
            observe=observe,
        ),
        runs.EVENT,
    )
    if isinstance(result, Applied):
        gateway.metrics.runs_completed[changes.changes["state"]] += 1
        gateway.run_ended()
        _answer_caller(run, result, final_state)
    return run.answer(result, EVENT, wrapped=WRAPPED)


def _answer_caller(run: RunContext, applied: Applied, final_state: str | None) -> None:
    run_id = str(run.owner.run_id)
    if not run.gateway.webhooks.waits_for(run_id):
        return
    state = None if final_state is None else msgspec.Raw(final_state.encode())
    told = msgspec.json.decode(applied.payload_json)
    run.gateway.webhooks.run_ended(run_id, Outcome(told["run"], state))
