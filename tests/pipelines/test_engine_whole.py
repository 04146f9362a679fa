"""Whole chains through one engine."""

from toy_pipelines import Lab, fast

from pipelines import IngestionMethod, JobResult, NewJob, PipelineStatus
from pipelines.run import RunEnd
from pipelines.runner import Runner
from pipelines.storage.finishing import cancel_job


async def test_a_chain_runs_to_its_end_in_one_pipeline(lab: Lab) -> None:
    engine = await lab.started()
    submitted = await engine.submit(
        NewJob(
            job_type="csv_ingest",
            module_type_id=3,
            year=2025,
            tenant_id="U-100",
            ingestion_method=IngestionMethod.csv,
            config={"values": {"31": 10, "32": 5}},
        )
    )
    await lab.quiet(engine)
    jobs = await lab.jobs(submitted.pipeline_id)
    assert [job.job_type for job in jobs] == [
        "csv_ingest",
        "emission_recalc",
        "emission_recalc",
        "aggregation",
    ]
    assert {job.result for job in jobs} == {JobResult.SUCCESS}
    assert {job.tenant_id for job in jobs} == {"U-100"}
    assert jobs[-1].data_entry_type_id is None
    assert await lab.value("SELECT total FROM toy_totals") == 30
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert snapshot.pipeline.status is PipelineStatus.SUCCESS


async def test_the_trailing_aggregation_waits_for_all_siblings_whatever_becomes_of_them(
    lab: Lab,
) -> None:
    submitted = await lab.submit(
        "csv_ingest", module_type_id=3, year=2025, config={"values": {"31": 1, "32": 2}}
    )
    runner = Runner(lab.pool, lab.registry, fast())
    first, second = (await runner.run_job(submitted.job_id)).created
    (aggregation,) = (await runner.run_job(first)).created
    assert (await runner.run_job(aggregation)).end is RunEnd.NOT_CLAIMED
    async with lab.pool.acquire() as connection:
        assert await cancel_job(connection, second)
    assert (await runner.run_job(aggregation)).end is RunEnd.FINISHED
    assert await lab.value("SELECT total FROM toy_totals") == 2
