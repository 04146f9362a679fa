"""Creates the jobs of schedules: each tick exactly once, across any number of processes."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from pipelines.background import Loop
from pipelines.schedules import InvalidScheduleError, Schedule, next_tick, ticks_between
from pipelines.storage import ticks
from pipelines.storage.connection import Pool

log = structlog.stdlib.get_logger(__name__)

Source = Callable[[], Awaitable[Sequence[Schedule]]]
"""Returns the schedules as they are now; asked at each pass."""


def _now() -> datetime:
    return datetime.now(UTC)


class Scheduler(Loop):
    """One pass: create what ticked since the last one, within the catch-up window.

    Ticks that were missed while no process ran are created late, if they are not older than the
    window; older ones are skipped. A schedule that cannot be used is logged once and skipped.

    Args:
        pool: Pool of the engine.
        source: The schedules.
        interval: Seconds between passes at most; a change of the schedules is seen that late.
        catch_up: The window.
        clock: The time.
    """

    def __init__(
        self,
        pool: Pool,
        source: Source,
        *,
        interval: float,
        catch_up: timedelta,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__("scheduler", interval)
        self._pool = pool
        self._source = source
        self._catch_up = catch_up
        self._clock = clock
        self._broken: set[tuple[str, str]] = set()

    async def pass_once(self) -> float | None:
        """Create all jobs that are due. Returns the seconds until the next tick."""
        schedules = await self._source()
        now = self._clock()
        async with self._pool.acquire() as connection:
            last = await ticks.last_ticks(connection, [schedule.key for schedule in schedules])
        soonest: datetime | None = None
        for schedule in schedules:
            try:
                await self._create(schedule, last.get(schedule.key), now)
                tick = next_tick(schedule, now)
            except InvalidScheduleError as error:
                self._report(schedule, error)
                continue
            if tick is not None and (soonest is None or tick < soonest):
                soonest = tick
        return None if soonest is None else (soonest - self._clock()).total_seconds()

    async def _create(self, schedule: Schedule, last: datetime | None, now: datetime) -> None:
        after = max(schedule.since, now - self._catch_up, last or schedule.since)
        for tick in ticks_between(schedule, after, now):
            async with self._pool.acquire() as connection:
                submitted = await ticks.create_tick(connection, schedule, tick)
            if submitted is not None:
                log.info("tick_created", schedule=schedule.key, tick=tick.isoformat())

    def _report(self, schedule: Schedule, error: InvalidScheduleError) -> None:
        mark = (schedule.key, schedule.cron)
        if mark not in self._broken:
            self._broken.add(mark)
            log.error("schedule_invalid", schedule=schedule.key, error=str(error))
