"""Runs jobs by id: the single way in for dispatch, chaining and the poller."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from pipelines.failures import log_failure
from pipelines.model import Job
from pipelines.registry import Registry
from pipelines.run import JobRun, RunEnd, RunResult, Step
from pipelines.settings import EngineSettings
from pipelines.storage import status
from pipelines.storage.connection import Pool

log = structlog.stdlib.get_logger(__name__)


async def no_step(_name: str, _job: Job) -> None:
    """Do nothing at a step."""


class Runner:
    """Runs jobs in this process.

    Args:
        pool: Pool of the engine; each run may hold one connection.
        registry: Handlers.
        settings: Windows and delays.
        services: What handlers find in ``context.services``.
        step: Called at each step of each run, for tests and tracing.
    """

    def __init__(
        self,
        pool: Pool,
        registry: Registry,
        settings: EngineSettings,
        *,
        services: Mapping[str, Any] | None = None,
        step: Step = no_step,
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._settings = settings
        self._services = services or {}
        self._step = step
        self._runs: dict[int, JobRun] = {}

    @property
    def running(self) -> frozenset[int]:
        """Ids of the jobs that this process runs or tries to claim."""
        return frozenset(self._runs)

    async def run_job(self, job_id: int) -> RunResult:
        """Claim a job and run it to its end; nothing happens when it cannot be claimed.

        When this is cancelled, the handler is, everything is rolled back and the job released.

        Returns:
            How it ended. What it created is to be dispatched by the caller.

        Raises:
            OSError: The claim failed because the database is out of reach; also errors of asyncpg.
        """
        if job_id in self._runs:
            return RunResult(RunEnd.NOT_CLAIMED)
        run = JobRun(self._pool, self._registry, self._settings, self._services, self._step)
        self._runs[job_id] = run
        task = asyncio.create_task(run.execute(job_id), name=f"job:{job_id}")
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            run.stop()
            await asyncio.wait([task])
            raise
        finally:
            del self._runs[job_id]
        if result.end is RunEnd.FINISHED:
            await self._after(job_id, result)
        return result

    def kick(self, job_id: int) -> None:
        """Check now whether a running job is still ours: somebody changed its row."""
        run = self._runs.get(job_id)
        if run is not None:
            run.kick()

    async def _after(self, job_id: int, result: RunResult) -> None:
        # Nothing of this may undo what is committed; the reconciler repairs what is skipped.
        try:
            await self.recompute(job_id, *result.created)
        except Exception as error:
            log_failure(log, "pipeline_status_skipped", error, job_id=job_id)

    async def recompute(self, *job_ids: int) -> None:
        """Derive and store the status of all pipelines that depend on some jobs."""
        async with self._pool.acquire() as connection:
            for pipeline_id in await status.affected_by(connection, job_ids):
                await status.recompute(connection, pipeline_id, self._registry.chain)
