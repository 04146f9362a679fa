"""A toy domain for the job engine: inputs, what is computed from them, and totals.

``csv_ingest`` replaces the inputs of some entry types and chains ``emission_recalc`` for each,
which doubles them and chains one ``aggregation``, which sums them up. Every handler also writes one
row to ``toy_effects``, so that an effect that happened twice is seen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

from pipelines import (
    AGGREGATION_DEDUP,
    EMISSION_RECALC_DEDUP,
    Chain,
    Engine,
    EngineSettings,
    Follow,
    Job,
    JobContext,
    JobEvent,
    JobResult,
    NewJob,
    Outcome,
    Phase,
    Registry,
    Submitted,
    Transaction,
)
from pipelines.storage import jobs as job_storage
from tests.jobs_lab import JobsDatabase, JobsLab
from tests.waiting import until

TABLES = """
CREATE TABLE toy_inputs (module int, year int, det int, value numeric,
  PRIMARY KEY (module, year, det));
CREATE TABLE toy_doubles (module int, year int, det int, value numeric,
  PRIMARY KEY (module, year, det));
CREATE TABLE toy_totals (module int, year int, total numeric,
  PRIMARY KEY (module, year));
CREATE TABLE toy_effects (
  job_id bigint PRIMARY KEY, job_type text NOT NULL);
"""

TOY_CHAIN = Chain(
    frozenset({"csv_ingest", "emission_recalc", "aggregation"}),
    (
        Phase("data", frozenset({"csv_ingest"})),
        Phase("emissions", frozenset({"emission_recalc"})),
        Phase("aggregation", frozenset({"aggregation"})),
    ),
    (Follow("emission_recalc", AGGREGATION_DEDUP),),
)


async def _effect(job: Job, transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO toy_effects VALUES ($1, $2)", job.id, job.job_type)


async def csv_ingest(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Replace the inputs in the config, ``{"values": {det: value}}``."""
    await _effect(job, transaction)
    values: dict[str, float] = job.config.get("values", {})
    for det, value in sorted(values.items()):
        await transaction.execute(
            "INSERT INTO toy_inputs VALUES ($1, $2, $3, $4::float8)"
            " ON CONFLICT (module, year, det) DO UPDATE SET value = EXCLUDED.value",
            *(job.module_type_id, job.year, int(det), value),
        )
        context.chain("emission_recalc", data_entry_type_id=int(det), dedup=EMISSION_RECALC_DEDUP)
    return Outcome(JobResult.SUCCESS, f"{len(values)} values")


async def emission_recalc(job: Job, context: JobContext, transaction: Transaction) -> Outcome:
    """Double an input; WARNING when the config says so."""
    await _effect(job, transaction)
    await transaction.execute(
        "INSERT INTO toy_doubles SELECT module, year, det, 2 * value FROM toy_inputs"
        " WHERE module = $1 AND year = $2 AND det = $3"
        " ON CONFLICT (module, year, det) DO UPDATE SET value = EXCLUDED.value",
        *(job.module_type_id, job.year, job.data_entry_type_id),
    )
    context.chain("aggregation", dedup=AGGREGATION_DEDUP, waits_for_siblings=True)
    errors = int(job.config.get("errors", 0))
    return Outcome(JobResult.WARNING if errors else JobResult.SUCCESS, meta={"errors": errors})


async def aggregation(job: Job, _context: JobContext, transaction: Transaction) -> Outcome:
    """Sum up: read, take a moment, write."""
    await _effect(job, transaction)
    total = await transaction.fetchval(
        "SELECT coalesce(sum(value), 0) FROM toy_doubles WHERE module = $1 AND year = $2",
        *(job.module_type_id, job.year),
    )
    await transaction.execute("SELECT pg_sleep(0.004)")
    await transaction.execute(
        "INSERT INTO toy_totals VALUES ($1, $2, $3)"
        " ON CONFLICT (module, year) DO UPDATE SET total = EXCLUDED.total",
        *(job.module_type_id, job.year, total),
    )
    return Outcome()


async def idle(_job: Job, _context: JobContext, _transaction: Transaction) -> None:
    """Do nothing."""


def toy_registry() -> Registry:
    """A registry of the toy domain."""
    registry = Registry()
    registry.job_handler("csv_ingest")(csv_ingest)
    registry.job_handler("emission_recalc")(emission_recalc)
    registry.job_handler("aggregation")(aggregation)
    registry.job_handler("idle")(idle)
    registry.declare_chain(TOY_CHAIN)
    return registry


def fast(**changes: Any) -> EngineSettings:
    """Settings with short windows."""
    given: dict[str, Any] = {
        "pod": "pod-a",
        "stale_window": timedelta(seconds=60),
        "poll_interval": timedelta(seconds=30),
        "blocked_delay": timedelta(milliseconds=50),
        "retry_delay": timedelta(0),
        "grace": timedelta(seconds=5),
        "repair_after": timedelta(0),
    }
    return EngineSettings(**(given | changes))


