"""Seeded fault injection: whatever happens at whichever step, the totals are those of a quiet run.

Each schedule runs two ingests of one scope with one or two entry types each, three jobs at a
time, and injects one to three faults: a raise, a cancellation, lost connections, a job taken over
by another owner, a heartbeat that stalls. So recalculations of one ingest ask for the aggregation
that the other ingest's asked for, while it waits, runs, or fails.
"""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from toy_pipelines import Lab, fast, soon

from pipelines import Job, JobState, NewJob, PipelineStatus, open_pool, read_snapshot
from pipelines.run import RunEnd
from pipelines.runner import Runner
from pipelines.storage import jobs as job_storage
from pipelines.storage import polling
from pipelines.storage.connection import Connection, Pool, is_outage
from pipelines.storage.recovery import recover_job, sweep_stuck_running_jobs

STEPS = ("claimed", "handled", "finished", "chained", "committing")
KINDS = ("raise", "cancel", "cut", "steal", "stall")
GROUPS, EACH = 10, 20
AT_ONCE = 3
WINDOW = timedelta(seconds=0.6)
CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'victim'"""
ACTIVE = "SELECT EXISTS (SELECT 1 FROM pipeline_jobs WHERE state <> 'FINISHED')"


class InjectedError(Exception):
    pass


class Schedule:
    """One seed: which faults at which step of the how-manieth job.

    Args:
        seed: Of what is random.
        lab: A database with the toy tables.
        pool: For the runner; its connections may be cut.
        control: A connection for what polls and checks, one thing after the other.
    """

    def __init__(self, seed: int, lab: Lab, pool: Pool, control: Connection) -> None:
        self.random = random.Random(seed)
        self.year = 1_000 + seed
        self.lab = lab
        self.control = control
        self.seen: dict[str, int] = dict.fromkeys(STEPS, 0)
        self.faults: dict[tuple[str, int], str] = {}
        for _ in range(self.random.randint(1, 3)):
            place = (self.random.choice(STEPS), self.random.randint(1, 5))
            weights = (4, 4, 2, 4, 1)
            self.faults[place] = self.random.choices(KINDS, weights)[0]
        self.fired: list[str] = []
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.runner = Runner(
            pool,
            lab.registry,
            fast(stale_window=WINDOW, grace=timedelta(seconds=2), blocked_delay=timedelta(0)),
            step=self.step,
        )
        self.values = [
            {
                str(first + det): self.random.randint(1, 9)
                for det in range(self.random.randint(1, 2))
            }
            for first in (1, 11)
        ]
        self.submitted: list[tuple[UUID, dict[str, int]]] = []

    async def step(self, name: str, job: Job) -> None:
        self.seen[name] += 1
        kind = self.faults.pop((name, self.seen[name]), None)
        if kind is None:
            return
        self.fired.append(f"{kind} at {name} of {job.job_type} {job.id}")
        if kind == "raise":
            raise InjectedError("injected")
        if kind == "cut":
            await self.lab.pool.execute(CUT)
        elif kind == "cancel":
            self.tasks[job.id].cancel()
        elif name in {"finished", "chained", "committing"}:
            return  # its own transaction holds the row: it cannot be taken or kept from beating
        elif kind == "steal":
            await self._steal(job)
        else:
            await self._stall(job)

    async def _steal(self, job: Job) -> None:
        await self.lab.backdate(job.id)
        async with self.lab.pool.acquire() as connection:
            assert await recover_job(connection, job.id, WINDOW)

    async def _stall(self, job: Job) -> None:
        async with self.lab.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM pipeline_jobs WHERE id = $1 FOR UPDATE", job.id)
            await asyncio.Event().wait()

    async def submit(self, values: dict[str, int]) -> tuple[UUID, dict[str, int]]:
        new = NewJob(
            job_type="csv_ingest",
            module_type_id=1,
            year=self.year,
            data_entry_type_id=int(min(values)),
            config={"values": values},
        )
        made = await job_storage.submit(self.control, new)
        return made.pipeline_id, values

    async def play(self) -> None:
        self.submitted = [await self.submit(values) for values in self.values]
        await self.drain()
        # What ended with an error is asked for again, as an operator would.
        while failed := [each for each in self.submitted if await self._failed(each[0])]:
            again = [await self.submit(values) for _pipeline, values in failed]
            self.submitted = [each for each in self.submitted if each not in failed] + again
            await self.drain()

    async def _failed(self, pipeline_id: UUID) -> bool:
        snapshot = await read_snapshot(self.control, pipeline_id, self.lab.registry.chain)
        assert snapshot is not None
        assert snapshot.progress.done, self.fired
        if not snapshot.progress.has_error:
            assert snapshot.progress.status is PipelineStatus.SUCCESS, self.fired
        return snapshot.progress.has_error

    async def drain(self) -> None:
        while True:
            if not self.tasks:
                await self._sweep()
            found = []
            if len(self.tasks) < AT_ONCE:
                found = await polling.next_jobs(
                    self.control,
                    AT_ONCE - len(self.tasks),
                    without=self.tasks,
                    job_types=self.lab.registry.job_types,
                )
            self.random.shuffle(found)
            for job_id in found:
                self.tasks[job_id] = asyncio.create_task(self.runner.run_job(job_id))
            if not self.tasks:
                if not await self.control.fetchval(ACTIVE):
                    return
                continue
            done, _ = await asyncio.wait(self.tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            for job_id in [key for key, task in self.tasks.items() if task in done]:
                self._ended(self.tasks.pop(job_id))

    async def _sweep(self) -> None:
        # Nobody works: a lock that is left belongs to nobody.
        await self.control.execute(
            "UPDATE pipeline_jobs SET locked_at = NULL WHERE state = 'RUNNING' AND year = $1",
            self.year,
        )
        await sweep_stuck_running_jobs(self.control, timedelta(hours=1))

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        # A claim may meet a connection that was cut; the poller tries again.
        assert error is None or is_outage(error), self.fired
        assert error is not None or task.result().end in set(RunEnd)

    async def check(self) -> None:
        control, year = self.control, self.year
        expected = {int(det): value for values in self.values for det, value in values.items()}
        rows = await control.fetch("SELECT det, value FROM toy_inputs WHERE year = $1", year)
        assert {row["det"]: int(row["value"]) for row in rows} == expected, self.fired
        total = await control.fetchval("SELECT total FROM toy_totals WHERE year = $1", year)
        assert total == 2 * sum(expected.values()), self.fired
        rows = await control.fetch(
            "SELECT id, state, result, e.job_id FROM pipeline_jobs"
            " LEFT JOIN toy_effects e ON e.job_id = id WHERE year = $1",
            year,
        )
        for row in rows:
            assert row["state"] == JobState.FINISHED, self.fired
            assert (row["job_id"] is not None) == (row["result"] != "ERROR"), self.fired


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.parametrize("group", range(GROUPS))
async def test_totals_equal_those_of_an_undisturbed_run(lab: Lab, group: int) -> None:
    pool = await open_pool(lab.url, concurrency=4, application_name="victim")
    fired = 0
    try:
        async with lab.pool.acquire() as control:
            # It asks the same hundreds of times: to plan that once is enough.
            await control.execute("SET plan_cache_mode = force_generic_plan")
            for seed in range(group * EACH, (group + 1) * EACH):
                schedule = Schedule(seed, lab, pool, control)
                async with asyncio.timeout(20):
                    await schedule.play()
                    await schedule.check()
                fired += len(schedule.fired)
    finally:
        pool.terminate()
    assert fired > EACH / 2
    await soon(pool.close())
