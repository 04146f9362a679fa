"""One run of one job, from the claim to its end.

::

    claim ─▶ handler ─▶ finish (compare-and-set) ─▶ children ─▶ commit ─▶ status, dispatch
                │            │ not ours any more         │ failed
                │            └▶ roll back, LOST          └▶ find out, else record the error
                └ raised, or ended with ERROR ─▶ roll back, record it on a clean connection

A heartbeat runs beside it and aborts it; then everything is rolled back. Every way out has finished
the row, released it, or lost it for certain.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
import structlog

from pipelines.chain import Chained, insert_children
from pipelines.context import JobContext
from pipelines.enums import JobResult, JobState
from pipelines.heartbeat import Abort, Heartbeat
from pipelines.model import Job
from pipelines.outcome import Outcome, RetryJob, failure, outcome_of
from pipelines.registry import Registry
from pipelines.settings import EngineSettings, owner_token
from pipelines.storage import claims, finishing
from pipelines.storage.connection import Connection, Pool, is_outage, is_passing
from pipelines.storage.jobs import get_job
from pipelines.transaction import JobTransaction

log = structlog.stdlib.get_logger(__name__)

_RETRY: Final = 0.2
"""Seconds between attempts to record an end while the database is out of reach."""

Step = Callable[[str, Job], Awaitable[None]]
"""Called at each step with its name; may wait or raise. For tests and tracing."""


class RunEnd(StrEnum):
    """How a run ended."""

    NOT_CLAIMED = "not_claimed"
    FINISHED = "finished"
    RELEASED = "released"
    LOST = "lost"
    STALLED = "stalled"


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended, and which jobs it put into the queue.

    Attributes:
        end: How.
        result: Result of the job if this run finished it.
        created: Ids of children and of a successor.
    """

    end: RunEnd
    result: JobResult | None = None
    created: tuple[int, ...] = ()


class _LostError(Exception):
    pass


