"""Remarks on a run: events that were missing, late, sent again, or older than the claim.

Nothing is guessed: what a worker did not say is not made up, it is remarked. A remark belongs to a
change and is stored by its statement, or to an event that changed nothing and is stored afterwards.
It never changes the run. Rows are few: the same remark again is counted, and when a run has many
the others are counted without their step.
"""

from collections.abc import Sequence
from typing import Final, Literal, cast
from uuid import UUID

import msgspec

from schema.fragments import remark_json
from schema.outcomes import Owner
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

EVENT: Final = "run:remark"

Kind = Literal["missing", "late", "resent", "early"]

MOST: Final = 200
"""Rows of a run from which on steps are no longer told apart."""

CLOCKS: Final = "interval '1 second'"
"""How much the clocks of a worker and of the database may differ before it is remarked."""

APPLIED_LATE: Final = "applied: the run had been marked lost"


def early(event: str, moment: str, run: str) -> str:
    """Return the select list of the remark on an event that is older than the claim.

    Args:
        event: Name of the event.
        moment: Expression of its time.
        run: Alias of the run.
    """
    seconds = f"round(extract(epoch FROM {run}.claimed_at - {moment}), 3)"
    return f"'early' AS kind, '{event}' AS event, {seconds} || ' s before the claim' AS detail"


def is_early(moment: str, run: str) -> str:
    """Return the condition of that remark."""
    return f"{moment} < {run}.claimed_at - {CLOCKS}"


def recorded(given: str) -> str:
    """Return the expressions that store remarks in the statement of a change.

    Args:
        given: Query of ``run_id, kind, event, step_id, detail``; no kind and event twice.

    Returns:
        Common table expressions, the last of which is ``remark`` with a ``payload``.
    """
    return f"""
, given (run_id, kind, event, step_id, detail) AS ({given}), remark AS (
  INSERT INTO run_remarks AS m (run_id, kind, event, step_id, detail)
  SELECT g.run_id, g.kind, g.event, CASE WHEN (SELECT count(*) FROM run_remarks f
    WHERE f.run_id = g.run_id) < {MOST} THEN g.step_id END, g.detail FROM given g
  ON CONFLICT ON CONSTRAINT run_remarks_key DO UPDATE
    SET count = m.count + 1, at = clock_timestamp()
  RETURNING {remark_json("m")}::text AS payload
)"""


TOLD: Final = "(SELECT array_agg(m.payload) FROM remark m) AS remarks"
"""Select list: what is to be told of the remarks that the statement stored."""

# Sent again is counted and not told: it is no gap, and there may be many.
NOTE: Final = Statement(
    "remarks.note",
    f"""
WITH given AS (
  SELECT g.kind, g.event, g.step_id, g.detail, g.count
  FROM unnest($3::text[], $4::text[], $5::uuid[], $6::text[], $7::int[])
    AS g (kind, event, step_id, detail, count)
), folded AS (
  SELECT g.kind, g.event, g.known AS step_id, min(g.detail) AS detail, sum(g.count)::int AS count
  FROM (SELECT given.*, CASE WHEN (SELECT count(*) FROM run_remarks f WHERE f.run_id = $1)
    < {MOST} THEN step_id END AS known FROM given) g
  GROUP BY g.kind, g.event, g.known
), remark AS (
  INSERT INTO run_remarks AS m (run_id, kind, event, step_id, detail, count)
  SELECT r.id, g.kind, g.event, g.step_id, g.detail, g.count
  FROM runs r, folded g WHERE r.id = $1 AND r.lease = $2
  ON CONFLICT ON CONSTRAINT run_remarks_key DO UPDATE
    SET count = m.count + excluded.count, at = clock_timestamp()
  RETURNING m.kind, xmax = 0 AS fresh, {remark_json("m")}::text AS payload
)
SELECT payload FROM remark WHERE fresh AND kind <> 'resent'""",
    declared("run_remarks"),
)


