"""`run:batch_logs`: several log lines at once, all or nothing."""

from typing import Any, Final, cast

from channel_server.channel import Reply, ok
from handlers import wire_errors
from handlers.events import run_log
from handlers.params import cast_params
from handlers.run_context import RunContext
from schema.casts import CastError
from schema.log_lines import LogLine
from schema.refused import Refused

EVENT = "run:batch_logs"


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise CastError
    return cast("list[Any]", value)


_FIELDS: Final = {"logs": _list}


async def handle(run: RunContext, payload: Any) -> Reply:
    """Store the lines in their order; ok, or the errors of the first line that is malformed."""
    found = cast_params(payload, _FIELDS).require("logs")
    refusal = found.refusal()
    if refusal is not None:
        return wire_errors.refusal(refusal)
    lines: list[LogLine] = []
    for item in found.changes["logs"]:
        line = run_log.parse(item, run.scrubber)
        if isinstance(line, Refused):
            return wire_errors.refusal(line)
        lines.append(line)
    stored = await run_log.store(run, lines) if lines else []
    return stored if isinstance(stored, Reply) else ok()
