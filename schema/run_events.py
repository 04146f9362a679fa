"""The numbered events of a run, as they were told to watchers, and log lines as they are told."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from schema.fragments import log_line_json
from schema.log_lines import LoggedLine
from schema.outcomes import Event
from schema.refused import Refused
from schema.repo import Runner, Statement

FETCH: Final = Statement(
    "run_events.fetch",
    """
SELECT e.run_id, r.project_id, e.version, e.event, e.payload::text AS payload
FROM run_events e JOIN runs r ON r.id = e.run_id WHERE e.run_id = $1 AND e.version = $2""",
)

LATEST: Final = Statement(
    "run_events.latest",
    """
SELECT e.run_id, r.project_id, e.version, e.event, e.payload::text AS payload
FROM run_events e JOIN runs r ON r.id = e.run_id WHERE e.run_id = $1 AND e.event = $2
ORDER BY e.version DESC LIMIT 1""",
)

LINES: Final = Statement(
    "run_events.lines",
    f"""
SELECT l.id, l.version, jsonb_build_object('logs', jsonb_build_array({log_line_json("l")}),
  'version', l.version)::text AS payload
FROM log_lines l WHERE l.run_id = $1 AND l.id = ANY($2::uuid[]) ORDER BY l.version""",
)


async def fetch(repo: Runner, run_id: UUID, version: int) -> Event | Refused | None:
    """Return one event of a run; None when there is none, as for the versions of log lines.

    Args:
        repo: Where to.
        run_id: The run.
        version: The run's version of the change; 1 is its creation.
    """
    row = await repo.fetchrow(FETCH, run_id, version)
    if row is None or isinstance(row, Refused):
        return row
    return Event(row["run_id"], row["project_id"], row["version"], row["event"], row["payload"])


async def latest(repo: Runner, run_id: UUID, name: str) -> Event | Refused | None:
    """Return the last event of a run that has this name, such as ``run:updated``."""
    row = await repo.fetchrow(LATEST, run_id, name)
    if row is None or isinstance(row, Refused):
        return row
    return Event(row["run_id"], row["project_id"], row["version"], row["event"], row["payload"])


async def lines(repo: Runner, run_id: UUID, ids: Sequence[UUID]) -> list[LoggedLine] | Refused:
    """Return stored log lines of a run with the payloads of their ``logs`` events, in order."""
    rows = await repo.fetch(LINES, run_id, list(ids))
    if isinstance(rows, Refused):
        return rows
    return [LoggedLine(row["id"], row["version"], row["payload"]) for row in rows]