def remarks_json(run: str) -> str:
    """Return the remarks on a run, in the order of their last time."""
    return f"""coalesce((
    SELECT jsonb_agg({remark_json("m")} ORDER BY m.at, m.event, m.step_id)
    FROM run_remarks m WHERE m.run_id = {run}.id), '[]')"""


def gaps_json(run: str) -> str:
    """Return the events that never came, as far as is known now.

    A gap closes when its event comes after all. What ended without a report (a lost run, a run that
    was cancelled under its worker, a step that was closed with its run) is a gap until it has one.
    """
    return f"""(
    SELECT coalesce(jsonb_agg(jsonb_build_object('event', g.event, 'step_id', g.step_id,
      'noticed_at', g.at, 'because', g.because) ORDER BY g.at, g.event, g.step_id), '[]')
    FROM (
      SELECT m.event, m.step_id, m.at, m.detail AS because FROM run_remarks m
      WHERE m.run_id = {run}.id AND m.kind = 'missing'
        AND NOT EXISTS (SELECT 1 FROM run_remarks l WHERE l.run_id = m.run_id AND l.kind = 'late'
          AND l.event = m.event AND l.step_id IS NOT DISTINCT FROM m.step_id)
        AND NOT EXISTS (SELECT 1 FROM run_steps k WHERE k.run_id = m.run_id
          AND k.step_id = m.step_id)
      UNION ALL
      SELECT 'step:complete', s.id, s.finished_at, 'closed with the run, without a report'
      FROM run_steps k JOIN steps s ON s.id = k.step_id
      WHERE k.run_id = {run}.id AND s.finished_at IS NOT NULL AND s.complete_fingerprint IS NULL
      UNION ALL
      SELECT 'run:complete', NULL, {run}.finished_at,
        'nobody reported how it ended: ' || coalesce({run}.error_type, {run}.state)
      WHERE {run}.state = 'lost' OR ({run}.state = 'cancelled' AND {run}.claimed_at IS NOT NULL
        AND {run}.complete_fingerprint IS NULL)
    ) g)"""


READ: Final = Statement(
    "remarks.read",
    f"""
SELECT {remarks_json("r")}::text AS remarks, {gaps_json("r")}::text AS gaps
FROM runs r WHERE r.id = $1""",
)


class Remark(msgspec.Struct, frozen=True):
    """One remark, to be stored.

    Attributes:
        kind: What was odd.
        event: The event that was missing, late or sent again.
        step_id: What the worker named as its step, if it did.
        detail: One sentence for people.
        count: How often.
    """

    kind: Kind
    event: str
    step_id: UUID | None = None
    detail: str | None = None
    count: int = 1


class History(msgspec.Struct, frozen=True):
    """What was odd about a run, as JSON texts.

    Attributes:
        gaps_json: ``[{"event", "step_id", "noticed_at", "because"}]``: events that never came, as
            far as is known now.
        remarks_json: ``[{"kind", "event", "step_id", "at", "detail", "count"}]``.
    """

    gaps_json: str
    remarks_json: str


async def note(repo: Runner, owner: Owner, remarks: Sequence[Remark]) -> list[str] | Refused:
    """Store remarks on events that changed nothing; counts of known ones grow.

    Args:
        repo: Where to.
        owner: The run and the lease of the worker; nothing is remarked without the current lease.
        remarks: What to say; no kind, event and step twice.

    Returns:
        JSON texts of the new ones, to be told to watchers; those on re-sends are left out.
    """
    columns = [[getattr(remark, name) for remark in remarks] for name in Remark.__struct_fields__]
    rows = await repo.fetch(NOTE, owner.run_id, owner.lease, *columns)
    return rows if isinstance(rows, Refused) else [row["payload"] for row in rows]


async def of_run(repo: Runner, run_id: UUID) -> History | Refused | None:
    """Return what was odd about a run; None when there is no such run."""
    row = await repo.fetchrow(READ, run_id)
    if row is None or isinstance(row, Refused):
        return row
    return History(cast("str", row["gaps"]), cast("str", row["remarks"]))
