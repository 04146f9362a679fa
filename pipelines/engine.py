"""The engine of one process: pool, runner, poller, reconciler, scheduler, listener."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from pipelines.background import Loop
from pipelines.dedup import DedupConfig
from pipelines.dispatch import Dispatcher
from pipelines.events import CHANNEL, EventHub, JobEvent
from pipelines.model import Job, NewJob
from pipelines.poller import Poller
from pipelines.reconciler import Reconciler
from pipelines.registry import Registry
from pipelines.run import Step
from pipelines.runner import Runner, no_step
from pipelines.scheduler import Scheduler, Source
from pipelines.settings import EngineSettings
from pipelines.snapshot import Snapshot, read_snapshot
from pipelines.storage import finishing, jobs, pods, recovery
from pipelines.storage.connection import Pool, open_pool
from pipelines.storage.jobs import Submitted
from schema.listener import Listener

log = structlog.stdlib.get_logger(__name__)


class _PodBeat(Loop):
    def __init__(self, pool: Pool, pod_id: str, interval: float) -> None:
        super().__init__("pod", interval)
        self._pool = pool
        self._pod_id = pod_id

    async def pass_once(self) -> float | None:
        async with self._pool.acquire() as connection:
            await pods.beat(connection, self._pod_id)
        return None


class Engine:
    """Durable jobs in this process, on a database that any number of processes share.

    ``start`` and ``stop`` may be called twice, and ``stop`` before ``start``; an engine that was
    stopped can be started again. ``stop`` cancels the jobs under way and releases them, so that
    others take them at once.

    Args:
        dsn: URL of the database.
        registry: Handlers and chains.
        settings: See there.
        services: What handlers find in ``context.services``.
        hub: Where events go; made if not given.
        schedules: Where schedules come from; without it this process creates no ticks.
        pool: A pool to work on, of :func:`open_pool`, which is left open; each engine that uses it
            needs three connections of it and one for each job at once. Without it the engine has
            one of its own, whose transactions end when they idle for a stale window.
        step: Called at each step of each run, for tests and tracing.

    Attributes:
        hub: What changed in any process.
        pod_id: Name of this engine in ``pipeline_pods``.
    """

    def __init__(
        self,
        dsn: str,
        registry: Registry,
        settings: EngineSettings | None = None,
        *,
        services: Mapping[str, Any] | None = None,
        hub: EventHub | None = None,
        schedules: Source | None = None,
        pool: Pool | None = None,
        step: Step = no_step,
    ) -> None:
        self.hub = hub or EventHub()
        self.registry = registry
        self.settings = settings or EngineSettings()
        self.pod_id = ""
        self._dsn = dsn
        self._services = services or {}
        self._schedules = schedules
        self._step = step
        self._given_pool = pool
        self._pool: Pool | None = None
        self._loops: list[Loop] = []
        self._dispatcher: Dispatcher | None = None
        self._poller: Poller | None = None
        self._listener: Listener | None = None
        self._unsubscribe = lambda: None

    @property
    def pool(self) -> Pool:
        """The pool of the engine.

        Raises:
            RuntimeError: It is not started.
        """
        if self._pool is None:
            raise RuntimeError("the engine is not started")
        return self._pool

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._pool is not None

    @property
    def busy(self) -> frozenset[int]:
        """Ids of the jobs that this process runs."""
        return self._dispatcher.busy if self._dispatcher else frozenset()

    async def start(self) -> None:
        """Connect, register this process, and begin to work.

        Raises:
            OSError: The database cannot be reached.
            StrangerError: A process that does not belong with this one works on it.
        """
        if self._pool is not None:
            return
        settings = self.settings
        pool = self._given_pool or await open_pool(
            self._dsn, concurrency=settings.concurrency, longest_idle=settings.stale_window
        )
        try:
            self.pod_id = await self._register(pool)
        except BaseException:
            if pool is not self._given_pool:
                await pool.close()
            raise
        self._pool = pool
        runner = Runner(pool, self.registry, settings, services=self._services, step=self._step)
        self._dispatcher = Dispatcher(runner, settings.concurrency)
        self._poller = Poller(pool, settings, self._dispatcher, lambda: self.registry.job_types)
        self._dispatcher.freed = self._poller.wake
        self._unsubscribe = self.hub.subscribe(self._changed)
        self._listener = Listener(self._dsn, self.hub.receive, self.hub.resync, channel=CHANNEL)
        self._loops = self._make_loops(pool)
        await self._listener.start()
        for loop in self._loops:
            await loop.start()

    async def started(self) -> None:
        """Return when notifications arrive and the queue was looked at."""
        if self._listener is not None:
            await self._listener.connected.wait()
        for loop in self._loops:
            await loop.started()

    async def stop(self) -> None:
        """Claim nothing more, cancel and release what runs, disconnect."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        self._unsubscribe()
        for loop in self._loops:
            await loop.stop()
        self._loops = []
        if self._dispatcher is not None:
            await self._dispatcher.stop()
        if self._listener is not None:
            await self._listener.stop()
        try:
            async with asyncio.timeout(self.settings.grace.total_seconds()):
                async with pool.acquire() as connection:
                    await pods.unregister(connection, self.pod_id)
                if pool is not self._given_pool:
                    await pool.close()
        except Exception as error:  # it may be the database that went first
            log.warning("engine_stopped_hard", error=repr(error))
            if pool is not self._given_pool:
                pool.terminate()

    async def submit(self, new: NewJob, *, dedup: DedupConfig | None = None) -> Submitted:
        """Create a pipeline with its root job, and start it if there is room.

        Args:
            new: The root job.
            dedup: Join an active job of the same scope instead, if there is one.

        Raises:
            ValueError: See :meth:`pipelines.dedup.DedupConfig.check`.
        """
        async with self.pool.acquire() as connection:
            submitted = await jobs.submit(connection, new, dedup=dedup)
        self.wake()
        return submitted

    def wake(self) -> None:
        """Look at the queue now: a job was committed.

        All jobs go through the queue, so that the order, and fairness between types and tenants,
        hold for them all. Other processes are told by the database.
        """
        if self._poller is not None:
            self._poller.wake()

    async def snapshot(self, pipeline_id: UUID) -> Snapshot | None:
        """Return a pipeline as it is now; None if there is none."""
        async with self.pool.acquire() as connection:
            return await read_snapshot(connection, pipeline_id, self.registry.chain)

    async def job(self, job_id: int) -> Job | None:
        """Return a job as it is now; None if there is none."""
        async with self.pool.acquire() as connection:
            return await jobs.get_job(connection, job_id)

    async def cancel(self, job_id: int) -> Job | None:
        """End one job, whoever runs it. None when it does not exist or is over."""
        async with self.pool.acquire() as connection:
            done = await finishing.cancel_job(connection, job_id)
        if done is None:
            return None
        await self._ended([done])
        return done.job

    async def abort(self, pipeline_id: UUID, user: str) -> list[Job]:
        """End all active jobs of a pipeline, whoever runs them; empty when all were over."""
        async with self.pool.acquire() as connection:
            done = await finishing.abort_pipeline(connection, pipeline_id, user)
        await self._ended(done)
        return [each.job for each in done]

    async def recover(self, job_id: int, stale: timedelta | None = None) -> Job | None:
        """Put a stale running job back. None when it is not running, or not stale.

        Args:
            job_id: The job.
            stale: How long its lock must not have been refreshed; the stale window when None.
        """
        async with self.pool.acquire() as connection:
            job = await recovery.recover_job(
                connection, job_id, self.settings.stale_window if stale is None else stale
            )
        self.wake()
        return job

    def _make_loops(self, pool: Pool) -> list[Loop]:
        settings = self.settings
        window = settings.stale_window.total_seconds()
        loops: list[Loop] = [
            _PodBeat(pool, self.pod_id, window / 4),
            Reconciler(pool, self.registry, settings),
        ]
        if settings.run_jobs and self._poller is not None:
            loops.append(self._poller)
        if self._schedules is not None:
            scheduler = Scheduler(
                pool,
                self._schedules,
                interval=settings.poll_interval.total_seconds(),
                catch_up=settings.schedule_catch_up,
            )
            loops.append(scheduler)
        return loops

    async def _register(self, pool: Pool) -> str:
        settings = self.settings
        pod_id = pods.new_pod_id(settings.pod)
        async with pool.acquire() as connection:
            mixed = await pods.register(
                connection,
                pod_id,
                settings.namespace,
                settings.build,
                alive_within=settings.stale_window,
                strict_build=settings.strict_build,
            )
        if mixed:
            log.warning("builds_mixed", build=settings.build, others=mixed)
        return pod_id

    async def _ended(self, done: list[finishing.Finished]) -> None:
        if self._dispatcher is None or not done:
            return
        ids = [each.job.id for each in done]
        successors = [each.successor for each in done if each.successor is not None]
        with contextlib.suppress(OSError):
            await self._dispatcher.recompute(*ids, *successors)
        self.wake()

    def _changed(self, event: JobEvent) -> None:
        if event.state != "RUNNING" and event.status is None:
            self.wake()
        if self._dispatcher is None:
            return
        if event.job is not None and event.state not in {None, "RUNNING"}:
            # Ended, or taken from us: the run that we may have of it must not wait for its beat.
            self._dispatcher.kick(event.job)
