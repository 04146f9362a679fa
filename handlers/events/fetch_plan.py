"""`fetch:plan`: what the worker is to execute.

An error here kills the worker's process. The plan was therefore prepared before the join was
answered, and this cannot fail.
"""

from typing import Any

import msgspec

from channel_server.channel import Reply
from handlers.run_context import RunContext

EVENT = "fetch:plan"


def handle(run: RunContext, _payload: Any) -> Reply:
    """The plan, at once."""
    return Reply("ok", msgspec.Raw(run.plan_json.encode()))
