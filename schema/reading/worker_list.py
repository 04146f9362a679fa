"""Workers that hold runs."""

from typing import Final
from uuid import UUID

from schema.refused import Refused
from schema.repo import Runner, Statement

WORKERS: Final = Statement(
    "worker_list.workers",
    """
SELECT coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'name', h.name, 'version', NULL,
  'capacity', NULL, 'connected_at', NULL, 'seen_at', h.seen_at, 'online', true, 'server', NULL,
  'runs', h.runs, 'runs_held', jsonb_array_length(h.runs)) ORDER BY h.name), '[]')::text AS payload
FROM (SELECT coalesce(r.worker_id, r.worker_name, '') AS id, max(r.worker_name) AS name,
    max(r.joined_at) AS seen_at, jsonb_agg(r.id ORDER BY r.claimed_at, r.id) AS runs
  FROM runs r WHERE r.project_id = ANY($1) AND r.state IN ('claimed', 'started') GROUP BY 1) h""",
)


async def workers(repo: Runner, projects: list[UUID]) -> str | Refused:
    """Return the workers that hold runs of these projects, as JSON text."""
    row = await repo.fetchrow(WORKERS, projects)
    return row if isinstance(row, Refused) else str(row and row["payload"])
