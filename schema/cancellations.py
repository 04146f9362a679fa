"""Cancelling: at once where no worker has the run, else the worker is asked, and in the end closed.

A run that is held is not taken away from its owner: the wish is written down, the owner is told,
and it reports the end itself. What it does not end within a time of grace the janitor ends as
``cancelled`` (:mod:`schema.janitor`); the owner's later events then get the answer of a run that is
over. A claim that is released while the wish stands is cancelled instead of being offered again
(:mod:`schema.queue`).
"""

from typing import Any, Final
from uuid import UUID

import msgspec

from schema import runs
from schema.lifecycle import IN_FLIGHT
from schema.outcomes import Applied, is_final
from schema.queue import CHANNEL
from schema.refusals import COMPLETED, RACED, UNKNOWN_RUN
from schema.refused import Refused
from schema.repo import Runner, Statement
from schema.tables import declared

ATTEMPTS: Final = 3
"""A run that is claimed or released between two questions is asked about again."""

# Whoever asks does so in a process of its own; the worker is connected to one of them.
REQUEST: Final = Statement(
    "cancellations.request",
    f"""
WITH changed AS (
  UPDATE runs SET cancel_requested_at = now(), cancel_requested_by = $2, version = version + 1
  WHERE id = $1 AND state IN {IN_FLIGHT} AND cancel_requested_at IS NULL
    AND ($3::uuid[] IS NULL OR project_id = ANY($3))
  RETURNING *
){runs.STORE_EVENT}
SELECT e.version, e.event, e.payload, e.seq, {runs.CHANGED_NOTICE},
  pg_notify('{CHANNEL}', json_build_object('run_cancel', c.id)::text)
FROM event e, changed c""",
    declared("runs", "run_events"),
)

STATE: Final = Statement(
    "cancellations.state",
    """SELECT state, cancel_requested_at FROM runs
WHERE id = $1 AND ($2::uuid[] IS NULL OR project_id = ANY($2))""",
)


class Asked(msgspec.Struct, frozen=True):
    """The owner of the run is asked to end it, now or since before; the run is not over yet."""


async def cancel(
    repo: Runner, run_id: UUID, by: str | None = None, projects: list[UUID] | None = None
) -> Applied | Asked | Refused:
    """Cancel a run: at once, or by asking the worker that holds it. For operators.

    Args:
        repo: Where to.
        run_id: The run.
        by: Who cancels; kept with the run.
        projects: Look in these projects only; None is all.

    Returns:
        What was applied to a run that nobody held; ``Asked`` for one that is held; else why not,
        and nothing changed.
    """
    for _ in range(ATTEMPTS):
        done = await runs.cancel(repo, run_id, by, projects)
        if not (isinstance(done, Refused) and done is runs.CLAIMED):
            return done
        row: Any = await repo.fetchrow(REQUEST, run_id, by, projects)
        if isinstance(row, Refused):
            return row
        if row is not None:
            return Asked()
        row = await repo.fetchrow(STATE, run_id, projects)
        if row is None or isinstance(row, Refused):
            return row or UNKNOWN_RUN
        if is_final(row["state"]):
            return COMPLETED
        if row["cancel_requested_at"] is not None:
            return Asked()
    return RACED
