"""Recalculations of modules and years, and what is due to be recalculated."""

from emissions_lab import ENERGY, PROCESS, PURCHASE, SAMPLE, YEAR, EmissionsLab, job_of

from handlers.emissions.service import dispatch_recalculation, recalculation_status
from pipelines import JobResult, Snapshot


async def test_factors_without_a_module_recalculate_all_that_is_due_in_the_year(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "process", "energy")
    await emissions.pool.execute(
        "DELETE FROM pipeline_jobs WHERE job_type = 'emission_recalc' AND module_type_id = $1",
        PROCESS,
    )
    path = SAMPLE / "factors_purchase.csv"
    snapshot = await emissions.upload(engine, path, target="factors", module=None)
    recalcs = [job for job in snapshot.jobs if job.job_type == "emission_recalc"]
    scopes = {(job.module_type_id, job.data_entry_type_id) for job in recalcs}
    assert scopes == {(PURCHASE, 61), (PURCHASE, 64), (PROCESS, 50)}
    aggregations = [job for job in snapshot.jobs if job.job_type == "aggregation"]
    assert sorted(job.module_type_id or 0 for job in aggregations) == [PURCHASE, PROCESS]
    text = "name,category,ef_kg_co2eq_per_unit\nco2,co2,1\n"
    (root,) = (await emissions.upload(engine, text, target="factors", module=None)).jobs
    assert root.status_message == "the columns of the file do not tell its module: name it"


async def test_module_recalculation_does_several_types_and_one_aggregation(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "purchase")
    await emissions.pool.execute("DELETE FROM data_entry_emissions")
    submitted = await dispatch_recalculation(engine, module=PURCHASE, year=YEAR)
    snapshot = await emissions.ended(engine, submitted)
    root = job_of(snapshot, "module_emission_recalc")
    assert root.result is JobResult.SUCCESS
    assert {key: det["result"] for key, det in root.meta["dets"].items()} == {
        "61": "SUCCESS",
        "64": "SUCCESS",
    }
    assert job_of(snapshot, "aggregation").result is JobResult.SUCCESS
    assert await emissions.module_total("U-100", PURCHASE) == 350


async def broken(emissions: EmissionsLab, det: int | None) -> Snapshot:
    """Recalculate purchases while one type, or all, cannot be written."""
    engine = await emissions.engine()
    await emissions.sample(engine, "purchase")
    types = "61, 64" if det is None else str(det)
    await emissions.pool.execute(
        "CREATE OR REPLACE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'broken'; END $$;"
        " CREATE TRIGGER break_it BEFORE INSERT ON data_entry_emissions FOR EACH ROW"
        f" WHEN (NEW.emission_type_id IN ({types.replace('61', '90300').replace('64', '90600')}))"
        " EXECUTE FUNCTION break_it()"
    )
    try:
        submitted = await dispatch_recalculation(engine, module=PURCHASE, year=YEAR)
        return await emissions.ended(engine, submitted)
    finally:
        await emissions.pool.execute("DROP FUNCTION break_it() CASCADE")


async def test_module_recalculation_with_one_failing_type_is_a_warning(
    emissions: EmissionsLab,
) -> None:
    snapshot = await broken(emissions, 64)
    root = job_of(snapshot, "module_emission_recalc")
    assert root.result is JobResult.WARNING
    assert root.status_message == "WARNING: 1 of 2 entry types recalculated, see the details"
    assert root.meta["dets"]["64"] == {"result": "ERROR", "message": "broken"}
    assert root.meta["dets"]["61"]["recalculated"] == 2
    assert job_of(snapshot, "aggregation").result is JobResult.SUCCESS
    assert await emissions.module_total("U-100", PURCHASE) == 350, "the old emission stays"
    async with emissions.pool.acquire() as connection:
        status = await recalculation_status(connection, YEAR)
    assert [each.data_entry_type_id for each in status if each.needs_recalculation] == [64]


async def test_module_recalculation_that_fails_for_all_types_chains_nothing(
    emissions: EmissionsLab,
) -> None:
    (root,) = (await broken(emissions, None)).jobs
    assert root.result is JobResult.ERROR
    assert root.status_message == "ERROR: all 2 entry types failed: broken"


async def test_status_tells_which_types_are_older_than_their_factors(
    emissions: EmissionsLab,
) -> None:
    async def stale() -> list[int]:
        async with emissions.pool.acquire() as connection:
            status = await recalculation_status(connection, YEAR)
        return [each.data_entry_type_id for each in status if each.needs_recalculation]

    engine = await emissions.engine()
    assert await stale() == []
    await emissions.sample(engine, "energy")
    assert await stale() == []
    await emissions.pool.execute("DELETE FROM pipeline_jobs WHERE job_type = 'emission_recalc'")
    assert await stale() == [31]
    await emissions.ended(
        engine,
        await dispatch_recalculation(engine, module=ENERGY, year=YEAR, data_entry_types=(31,)),
    )
    assert await stale() == []
    await emissions.pool.execute(
        "UPDATE pipeline_jobs SET result = 'ERROR' WHERE job_type = 'emission_recalc'"
    )
    assert await stale() == [31]
