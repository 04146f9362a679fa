"""`step:complete`: the worker reports how one job of the run ended."""

from typing import Any, Final

from channel_server.channel import Reply
from handlers.fingerprint import fingerprint
from handlers.params import cast_params
from handlers.run_context import RunContext, response
from schema import casts, steps
from schema.changeset import BLANK, Changeset
from schema.outcomes import Applied

EVENT = "step:complete"

_FIELDS: Final = {
    "step_id": casts.uuid,
    "reason": casts.text,
    "output_dataclip": casts.json_text,
    "output_dataclip_id": casts.uuid,
    "error_type": casts.text,
    "error_message": casts.text,
    "timestamp": casts.timestamp,
    "webhook_response": casts.json,
}
_UNSAVED: Final = {name: kind for name, kind in _FIELDS.items() if name != "output_dataclip"}
_PAIR: Final = ("output_dataclip_id", "output_dataclip")


def changeset(payload: Any, *, save_dataclips: bool) -> Changeset:
    """The end of a step.

    Args:
        payload: of the event.
        save_dataclips: whether an output is stored with its body, so that id and body are needed
            together; otherwise the body is forgotten here.
    """
    fields = _FIELDS if save_dataclips else _UNSAVED
    found = cast_params(payload, fields, timestamp="finished_at").require("step_id", "reason")
    found = found.put(exit_reason=found.get("reason")).drop("reason")
    return _both(found) if save_dataclips else found


def _both(found: Changeset) -> Changeset:
    missing = [field for field in _PAIR if found.get(field) is None and field not in found.errors]
    if len(missing) == 1:
        return found.add_error(missing[0], BLANK)
    return found


async def handle(run: RunContext, payload: Any) -> Reply:
    """Complete the step and store its output; ok with its id."""
    gateway = run.gateway
    changes = changeset(payload, save_dataclips=run.save_dataclips)
    mark = fingerprint(EVENT, payload, output_dataclip=changes.get("output_dataclip"))
    late = gateway.settings.late_completion
    result = await run.change(
        lambda: steps.complete(gateway.repo, run.owner, changes, mark, late=late),
        steps.COMPLETED,
    )
    if isinstance(result, Applied):
        gateway.webhooks.step_responded(str(run.owner.run_id), payload.get("webhook_response"))
    return run.answer(
        result, EVENT, response(step_id=changes.get("step_id")), step_id=changes.get("step_id")
    )
