"""The numbered events of a run, as they were told to watchers, and log lines as they are told."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.fragments import log_line_json
from schema.log_lines import LoggedLine
from schema.outcomes import Event
from schema.refused import Refused
from schema.repo import Runner, Statement

FETCH: Final = Statement(
    "run_events.fetch",
    """
SELECT e.run_id, r.project_id, e.version, e.event, e.payload::text AS payload, e.seq
FROM run_events e JOIN runs r ON r.id = e.run_id WHERE e.run_id = $1 AND e.version = $2""",
)

LATEST: Final = Statement(
    "run_events.latest",
    """
SELECT e.run_id, r.project_id, e.version, e.event, e.payload::text AS payload, e.seq
FROM run_events e JOIN runs r ON r.id = e.run_id WHERE e.run_id = $1 AND e.event = $2
ORDER BY e.version DESC LIMIT 1""",
)

HEAD: Final = Statement("run_events.head", "SELECT project_id, version FROM runs WHERE id = $1")

VERSIONS: Final = Statement(
    "run_events.versions", "SELECT id, version FROM runs WHERE id = ANY($1::uuid[])"
)

# A page is short in rows and in bytes, but never empty: one line may be as large as a frame.
AFTER: Final = Statement(
    "run_events.after",
    f"""
SELECT p.project_id, p.version, p.event, p.payload, p.seq FROM (
  SELECT r.project_id, n.*,
    sum(octet_length(n.payload)) OVER (ORDER BY n.version) - octet_length(n.payload) AS before
  FROM runs r CROSS JOIN LATERAL (
    (SELECT e.version, e.event, e.payload::text AS payload, e.seq FROM run_events e
      WHERE e.run_id = r.id AND e.version > $2 ORDER BY e.version LIMIT $3)
    UNION ALL
    (SELECT l.version, 'logs', jsonb_build_object('logs',
        jsonb_build_array({log_line_json("l")}), 'version', l.version)::text, NULL
      FROM log_lines l WHERE l.run_id = r.id AND l.version > $2 ORDER BY l.version LIMIT $3)
    ORDER BY version LIMIT $3
  ) n WHERE r.id = $1
) p WHERE p.before < $4 ORDER BY p.version""",
)

LINES: Final = Statement(
    "run_events.lines",
    f"""
SELECT l.id, l.version, jsonb_build_object('logs', jsonb_build_array({log_line_json("l")}),
  'version', l.version)::text AS payload
FROM log_lines l WHERE l.run_id = $1 AND l.id = ANY($2::uuid[]) ORDER BY l.version""",
)


PAGE_BYTES: Final = 256 * 1024
"""Payloads in one page of a replay, unless the first one alone is larger."""


class Head(msgspec.Struct, frozen=True):
    """Where a run is: its project, and its version now."""

    project_id: UUID
    version: int


async def head(repo: Runner, run_id: UUID) -> Head | Refused | None:
    """Return where a run is; None when there is no such run."""
    row = await repo.fetchrow(HEAD, run_id)
    if row is None or isinstance(row, Refused):
        return row
    return Head(row["project_id"], row["version"])


async def versions(repo: Runner, run_ids: Sequence[UUID]) -> dict[UUID, int] | Refused:
    """Return the versions of some runs; unknown ones are missing."""
    rows = await repo.fetch(VERSIONS, list(run_ids))
    if isinstance(rows, Refused):
        return rows
    return {row["id"]: row["version"] for row in rows}


async def after(repo: Runner, run_id: UUID, version: int, limit: int) -> list[Event] | Refused:
    """Return what follows a version of a run, log lines included, in order.

    Args:
        repo: Where to.
        run_id: The run.
        version: What is known already.
        limit: How many at most; large ones are fewer (``PAGE_BYTES``).

    Returns:
        Events without a gap, unless retention has pruned some: versions then jump. Empty when
        nothing follows.
    """
    rows = await repo.fetch(AFTER, run_id, version, limit, PAGE_BYTES)
    if isinstance(rows, Refused):
        return rows
    return [
        Event(run_id, row["project_id"], row["version"], row["event"], row["payload"], row["seq"])
        for row in rows
    ]


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
    return _event(row)


async def latest(repo: Runner, run_id: UUID, name: str) -> Event | Refused | None:
    """Return the last event of a run that has this name, such as ``run:updated``."""
    row = await repo.fetchrow(LATEST, run_id, name)
    if row is None or isinstance(row, Refused):
        return row
    return _event(row)


async def lines(repo: Runner, run_id: UUID, ids: Sequence[UUID]) -> list[LoggedLine] | Refused:
    """Return stored log lines of a run with the payloads of their ``logs`` events, in order."""
    rows = await repo.fetch(LINES, run_id, list(ids))
    if isinstance(rows, Refused):
        return rows
    return [LoggedLine(row["id"], row["version"], row["payload"]) for row in rows]


def _event(row: Any) -> Event:
    return Event(
        *(row["run_id"], row["project_id"], row["version"], row["event"], row["payload"]),
        row["seq"],
    )
