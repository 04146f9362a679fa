"""Runs of this process: as many as there is room for, each in a task that is kept and watched."""

import asyncio
from collections.abc import Callable

import structlog

from pipelines.failures import log_failure
from pipelines.run import RunResult
from pipelines.runner import Runner

log = structlog.stdlib.get_logger(__name__)


class Dispatcher:
    """Starts runs.

    Args:
        runner: Runs them.
        concurrency: How many at once.

    Attributes:
        freed: Called when a run has ended: there is room, and there may be new jobs.
    """

    def __init__(self, runner: Runner, concurrency: int) -> None:
        self.freed: Callable[[], None] = lambda: None
        self._runner = runner
        self._concurrency = concurrency
        self._tasks: dict[int, asyncio.Task[RunResult]] = {}
        self._stopped = False

    @property
    def free(self) -> int:
        """How many jobs can be started now."""
        return 0 if self._stopped else self._concurrency - len(self._tasks)

    @property
    def busy(self) -> frozenset[int]:
        """Jobs that are dealt with already."""
        return frozenset(self._tasks)

    def dispatch(self, job_id: int) -> bool:
        """Start a run; False when there is no room for it, or it is under way."""
        if self.free <= 0 or job_id in self._tasks:
            return False
        task = asyncio.create_task(self._runner.run_job(job_id), name=f"run_job:{job_id}")
        self._tasks[job_id] = task
        task.add_done_callback(lambda done: self._done(job_id, done))
        return True

    def kick(self, job_id: int) -> None:
        """Check now whether a running job is still ours."""
        self._runner.kick(job_id)

    async def recompute(self, *job_ids: int) -> None:
        """Derive and store the status of pipelines that depend on some jobs."""
        await self._runner.recompute(*job_ids)

    async def stop(self) -> None:
        """Start nothing more; cancel and release what runs, and wait for it."""
        self._stopped = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, job_id: int, task: "asyncio.Task[RunResult]") -> None:
        del self._tasks[job_id]
        if task.cancelled():
            if not self._stopped:
                log.error("job_run_cancelled", job_id=job_id)
        elif (error := task.exception()) is not None:
            # It was not claimed, or is taken over when its owner is silent for too long.
            log_failure(log, "job_run_failed", error, job_id=job_id)
        # What it created is committed and in the queue: freed looks there.
        self.freed()
