"""Real processes on one database: killed at each step, and two that share a thousand jobs."""

import random
import signal
from datetime import timedelta

import pytest
import toy_child
from toy_pipelines import Lab, fast

from pipelines import JobState, NewJob, PipelineStatus
from pipelines.storage import jobs as job_storage
from tests.forked import forked
from tests.waiting import until

WINDOW = 2.0
LONG = 60.0
POLL = 0.5


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.parametrize("step", ["claimed", "handled", "finished", "chained", "committing"])
async def test_a_process_killed_at_any_step_loses_and_doubles_nothing(lab: Lab, step: str) -> None:
    async with forked(toy_child.serve, lab.url, LONG, 4, step) as process:
        await process.ready()
        submitted = await lab.submit(
            "csv_ingest", module_type_id=3, year=2025, config={"values": {"31": 1, "32": 2}}
        )
        assert await process.wait() == -signal.SIGKILL
    assert (await lab.job(submitted.job_id)).state is JobState.RUNNING
    await lab.pass_window()
    engine = await lab.started()
    await lab.quiet(engine)
    assert await lab.value("SELECT total FROM toy_totals") == 6
    assert await lab.value("SELECT count(*) FROM toy_effects") == 4
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert snapshot.progress.status is PipelineStatus.SUCCESS
    assert (await lab.job(submitted.job_id)).attempts == 2


FROZEN = 2.5
"""Stale window in seconds: no busy machine must take the jobs of the process that is awake."""


@pytest.mark.parametrize("step", ["claimed", "handled", "finished", "committing"])
async def test_u1_a_process_that_was_frozen_changes_nothing_when_it_wakes(
    lab: Lab, step: str
) -> None:
    async with forked(toy_child.serve, lab.url, FROZEN, 4, step, signal.SIGSTOP) as process:
        await process.ready()
        submitted = await lab.submit(
            "csv_ingest", module_type_id=3, year=2025, config={"values": {"31": 1, "32": 2}}
        )

        async def claimed() -> bool:
            return (await lab.job(submitted.job_id)).attempts > 0

        await until(claimed)  # the other process is to be the first owner
        window = timedelta(seconds=FROZEN)
        settings = fast(pod="waking", stale_window=window, poll_interval=window / 4)
        engine = await lab.started(settings=settings)
        await lab.quiet(engine)
        columns = "SELECT jobs::text FROM pipeline_jobs AS jobs ORDER BY id"
        before = await lab.fetch(columns)
        process.send_signal(signal.SIGCONT)
        process.leave()
        assert await process.wait() == 0
    assert await lab.fetch(columns) == before, "it woke, noticed, and left all rows alone"
    root = await lab.job(submitted.job_id)
    assert (root.attempts, (root.locked_by or "").split(":")[0]) == (2, "waking")
    assert await lab.value("SELECT total FROM toy_totals") == 6
    assert await lab.value("SELECT count(*) FROM toy_effects") == 4


async def submit_many(lab: Lab, number: int, seed: int) -> None:
    """Submit ingests at once, each of its own scope so that they may run side by side."""
    rng = random.Random(seed)
    async with lab.pool.acquire() as connection, connection.transaction():
        for index in range(number):
            module, year, det = rng.randint(1, 5), 2025, rng.randint(1, 3)
            new = NewJob(
                job_type="csv_ingest",
                module_type_id=module,
                year=year,
                scope_key=None,
                data_entry_type_id=index,
                tenant_id=f"tenant-{index % 7}",
                config={"values": {str(det): index}},
            )
            await job_storage.submit(connection, new)


async def check(lab: Lab) -> None:
    rows = await lab.fetch(
        "SELECT id, state, result, effect.job_id FROM pipeline_jobs"
        " LEFT JOIN toy_effects AS effect ON effect.job_id = id"
    )
    assert {row["state"] for row in rows} == {"FINISHED"}
    assert {row["result"] for row in rows} == {"SUCCESS"}
    assert all(row["job_id"] is not None for row in rows), "each effect exactly once"
    stale = await lab.fetch(
        "SELECT module, total, sum(value) FROM toy_totals LEFT JOIN toy_inputs"
        " USING (module, year) GROUP BY module, total HAVING total <> 2 * sum(value)"
    )
    assert stale == [], "the last total of each module is that of its last inputs"
    assert await lab.value("SELECT count(*) FROM toy_totals") == 5
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await lab.value(deadlocks) == 0
    assert await lab.value("SELECT count(*) FROM pipeline_joins WHERE waits_for_rerun") == 0


@pytest.mark.long
@pytest.mark.thorough
async def test_two_processes_share_a_thousand_jobs_and_one_is_killed_in_the_middle(
    lab: Lab,
) -> None:
    roots = 1_000
    serving = (toy_child.serve, lab.url, WINDOW)
    async with forked(*serving) as first, forked(*serving) as second:
        await first.ready()
        await second.ready()
        watcher = await lab.started(settings=fast(run_jobs=False))
        # Not before they work: each would check a thousand pipelines when it begins.
        await submit_many(lab, roots, seed=7)
        done = "SELECT count(*) FROM pipeline_jobs WHERE state = 'FINISHED'"

        async def half() -> int:
            return max(0, roots // 2 - await lab.value(done))

        await lab.until(watcher, half, timeout=60)
        first.kill()
        assert await first.wait() == -signal.SIGKILL
        killed = await lab.value("SELECT clock_timestamp()")
        left = await lab.fetch(
            "SELECT id FROM pipeline_jobs WHERE state = 'RUNNING' AND locked_by LIKE $1",
            f"child-{first.pid}:%",
        )
        await lab.quiet(watcher, timeout=90)
    assert await lab.value("SELECT count(*) FROM pipeline_jobs") > roots
    await check(lab)
    for row in left:
        job = await lab.job(row["id"])
        assert job.locked_by is not None
        assert job.locked_by.startswith(f"child-{second.pid}:")
        assert job.claimed_at is not None
        # The window, one sweep, one poll; the machine may be busy with other tests.
        assert (job.claimed_at - killed).total_seconds() < WINDOW + 2 * POLL + 5


async def test_a_process_that_stops_releases_what_it_runs(lab: Lab) -> None:
    async with forked(toy_child.serve, lab.url, 60) as process:
        await process.ready()
        async with lab.pool.acquire() as blocker, blocker.transaction():
            await blocker.execute("LOCK TABLE toy_effects IN ACCESS EXCLUSIVE MODE")
            submitted = await lab.submit()
            await lab.submit("csv_ingest", module_type_id=3, year=2025)
            await lab.blocked()
            process.leave()
            assert await process.wait() == 0
        ingest = (await lab.jobs())[1]
        assert (ingest.state, ingest.locked_by) == (JobState.NOT_STARTED, None)
        assert ingest.attempts == 0
        assert (await lab.job(submitted.job_id)).state is not JobState.RUNNING
    assert await lab.value("SELECT count(*) FROM pipeline_pods") == 0
