"""`run:start`: the worker begins to execute the run."""

from typing import Any

from channel_server.channel import Reply
from handlers.fingerprint import fingerprint
from handlers.params import cast_params
from handlers.run_context import RunContext
from schema import casts, runs
from schema.changeset import Changeset

EVENT = "run:start"


def changeset(payload: Any) -> Changeset:
    """`started_at` from the `timestamp`, if there is one; everything else is ignored."""
    return cast_params(payload, {"timestamp": casts.timestamp}, timestamp="started_at")


async def handle(run: RunContext, payload: Any) -> Reply:
    """Mark the run started; ok null."""
    changes, mark = changeset(payload), fingerprint(EVENT, payload)
    observe = run.gateway.settings.state_machine == "observe"
    result = await run.change(
        lambda: runs.start(run.gateway.repo, run.owner, changes, mark, observe=observe),
        runs.EVENT,
    )
    return run.answer(result, EVENT)