class Lab(JobsLab):
    """A database with the toy tables, and what tests do to it.

    Attributes:
        registry: The toy registry.
    """

    def __init__(self, database: JobsDatabase, stack: AsyncExitStack) -> None:
        super().__init__(database, stack)
        self.registry = toy_registry()

    def engine(self, *, own_pool: bool = False, **options: Any) -> Engine:
        """An engine that is stopped after the test; not started."""
        registry = options.pop("registry", None) or self.registry
        settings = options.pop("settings", None) or fast()
        return self.make_engine(registry, settings, own_pool=own_pool, **options)

    async def started(self, **options: Any) -> Engine:
        """A started engine."""
        engine = self.engine(**options)
        await engine.start()
        await engine.started()
        return engine

    async def submit(self, job_type: str = "idle", **values: Any) -> Submitted:
        """Create a root job, without running it."""
        dedup = values.pop("dedup", None)
        async with self.pool.acquire() as connection:
            return await job_storage.submit(
                connection, NewJob(job_type=job_type, **values), dedup=dedup
            )

    async def job(self, job_id: int) -> Job:
        """Read a job."""
        async with self.pool.acquire() as connection:
            found = await job_storage.get_job(connection, job_id)
        assert found is not None
        return found

    async def jobs(self, pipeline_id: UUID | None = None) -> list[Job]:
        """Read the jobs of a pipeline, or all."""
        rows = await self.fetch(
            "SELECT id FROM pipeline_jobs WHERE $1::uuid IS NULL OR pipeline_id = $1 ORDER BY id",
            pipeline_id,
        )
        return [await self.job(row["id"]) for row in rows]

    async def backdate(self, job_id: int, by: timedelta = timedelta(hours=2)) -> None:
        """Make the lock of a job old."""
        await self.pool.execute(
            "UPDATE pipeline_jobs SET locked_at = locked_at - $2::interval WHERE id = $1",
            *(job_id, by),
        )

    async def finish(self, job_id: int, result: str = "SUCCESS") -> None:
        """End a job by force."""
        await self.pool.execute(
            "UPDATE pipeline_jobs SET state = 'FINISHED', result = $2, finished_at = now()"
            " WHERE id = $1",
            *(job_id, result),
        )

    async def active(self) -> int:
        """The number of active jobs."""
        return await self.value("SELECT count(*) FROM pipeline_jobs WHERE state <> 'FINISHED'")

    async def quiet(self, engine: Engine, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109
        """Wait until no job is active anywhere and the engine has nothing to do."""
        await self.until(engine, self.active, timeout=timeout)
        # The task of a run ends a moment after its commit was told.
        await until(lambda: not engine.busy)

    async def until(
        self,
        engine: Engine,
        missing: Callable[[], Awaitable[int]],
        *,
        timeout: float = 30.0,  # noqa: ASYNC109
    ) -> None:
        """Wait until nothing is missing.

        Args:
            engine: When it was told that as many jobs have ended as were missing, it is time to
                look again; so it is after a moment.
            missing: Returns how many jobs must end at least.
            timeout: Seconds to wait.
        """
        left = 0
        changed = asyncio.Event()

        def told(event: JobEvent) -> None:
            nonlocal left
            left -= 1 if event.state == "FINISHED" else 0
            if left <= 0:
                changed.set()

        unsubscribe = engine.hub.subscribe(told)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    left = 0
                    changed.clear()
                    found = await missing()
                    if not found:
                        return
                    # Whether it found what ended meanwhile is unknown: better look too early.
                    left += found
                    if left > 0:
                        changed.clear()
                        await self._soon(changed)
        finally:
            unsubscribe()

    async def _soon(self, changed: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(0.25):
                await changed.wait()
        except TimeoutError:
            pass  # what is waited for may be no end of a job


class Gate:
    """Stops runs at a step until told to go on.

    Args:
        step: Name of the step.
        job_type: Only jobs of this type, if given.
    """

    def __init__(self, step: str, job_type: str | None = None) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.job: Job | None = None
        self._step = step
        self._job_type = job_type

    async def __call__(self, name: str, job: Job) -> None:
        if name == self._step and self._job_type in {None, job.job_type}:
            self.job = job
            self.reached.set()
            await self.open.wait()


async def soon(event: "asyncio.Event | Awaitable[Any]", seconds: float = 10.0) -> Any:
    """Wait for an event or an awaitable, at most some seconds."""
    async with asyncio.timeout(seconds):
        return await (event.wait() if isinstance(event, asyncio.Event) else event)
