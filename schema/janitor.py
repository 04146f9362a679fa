"""The janitor: runs whose worker is gone, or that take too long, are lost; open steps are closed.

Absence and age are two limits that know nothing of each other. A run that is written by anybody
else at this moment is left for the next round; a run that finished meanwhile is no longer the
janitor's.
"""

from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from schema.absence import absent, watched
from schema.fragments import run_updated, step_json
from schema.lifecycle import FINAL_STATES, IN_FLIGHT
from schema.outcomes import Event, Watch
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

_CLOSE: Final = """
  UPDATE steps s SET exit_reason = 'lost', finished_at = now()
  FROM {runs} d JOIN run_steps rs ON rs.run_id = d.id
  WHERE s.id = rs.step_id AND s.finished_at IS NULL
  RETURNING rs.run_id, s.*"""

_CANCEL: Final = _CLOSE.replace("'lost'", "'cancel'")

_STEP_EVENTS: Final = f"""
  SELECT n.run_id, l.version - l.after - l.closed + n.nth AS version,
    'step:completed' AS event, jsonb_build_object('step', {step_json("n", "n.run_id")},
      'version', l.version - l.after - l.closed + n.nth) AS payload
  FROM (SELECT c.*, row_number() OVER (PARTITION BY c.run_id ORDER BY c.started_at, c.id) AS nth
    FROM closed c) n JOIN told l ON l.id = n.run_id"""

_RECORD: Final = """, event AS (
  INSERT INTO run_events (run_id, project_id, version, event, payload)
  SELECT n.run_id, t.project_id, n.version, n.event, n.payload
  FROM news n JOIN told t ON t.id = n.run_id
  RETURNING run_id, version, event, payload::text AS payload, seq
)
SELECT e.run_id, t.project_id, e.version, e.event, e.payload, e.seq, t.state, t.error_type
FROM event e JOIN told t ON t.id = e.run_id
ORDER BY e.run_id, e.version"""

_GONE: Final = f"($5::uuid IS NOT NULL AND {absent('r', '$6')})"

# The locks come first: what the other parts change is decided by the rows as they are then.
MARK_LOST: Final = Statement(
    "janitor.mark_lost",
    f"""
WITH due AS MATERIALIZED (
  SELECT r.id, r.state, {_GONE} AS gone FROM runs r
  WHERE r.state IN {IN_FLIGHT} AND ($4::uuid[] IS NULL OR r.id = ANY($4))
    AND ($5::uuid IS NULL OR {watched("$5", "$6", "$7")})
    AND ({_GONE} OR r.claimed_at + make_interval(secs =>
      coalesce((r.options ->> 'run_timeout_ms')::float8 / 1000, $1) + $2) < clock_timestamp())
  ORDER BY r.claimed_at LIMIT $3
  FOR NO KEY UPDATE SKIP LOCKED
), closed AS ({_CLOSE.format(runs="due")}
), told AS (
  UPDATE runs r SET state = 'lost', finished_at = now(),
    error_type = CASE WHEN d.gone THEN 'LostAfterDisconnect'
      WHEN d.state = 'claimed' THEN 'LostAfterClaim' ELSE 'LostAfterStart' END,
    version = r.version + 1 + d.closed
  FROM (SELECT due.*, (SELECT count(*) FROM closed c WHERE c.run_id = due.id) AS closed
    FROM due) d
  WHERE r.id = d.id
  RETURNING r.*, d.closed, 1 AS after
), news AS ({_STEP_EVENTS}
  UNION ALL
  SELECT t.id, t.version, 'run:updated', {run_updated("t")} FROM told t
){_RECORD}""",
    declared("runs", "steps", "run_events"),
)

CLOSE_ORPHANS: Final = Statement(
    "janitor.close_orphan_steps",
    f"""
WITH due AS MATERIALIZED (
  SELECT r.id FROM runs r
  WHERE r.state IN {FINAL_STATES} AND r.id IN (
    SELECT rs.run_id FROM steps s JOIN run_steps rs ON rs.step_id = s.id
    WHERE s.finished_at IS NULL)
  ORDER BY r.id LIMIT $1
  FOR NO KEY UPDATE SKIP LOCKED
), closed AS ({_CLOSE.format(runs="due")}
), told AS (
  UPDATE runs r SET version = r.version + d.closed
  FROM (SELECT c.run_id, count(*) AS closed FROM closed c GROUP BY c.run_id) d
  WHERE r.id = d.run_id
  RETURNING r.*, d.closed, 0 AS after
), news AS ({_STEP_EVENTS}
){_RECORD}""",
    declared("runs", "steps", "run_events"),
)

