"""W17: a process killed at any step of any job leaves the totals of an undisturbed run."""

import asyncio
import signal

import emissions_child
import pytest
from emissions_lab import PROCESS, PURCHASE, SAMPLE, YEAR, EmissionsLab

from handlers.emissions.dispatch import report_module
from handlers.emissions.inputs import store_input
from pipelines import EntityType, NewJob, PipelineStatus
from pipelines.storage import jobs as job_storage
from tests.forked import forked

STEPS = ("claimed", "handled", "finished", "chained", "committing")
WINDOW = 60.0


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.parametrize("job_type", ["csv_ingest", "emission_recalc", "aggregation"])
@pytest.mark.parametrize("step", STEPS)
async def test_w17_killed_process_loses_and_doubles_nothing(
    emissions: EmissionsLab, step: str, job_type: str
) -> None:
    setup = await emissions.engine()
    await emissions.sample(setup, "process")
    path = SAMPLE / "factors_purchase.csv"
    await emissions.upload(setup, path, target="factors", module=PURCHASE)
    await setup.stop()
    async with forked(emissions_child.serve, emissions.url, WINDOW, step, job_type) as child:
        await child.ready()
        pipelines = [await submit(emissions, None), await submit(emissions, "U-100")]
        assert await child.wait() == -signal.SIGKILL
    await emissions.pass_window()
    engine = await emissions.engine()
    for submitted in pipelines:
        snapshot = await emissions.ended(engine, submitted)
        assert snapshot.progress.status is PipelineStatus.SUCCESS, snapshot.progress
    assert await emissions.module_total("U-100", PROCESS) == 225
    assert await emissions.module_total("U-100", PURCHASE) == 700
    assert await emissions.value("SELECT count(*) FROM data_entries") == 9
    assert await emissions.value("SELECT count(*) FROM data_entry_emissions") == 9
    assert not await emissions.value("SELECT count(*) FROM pipeline_jobs WHERE state = 'RUNNING'")


async def submit(emissions: EmissionsLab, unit: str | None) -> job_storage.Submitted:
    """Submit the purchases, for all units or added for one, without running them here."""
    content = await asyncio.to_thread((SAMPLE / "data_purchase.csv").read_bytes)
    async with emissions.pool.acquire() as connection:
        digest = await store_input(connection, "data_purchase.csv", content)
        entity = None
        if unit is not None:
            entity = await report_module(connection, unit, YEAR, PURCHASE)
        kind = EntityType.MODULE_PER_YEAR if unit is None else EntityType.MODULE_UNIT_SPECIFIC
        new = NewJob(
            job_type="csv_ingest",
            config={"input": digest},
            tenant_id=unit,
            entity_type=kind,
            entity_id=entity,
            module_type_id=PURCHASE,
            year=YEAR,
        )
        return await job_storage.submit(connection, new)
