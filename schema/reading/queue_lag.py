"""How many runs wait for a worker, and for how long the first of them has."""

from typing import Any, Final
from uuid import UUID

import msgspec

from schema.refused import Refused
from schema.repo import Runner, Statement

LAG: Final = Statement(
    "queue_lag.of",
    """
SELECT count(*)::int AS depth,
  extract(epoch FROM clock_timestamp() - min(inserted_at))::float8 AS lag
FROM runs WHERE state = 'available' AND project_id = ANY($1)""",
)


class QueueLag(msgspec.Struct, frozen=True):
    """What waits: how many runs, and seconds since the oldest was created, None without any."""

    depth: int
    lag_s: float | None


async def lag(repo: Runner, projects: list[UUID]) -> QueueLag | Refused:
    """Return what waits in these projects."""
    row: Any = await repo.fetchrow(LAG, projects)
    return row if isinstance(row, Refused) else QueueLag(row["depth"], row["lag"])
