"""The reconciler repairs what was left behind, whatever the stored status says (H1, H2, W7)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from toy_pipelines import Lab, fast

from pipelines import AGGREGATION_DEDUP, Job, JobResult, NewJob, chain_job
from pipelines.reconciler import Reconciler
from pipelines.storage.status import recompute

SCOPE: dict[str, Any] = {"module_type_id": 3, "year": 2025}


def reconciler(lab: Lab, **settings: Any) -> Reconciler:
    return Reconciler(lab.pool, lab.registry, fast(**settings))


async def status(lab: Lab, pipeline_id: object) -> str:
    return await lab.value("SELECT status FROM pipelines WHERE id = $1", pipeline_id)


async def silent_recalc(lab: Lab) -> Any:
    """A pipeline whose recalculation ended without chaining its aggregation."""
    submitted = await lab.submit("emission_recalc", data_entry_type_id=31, **SCOPE)
    await lab.finish(submitted.job_id)
    return submitted


@pytest.mark.parametrize("stored", ["NOT_STARTED", "RUNNING", "SUCCESS", "PARTIAL", "FAILED"])
async def test_h1_a_missing_aggregation_is_inserted_whatever_the_stored_status(
    lab: Lab, stored: str
) -> None:
    submitted = await silent_recalc(lab)
    await lab.pool.execute("UPDATE pipelines SET status = $1, finished_at = now()", stored)
    await reconciler(lab).pass_once()
    jobs = await lab.jobs(submitted.pipeline_id)
    assert [job.job_type for job in jobs] == ["emission_recalc", "aggregation"]
    assert await status(lab, submitted.pipeline_id) == "RUNNING"
    engine = await lab.started()
    await lab.quiet(engine)
    await reconciler(lab).pass_once()
    assert await status(lab, submitted.pipeline_id) == "SUCCESS"
    assert len(await lab.jobs()) == 2, "repaired once"


async def test_two_reconcilers_repair_once(lab: Lab) -> None:
    await silent_recalc(lab)
    await asyncio.gather(*(reconciler(lab).pass_once() for _ in range(4)))
    assert len(await lab.jobs()) == 2


async def test_what_is_missing_is_given_time_before_it_is_repaired(lab: Lab) -> None:
    submitted = await silent_recalc(lab)
    await reconciler(lab, repair_after=timedelta(hours=1)).pass_once()
    assert len(await lab.jobs(submitted.pipeline_id)) == 1


async def test_a_missing_aggregation_joins_one_that_is_active(lab: Lab) -> None:
    other = await lab.job((await lab.submit(**SCOPE)).job_id)
    async with lab.pool.acquire() as connection, connection.transaction():
        active = await chain_job(
            connection, other, job_type="aggregation", dedup_config=AGGREGATION_DEDUP
        )
    submitted = await silent_recalc(lab)
    await reconciler(lab).pass_once()
    joined = "SELECT job_id FROM pipeline_joins WHERE requester_id = $1"
    assert await lab.value(joined, submitted.job_id) == active


async def test_w7_a_stored_status_that_differs_from_the_jobs_is_corrected(lab: Lab) -> None:
    submitted = await lab.submit(**SCOPE)
    await lab.finish(submitted.job_id, "ERROR")
    await lab.pool.execute("UPDATE pipelines SET status = 'SUCCESS', finished_at = now()")
    with capture_logs() as logs:
        await reconciler(lab).pass_once()
        await reconciler(lab).pass_once()
    assert await status(lab, submitted.pipeline_id) == "FAILED"
    assert [line["event"] for line in logs].count("pipeline_status_repaired") == 1


async def test_a_pipeline_that_rests_for_long_is_left_alone(lab: Lab) -> None:
    submitted = await lab.submit(**SCOPE)
    await lab.finish(submitted.job_id)
    await lab.pool.execute("UPDATE pipeline_jobs SET finished_at = now() - interval '30 days'")
    await lab.pool.execute(
        "UPDATE pipelines SET status = 'FAILED', updated_at = now() - interval '20 days',"
        " finished_at = now() - interval '20 days'"
    )
    await reconciler(lab).pass_once()
    assert await status(lab, submitted.pipeline_id) == "FAILED"


async def test_h2_a_parent_that_fails_at_its_commit_leaves_no_child_to_run(lab: Lab) -> None:
    seen: list[str] = []

    async def step(name: str, job: Job) -> None:
        seen.append(job.job_type)
        if name == "committing" and job.job_type == "csv_ingest":
            raise ValueError("the disk is full")

    engine = await lab.started(step=step)
    submitted = await engine.submit(
        NewJob(job_type="csv_ingest", config={"values": {"31": 1}}, **SCOPE)
    )
    await lab.quiet(engine)
    (root,) = await lab.jobs()
    assert root.status_message == "the disk is full"
    assert set(seen) == {"csv_ingest"}
    assert await status(lab, submitted.pipeline_id) == "FAILED"
    assert await lab.value("SELECT count(*) FROM toy_inputs") == 0


async def test_the_stored_status_of_all_who_joined_follows_the_job(lab: Lab) -> None:
    engine = await lab.started()
    submissions = [
        await engine.submit(
            NewJob(job_type="csv_ingest", config={"values": {"31": n}}, entity_id=n, **SCOPE)
        )
        for n in range(3)
    ]
    await lab.quiet(engine)
    for submitted in submissions:
        async with lab.pool.acquire() as connection:
            progress, changed = await recompute(
                connection, submitted.pipeline_id, lab.registry.chain
            )
        assert progress is not None
        assert (progress.status, changed) == ("SUCCESS", False)


async def test_jobs_of_types_that_nobody_knows_are_reported(lab: Lab) -> None:
    await lab.submit("forgotten")
    with capture_logs() as logs:
        await reconciler(lab).pass_once()
    (line,) = [each for each in logs if each["event"] == "job_type_unknown"]
    assert (line["job_type"], line["jobs"]) == ("forgotten", 1)


async def test_a_failed_job_is_not_repaired(lab: Lab) -> None:
    submitted = await lab.submit("emission_recalc", data_entry_type_id=31, **SCOPE)
    await lab.finish(submitted.job_id, JobResult.ERROR)
    await reconciler(lab).pass_once()
    assert len(await lab.jobs()) == 1
