"""`step:start`: the worker begins to execute one job of the run."""

from typing import Any, Final

from channel_server.channel import Reply
from handlers import wire_errors
from handlers.fingerprint import fingerprint
from handlers.params import cast_params, fields_of
from handlers.run_context import RunContext, response
from schema import casts, steps
from schema.changeset import Changeset

EVENT = "step:start"

_FIELDS: Final = {
    "step_id": casts.uuid,
    "job_id": casts.uuid,
    "credential_id": casts.uuid,
    "input_dataclip_id": casts.uuid,
    "timestamp": casts.timestamp,
}


def changeset(payload: Any) -> Changeset:
    """A new step; that the job is one of the snapshot is for the database to say."""
    found = cast_params(payload, _FIELDS, timestamp="started_at")
    return found.require("step_id")


def job_problem(payload: Any) -> Reply | None:
    """The check of `job_id` made by hand, with its own shape on the wire."""
    fields = fields_of(payload)
    if "job_id" not in fields:
        return wire_errors.blank("job_id")
    if fields["job_id"] is None:
        return wire_errors.wrap({"job_id": ["Job not found!"]}, "not_found")
    return None


async def handle(run: RunContext, payload: Any) -> Reply:
    """Insert the step; ok with its id."""
    problem = job_problem(payload)
    if problem is not None:
        return problem
    changes, mark = changeset(payload), fingerprint(EVENT, payload)
    late = run.gateway.settings.late_completion
    result = await run.change(
        lambda: steps.start(run.gateway.repo, run.owner, changes, mark, late=late),
        steps.STARTED,
    )
    return run.answer(
        result, EVENT, response(step_id=changes.get("step_id")), step_id=changes.get("step_id")
    )
