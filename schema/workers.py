"""Read model of workers: who is there, who went a moment ago, and what each of them holds."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.absence import online
from schema.lifecycle import IN_FLIGHT
from schema.refused import Refused
from schema.repo import Runner, Statement

SHOWN_FOR_S: Final = 600.0
"""Seconds that a worker which is gone, and holds nothing, is still shown."""

LARGEST_PAGE: Final = 500

CONNECTED: Final = Statement(
    "workers.connected",
    f"""
WITH held AS (
  SELECT own.worker_id, array_agg(r.id ORDER BY r.claimed_at, r.id) AS runs,
    array_agg(r.project_id ORDER BY r.claimed_at, r.id) AS projects
  FROM runs r JOIN worker_sessions own ON own.id = r.session_id
  WHERE r.state IN {IN_FLIGHT} AND ($1::uuid[] IS NULL OR r.project_id = ANY($1))
  GROUP BY own.worker_id
), sockets AS (
  SELECT w.*, v.name AS server, {online("w", "v", "$2")} AS online,
    coalesce(w.disconnected_at, v.seen_at) AS seen_at
  FROM worker_sessions w JOIN servers v ON v.id = w.server_id
), workers AS (
  SELECT DISTINCT ON (s.worker_id) s.worker_id, s.online, s.server, s.connected_at, s.seen_at,
    first_value(s.worker_name) OVER named AS worker_name, s.worker_version, s.capacity
  FROM sockets s
  WINDOW named AS (PARTITION BY s.worker_id
    ORDER BY s.worker_name IS NULL, s.connected_at DESC)
  ORDER BY s.worker_id, s.online DESC, s.connected_at DESC
)
SELECT w.worker_id AS id, w.worker_name AS name, w.worker_version AS version, w.capacity,
  w.connected_at, w.seen_at, w.online, w.server,
  coalesce(h.runs, '{{}}'::uuid[]) AS runs, coalesce(h.projects, '{{}}'::uuid[]) AS projects
FROM workers w LEFT JOIN held h ON h.worker_id = w.worker_id
WHERE w.online OR h.runs IS NOT NULL OR w.seen_at > now() - make_interval(secs => {SHOWN_FOR_S})
ORDER BY w.online DESC, w.worker_name NULLS LAST, w.worker_id LIMIT {LARGEST_PAGE}""",
)


class Worker(msgspec.Struct, frozen=True):
    """A worker: one process, however often it has reconnected.

    Attributes:
        id: The process, as its token names it.
        name: What it calls itself when it claims; None until it has.
        version: Of its program.
        capacity: Runs that it takes at once, as it says.
        connected_at: When its newest socket was opened.
        seen_at: When it was known to be there last.
        online: Whether a socket is open now, on a server that is seen.
        server: The server of that socket.
        runs: The unfinished runs that it holds, in the projects that were asked for, oldest first.
        runs_held: How many that are.
    """

    id: str
    name: str | None
    version: str | None
    capacity: int | None
    connected_at: datetime
    seen_at: datetime
    online: bool
    server: str
    runs: list[UUID]
    runs_held: int


class Roster(msgspec.Struct, frozen=True):
    """Workers, and the project of each run that they hold."""

    workers: list[Worker]
    projects: dict[UUID, UUID]

    def of(self, project_id: UUID) -> list[Worker]:
        """Return the workers as those of one project may see them: without runs of others."""
        return [
            msgspec.structs.replace(worker, runs=runs, runs_held=len(runs))
            for worker in self.workers
            for runs in [[run for run in worker.runs if self.projects[run] == project_id]]
        ]


async def roster(
    repo: Runner, projects: Iterable[UUID] | None = None, *, gone_after_s: float = 60.0
) -> Roster | Refused:
    """Return the workers, with the projects of their runs.

    Args:
        repo: Where to.
        projects: Runs of these projects only; None for all.
        gone_after_s: Seconds after which a server that is not seen has no workers.
    """
    wanted = None if projects is None else list(projects)
    rows = await repo.fetch(CONNECTED, wanted, gone_after_s)
    if isinstance(rows, Refused):
        return rows
    of = {
        run: owner for row in rows for run, owner in zip(row["runs"], row["projects"], strict=True)
    }
    return Roster([_worker(row) for row in rows], of)


async def connected(
    repo: Runner, projects: Sequence[UUID] | None = None, *, gone_after_s: float = 60.0
) -> list[Worker] | Refused:
    """Return the workers, those who are there first; at most :data:`LARGEST_PAGE`.

    All workers serve all projects, so all are shown; ``projects`` says which runs are. See
    :func:`roster` for the arguments.
    """
    found = await roster(repo, projects, gone_after_s=gone_after_s)
    return found if isinstance(found, Refused) else found.workers


def _worker(row: Any) -> Worker:
    fields = {name: row[name] for name in Worker.__struct_fields__ if name != "runs_held"}
    return Worker(**fields, runs_held=len(row["runs"]))