class JobRun:
    """One run; used once.

    Args:
        pool: For the transaction, heartbeats and progress.
        registry: To find the handler.
        settings: Windows and delays.
        services: For the context.
        step: Called at each step.
    """

    def __init__(
        self,
        pool: Pool,
        registry: Registry,
        settings: EngineSettings,
        services: Mapping[str, Any],
        step: Step,
    ) -> None:
        self.owner = owner_token(settings.pod)
        self._pool = pool
        self._registry = registry
        self._settings = settings
        self._services = services
        self._step = step
        self._transaction = JobTransaction(pool)
        self._stopping = asyncio.Event()
        self._heartbeat: Heartbeat | None = None
        self._created: list[int] = []

    def stop(self) -> None:
        """Ask the run to end soon: it is rolled back and the job released."""
        self._stopping.set()

    def kick(self) -> None:
        """Check now whether the job is still ours."""
        if self._heartbeat is not None:
            self._heartbeat.kick()

    async def execute(self, job_id: int) -> RunResult:
        """Claim the job and bring this run to its end. To be called once, and not cancelled.

        Raises:
            OSError: The claim failed because the database is out of reach; also errors of asyncpg.
        """
        async with self._pool.acquire() as connection:
            job = await claims.claim_job(
                connection, job_id, self.owner, blocked_delay=self._settings.blocked_delay
            )
        if job is None:
            return RunResult(RunEnd.NOT_CLAIMED)
        log.info("job_started", job_id=job.id, job_type=job.job_type, owner=self.owner)
        heart = self._heartbeat = Heartbeat(
            job.id,
            lambda: self._beat(job.id),
            interval=self._settings.heartbeat_interval,
            abort_after=self._settings.abort_after,
        )
        beating = asyncio.create_task(heart.run(), name=f"heartbeat:{job.id}")
        try:
            return await self._run(job, heart)
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _run(self, job: Job, heart: Heartbeat) -> RunResult:
        context = JobContext(
            job,
            self.owner,
            lambda message, meta: self._progress(job.id, message, meta),
            self._services,
        )
        prepared = await self._unless_aborted(self._prepare(job, context, heart), heart, context)
        if prepared is None:
            return await self._aborted(job, heart)
        if isinstance(prepared, Outcome):
            return await self._committed(job, prepared, heart)
        return await self._failed(job, prepared, heart)

    # The handler, the finish and the children; nothing is committed yet.

    async def _prepare(
        self, job: Job, context: JobContext, heart: Heartbeat
    ) -> Outcome | Exception:
        try:
            await self._step("claimed", job)
            handler = self._registry.get(job.job_type)
            outcome = outcome_of(await handler(job, context, self._transaction))
            await self._step("handled", job)
            if outcome.result is JobResult.ERROR:
                return _EndedWithError(outcome)
            connection = await self._transaction.connection()
            # From here on our own transaction keeps the row: a beat could only wait for it.
            heart.hold()
            await self._finish(connection, job, outcome, context)
        except Exception as error:  # each kind is told apart later
            return error
        return outcome

    async def _finish(
        self, connection: Connection, job: Job, outcome: Outcome, context: JobContext
    ) -> None:
        done = await finishing.finish(
            connection,
            job.id,
            self.owner,
            outcome.result,
            status_message=outcome.status_message,
            meta=outcome.meta,
            chained_count=len(context.children),
        )
        if done is None:
            raise _LostError
        await self._step("finished", job)
        chained = await insert_children(connection, context.children)
        if chained:
            meta = {"chained": [msgspec.to_builtins(each) for each in chained]}
            await finishing.add_meta(connection, job.id, meta)
        self._created = _created(done.successor, chained)
        await self._step("chained", job)

    # Ends.

    async def _committed(self, job: Job, outcome: Outcome, heart: Heartbeat) -> RunResult:
        try:
            await self._step("committing", job)
            committing = asyncio.create_task(self._transaction.commit())
            await self._bounded(committing, heart)
        except Exception as error:  # the answer to a commit may be lost: find out
            return await self._failed(job, error, heart, committed=outcome)
        return RunResult(RunEnd.FINISHED, outcome.result, tuple(self._created))

    async def _failed(
        self, job: Job, error: Exception, heart: Heartbeat, *, committed: Outcome | None = None
    ) -> RunResult:
        delay = self._retry_delay(error)
        await self._transaction.rollback(timeout=self._settings.grace.total_seconds())
        if isinstance(error, _LostError):
            log.warning("job_preempted", job_id=job.id, owner=self.owner)
            return RunResult(RunEnd.LOST)
        outcome = error.outcome if isinstance(error, _EndedWithError) else failure(error)
        if delay is not None:
            log.warning("job_retried", job_id=job.id, job_type=job.job_type, error=repr(error))
        elif not isinstance(error, _EndedWithError):
            log.error("job_failed", job_id=job.id, job_type=job.job_type, exc_info=error)
        return await self._record(job, outcome, delay, heart, committed)

    def _retry_delay(self, error: Exception) -> timedelta | None:
        if isinstance(error, RetryJob):
            return error.delay
        if is_passing(error, self._transaction.begun):
            return self._settings.retry_delay
        return None

    async def _record(
        self,
        job: Job,
        outcome: Outcome,
        delay: timedelta | None,
        heart: Heartbeat,
        committed: Outcome | None,
    ) -> RunResult:
        """Write the end of the run on a clean connection, for as long as the job may be ours."""
        heart.resume()
        while True:
            try:
                async with asyncio.timeout(self._settings.grace.total_seconds()):
                    async with self._pool.acquire() as connection:
                        return await self._write_end(connection, job, outcome, delay, committed)
            except Exception as error:
                if not is_outage(error):
                    raise
            if heart.reason is not None or self._stopping.is_set():
                log.warning("job_end_not_recorded", job_id=job.id, owner=self.owner)
                return RunResult(RunEnd.STALLED)
            await _first(_RETRY, heart.aborted, self._stopping)

    async def _write_end(
        self,
        connection: Connection,
        job: Job,
        outcome: Outcome,
        delay: timedelta | None,
        committed: Outcome | None,
    ) -> RunResult:
        if delay is not None and await claims.release(
            connection, job.id, self.owner, delay=delay, message=outcome.status_message
        ):
            return RunResult(RunEnd.RELEASED)
        async with connection.transaction():
            done = await finishing.finish(
                connection,
                job.id,
                self.owner,
                outcome.result,
                status_message=outcome.status_message,
                meta=outcome.meta,
            )
        if done is not None:
            return RunResult(RunEnd.FINISHED, outcome.result, _ids(done.successor))
        # Either we lost it, or the commit whose answer was lost did happen: the token tells.
        row = await get_job(connection, job.id)
        ours = row is not None and row.state is JobState.FINISHED and row.locked_by == self.owner
        if ours and committed is not None:
            return RunResult(RunEnd.FINISHED, committed.result, tuple(self._created))
        log.warning("job_preempted", job_id=job.id, owner=self.owner)
        return RunResult(RunEnd.LOST)

    async def _aborted(self, job: Job, heart: Heartbeat) -> RunResult:
        await self._transaction.rollback(timeout=self._settings.grace.total_seconds())
        if heart.reason is Abort.LOST:
            return RunResult(RunEnd.LOST)
        if heart.reason is Abort.STALLED:
            return RunResult(RunEnd.STALLED)
        try:
            async with asyncio.timeout(self._settings.grace.total_seconds()):
                async with self._pool.acquire() as connection:
                    released = await claims.release(connection, job.id, self.owner, give_back=True)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("job_not_released", job_id=job.id, owner=self.owner)
            return RunResult(RunEnd.STALLED)
        return RunResult(RunEnd.RELEASED if released else RunEnd.LOST)

    # Waiting.

    async def _unless_aborted(
        self, work: Awaitable[Outcome | Exception], heart: Heartbeat, context: JobContext
    ) -> Outcome | Exception | None:
        job = context.job
        task = asyncio.ensure_future(work)
        await _first(None, heart.aborted, self._stopping, task)
        if task.done() and heart.reason is None:
            return _outcome(task)
        context.abort()
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=self._settings.grace.total_seconds())
        if not task.done():
            # It swallows the cancellation. Without its connection it can write nothing.
            log.error("job_ignores_cancellation", job_id=job.id, job_type=job.job_type)
            self._transaction.abandon()
        log.warning("job_aborted", job_id=job.id, reason=str(heart.reason or "stopping"))
        return None

    async def _bounded(self, committing: "asyncio.Task[None]", heart: Heartbeat) -> None:
        await _first(None, heart.aborted, self._stopping, committing)
        if not committing.done():
            await asyncio.wait([committing], timeout=self._settings.grace.total_seconds())
        if not committing.done():
            self._transaction.abandon()
            committing.cancel()
            await asyncio.wait([committing])
        if committing.cancelled():
            raise ConnectionAbortedError("the commit was not answered in time")
        committing.result()

    # The row, while the handler runs.

    async def _beat(self, job_id: int) -> int:
        async with self._pool.acquire() as connection:
            return await claims.heartbeat(connection, job_id, self.owner)

    async def _progress(self, job_id: int, message: str | None, meta: Mapping[str, Any]) -> bool:
        async with self._pool.acquire() as connection:
            ours = await claims.update_progress(
                connection, job_id, self.owner, status_message=message, meta=meta
            )
        if not ours and self._heartbeat is not None:
            self._heartbeat.abort(Abort.LOST)
        return ours


class _EndedWithError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.status_message)
        self.outcome = outcome


def _outcome(task: "asyncio.Future[Outcome | Exception]") -> Outcome | Exception:
    if task.cancelled():
        return RuntimeError("the handler cancelled itself")
    return task.result()


def _ids(job_id: int | None) -> tuple[int, ...]:
    return () if job_id is None else (job_id,)


def _created(successor: int | None, chained: list[Chained]) -> list[int]:
    return [*_ids(successor), *(each.job_id for each in chained if not each.joined)]


async def _first(seconds: float | None, *waited: "asyncio.Event | asyncio.Future[Any]") -> None:
    """Wait until one of several events is set or futures is done, at most some seconds."""
    tasks = [
        asyncio.ensure_future(each.wait()) if isinstance(each, asyncio.Event) else each
        for each in waited
    ]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task, each in zip(tasks, waited, strict=True):
        if isinstance(each, asyncio.Event):
            task.cancel()
