"""`fetch:dataclip`: the input of the run, as a binary reply that holds JSON text."""

from typing import Any

from channel_server.channel import Reply
from handlers import wire_errors
from handlers.run_context import RunContext
from schema import dataclips
from schema.refused import Refused

EVENT = "fetch:dataclip"


async def handle(run: RunContext, _payload: Any) -> Reply:
    """The input; wiped after this when the run does not save dataclips.

    It is the input of the run, whatever id the payload names.
    """
    # Not tried again by itself once it may have been committed: the first try may have wiped it.
    result = await dataclips.fetch_input(run.gateway.repo, run.owner)
    if isinstance(result, Refused):
        return wire_errors.refusal(result)
    if result.wiped is not None:
        run.publish(result.wiped)
    return Reply("ok", result.body.encode())
