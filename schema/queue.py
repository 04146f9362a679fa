"""The queue: claim, release, and the release of claims that nobody heard of.

A claim makes a lease; releasing takes it away. Runs are picked by queue preference, priority, turn
of the project, and age, within the limits of workflows and projects
(:mod:`schema.queue_claim`). The queue takes fixed columns only, never a changeset.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from schema.absence import watched
from schema.fragments import run_updated
from schema.outcomes import Event, Owner, Watch
from schema.queue_claim import CLAIM_SQL
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

ATTEMPTS: Final = 3
"""Claims that found work but lost every race for it are tried this many times."""

CHANNEL: Final = "channel_server"
"""Name of the notification channel; payloads are small JSON objects."""

AVAILABLE_NOTICE: Final = (
    f"pg_notify('{CHANNEL}', json_build_object('run_available', c.id,"
    " 'project_id', c.project_id, 'queue', c.queue, 'version', c.version)::text)"
)
"""SQL that tells every server of a run that may be claimed; expects the run as ``c``."""

CLAIM: Final = Statement("queue.claim", CLAIM_SQL, declared("runs", "run_events"))

# What somebody wants cancelled is not offered again.
_UNWANTED: Final = "r.cancel_requested_at IS NOT NULL"

RELEASE_RUNS: Final = f"""
  UPDATE runs r SET state = CASE WHEN {_UNWANTED} THEN 'cancelled' ELSE 'available' END,
    finished_at = CASE WHEN {_UNWANTED} THEN now() END,
    error_type = CASE WHEN {_UNWANTED} THEN 'Cancelled' END,
    error_message = CASE WHEN {_UNWANTED} THEN
      coalesce('cancelled by ' || r.cancel_requested_by, 'cancelled') END,
    claimed_at = NULL, joined_at = NULL, worker_name = NULL,
    worker_id = NULL, session_id = NULL, lease = NULL, version = r.version + 1
  FROM held h WHERE r.id = h.id
  RETURNING r.*
), event AS (
  INSERT INTO run_events (run_id, project_id, version, event, payload)
  SELECT c.id, c.project_id, c.version, 'run:updated', {run_updated("c")} FROM released c
  RETURNING run_id, version, event, payload::text AS payload, seq
)
SELECT c.id, c.project_id, e.version, e.event, e.payload, e.seq, {AVAILABLE_NOTICE}
FROM released c JOIN event e ON e.run_id = c.id
ORDER BY c.inserted_at, c.id"""
"""The release of the runs whose ids are in ``held``, to the end of the statement."""

RELEASE: Final = Statement(
    "queue.release",
    f"""
