"""Recover by hand, sweep automatically, cancel, abort."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from toy_pipelines import Lab

from pipelines import AGGREGATION_DEDUP, JobResult, JobState, chain_job
from pipelines.storage.claims import claim_job
from pipelines.storage.finishing import abort_pipeline, cancel_job
from pipelines.storage.recovery import recover_job, sweep_stuck_running_jobs

HOUR = timedelta(hours=1)


async def running(lab: Lab, *, stale: bool = False, **values: Any) -> int:
    job_id = (await lab.submit(**values)).job_id
    async with lab.pool.acquire() as connection:
        assert await claim_job(connection, job_id, f"owner-{job_id}")
    if stale:
        await lab.backdate(job_id)
    return job_id


async def test_recover_resets_a_stale_job_with_all_its_attempts(lab: Lab) -> None:
    job_id = await running(lab, stale=True)
    async with lab.pool.acquire() as connection:
        job = await recover_job(connection, job_id, HOUR)
    assert job is not None
    assert (job.state, job.locked_by, job.locked_at) == (JobState.NOT_STARTED, None, None)
    assert (job.attempts, job.is_current, job.run_after) == (0, False, None)


@pytest.mark.parametrize("state", ["fresh", "waiting", "finished", "missing"])
async def test_recover_refuses_what_is_not_stale(lab: Lab, state: str) -> None:
    job_id = await running(lab) if state == "fresh" else (await lab.submit()).job_id
    if state == "finished":
        await lab.finish(job_id)
    async with lab.pool.acquire() as connection:
        assert await recover_job(connection, job_id + (state == "missing"), HOUR) is None


async def test_a_running_job_without_a_lock_time_is_stale(lab: Lab) -> None:
    first, second = await running(lab, year=1), await running(lab, year=2)
    await lab.pool.execute("UPDATE pipeline_jobs SET locked_at = NULL")
    async with lab.pool.acquire() as connection:
        assert await recover_job(connection, first, HOUR)
        swept = await sweep_stuck_running_jobs(connection, HOUR)
    assert swept.recovered == (second,)


async def test_sweep_of_a_mixed_population_takes_what_is_stale_and_ends_what_is_exhausted(
    lab: Lab,
) -> None:
    fresh = await running(lab, year=1)
    stale = await running(lab, year=2, stale=True)
    exhausted = await running(lab, year=3, stale=True, max_attempts=1)
    waiting = (await lab.submit(year=4)).job_id
    async with lab.pool.acquire() as connection:
        swept = await sweep_stuck_running_jobs(connection, HOUR)
        assert swept.recovered == (stale,)
        assert [job.id for job in swept.abandoned] == [exhausted]
        again = await sweep_stuck_running_jobs(connection, HOUR)
    assert (again.recovered, again.abandoned) == ((), ())
    assert (await lab.job(stale)).attempts == 1, "kept, so that a crash loop ends"
    ended = await lab.job(exhausted)
    assert (ended.state, ended.result) == (JobState.FINISHED, JobResult.ERROR)
    assert "went silent" in (ended.status_message or "")
    assert (ended.is_current, ended.locked_by) == (False, None)
    assert (await lab.job(fresh)).state is JobState.RUNNING
    assert (await lab.job(waiting)).state is JobState.NOT_STARTED


async def test_sweep_does_not_wait_for_a_job_that_its_owner_is_ending(lab: Lab) -> None:
    job_id = await running(lab, stale=True)
    async with (
        lab.pool.acquire() as connection,
        lab.pool.acquire() as owner,
        owner.transaction(),
    ):
        await owner.execute("SELECT 1 FROM pipeline_jobs WHERE id = $1 FOR UPDATE", job_id)
        async with asyncio.timeout(5):
            swept = await sweep_stuck_running_jobs(connection, HOUR)
    assert swept.recovered == ()


async def test_w10_cancel_clears_the_lock_so_that_the_owner_has_lost_it(lab: Lab) -> None:
    job_id = await running(lab)
    async with lab.pool.acquire() as connection:
        done = await cancel_job(connection, job_id)
        assert done is not None
        assert await cancel_job(connection, job_id) is None
        assert await cancel_job(connection, job_id + 1) is None
    job = await lab.job(job_id)
    assert (job.state, job.result, job.locked_by) == ("FINISHED", "ERROR", None)
    assert (job.status_message, job.is_current) == ("Cancelled by user", False)
    assert job.meta["cancelled"] is True


async def test_abort_ends_all_active_jobs_of_a_pipeline(lab: Lab) -> None:
    submitted = await lab.submit()
    root = await lab.job(submitted.job_id)
    async with lab.pool.acquire() as connection, connection.transaction():
        await chain_job(connection, root, job_type="idle")
        await chain_job(connection, root, job_type="idle")
    await lab.finish(root.id)
    async with lab.pool.acquire() as connection:
        done = await abort_pipeline(connection, submitted.pipeline_id, "Ann")
        assert len(done) == 2
        assert await abort_pipeline(connection, submitted.pipeline_id, "Ann") == []
    for each in done:
        job = await lab.job(each.job.id)
        assert job.status_message == "Aborted by Ann"
        assert job.meta["aborted_by"] == "Ann"
    assert (await lab.job(root.id)).result is JobResult.SUCCESS


async def test_abort_also_ends_children_that_a_parent_commits_meanwhile(lab: Lab) -> None:
    submitted = await lab.submit()
    async with lab.pool.acquire() as parent, lab.pool.acquire() as other:
        root = await claim_job(parent, submitted.job_id, "a")
        assert root is not None
        block = parent.transaction()
        await block.start()
        await parent.execute(
            "UPDATE pipeline_jobs SET state = 'FINISHED', result = 'SUCCESS',"
            " finished_at = now() WHERE id = $1",
            root.id,
        )
        child = await chain_job(parent, root, job_type="idle")
        task = asyncio.create_task(abort_pipeline(other, submitted.pipeline_id, "Ann"))
        await lab.blocked()
        await block.commit()
        done = await task
    assert [each.job.id for each in done] == [child]


async def test_work_that_another_pipeline_waits_for_survives_an_abort(lab: Lab) -> None:
    scope: dict[str, Any] = {"module_type_id": 3, "year": 2025}
    first, second = await lab.submit(**scope), await lab.submit(job_type="other", **scope)
    async with lab.pool.acquire() as connection:
        async with connection.transaction():
            made = await chain_job(
                connection,
                await lab.job(first.job_id),
                job_type="aggregation",
                dedup_config=AGGREGATION_DEDUP,
            )
        async with connection.transaction():
            joined = await chain_job(
                connection,
                await lab.job(second.job_id),
                job_type="aggregation",
                dedup_config=AGGREGATION_DEDUP,
            )
        assert joined is None
        done = await abort_pipeline(connection, first.pipeline_id, "Ann")
    successors = [each.successor for each in done if each.successor is not None]
    assert len(successors) == 1
    assert made in [each.job.id for each in done]
    successor = await lab.job(successors[0])
    assert successor.pipeline_id == second.pipeline_id
    assert successor.parent_id == second.job_id
    assert successor.state is JobState.NOT_STARTED