END_CANCELLED: Final = Statement(
    "janitor.end_cancelled",
    f"""
WITH due AS MATERIALIZED (
  SELECT r.id FROM runs r
  WHERE r.cancel_requested_at < clock_timestamp() - make_interval(secs => $1)
    AND r.cancel_requested_at IS NOT NULL AND r.state NOT IN {FINAL_STATES}
    AND r.state IN ('claimed', 'started')
  ORDER BY r.cancel_requested_at LIMIT $2
  FOR NO KEY UPDATE SKIP LOCKED
), closed AS ({_CANCEL.format(runs="due")}
), told AS (
  UPDATE runs r SET state = 'cancelled', finished_at = now(), error_type = 'Cancelled',
    error_message = coalesce('cancelled by ' || r.cancel_requested_by, 'cancelled'),
    version = r.version + 1 + d.closed
  FROM (SELECT due.*, (SELECT count(*) FROM closed c WHERE c.run_id = due.id) AS closed
    FROM due) d
  WHERE r.id = d.id
  RETURNING r.*, d.closed, 1 AS after
), news AS ({_STEP_EVENTS}
  UNION ALL
  SELECT t.id, t.version, 'run:updated', {run_updated("t")} FROM told t
){_RECORD}""",
    declared("runs", "steps", "run_events"),
)


Reason = Literal["LostAfterClaim", "LostAfterStart", "LostAfterDisconnect"]
"""Too old and never started; too old; its worker is gone."""


class Swept(msgspec.Struct, frozen=True):
    """A run that the janitor changed.

    Attributes:
        run_id: The run.
        project_id: Its project.
        reason: Why it is lost; None if only steps were closed.
        events: What watchers are to be told, in the order of the versions.
    """

    run_id: UUID
    project_id: UUID
    reason: Reason | None
    events: list[Event]


async def mark_lost(
    repo: Runner,
    *,
    default_timeout_s: float = 300.0,
    grace_s: float = 60.0,
    limit: int = 100,
    run_ids: list[UUID] | None = None,
    watch: Watch | None = None,
    gone_after_s: float = 60.0,
) -> list[Swept] | Refused:
    """Mark runs lost whose worker is gone, or that were claimed too long ago.

    Args:
        repo: Where to.
        default_timeout_s: Seconds that a run without a timeout of its own may take.
        grace_s: Seconds on top, for every run.
        limit: How many at most; the rest is left for the next call.
        run_ids: Look at these runs only.
        watch: The server that asks. It finds nothing unless it has watched for ``gone_after_s``
            itself. None asks no questions and looks at the age alone.
        gone_after_s: Seconds without any socket after which a worker has lost its runs.

    Returns:
        The runs that are lost now, with their open steps closed. Runs that finished meanwhile are
        not among them.
    """
    server_id, gap_s = (None, 0.0) if watch is None else (watch.server_id, watch.longest_gap_s)
    rows = await repo.fetch(
        MARK_LOST, default_timeout_s, grace_s, limit, run_ids, server_id, gone_after_s, gap_s
    )
    return rows if isinstance(rows, Refused) else _swept(rows, lost=True)


async def close_orphan_steps(repo: Runner, *, limit: int = 100) -> list[Swept] | Refused:
    """Close steps that are still open although their run is over, as lost.

    Args:
        repo: Where to.
        limit: How many runs at most.
    """
    rows = await repo.fetch(CLOSE_ORPHANS, limit)
    return rows if isinstance(rows, Refused) else _swept(rows, lost=False)


async def end_cancelled(repo: Runner, *, grace_s: float, limit: int = 100) -> list[Swept] | Refused:
    """End runs whose owners were asked to end them longer ago than the grace period.

    Args:
        repo: Where to.
        grace_s: Seconds that an owner has.
        limit: How many at most; the rest is left for the next call.

    Returns:
        The runs that are cancelled now, with their open steps closed (``cancel``).
    """
    rows = await repo.fetch(END_CANCELLED, grace_s, limit)
    return rows if isinstance(rows, Refused) else _swept(rows, lost=False)


def _swept(rows: list[Any], *, lost: bool) -> list[Swept]:
    swept: dict[UUID, Swept] = {}
    for row in rows:
        run_id, project_id = row["run_id"], row["project_id"]
        reason = row["error_type"] if lost else None
        run = swept.setdefault(run_id, Swept(run_id, project_id, reason, []))
        event = Event(run_id, project_id, row["version"], row["event"], row["payload"], row["seq"])
        run.events.append(event)
    return list(swept.values())
