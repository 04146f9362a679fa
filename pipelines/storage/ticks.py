"""Ticks of schedules: each becomes one job, whoever comes first."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pipelines.schedules import Schedule
from pipelines.storage.connection import Connection
from pipelines.storage.jobs import Submitted, submit

_TAKE: Final = """INSERT INTO pipeline_ticks (schedule_key, tick) VALUES ($1, $2)
ON CONFLICT (schedule_key, tick) DO NOTHING RETURNING 1"""

_POINT: Final = "UPDATE pipeline_ticks SET job_id = $3 WHERE schedule_key = $1 AND tick = $2"

_LAST: Final = """SELECT schedule_key, max(tick) AS tick FROM pipeline_ticks
WHERE schedule_key = ANY($1) GROUP BY schedule_key"""


async def create_tick(
    connection: Connection, schedule: Schedule, tick: datetime
) -> Submitted | None:
    """Create the job of a tick, in one transaction. None when the tick was taken already."""
    async with connection.transaction():
        if await connection.fetchval(_TAKE, schedule.key, tick) is None:
            return None
        submitted = await submit(connection, schedule.job_of(tick), dedup=schedule.dedup)
        await connection.execute(_POINT, schedule.key, tick, submitted.job_id)
    return submitted


async def last_ticks(connection: Connection, keys: Sequence[str]) -> dict[str, datetime]:
    """Return the last tick of each schedule that has one."""
    rows = await connection.fetch(_LAST, list(keys))
    return {row["schedule_key"]: row["tick"] for row in rows}


async def prune(connection: Connection, older_than: timedelta) -> int:
    """Forget old ticks; the last one of each schedule stays. Returns how many were forgotten."""
    rows = await connection.fetch(
        """DELETE FROM pipeline_ticks AS old
WHERE tick < clock_timestamp() - $1::interval AND EXISTS (SELECT 1 FROM pipeline_ticks AS newer
  WHERE newer.schedule_key = old.schedule_key AND newer.tick > old.tick)
RETURNING 1""",
        older_than,
    )
    return len(rows)
