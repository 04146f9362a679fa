"""What goes on at this moment and went on in the last hour, and what somebody should look at."""

from typing import Final
from uuid import UUID

from schema.lifecycle import FINAL_STATES, RUN_STATES
from schema.refused import Refused
from schema.repo import Runner, Statement

MOST_ATTENTION: Final = 20
"""Of each kind."""

BEHIND_AFTER: Final = 10
"""Minutes after which statistics that leave out the last end of a run count as stale."""

FAILURES: Final = tuple(state for state in FINAL_STATES if state not in ("success", "cancelled"))

_WAITING: Final = ", ".join(
    f"""'{state}', (SELECT count(*) FROM runs r WHERE r.project_id = ANY($1)
      AND r.state = '{state}')"""
    for state in RUN_STATES[:3]
)

_ENDED: Final = """coalesce((SELECT jsonb_object_agg(state, runs) FROM (
    SELECT state, count(*) AS runs FROM recent GROUP BY state) ended), '{}')"""

_MINUTES: Final = f"""(
    SELECT jsonb_agg(jsonb_build_object('minute', m.minute, 'finished', coalesce(n.finished, 0),
      'failed', coalesce(n.failed, 0)) ORDER BY m.minute)
    FROM generate_series(date_trunc('minute', now()) - interval '59 minutes',
      date_trunc('minute', now()), interval '1 minute') m (minute)
    LEFT JOIN (SELECT date_trunc('minute', finished_at) AS minute, count(*) AS finished,
      count(*) FILTER (WHERE state IN {FAILURES}) AS failed FROM recent GROUP BY 1) n
      USING (minute))"""


def _item(kind: str, run: str, workflow: str, since: str, message: str) -> str:
    return f"""jsonb_build_object('kind', '{kind}', 'run_id', {run}, 'workflow_id', {workflow},
      'since', {since}, 'message', {message})"""


# A held run is stuck when it is past its timeout, though not yet past the time of grace after which
# it is lost; or when its worker was asked to end it and has not.
_STUCK: Final = f"""
    SELECT {
    _item(
        "stuck",
        "r.id",
        "r.workflow_id",
        "coalesce(r.cancel_requested_at, r.claimed_at)",
        "f.name || CASE WHEN r.cancel_requested_at IS NULL"
        " THEN ' takes longer than it may' ELSE ' was asked to end and has not' END",
    )
} AS item, coalesce(r.cancel_requested_at, r.claimed_at) AS at
    FROM runs r JOIN workflows f ON f.id = r.workflow_id
    WHERE r.project_id = ANY($1) AND r.state IN ('claimed', 'started')
      AND (r.cancel_requested_at IS NOT NULL OR r.claimed_at + make_interval(secs =>
        coalesce((r.options ->> 'run_timeout_ms')::float8 / 1000, $2)) < clock_timestamp())
    ORDER BY 2 LIMIT {MOST_ATTENTION}"""

_ENDED_BADLY: Final = f"""
    SELECT CASE r.state WHEN 'lost' THEN {
    _item("lost", "r.id", "r.workflow_id", "r.finished_at", "f.name || ' was lost: ' || r.error")
} ELSE {
    _item("failed", "r.id", "r.workflow_id", "r.finished_at", "f.name || ' failed: ' || r.error")
} END AS item, r.finished_at AS at
    FROM (SELECT *, coalesce(error_type, state) AS error FROM recent
      WHERE state IN {FAILURES} ORDER BY state = 'lost' DESC, finished_at DESC
      LIMIT {MOST_ATTENTION}) r JOIN workflows f ON f.id = r.workflow_id"""

_STALE: Final = f"""
    SELECT {
    _item(
        "stale", "NULL::uuid", "w.id", "b.last", "'the statistics of ' || w.name || ' are behind'"
    )
} AS item, b.last AS at
    FROM (SELECT workflow_id, max(finished_at) AS last FROM recent GROUP BY 1) b
    JOIN workflows w ON w.id = b.workflow_id LEFT JOIN run_statistics s
      ON s.workflow_id = w.id AND s.day = (b.last AT TIME ZONE 'UTC')::date
    WHERE $3 AND b.last < clock_timestamp() - interval '{BEHIND_AFTER} minutes'
      AND (s.computed_at IS NULL OR s.computed_at < b.last) LIMIT {MOST_ATTENTION}"""

OVERVIEW: Final = Statement(
    "overview.show",
    f"""
WITH recent AS MATERIALIZED (
  SELECT r.id, r.workflow_id, r.state, r.finished_at, r.error_type FROM runs r
  WHERE r.finished_at >= date_trunc('minute', now()) - interval '59 minutes'
    AND r.project_id = ANY($1)
)
SELECT jsonb_build_object(
  'at', clock_timestamp(),
  'runs', jsonb_build_object({_WAITING}) || {_ENDED},
  'queue', (SELECT jsonb_build_object('depth', count(*), 'oldest_age_s',
      extract(epoch FROM clock_timestamp() - min(r.inserted_at))::float8)
    FROM runs r WHERE r.project_id = ANY($1) AND r.state = 'available'),
  'last_hour', {_MINUTES},
  'attention', coalesce((SELECT jsonb_agg(found.item ORDER BY found.rank, found.at DESC) FROM (
    SELECT 1 AS rank, item, at FROM ({_STUCK}) stuck
    UNION ALL SELECT 2, item, at FROM ({_ENDED_BADLY}) ended
    UNION ALL SELECT 3, item, at FROM ({_STALE}) stale) found), '[]'))::text AS payload""",
)


async def overview(
    repo: Runner, projects: list[UUID], *, default_timeout_s: float, counted: bool
) -> str | Refused:
    """Return what goes on in these projects, as JSON text.

    Args:
        repo: Where to.
        projects: These.
        default_timeout_s: Seconds that a run without a timeout of its own may take.
        counted: Whether statistics are kept at all, so that they can be stale.
    """
    row = await repo.fetchrow(OVERVIEW, projects, default_timeout_s, counted)
    return row if isinstance(row, Refused) else str(row and row["payload"])
