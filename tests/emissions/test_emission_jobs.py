"""The job types: what they write, what they chain, and what they say about it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from emissions_lab import ENERGY, PROCESS, PURCHASE, SAMPLE, YEAR, EmissionsLab, job_of
from structlog.testing import capture_logs

from handlers.emissions.service import (
    JOB_TYPES,
    DispatchError,
    dispatch_ingest,
    register,
)
from pipelines import (
    EntityType,
    Job,
    JobResult,
    JobState,
    NewJob,
    PipelineStatus,
    Registry,
    Snapshot,
)
from pipelines.registry import HandlerError

FACTORS = "name,ef_kg_co2eq_per_unit\nNatural gas,0.5\n"
DATA = "unit_institutional_id,name,quantity\n"


def test_registry_has_every_job_type_that_is_promised() -> None:
    registry = register(Registry())
    assert registry.job_types == JOB_TYPES
    for job_type in JOB_TYPES - {"unit_sync"}:
        assert registry.chain(job_type).phase_of("aggregation") == 3
    with pytest.raises(HandlerError):
        register(registry)


async def test_u2_aggregation_follows_a_recalculation_that_ends_with_a_warning(
    emissions: EmissionsLab,
) -> None:
    # Unit 2: one entry of ten thousand has no factor.
    engine = await emissions.engine()
    await emissions.upload(engine, FACTORS, target="factors", module=ENERGY)
    rows = "U-100,Natural gas,2\n" * 9_999 + "U-100,Wood,2\n"
    snapshot = await emissions.upload(engine, DATA + rows, module=ENERGY)
    recalc, aggregation = job_of(snapshot, "emission_recalc"), job_of(snapshot, "aggregation")
    assert recalc.result is JobResult.WARNING
    assert recalc.meta["recalculated"] == 9_999
    assert recalc.meta["unmatched"] == 1
    assert recalc.meta["chained"] == [
        {"job_type": "aggregation", "job_id": aggregation.id, "joined": False, "rerun": False}
    ]
    assert aggregation.pipeline_id == recalc.pipeline_id
    assert (aggregation.module_type_id, aggregation.year) == (ENERGY, YEAR)
    assert aggregation.data_entry_type_id is None
    assert await emissions.module_total("U-100", ENERGY) == 9_999
    assert snapshot.progress.status is PipelineStatus.SUCCESS


async def test_w4_data_before_any_factor_ends_at_once_and_writes_nothing(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    snapshot = await emissions.upload(engine, DATA + "U-100,Gas,1\n" * 9, module=ENERGY)
    (root,) = snapshot.jobs
    assert root.result is JobResult.ERROR
    assert root.status_message == "upload factors first: 2025 has none for energy_combustion"
    assert snapshot.progress.status is PipelineStatus.FAILED
    assert await emissions.value("SELECT count(*) FROM carbon_reports") == 0


async def test_w4_data_waits_for_factors_that_are_on_their_way(emissions: EmissionsLab) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def step(name: str, job: Job) -> None:
        if (name, job.job_type) == ("handled", "factor_ingest"):
            reached.set()
            await go_on.wait()

    engine = await emissions.engine(step=step)
    factors = await emissions.dispatch(engine, FACTORS, target="factors", module=ENERGY)
    await reached.wait()
    data = await emissions.dispatch(engine, DATA + "U-100,Natural gas,4\n", module=ENERGY)
    await emissions.blocked()
    go_on.set()
    assert (await emissions.ended(engine, factors)).progress.status is PipelineStatus.SUCCESS
    assert (await emissions.ended(engine, data)).progress.status is PipelineStatus.SUCCESS
    assert await emissions.module_total("U-100", ENERGY) == 2


async def test_w4_data_is_put_back_while_factors_wait_for_their_turn(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    async with emissions.pool.acquire() as connection:
        await connection.execute(
            "WITH made AS (INSERT INTO pipelines (kind) VALUES ('factor_ingest') RETURNING id)"
            " INSERT INTO pipeline_jobs (pipeline_id, job_type, module_type_id, year, run_after)"
            " SELECT id, 'factor_ingest', 3, 2025, now() + interval '1 hour' FROM made"
        )
    released = asyncio.Event()
    engine.hub.subscribe(
        lambda event: (
            released.set()
            if (event.job_type, event.state) == ("csv_ingest", "NOT_STARTED")
            else None
        )
    )
    data = await emissions.dispatch(engine, DATA + "U-100,Natural gas,4\n", module=ENERGY)
    async with asyncio.timeout(10):
        while True:
            job = await engine.job(data.job_id)
            assert job is not None
            if job.attempts and job.state is JobState.NOT_STARTED:
                break
            released.clear()
            await asyncio.wait([asyncio.create_task(released.wait())], timeout=0.2)
    assert job.status_message == "factors are being uploaded"


async def test_nothing_usable_is_an_error_that_says_so(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "energy")
    before = await emissions.fetch("SELECT * FROM data_entries ORDER BY id")
    snapshot = await emissions.upload(engine, DATA + "U-1,Natural gas,1\n" * 2, module=ENERGY)
    (root,) = snapshot.jobs
    assert root.result is JobResult.ERROR
    assert root.status_message == (
        "ERROR: 0 inserted, 2 skipped, first error: row 2: unknown unit 'U-1'"
    )
    assert root.meta["stats"]["skipped"] == 2
    assert await emissions.fetch("SELECT * FROM data_entries ORDER BY id") == before


@pytest.mark.parametrize("result", ["SUCCESS", "WARNING", "ERROR"])
async def test_w14_no_message_says_success_of_anything_else(
    emissions: EmissionsLab, result: str
) -> None:
    engine = await emissions.engine()
    await emissions.upload(engine, FACTORS, target="factors", module=ENERGY)
    rows = {"SUCCESS": "U-100,Natural gas,1\n", "WARNING": "U-100,Natural gas,1\nU-100,,1\n"}
    snapshot = await emissions.upload(
        engine, DATA + rows.get(result, "U-100,Natural gas,-1\n"), module=ENERGY
    )
    root = snapshot.jobs[0]
    assert root.result == result
    message = root.status_message or ""
    assert (message == "1 entries inserted") == (result == "SUCCESS")
    assert message.startswith(result) == (result != "SUCCESS")


async def test_upload_replaces_the_last_one_also_of_units_that_are_not_in_it(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "energy")
    manual = await emissions.entry("natural gas", 100)
    snapshot = await emissions.upload(engine, DATA + "U-200,Heating oil,100\n", module=ENERGY)
    assert snapshot.jobs[0].meta["replaced"] == 5
    assert await emissions.module_total("U-100", ENERGY) == 24, "the manual row stays"
    assert await emissions.module_total("U-200", ENERGY) == 32
    assert await emissions.value("SELECT count(*) FROM data_entries WHERE id = $1", manual) == 1


async def test_unit_upload_adds_rows_and_belongs_to_its_tenant(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "energy")
    for _ in range(2):
        snapshot = await emissions.upload(
            engine, "name,quantity\nNatural gas,100\n", module=ENERGY, unit="U-200"
        )
        assert {job.tenant_id for job in snapshot.jobs} == {"U-200"}
        assert snapshot.pipeline.tenant_id == "U-200"
        root = snapshot.jobs[0]
        assert root.entity_type is EntityType.MODULE_UNIT_SPECIFIC
        assert root.entity_id is not None
        assert not root.is_current
    assert await emissions.module_total("U-200", ENERGY) == 123.5 + 2 * 24
    await emissions.upload(engine, SAMPLE / "data_energy.csv", module=ENERGY)
    assert await emissions.module_total("U-200", ENERGY) == 123.5 + 2 * 24


async def test_unit_job_of_another_tenant_or_scope_is_refused(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "energy")
    entity = await emissions.value("SELECT id FROM carbon_report_modules ORDER BY id LIMIT 1")
    digest = await emissions.value("SELECT content_hash FROM ingest_inputs LIMIT 1")
    for values, reason in (
        ({"tenant_id": "U-200"}, "another unit"),
        ({"tenant_id": "U-100", "module_type_id": PROCESS}, "no such module"),
        ({"tenant_id": "U-100", "entity_id": None}, "no such module"),
    ):
        given: dict[str, Any] = {
            "module_type_id": ENERGY,
            "year": YEAR,
            "entity_type": EntityType.MODULE_UNIT_SPECIFIC,
            "entity_id": entity,
            **values,
        }
        submitted = await engine.submit(
            NewJob(job_type="csv_ingest", config={"input": digest}, **given)
        )
        (root,) = (await emissions.ended(engine, submitted)).jobs
        assert root.result is JobResult.ERROR
        assert reason in (root.status_message or "")


@pytest.mark.parametrize(
    ("job_type", "values", "reason"),
    [
        ("csv_ingest", {"module_type_id": ENERGY}, "needs a year"),
        ("factor_ingest", {}, "factor_ingest needs a year"),
        ("csv_ingest", {"year": YEAR}, "module None has no entry types"),
        ("factor_ingest", {"year": YEAR, "module_type_id": 99}, "module 99 has no entry types"),
        (
            "emission_recalc",
            {"year": YEAR, "module_type_id": ENERGY, "data_entry_type_id": 50},
            "module 3 has no entry type 50",
        ),
        ("emission_recalc", {"year": YEAR, "module_type_id": ENERGY}, "needs data_entry_type_id"),
        ("aggregation", {"module_type_id": ENERGY}, "needs a module and a year"),
        ("csv_ingest", {"module_type_id": ENERGY, "year": YEAR}, "no input 'None' is stored"),
        (
            "module_emission_recalc",
            {"module_type_id": ENERGY, "year": YEAR, "config": {"data_entry_type_ids": [50]}},
            "none of the entry types",
        ),
        ("api_ingest", {"module_type_id": ENERGY, "year": YEAR}, "no provider None is configured"),
    ],
)
async def test_job_without_its_scope_ends_with_the_reason(
    emissions: EmissionsLab, job_type: str, values: dict[str, Any], reason: str
) -> None:
    engine = await emissions.engine()
    submitted = await engine.submit(NewJob(job_type=job_type, **values))
    (root,) = (await emissions.ended(engine, submitted)).jobs
    assert root.result is JobResult.ERROR
    assert reason in (root.status_message or "")


async def test_recalculation_without_a_module_finds_it_and_skips_the_aggregation(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.factor("natural gas", 1)
    await emissions.entry("natural gas", 5)
    with capture_logs() as logs:
        submitted = await engine.submit(
            NewJob(job_type="emission_recalc", data_entry_type_id=31, year=YEAR)
        )
        (root,) = (await emissions.ended(engine, submitted)).jobs
    assert root.result is JobResult.SUCCESS
    assert [row["kg_co2eq"] for row in await emissions.emissions()] == [5]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "aggregation_skipped"
    ]


async def test_aggregation_of_a_module_without_emissions_writes_nothing(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    submitted = await engine.submit(NewJob(job_type="aggregation", module_type_id=1, year=YEAR))
    (root,) = (await emissions.ended(engine, submitted)).jobs
    assert root.result is JobResult.SUCCESS
    assert root.status_message == "module 1 has no emissions; nothing to sum up"


async def test_factor_that_is_missing_from_a_new_file_stays_and_is_told(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine, "energy")
    snapshot = await emissions.upload(engine, FACTORS, target="factors", module=ENERGY)
    root = snapshot.jobs[0]
    assert root.meta["stale"] == 1
    assert root.meta["stale_factors"] == ['{"kind":"heating oil","subkind":null}']
    assert await emissions.value("SELECT count(*) FROM factors") == 2
    assert await emissions.module_total("U-100", ENERGY) == 660


async def test_w5_many_uploads_at_once_end_without_deadlock_and_with_the_right_totals(
    emissions: EmissionsLab,
) -> None:
    # W5: modules share reports, recalculations share modules.
    engine = await emissions.engine()
    await emissions.sample(engine)
    jobs: list[Callable[[], Awaitable[Snapshot]]] = []
    for _ in range(3):
        for module, name in ((ENERGY, "energy"), (PROCESS, "process"), (PURCHASE, "purchase")):
            for target in ("factors", "data"):
                path = SAMPLE / f"{target}_{name}.csv"
                jobs.append(
                    lambda path=path, target=target, module=module: emissions.upload(
                        engine, path, target=target, module=module
                    )
                )
    before = await emissions.value(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    snapshots = await asyncio.gather(*(job() for job in jobs))
    assert {each.progress.status for each in snapshots} == {PipelineStatus.SUCCESS}
    assert await emissions.value("SELECT count(*) FROM data_entry_emissions") == 11
    units = await emissions.totals()
    assert [(units[unit].report or {})["total"] for unit in ("U-100", "U-200")] == [975, 179.5]
    after = await emissions.value(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert after == before


async def test_w17_same_input_is_kept_once_and_cannot_be_changed(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    for _ in range(2):
        await emissions.upload(engine, FACTORS, target="factors", module=ENERGY)
    assert await emissions.value("SELECT count(*) FROM ingest_inputs") == 1
    with pytest.raises(asyncpg.CheckViolationError):
        await emissions.pool.execute("UPDATE ingest_inputs SET content = 'other'")


async def test_units_are_written_with_their_reports(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    text = "institutional_id,name\nU-100,New name\nU-300,Third\n,none\nU-300,twice\nU-400\n"
    snapshot = await emissions.upload(engine, text, target="units")
    (root,) = snapshot.jobs
    assert root.result is JobResult.WARNING
    assert root.meta["stats"]["inserted"] == 3
    assert [row["reason"] for row in root.meta["stats"]["row_errors"]] == [
        "institutional_id is missing",
        "institutional_id 'U-300' stands there twice",
    ]
    units = await emissions.totals()
    assert {unit: each.name for unit, each in units.items()} == {
        "U-100": "New name",
        "U-300": "Third",
        "U-400": "",
    }
    assert units["U-300"].modules == {"3": None, "5": None, "8": None}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"module": None}, "module"),
        ({"module": 1}, "module"),
        ({"year": None}, "year"),
        ({"year": 12}, "year"),
        ({"module": None, "target": "factors", "year": None}, "year"),
        ({"data_entry_type": 50}, "data_entry_type"),
        ({"unit": "U-999"}, "unit"),
        ({"unit": "U-100", "target": "factors"}, "unit"),
        ({"content": b"x" * (64 * 1024 * 1024 + 1)}, "file"),
    ],
)
async def test_request_that_makes_no_sense_is_refused_before_anything_happens(
    emissions: EmissionsLab, values: dict[str, Any], field: str
) -> None:
    engine = await emissions.engine()
    given: dict[str, Any] = {"content": b"x", "module": ENERGY, "year": YEAR, **values}
    with pytest.raises(DispatchError) as raised:
        await dispatch_ingest(engine, given.pop("content"), **given)
    assert raised.value.field == field
    assert str(raised.value).startswith(field)
    assert await emissions.value("SELECT count(*) FROM pipelines") == 0
