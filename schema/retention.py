"""Retention: what is forgotten of finished runs.

Events are pruned once they are too old to resume from, all those of a run at once; the newest
transaction among them is remembered per project, so that an older cursor is known to have a gap.
The run, its steps and its logs stay.

Dataclips of finished runs are wiped where their project does not want to keep them.

``erase_all`` wipes what finished runs used and made; ``retain_with_errors`` does so only for what
succeeded runs alone used; ``retain_all`` wipes nothing. A dataclip that an unfinished run needs,
and one of type ``global``, is never wiped. The row stays: steps still say what they read.
"""

from typing import Final

from schema.lifecycle import FINAL_STATES
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

_USERS: Final = """(
    SELECT r.state FROM runs r WHERE r.dataclip_id = d.id
    UNION ALL SELECT r.state FROM runs r WHERE r.final_dataclip_id = d.id
    UNION ALL SELECT r.state FROM steps s JOIN run_steps rs ON rs.step_id = s.id
      JOIN runs r ON r.id = rs.run_id
      WHERE s.input_dataclip_id = d.id OR s.output_dataclip_id = d.id
  )"""

WIPE: Final = Statement(
    "retention.wipe",
    f"""
WITH due AS MATERIALIZED (
  SELECT d.id FROM projects p JOIN dataclips d ON d.project_id = p.id
  WHERE p.retention_policy <> 'retain_all' AND d.wiped_at IS NULL AND d.type <> 'global'
    AND EXISTS (SELECT 1 FROM {_USERS} u)
    AND NOT EXISTS (SELECT 1 FROM {_USERS} u WHERE u.state NOT IN {FINAL_STATES}
      OR (p.retention_policy = 'retain_with_errors' AND u.state <> 'success'))
  ORDER BY d.inserted_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED
)
UPDATE dataclips d SET body = NULL, request = NULL, wiped_at = clock_timestamp()
FROM due WHERE d.id = due.id RETURNING d.id""",
    declared("dataclips"),
)


# A run that something was written to lately keeps all of its events, not the new ones alone.
PRUNE: Final = Statement(
    "retention.prune_events",
    f"""
WITH due AS MATERIALIZED (
  SELECT r.id, r.project_id FROM runs r
  WHERE r.state IN {FINAL_STATES} AND r.id IN (
      SELECT e.run_id FROM run_events e
      WHERE e.inserted_at < clock_timestamp() - make_interval(secs => $1))
    AND NOT EXISTS (SELECT 1 FROM run_events e WHERE e.run_id = r.id
      AND e.inserted_at >= clock_timestamp() - make_interval(secs => $1))
  LIMIT $2
), gone AS (
  DELETE FROM run_events e USING due d WHERE e.run_id = d.id
  RETURNING e.run_id, d.project_id, e.xact
), horizon AS (
  INSERT INTO run_event_horizons AS h (project_id, xact)
  SELECT project_id, max(xact) FROM gone WHERE xact IS NOT NULL GROUP BY project_id
  ON CONFLICT (project_id) DO UPDATE SET xact = greatest(h.xact, excluded.xact)
)
SELECT DISTINCT run_id FROM gone""",
    declared("run_event_horizons"),
)


async def prune_events(repo: Runner, older_than_s: float, *, limit: int = 500) -> int | Refused:
    """Delete the events of finished runs of which none is newer.

    Args:
        repo: Where to.
        older_than_s: Age in seconds.
        limit: How many runs at most; the rest is left for the next call.

    Returns:
        How many runs had events that are gone now.
    """
    return await repo.execute(PRUNE, older_than_s, limit)


async def wipe(repo: Runner, *, limit: int = 1000) -> int | Refused:
    """Wipe what is due.

    Args:
        repo: Where to.
        limit: How many dataclips at most; the rest is left for the next call.

    Returns:
        How many were wiped.
    """
    return await repo.execute(WIPE, limit)
