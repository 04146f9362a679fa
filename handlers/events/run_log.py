"""`run:log`: one log line.

A line is refused only if it is malformed, or names a step of another run. Whatever else is wrong
(another owner, no database, a bug of ours), it is acknowledged, dropped and counted: a worker whose
last line is refused never reports the end of the run and loses a slot for good.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID, uuid4

from channel_server.channel import Reply
from channel_server.log import get_logger
from handlers import wire_errors
from handlers.params import cast_params
from handlers.run_context import RunContext, response
from handlers.scrubber import Scrubber
from schema import casts, run_events
from schema.changeset import BLANK
from schema.log_lines import EVENT as LOGS
from schema.log_lines import Logged, LoggedLine, LogLine, derive_id
from schema.outcomes import Applied
from schema.refused import Refused
from schema.remarks import Remark
from schema.tables import LOG_LEVELS

EVENT = "run:log"

LEVELS: Final = {level: level for level in LOG_LEVELS} | {"log": "info", "warning": "warn"}
"""Levels of workers, and what they are stored as."""

log = get_logger(__name__)


def message_text(value: Any) -> str:
    """Cast a message: a list is joined with spaces, what is no text in it becomes JSON.

    Raises:
        CastError: it is neither a list nor text.
    """
    if isinstance(value, str):
        return casts.verbatim(value)
    if not isinstance(value, list):
        raise casts.CastError
    return " ".join(_part(part) for part in cast("list[Any]", value))


def _part(part: Any) -> str:
    return casts.verbatim(part) if isinstance(part, str) else casts.json(part)


_FIELDS: Final = {
    "id": casts.uuid,
    "message": message_text,
    "level": casts.enum(LEVELS),
    "source": casts.text,
    "step_id": casts.uuid,
    "timestamp": casts.timestamp,
}


def parse(payload: Any, scrubber: Scrubber) -> LogLine | Refused:
    """The line of a payload, scrubbed, or what is wrong with it.

    Without a timestamp it gets the time of now, and an id of its own: nothing tells it from an
    equal line.
    """
    found = cast_params(payload, _FIELDS)
    message: str = found.get("message", "")
    if found.changes.get("message") is None and "message" not in found.errors:
        found = found.add_error("message", BLANK)
    refusal = found.refusal()
    if refusal is not None:
        return refusal
    at, line_id = found.get("timestamp"), found.get("id")
    if at is None:
        at, line_id = datetime.now(UTC), line_id or uuid4()
    return LogLine(
        message=scrubber.scrub(message),
        timestamp=at,
        level=found.get("level", "info"),
        source=found.get("source"),
        step_id=found.get("step_id"),
        id=line_id,
    )


async def store(run: RunContext, lines: Sequence[LogLine]) -> list[UUID] | Reply:
    """Store lines, all or none, and tell dashboards, one event per line.

    Returns:
        The ids of the lines, also of those that were dropped; or the reply to a line that names a
        step of another run or the id of another line.
    """
    gateway = run.gateway
    try:
        result = await run.persist(
            lambda: gateway.log_writer.write(run.owner, lines),
            patience=gateway.settings.log_patience,
        )
    except Exception as error:
        log.exception("log_lines_failed", run=str(run.owner.run_id), failure=str(error))
        gateway.metrics.internal_errors += 1
        return _drop(run, lines, "internal_error")
    if isinstance(result, Logged):
        for line in await _new_lines(run, result):
            run.publish(Applied(line.version, LOGS, line.payload_json))
        return result.ids
    if result.kind == "invalid":
        if "step_id" in result.errors and len(lines) == 1:
            run.remark(Remark("missing", "step:start", lines[0].step_id, "run:log named the step"))
        return wire_errors.refusal(result)
    return _drop(run, lines, result.kind)


async def _new_lines(run: RunContext, logged: Logged) -> Sequence[LoggedLine]:
    """What is new; also when the try that stored it was committed and its answer was lost."""
    if not run.uncertain:
        return logged.lines
    found = await run_events.lines(run.gateway.repo, run.owner.run_id, logged.ids)
    return logged.lines if isinstance(found, Refused) else found


def _drop(run: RunContext, lines: Sequence[LogLine], reason: str) -> list[UUID]:
    run.gateway.metrics.logs_dropped[reason] += len(lines)
    return [line.id or derive_id(run.owner.run_id, line) for line in lines]


async def handle(run: RunContext, payload: Any) -> Reply:
    """Store the line; ok with its id."""
    line = parse(payload, run.scrubber)
    if isinstance(line, Refused):
        return wire_errors.refusal(line)
    stored = await store(run, [line])
    return stored if isinstance(stored, Reply) else response(log_line_id=stored[0])