WITH held AS MATERIALIZED (
  SELECT r.id FROM runs r JOIN unnest($1::uuid[], $2::uuid[]) AS o (run_id, lease)
    ON o.run_id = r.id AND o.lease = r.lease
  WHERE r.state = 'claimed' AND ($3 OR r.joined_at IS NULL)
  ORDER BY r.id FOR NO KEY UPDATE OF r
), released AS ({RELEASE_RUNS}""",
    declared("runs", "run_events"),
)

RELEASE_UNHEARD: Final = Statement(
    "queue.release_unheard",
    f"""
WITH held AS MATERIALIZED (
  SELECT r.id FROM runs r
  WHERE r.state = 'claimed' AND r.joined_at IS NULL
    AND r.claimed_at <= clock_timestamp() - make_interval(secs => $1)
    AND ($3::uuid IS NULL OR {watched("$3", "$1", "$4")})
  ORDER BY r.claimed_at LIMIT $2 FOR NO KEY UPDATE OF r SKIP LOCKED
), released AS ({RELEASE_RUNS}""",
    declared("runs", "run_events"),
)


class ClaimedRun(msgspec.Struct, frozen=True):
    """A run that now belongs to the worker.

    Attributes:
        id: The run.
        lease: The lease that every write of the worker is guarded by.
        lease_epoch: How many times the run has been claimed.
        project_id: Its project.
        workflow_id: Its workflow.
        run_timeout_ms: How long it may run, null for the default.
        event: What dashboards are to be told.
    """

    id: UUID
    lease: UUID
    lease_epoch: int
    project_id: UUID
    workflow_id: UUID
    run_timeout_ms: int | None
    event: Event

    @property
    def owner(self) -> Owner:
        """The identity that guards the worker's writes."""
        return Owner(self.id, self.lease)


class Claims(msgspec.Struct, frozen=True):
    """What a claim found.

    Attributes:
        runs: The runs that now belong to the worker, in order; never more than the demand.
        idle: No available run was seen in these queues at all, not even one that a limit holds
            back: until the next one is enqueued a claim would be empty.
        raced: There was work, and all of it that was looked at went to other claims meanwhile.
    """

    runs: list[ClaimedRun]
    idle: bool
    raced: bool = False


async def claim(
    repo: Runner,
    demand: int,
    worker_name: str | None = None,
    worker_id: str | None = None,
    queues: Sequence[str] = ("manual", "*"),
    session_id: UUID | None = None,
) -> Claims | Refused:
    """Claim up to ``demand`` runs for a worker.

    Args:
        repo: Where to.
        demand: How many at most; less than 1 claims nothing.
        worker_name: Stored on each run, as is.
        worker_id: Stored on each run, as is.
        queues: Queues in order of preference. ``"*"`` stands for all others at its position;
            without it only the named queues are looked at.
        session_id: The socket that claims, by whose absence the runs may be lost.

    Returns:
        The claims; or the refusal of a database that is busy or away.

    Concurrent claims, from any number of processes, never hand out one run twice and never exceed
    the concurrency of a workflow or project. Not promised: that a claim beside another one of the
    same limited workflow or project finds all that is left; the next claim does. A limit that is
    set or lowered while runs are in flight holds for later claims only.
    """
    attempts = ATTEMPTS
    while True:
        attempts -= 1
        rows = await repo.fetch(
            CLAIM, max(demand, 0), list(queues), worker_name, worker_id, session_id
        )
        if isinstance(rows, Refused):
            return rows
        runs = [_claimed(row) for row in rows if row["id"] is not None]
        # Candidates that all went to somebody else: there may be more behind them.
        raced = not runs and demand > 0 and rows[0]["visible"] > 0
        if not raced or attempts == 0:
            return Claims(runs, idle=rows[0]["lanes"] == 0, raced=raced)


async def release(repo: Runner, owner: Owner, *, forced: bool = False) -> Event | Refused | None:
    """Give a claimed run back to the queue.

    Args:
        repo: Where to.
        owner: The run and the lease it was claimed with.
        forced: Also when the worker has joined the run.

    Returns:
        What dashboards are to be told, or None when there was nothing to release: the lease is no
        longer this one, the run was started, or the worker has joined it.
    """
    events = await release_all(repo, [owner], forced=forced)
    if isinstance(events, Refused):
        return events
    return events[0] if events else None


async def release_all(
    repo: Runner, owners: Sequence[Owner], *, forced: bool = False
) -> list[Event] | Refused:
    """Give the claims of a socket that is gone back to the queue, in one statement.

    Args:
        repo: Where to.
        owners: Runs and the leases they were claimed with.
        forced: Also those that the worker has joined.

    Returns:
        One event for each run that was released; the others were left alone.
    """
    if not owners:
        return []
    rows = await repo.fetch(
        RELEASE, [owner.run_id for owner in owners], [owner.lease for owner in owners], forced
    )
    return rows if isinstance(rows, Refused) else [told(row) for row in rows]


async def release_unheard(
    repo: Runner, older_than_s: float = 10.0, limit: int = 100, watch: Watch | None = None
) -> list[Event] | Refused:
    """Release claims whose worker did not join the run in time.

    Args:
        repo: Where to.
        older_than_s: Age of the claim in seconds.
        limit: How many at most; the rest is left for the next call.
        watch: The server that asks. It releases nothing unless it has watched for as long: while
            no server could be reached, no worker could join. None asks no questions.
    """
    server_id, gap_s = (None, 0.0) if watch is None else (watch.server_id, watch.longest_gap_s)
    rows = await repo.fetch(RELEASE_UNHEARD, older_than_s, limit, server_id, gap_s)
    return rows if isinstance(rows, Refused) else [told(row) for row in rows]


def _claimed(row: Any) -> ClaimedRun:
    return ClaimedRun(
        id=row["id"],
        lease=row["lease"],
        lease_epoch=row["lease_epoch"],
        project_id=row["project_id"],
        workflow_id=row["workflow_id"],
        run_timeout_ms=row["run_timeout_ms"],
        event=told(row),
    )


def told(row: Any) -> Event:
    """Return what watchers are to be told of a run that was claimed or released."""
    return Event(
        row["id"], row["project_id"], row["version"], row["event"], row["payload"], row["seq"]
    )
