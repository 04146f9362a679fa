"""Finds jobs to run: woken by notifications and by free slots, with a timer as the safety net."""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from pipelines.background import Loop
from pipelines.settings import EngineSettings
from pipelines.storage import polling, recovery
from pipelines.storage.connection import Pool

log = structlog.stdlib.get_logger(__name__)

_SWEEPS_PER_WINDOW = 8


class Dispatcher(Protocol):
    """Where the poller puts jobs."""

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        ...

    @property
    def busy(self) -> frozenset[int]:
        """Jobs that are dealt with already."""
        ...

    def dispatch(self, job_id: int) -> bool:
        """Start a run; False when there is no room for it."""
        ...

    async def recompute(self, *job_ids: int) -> None:
        """Derive and store the status of pipelines that depend on some jobs."""
        ...


class Poller(Loop):
    """One pass: take over jobs of silent owners, then fill the free slots.

    Args:
        pool: Pool of the engine.
        settings: Intervals and windows.
        dispatcher: Where jobs are run.
        job_types: Types that this process can run, asked at each pass.
    """

    def __init__(
        self,
        pool: Pool,
        settings: EngineSettings,
        dispatcher: Dispatcher,
        job_types: Callable[[], frozenset[str]],
    ) -> None:
        interval = settings.poll_interval.total_seconds()
        super().__init__("poller", interval)
        self._pool = pool
        self._settings = settings
        self._dispatcher = dispatcher
        self._job_types = job_types
        window = settings.stale_window.total_seconds()
        self._sweep_every = min(interval, window / _SWEEPS_PER_WINDOW)
        self._swept = -self._sweep_every

    async def pass_once(self) -> float | None:
        """Sweep if it is time, then dispatch what is due and fits."""
        now = time.monotonic()
        if now - self._swept >= self._sweep_every:
            await self._sweep()
            self._swept = now
        soon = await self._fill()
        return self._sweep_every if soon is None else min(soon, self._sweep_every)

    async def _sweep(self) -> None:
        async with self._pool.acquire() as connection:
            swept = await recovery.sweep_stuck_running_jobs(connection, self._settings.stale_window)
        if swept.recovered:
            log.warning("jobs_recovered", job_ids=list(swept.recovered))
        if swept.abandoned:
            ids = [job.id for job in swept.abandoned]
            log.error("jobs_abandoned", job_ids=ids)
            await self._dispatcher.recompute(*ids)

    async def _fill(self) -> float | None:
        types = self._job_types()
        limit = min(self._dispatcher.free, self._settings.poll_batch)
        if limit <= 0:
            return None  # whoever makes a slot free wakes us
        async with self._pool.acquire() as connection:
            found = await polling.next_jobs(
                connection, limit, without=self._dispatcher.busy, job_types=types
            )
            for job_id in found:
                self._dispatcher.dispatch(job_id)
            if self._dispatcher.free <= 0:
                return None
            return await polling.seconds_until_due(connection, types)
