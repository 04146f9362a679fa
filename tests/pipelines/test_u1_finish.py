"""Unit 1: a job is finished by its owner, by compare-and-set, and by nobody else."""

from datetime import timedelta

import pytest
from toy_pipelines import Lab

from pipelines import Job, JobResult, JobState
from pipelines.settings import owner_token
from pipelines.storage.claims import claim_job, heartbeat, release, update_progress
from pipelines.storage.finishing import finish_job
from pipelines.storage.recovery import recover_job

HOUR = timedelta(hours=1)


async def claimed(lab: Lab, job_id: int, owner: str) -> Job:
    async with lab.pool.acquire() as connection:
        job = await claim_job(connection, job_id, owner)
    assert job is not None
    return job


@pytest.mark.parametrize("pods", [("pod-a", "pod-b"), ("pod-a", "pod-a")])
async def test_finish_of_a_preempted_owner_changes_nothing_on_two_pods_and_on_one(
    lab: Lab, pods: tuple[str, str]
) -> None:
    first, second = owner_token(pods[0]), owner_token(pods[1])
    job_id = (await lab.submit()).job_id
    await claimed(lab, job_id, first)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        assert await recover_job(connection, job_id, HOUR)
        await claimed(lab, job_id, second)
        assert not await finish_job(
            connection, job_id, first, JobResult.ERROR, "mine", {"from": "first"}
        )
        job = await lab.job(job_id)
        assert (job.state, job.locked_by, job.attempts) == (JobState.RUNNING, second, 1)
        assert (job.result, job.finished_at, job.status_message) == (None, None, None)
        assert "from" not in job.meta
        assert await finish_job(connection, job_id, second, JobResult.SUCCESS, "done", {"n": 1})
    job = await lab.job(job_id)
    assert (job.state, job.result, job.status_message) == ("FINISHED", "SUCCESS", "done")
    assert job.finished_at is not None
    assert job.meta["n"] == 1
    assert job.locked_by == second, "kept as a trace"


async def test_no_write_of_a_stale_owner_changes_the_row(lab: Lab) -> None:
    first, second = owner_token("pod"), owner_token("pod")
    job_id = (await lab.submit()).job_id
    await claimed(lab, job_id, first)
    await lab.backdate(job_id)
    async with lab.pool.acquire() as connection:
        await recover_job(connection, job_id, HOUR)
        await claimed(lab, job_id, second)
        before = await lab.value("SELECT j::text FROM pipeline_jobs j WHERE id = $1", job_id)
        assert await heartbeat(connection, job_id, first) == 0
        assert not await update_progress(connection, job_id, first, status_message="old")
        assert not await release(connection, job_id, first)
        assert not await finish_job(connection, job_id, first, JobResult.SUCCESS)
        after = await lab.value("SELECT j::text FROM pipeline_jobs j WHERE id = $1", job_id)
    assert before == after


async def test_a_finished_job_is_not_finished_again(lab: Lab) -> None:
    job_id = (await lab.submit()).job_id
    await claimed(lab, job_id, "a")
    async with lab.pool.acquire() as connection:
        assert await finish_job(connection, job_id, "a", JobResult.SUCCESS)
        first = await lab.job(job_id)
        assert not await finish_job(connection, job_id, "a", JobResult.ERROR, "again")
    assert await lab.job(job_id) == first


async def test_owner_tokens_are_unique_per_claim_on_one_pod() -> None:
    tokens = {owner_token("pod") for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(token.startswith("pod:") for token in tokens)


async def test_message_and_meta_are_left_alone_unless_given(lab: Lab) -> None:
    job_id = (await lab.submit(config={"file": "a.csv"})).job_id
    await claimed(lab, job_id, "a")
    async with lab.pool.acquire() as connection:
        await update_progress(
            connection, job_id, "a", status_message="half", meta={"rows": 1, "_private": 2}
        )
        assert await finish_job(connection, job_id, "a", JobResult.WARNING)
    job = await lab.job(job_id)
    assert job.status_message == "half"
    assert job.meta["rows"] == 1
    assert "_private" not in job.meta
    assert job.config == {"file": "a.csv"}
    assert job.meta["completed_at"].endswith("Z")


async def test_text_that_the_database_refuses_is_stored_readable(lab: Lab) -> None:
    job_id = (await lab.submit()).job_id
    await claimed(lab, job_id, "a")
    async with lab.pool.acquire() as connection:
        assert await finish_job(
            connection, job_id, "a", JobResult.ERROR, "a\x00b\ud800", {"k\x00": "\x00"}
        )
    assert (await lab.job(job_id)).status_message == "a\ufffdb\ufffd"


async def test_a_released_job_can_be_claimed_and_its_attempt_given_back(lab: Lab) -> None:
    job_id = (await lab.submit(max_attempts=1)).job_id
    await claimed(lab, job_id, "a")
    async with lab.pool.acquire() as connection:
        assert not await release(connection, job_id, "a"), "no attempt left"
        assert await release(connection, job_id, "a", give_back=True)
    job = await lab.job(job_id)
    assert (job.state, job.locked_by, job.attempts) == (JobState.NOT_STARTED, None, 0)
    await claimed(lab, job_id, "b")
