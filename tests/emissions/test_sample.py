"""The sample of the domain and all that follows it, to the digit."""

from pathlib import Path
from typing import Any

import pytest
from emissions_lab import ENERGY, PROCESS, PURCHASE, SAMPLE, EmissionsLab

from handlers.emissions.service import UnitTotals
from pipelines import JobResult, PipelineStatus

FOLLOW_UPS = SAMPLE / "follow_ups"


def scopes(totals: UnitTotals) -> tuple[Any, ...]:
    assert totals.report is not None
    return tuple(totals.report[name] for name in ("scope1", "scope2", "scope3", "total"))


async def sample_totals(lab: EmissionsLab) -> None:
    units = await lab.totals()
    assert scopes(units["U-100"]) == (625, 0, 350, 975)
    assert scopes(units["U-200"]) == (179.5, 0, 0, 179.5)
    expected = {("U-100", ENERGY): 400, ("U-100", PROCESS): 225, ("U-100", PURCHASE): 350}
    expected |= {("U-200", ENERGY): 123.5, ("U-200", PROCESS): 56}
    for (unit, module), total in expected.items():
        assert await lab.module_total(unit, module) == total
    assert units["U-100"].report is not None
    assert units["U-100"].report["it_total_kg"] == 150


async def test_sample_gives_the_expected_totals(emissions: EmissionsLab) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine)
    await sample_totals(emissions)
    stats = (await emissions.totals())["U-100"].modules[str(ENERGY)]
    assert stats is not None
    assert stats["by_emission_type"] == {"60201": 240, "60202": 160, "60000": 400}
    assert stats["entry_count"] == 2
    assert set(stats) == {
        *("scope1", "scope2", "scope3", "total", "by_emission_type", "by_additional_value"),
        *("entry_count", "computed_at"),
    }


async def test_sample_uploaded_twice_gives_the_same_without_duplicates(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine)
    factors = await emissions.fetch("SELECT id, classification FROM factors ORDER BY id")
    await emissions.sample(engine)
    await sample_totals(emissions)
    assert await emissions.value("SELECT count(*) FROM data_entries") == 11
    assert await emissions.value("SELECT count(*) FROM data_entry_emissions") == 11
    assert await emissions.value("SELECT count(*) FROM ingest_inputs") == 6
    again = await emissions.fetch("SELECT id, classification FROM factors ORDER BY id")
    assert again == factors, "an upsert keeps the ids"


async def test_uploading_factors_again_changes_totals_and_keeps_overrides(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine)
    await emissions.upload(
        engine, FOLLOW_UPS / "factors_energy_2.csv", target="factors", module=ENERGY
    )
    assert await emissions.module_total("U-100", ENERGY) == 410
    assert await emissions.module_total("U-200", ENERGY) == 124.5
    kg = await emissions.fetch(
        "SELECT kg_co2eq::float8 FROM data_entry_emissions JOIN data_entries e"
        " ON e.id = data_entry_id WHERE e.data_entry_type_id = 31 ORDER BY kg_co2eq"
    )
    assert [row[0] for row in kg] == [0, 25, 99.5, 160, 250]


async def test_uploading_data_without_the_override_column_removes_overrides(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine)
    await emissions.upload(
        engine, FOLLOW_UPS / "factors_energy_2.csv", target="factors", module=ENERGY
    )
    await emissions.upload(engine, FOLLOW_UPS / "data_energy_2.csv", module=ENERGY)
    assert await emissions.module_total("U-200", ENERGY) == 40.7
    assert await emissions.module_total("U-100", ENERGY) == 410


async def test_w5_purchase_runs_two_recalculations_and_one_aggregation_after_both(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.upload(
        engine, SAMPLE / "factors_purchase.csv", target="factors", module=PURCHASE
    )
    snapshot = await emissions.upload(engine, SAMPLE / "data_purchase.csv", module=PURCHASE)
    recalcs = [job for job in snapshot.jobs if job.job_type == "emission_recalc"]
    (aggregation,) = [job for job in snapshot.jobs if job.job_type == "aggregation"]
    assert {job.data_entry_type_id for job in recalcs} == {61, 64}
    assert len(recalcs) == 2
    for recalc in recalcs:
        assert recalc.finished_at is not None
        assert aggregation.claimed_at is not None
        assert aggregation.claimed_at > recalc.finished_at
    assert {job.pipeline_id for job in snapshot.jobs} == {snapshot.pipeline.id}
    assert (aggregation.module_type_id, aggregation.year) == (PURCHASE, 2025)
    assert aggregation.data_entry_type_id is None
    assert await emissions.module_total("U-100", PURCHASE) == 350


async def test_row_of_an_unknown_unit_is_a_warning_and_totals_stay(
    emissions: EmissionsLab,
) -> None:
    engine = await emissions.engine()
    await emissions.sample(engine)
    snapshot = await emissions.upload(engine, FOLLOW_UPS / "data_energy_u999.csv", module=ENERGY)
    root = snapshot.jobs[0]
    assert root.result is JobResult.WARNING
    assert root.status_message == (
        "WARNING: 5 inserted, 1 skipped, first error: row 7: unknown unit 'U-999'"
    )
    assert root.meta["stats"]["row_errors"] == [{"row": 7, "reason": "unknown unit 'U-999'"}]
    assert [job.job_type for job in snapshot.jobs][-1] == "aggregation"
    assert snapshot.progress.status is PipelineStatus.SUCCESS
    await sample_totals(emissions)


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("*.csv")), ids=lambda path: path.name)
def test_sample_is_not_empty(path: Path) -> None:
    assert len(path.read_text().splitlines()) > 1
